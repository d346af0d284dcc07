"""What a codec says of itself and of its model: rates, bitrates, what stands in the header of its files."""

from gritcodec import bitstream, model_store
from gritcodec.arguments import number
from gritcodec.bitstream import MAX_PACKET_FRAMES, Header
from gritcodec.bitstream.fields import check_tags
from gritcodec.codec.about import About
from gritcodec.codec.stream import CHUNK_FRAMES
from gritcodec.engine.interface import Engine
from gritcodec.errors import UsageError

DEFAULT_BITRATE = 3.0


class Described:
    """A model and what runs it, with what follows from the two."""

    def __init__(self, model: model_store.Model, engine: Engine) -> None:
        """Wrap a model and what runs it; `load` is the usual way here."""
        self._model = model
        self._engine = engine
        self._config = model.config

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def engine(self) -> str:
        """What runs the network: `onnx` or `torch`."""
        return self._engine.name

    @property
    def clock(self) -> bitstream.Clock:
        """How frames and samples of the model belong together, for `bitstream.cut`."""
        return self._model.clock

    @property
    def fingerprint(self) -> str:
        """What names the meaning of the model's codes in a file: 16 hexadecimal digits."""
        return self._model.fingerprint.hex()

    @property
    def contexts(self) -> bitstream.ContextModel | None:
        """What the model's codes are entropy-coded with; None: its files are packed plainly."""
        return self._model.contexts

    @property
    def sample_rate(self) -> int:
        """The rate at which the network works, Hz; audio of any rate goes in and comes out."""
        return self._config.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples, at the model's rate, in a frame."""
        return self._config.hop_length

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop_length

    @property
    def algorithmic_delay(self) -> float:
        """Seconds that a live signal would lag, computing time aside: one frame and the decoder's overlap."""
        return self._model.algorithmic_delay

    @property
    def bitrates(self) -> tuple[float, ...]:
        """Bitrates a channel can have, kbps, ascending: one for each number of stages, without headers."""
        return self._model.bitrates

    def stages_for(self, bitrate: float | None = None) -> int:
        """Return how many stages a bitrate gives.

        Args:
            bitrate: kbps a channel; the largest of `bitrates` not above it is used. None: 3, or the nearest.

        Raises:
            UsageError: it is below the smallest of `bitrates` or above the largest, or not a number.
        """
        rates = self.bitrates
        bitrate = None if bitrate is None else number(bitrate, "the bitrate")
        if bitrate is None:
            return 1 + min(range(len(rates)), key=lambda k: abs(rates[k] - DEFAULT_BITRATE))
        # A hair of tolerance: 0.1 * 15 must find 1.5.
        if not rates[0] - 1e-6 <= bitrate <= rates[-1] + 1e-6:
            known = ", ".join(f"{rate:g}" for rate in rates)
            raise UsageError(f"{self.name} has no bitrate {bitrate:g} kbps; it has {known}")
        return sum(rate <= bitrate + 1e-6 for rate in rates)

    def frames_in_packet(self, seconds: float | None = None) -> int:
        """Return how many frames a packet of so many seconds has, to the nearest; None: the 64 of files.

        Raises:
            UsageError: there are no such packets: they have 1 to 512 frames.
        """
        if seconds is None:
            return CHUNK_FRAMES
        frames = number(seconds, "the length of a packet") * self.frame_rate
        if not 0.5 < frames < MAX_PACKET_FRAMES + 0.5:
            least, most = 1 / self.frame_rate, MAX_PACKET_FRAMES / self.frame_rate
            raise UsageError(f"a packet of {self.name} has {least:g} to {most:g} s, not {seconds:g}")
        return max(round(frames), 1)

    def _kbps(self, bitrate: float | None) -> float:
        stages = self.stages_for(bitrate)
        return self.bitrates[stages - 1] if bitrate is None else min(number(bitrate, "the bitrate"), self.bitrates[-1])

    def _header(
        self,
        sample_rate: int,
        channels: int,
        num_samples: int | None,
        stages: int,
        about: About,
        packet_frames: int = CHUNK_FRAMES,
    ) -> Header:
        check_tags(tuple(about.tags))
        return Header(
            self._model.fingerprint,
            sample_rate,
            channels,
            num_samples,
            stages,
            self._model.code_bits,
            packet_frames,
            round(100 * self.frame_rate),
            bitstream.PLAIN if self.contexts is None else bitstream.ENTROPY,
            tuple(about.tags),
            start_time=about.start_time,
            encoder=self.name,
            channel_mask=about.channel_mask,
            gain=about.gain_steps,
        )
