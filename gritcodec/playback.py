"""Sound out of a .grit stream: through damage, from any position, before the stream has ended."""

from collections.abc import Iterator
from dataclasses import dataclass

from gritcodec.audio import Waveform
from gritcodec.bitstream import Damage, Packet, Reader
from gritcodec.errors import CorruptFileError, UsageError
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.stream import ChunkDecoder, frames_for, samples_in, warmup_frames


@dataclass(frozen=True)
class Span:
    """A part of a recording.

    Attributes:
        start: seconds from its beginning, 0 or more.
        duration: seconds; None: to the end.
    """

    start: float = 0.0
    duration: float | None = None


class Playback:
    """Decodes the packets of a reader, once.

    Attributes:
        sample_rate: in Hz.
        channels: of the recording.
        num_samples: samples in each channel that `blocks` yields if nothing is damaged; None where only the
            end of a live stream tells.
        size: bytes of the packets' bodies decoded so far.
    """

    def __init__(self, network: Autoencoder, reader: Reader, span: Span | None = None) -> None:
        """Prepare to decode; nothing but the header has been read so far.

        Args:
            network: of the model that made the file.
            reader: at its beginning; a `span` that starts late needs one that can seek to be fast.
            span: the part to decode; None: everything.

        Raises:
            UsageError: the span starts behind the end, or its times make no sense.
        """
        self._network, self._reader, self.size = network, reader, 0
        self._hop = network.config.hop_length
        header = reader.header
        self.sample_rate, self.channels = header.sample_rate, header.channels
        total = header.num_samples
        self._first, self._count = self._bounds(span or Span(), total)
        self._packet = self._first_packet()
        begin = self._packet * header.packet_frames * self._hop
        # Decoding begins at a packet whose first sample is a whole number at both rates.
        self._origin = begin * self.sample_rate // network.config.sample_rate
        self.num_samples = self._count
        if total is not None:
            rest = max(total - self._first, 0)
            self.num_samples = rest if self._count is None else min(self._count, rest)
        remaining = None if total is None else max(total - self._origin, 0)
        self._decoder = ChunkDecoder(network, self.sample_rate, self.channels, remaining)
        self._frames = self._packet * header.packet_frames
        self._cut = False

    def blocks(self) -> Iterator[Waveform]:
        """Yield the sound, float32 [channels, samples], as soon as it can be had.

        Raises:
            CorruptFileError: what the file says contradicts the model, or it is damaged and the reader is strict.
        """
        skip = self._first - self._origin
        left = self._count
        for block in self._decoded():
            dropped = min(skip, block.shape[1])
            skip -= dropped
            block = block[:, dropped:]
            if left is not None:
                block = block[:, :left]
                left -= block.shape[1]
            if block.shape[1]:
                yield block
            if left == 0:
                return

    def report(self) -> list[str]:
        """Return a line for everything that was wrong, with times; empty for a sound file. Call it at the end."""
        return [self._describe(damage) for damage in self._reader.damage]

    def _decoded(self) -> Iterator[Waveform]:
        if self._packet:
            self._reader.seek(self._packet)
        for packet in self._reader.packets():
            if packet.number >= self._packet:
                yield self._decode(packet)
        yield self._finish()

    def _decode(self, packet: Packet) -> Waveform:
        frames, expected = packet.frames, self._expected()
        if packet.body is not None:
            codes = self._reader.codes(packet)
            self.size += len(packet.body)
            self._frames += frames
            if expected is not None and self._frames > expected + 1:
                raise self._contradiction()
            return self._decoder.push(codes)
        if expected is not None:
            frames = max(min(frames, expected - self._frames), 0)
        self._frames += frames
        return self._decoder.conceal(frames)

    def _finish(self) -> Waveform:
        expected = self._expected()
        if not self._reader.received and self._reader.damage and expected != 0:
            raise CorruptFileError("the file is damaged beyond use: none of its packets is whole")
        if expected is not None and self._frames >= expected:
            # Join may leave a frame more than the samples need.
            return self._decoder.finish((self._reader.header.num_samples or 0) - self._origin)
        if self._reader.ended:
            raise self._contradiction()
        self._cut = True
        whole = samples_in(self._network, self._frames, self.sample_rate)
        total = self._reader.header.num_samples
        return self._decoder.finish(max((whole if total is None else min(whole, total)) - self._origin, 0))

    def _expected(self) -> int | None:
        header = self._reader.header
        if header.num_samples is None:
            return None
        return frames_for(self._network, header.num_samples, header.sample_rate)

    def _bounds(self, span: Span, total: int | None) -> tuple[int, int | None]:
        """Return the first sample and the number of samples, where that is known."""
        if not 0 <= span.start < 1e9 or not (span.duration is None or 0 <= span.duration < 1e9):
            raise UsageError("start and duration must be 0 or more seconds")
        first = round(span.start * self.sample_rate)
        if total is not None and first and first >= total:
            raise UsageError(f"the recording is {total / self.sample_rate:.2f} s long: nothing is at {span.start:g} s")
        return first, None if span.duration is None else round(span.duration * self.sample_rate)

    def _first_packet(self) -> int:
        """Return the packet where decoding must begin, so that the first sample is what the whole file gives."""
        rate = self._network.config.sample_rate
        frames = self._reader.header.packet_frames
        at = self._first * rate // self.sample_rate // self._hop - warmup_frames(self._network, self.sample_rate)
        packet = max(at // frames, 0)
        while packet * frames * self._hop * self.sample_rate % rate:
            packet -= 1
        return packet

    def _contradiction(self) -> CorruptFileError:
        header = self._reader.header
        return CorruptFileError(
            f"the file contradicts the model: {header.num_samples or 0:,} samples at {header.sample_rate:,} Hz "
            f"in {self._frames:,} frames"
        )

    def _describe(self, damage: Damage) -> str:
        seconds = self._reader.header.packet_frames * self._hop / self._network.config.sample_rate
        start = damage.packet * seconds
        if damage.packets is None:
            if not self._cut:
                return "the end of the file is damaged; no sound is lost"
            total = self._reader.header.seconds
            return f"cut off at {start:.2f} s" + (f" of {total:.2f} s" if total is not None else "")
        if not damage.packets:
            return f"{damage.what} (at {start:.2f} s); no sound is lost"
        end = (damage.packet + damage.packets) * seconds
        total = self._reader.header.seconds
        return f"lost {start:.2f} s to {end if total is None else min(end, total):.2f} s: {damage.what}"
