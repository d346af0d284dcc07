"""The codec: waveforms, codes, bytes and files, through one model.

codec = load("speech-16k")
data = codec.compress(waveform, sample_rate, bitrate=3.0)
waveform, sample_rate = codec.decompress(data)
"""

import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gritcodec import audio, bitstream, files, model_store, transfer
from gritcodec.audio import Waveform
from gritcodec.bitstream import Body, Header, Reader
from gritcodec.errors import UsageError
from gritcodec.files import PathLike
from gritcodec.live import StreamDecoder, StreamEncoder, live_header
from gritcodec.playback import Playback, Span
from gritcodec.refine import encoder
from gritcodec.stream import CHUNK_FRAMES, ChunkDecoder, Codes, all_chunks, code_problem
from gritcodec.transfer import Progress

DEFAULT_MODEL = "speech-16k"
DEFAULT_BITRATE = 3.0

Tags = Sequence[tuple[str, str]]


def load(name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> "Codec":
    """Load a model for compressing and decompressing, on the CPU.

    Args:
        name_or_path: a shipped model's name, or a folder with config.yaml and weights.safetensors.

    Raises:
        ModelError: there is no such model, or its files are damaged.
        ConfigError: its configuration is not valid.
    """
    return Codec(model_store.load(model_store.resolve(name_or_path)))


class Codec:
    """One model, ready to use. It keeps no state between calls."""

    def __init__(self, model: model_store.LoadedModel) -> None:
        """Wrap a loaded model; `load` is the usual way here."""
        self._model = model
        self._network = model.network
        self._config = model.network.config

    def __repr__(self) -> str:
        return f"Codec({self.name!r}, fingerprint={self.fingerprint}, sample_rate={self.sample_rate})"

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def fingerprint(self) -> str:
        """What names the model's weights in a file: 16 hexadecimal digits."""
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
        return (self.hop_length + self._network.delay) / self.sample_rate

    @property
    def bitrates(self) -> tuple[float, ...]:
        """Bitrates a channel can have, kbps, ascending: one for each number of stages, without headers."""
        stages = self._config.quantizer.stages
        return tuple(round(k * self._model.code_bits * self.frame_rate / 1000, 6) for k in range(1, stages + 1))

    def stages_for(self, bitrate: float | None = None) -> int:
        """Return how many stages a bitrate gives.

        Args:
            bitrate: kbps a channel; the largest of `bitrates` not above it is used. None: 3, or the nearest.

        Raises:
            UsageError: it is below the smallest of `bitrates`, or not a number.
        """
        rates = self.bitrates
        if bitrate is None:
            return 1 + min(range(len(rates)), key=lambda k: abs(rates[k] - DEFAULT_BITRATE))
        if math.isnan(bitrate) or bitrate < rates[0] - 1e-6:
            known = ", ".join(f"{rate:g}" for rate in rates)
            raise UsageError(f"{self.name} has no bitrate {bitrate:g} kbps; it has {known}")
        # A hair of tolerance: 0.1 * 15 must find 1.5.
        return sum(rate <= bitrate + 1e-6 for rate in rates)

    def encode(
        self, waveform: Tensor | NDArray, sample_rate: int, bitrate: float | None = None, effort: int = 0
    ) -> Codes:
        """Code a waveform.

        Args:
            waveform: floating point [channels, samples], nominally -1 to 1; louder is coded as it is.
                Channels are coded as independent mono signals.
            sample_rate: Hz, 1 to 768000.
            bitrate: kbps a channel, see `stages_for`.
            effort: steps, 0 to 100, in which codes are refined by what the decoder makes of them: more of them take
                longer and sound better at the same bitrate. Refined codes of all bitrates have their first stages in
                common, as others have; they may depend on the machine and the number of threads.

        Raises:
            UsageError: wrong shape, type, rate, bitrate or effort.
            AudioError: NaN, infinite or absurdly large samples.
        """
        samples = audio.as_waveform(audio.as_array(waveform), sample_rate)
        stages = self.stages_for(bitrate)
        coder = encoder(self._network, sample_rate, samples.shape[0], stages, effort=effort)
        chunks = list(all_chunks(coder, audio.in_blocks(samples, sample_rate)))
        empty = np.zeros((samples.shape[0], stages, 0), dtype=np.uint16)
        indices = np.concatenate([empty, *chunks], axis=2).astype(np.int64)
        return Codes(torch.from_numpy(indices), sample_rate, samples.shape[1])

    def decode(self, codes: Codes) -> Tensor:
        """Turn codes back into sound.

        Returns:
            float32 [channels, samples] at `codes.sample_rate`, `codes.num_samples` of them; not clipped.

        Raises:
            UsageError: the codes do not fit this model: stages, range, or frames that do not fit the samples.
        """
        indices = codes.indices.numpy(force=True)
        problem = code_problem(self._network, indices, codes.sample_rate, codes.num_samples)
        if problem is not None:
            raise UsageError(problem)
        return self._decode(indices, codes.sample_rate, codes.num_samples)

    def compress(
        self,
        waveform: Tensor | NDArray,
        sample_rate: int,
        bitrate: float | None = None,
        tags: Tags = (),
        effort: int = 0,
    ) -> bytes:
        """Code a waveform into the bytes of a .grit file.

        Args:
            waveform: as in `encode`.
            sample_rate: Hz, 1 to 768000.
            bitrate: kbps a channel that the file may cost, overhead included; recordings of less than 10 s
                keep all stages of their bitrate instead, and none has less than one stage.
            tags: (name, value) pairs of text for the header.
            effort: as in `encode`.

        Raises:
            UsageError: wrong shape, type, rate, bitrate or effort.
            AudioError: NaN, infinite or absurdly large samples.
        """
        samples = audio.as_waveform(audio.as_array(waveform), sample_rate)
        return self.compress_blocks(
            audio.in_blocks(samples, sample_rate), sample_rate, samples.shape[0], bitrate, tags=tags, effort=effort
        )

    def compress_blocks(
        self,
        blocks: Iterable[Waveform],
        sample_rate: int,
        channels: int,
        bitrate: float | None = None,
        size_limit: int | None = None,
        tags: Tags = (),
        coded: Callable[[int], None] | None = None,
        effort: int = 0,
    ) -> bytes:
        """Code a waveform that comes in blocks; memory grows with the result, not with the audio.

        Args:
            blocks: float32 [channels, samples] each.
            sample_rate: Hz, 1 to 768000.
            channels: 1 to 255.
            bitrate: as in `compress`.
            size_limit: bytes that the file may have; instead of a bitrate.
            tags: as in `compress`.
            coded: called after each packet with the bytes so far, to within what the end decides.
            effort: as in `encode`.

        Raises:
            UsageError: no such bitrate or effort, or one stage alone takes more than `size_limit`.
        """
        every = len(self.bitrates)
        kbps = self._kbps(bitrate)
        header = self._header(sample_rate, channels, 0, every, tags)
        most = min(bitstream.needed_stages(header, kbps, short=False), every) if size_limit is None else every
        coder = encoder(self._network, sample_rate, channels, most, effort=effort)
        coding = bitstream.coding_for(header, self.contexts)
        bodies: list[Body] = []
        size = 0
        for chunk in all_chunks(coder, blocks):
            bodies.append(Body.of(coding, chunk))
            size += len(bodies[-1].data)
            if coded:
                # Stages beyond what the bitrate has room for are dropped at the end.
                room = kbps * 125 * channels * coder.num_samples / sample_rate if size_limit is None else size_limit
                coded(round(min(size, room)))
        header = self._header(sample_rate, channels, coder.num_samples, every, tags)
        return bitstream.assemble_within(header, bodies, None if size_limit is not None else kbps, size_limit)

    def compress_live(
        self,
        blocks: Iterable[Waveform],
        sample_rate: int,
        channels: int,
        bitrate: float | None = None,
        tags: Tags = (),
        effort: int = 0,
    ) -> Iterator[bytes]:
        """Code a waveform while it comes; each piece of the file is given out as soon as it is known.

        Arguments and errors as in `compress_blocks`; the bitrate is the largest of `bitrates` not above the one
        asked for, and the file is within it at every moment from 10 s on.
        """
        stream = self.stream_encoder(sample_rate, channels, bitrate, CHUNK_FRAMES, tags, effort)
        for block in blocks:
            yield from stream.push(block)
        yield from stream.flush()

    def stream_encoder(
        self,
        sample_rate: int,
        channels: int = 1,
        bitrate: float | None = None,
        packet_frames: int = 1,
        tags: Tags = (),
        effort: int = 0,
    ) -> StreamEncoder:
        """Return what codes a live signal.

        Args:
            sample_rate: Hz, 1 to 768000.
            channels: 1 to 255.
            bitrate: as in `compress_live`; each packet costs 5 bytes besides its codes, which count.
            packet_frames: frames in a packet, 1 to 64: a packet comes as soon as its last frame is there.
            tags: (name, value) pairs of text for the header.
            effort: as in `encode`: not for live signals, packets come five seconds late.

        Raises:
            UsageError: there is no such bitrate, rate, packet or effort.
        """
        kbps = self.bitrates[self.stages_for(bitrate) - 1]
        header = live_header(self._header(sample_rate, channels, None, len(self.bitrates), tags), packet_frames, kbps)
        return StreamEncoder(self._network, header, kbps, self.contexts, effort)

    def stream_decoder(self, header: Header | None = None) -> StreamDecoder:
        """Return what turns the pieces of a stream encoder into sound as they come, lost ones concealed.

        Args:
            header: of the stream, where it came another way than by the first piece.

        Raises:
            WrongModelError: it is another model's.
        """
        return StreamDecoder(self._network, self.contexts, self._model.check_header, header)

    def decompress(self, data: bytes, strict: bool = True) -> tuple[Tensor, int]:
        """Decode the bytes of a .grit file.

        Args:
            data: the whole file.
            strict: whether damage is an error; otherwise lost parts fade to silence, and a file that is cut
                gives what is there. `play` also tells what was wrong.

        Returns:
            float32 [channels, samples], and the sample rate in Hz, both as they were before compression.

        Raises:
            FormatError: not a .grit file, of an unknown version or, with `strict`, damaged.
            WrongModelError: made with another model.
        """
        playback = self.play(Reader(io.BytesIO(data), strict))
        empty = np.zeros((playback.channels, 0), dtype=np.float32)
        return torch.from_numpy(np.concatenate([empty, *playback.blocks()], axis=1)), playback.sample_rate

    def play(self, reader: Reader, span: Span | None = None) -> Playback:
        """Prepare to decode a .grit stream, or a part of it, block by block.

        Raises:
            WrongModelError: made with another model.
            CorruptFileError: the header contradicts the model.
            UsageError: the recording ends before the span begins.
        """
        self._model.check_header(reader.header)
        reader.use(self.contexts)
        return Playback(self._network, reader, span)

    def compress_file(
        self,
        source: PathLike,
        target: PathLike,
        bitrate: float | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
        effort: int = 0,
    ) -> Header:
        """Compress an audio file into a .grit file; see `transfer.compress` for pipes and more choices.

        Args:
            source: a file that libsndfile reads.
            target: appears when it is whole, and only then.
            bitrate: as in `compress`.
            overwrite: whether `target` may be replaced.
            progress: called as the work goes on.
            effort: as in `encode`.

        Returns:
            The header of the file written.

        Raises:
            UsageError: no such file or folder, `target` exists, or no such bitrate or effort.
            AudioError: the audio cannot be read.
            OutputError: the file cannot be written.
        """
        return transfer.compress(
            self, source, target, bitrate, overwrite=overwrite, progress=progress, effort=effort
        ).header

    def decompress_file(
        self, source: PathLike, target: PathLike, overwrite: bool = False, progress: Progress | None = None
    ) -> Header:
        """Decompress a sound .grit file into 16-bit wav or flac, by the ending of `target`; see `transfer.decompress`.

        Returns:
            The header of the file read.

        Raises:
            FormatError, WrongModelError: as in `decompress`.
            UsageError: no such file or folder, `target` exists, or its ending is unknown.
            AudioError: `target` is a flac file and flac cannot hold the signal.
            OutputError: the file cannot be written.
        """
        files.require_distinct(source, target)
        with transfer.open_grit(source, strict=True) as reader:
            return transfer.decompress(self, reader, target, overwrite=overwrite, progress=progress).header

    def _decode(self, codes: NDArray[np.integer], sample_rate: int, num_samples: int) -> Tensor:
        decoder = ChunkDecoder(self._network, sample_rate, codes.shape[0], num_samples)
        starts = range(0, codes.shape[2], CHUNK_FRAMES)
        blocks = [decoder.push(codes[:, :, start : start + CHUNK_FRAMES]) for start in starts]
        return torch.from_numpy(np.concatenate([*blocks, decoder.finish()], axis=1))

    def _kbps(self, bitrate: float | None) -> float:
        stages = self.stages_for(bitrate)
        return self.bitrates[stages - 1] if bitrate is None else min(bitrate, self.bitrates[-1])

    def _header(self, sample_rate: int, channels: int, num_samples: int | None, stages: int, tags: Tags = ()) -> Header:
        return Header(
            self._model.fingerprint,
            sample_rate,
            channels,
            num_samples,
            stages,
            self._model.code_bits,
            CHUNK_FRAMES,
            round(100 * self.frame_rate),
            bitstream.PLAIN if self.contexts is None else bitstream.ENTROPY,
            tuple(tags),
        )
