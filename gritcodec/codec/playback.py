"""Sound out of a .grit stream: through damage, from any position, before the stream has ended."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gritcodec.bitstream import CHAINED, Chunk, CodeArray, Damage, Item, Packet, Pause, Reader
from gritcodec.bitstream.entropy import TOGETHER
from gritcodec.bitstream.items import SPLICE, read_splice
from gritcodec.codec.stream import ChunkDecoder, frames_for, samples_in
from gritcodec.engine.interface import Engine
from gritcodec.errors import CorruptFileError, UsageError
from gritcodec.sound.audio import Waveform

_PAUSE_FRAMES = 64


@dataclass(frozen=True)
class Span:
    """A part of a recording.

    Attributes:
        start: seconds from its beginning, 0 or more.
        duration: seconds; None: to the end.
    """

    start: float = 0.0
    duration: float | None = None


@dataclass(frozen=True)
class _Segment:
    """Where a segment begins, and what is known of it.

    Attributes:
        frame: its first, in the file.
        sample: its first, in the recording.
        samples: that it gives; None in a live stream that has not ended.
        trim: samples of its decoded signal before its first.
    """

    frame: int
    sample: int
    samples: int | None
    trim: int


class Playback:
    """Decodes the packets of a reader, once.

    Attributes:
        sample_rate: in Hz.
        channels: of the recording.
        num_samples: samples in each channel that `blocks` yields if nothing is damaged; None where only the
            end of a live stream tells.
        size: bytes of the packets' bodies decoded so far.
    """

    def __init__(self, engine: Engine, reader: Reader, span: Span | None = None) -> None:
        """Prepare to decode; nothing but the header has been read so far.

        Args:
            engine: of the model that made the file.
            reader: at its beginning; a `span` that starts late needs one that can seek to be fast.
            span: the part to decode; None: everything.

        Raises:
            UsageError: the span starts behind the end, or its times make no sense.
        """
        self._engine, self._reader, self.size = engine, reader, 0
        self._config = engine.config
        self._hop = engine.config.hop_length
        if span is not None and span.start:
            reader.learn_length()
        header = reader.header
        self.sample_rate, self.channels = header.sample_rate, header.channels
        total = header.num_samples
        self._first, self._count = self._bounds(span or Span(), total)
        self.num_samples = self._count
        if total is not None:
            rest = max(total - self._first, 0)
            self.num_samples = rest if self._count is None else min(self._count, rest)
        known = total if header.first_segment is None else header.first_segment
        self._segment = _Segment(0, 0, known, header.start_trim)
        self._cut = self._is_part = False
        if self._first:
            self._seek()
        if reader.position < self._segment.frame:
            # A pipe's segments are not known beforehand: all of it is decoded.
            self._segment = _Segment(0, 0, known, header.start_trim)
        self._open(reader.position - self._segment.frame)
        # Samples of the recording before the first one that is decoded.
        before, whole = max(self._begun_at - self._segment.trim, 0), self._segment.samples
        # The last frame of a segment goes on behind its last sample.
        self._origin = self._segment.sample + (before if whole is None else min(before, whole))

    def blocks(self) -> Iterator[Waveform]:
        """Yield the sound, float32 [channels, samples], as soon as it can be had.

        Raises:
            CorruptFileError: what the file says contradicts the model, it is damaged and the reader is strict, or it is
                cut off before the part that is wanted.
        """
        skip = self._first - self._origin
        left = self._count
        given = False
        for block in self._decoded():
            dropped = min(skip, block.shape[1])
            skip -= dropped
            block = block[:, dropped:]
            if left is not None:
                block = block[:, :left]
                left -= block.shape[1]
            if block.shape[1]:
                given = True
                yield block
            if left == 0:
                self._is_part = True
                return
        if self._first and self._cut and not given and left != 0:
            raise CorruptFileError(f"nothing of what is asked for is there: {self.report()[-1]}")

    def report(self) -> list[str]:
        """Return a line for everything that was wrong, with times; empty for a sound file. Call it at the end."""
        return [self._describe(damage) for damage in self._reader.damage]

    def _decoded(self) -> Iterator[Waveform]:
        for item, codes in self._items():
            if isinstance(item, Chunk):
                if item.mark == SPLICE:
                    yield self._end_segment()
                    self._begin_segment(item.start, *read_splice(item.payload))
            else:
                yield from self._decode(item, codes)
        yield self._finish()

    def _items(self) -> Iterator[tuple[Item, CodeArray | None]]:
        """Yield items with the codes of packets; out of a file several at a time, which takes less than one by one."""
        # A pipe's packets are played as they come; a file's first ones soon; chained ones are read in their order.
        alone = self._reader.is_followed() is None or self._reader.header.coding == CHAINED
        most = 1 if alone else TOGETHER
        together = 1
        waiting: list[Packet] = []
        for item in itertools.chain(self._reader.items(), [None]):
            whole = item if isinstance(item, Packet) and item.body is not None else None
            if waiting and (whole is None or whole.frames != waiting[0].frames):
                yield from zip(waiting, self._reader.many_codes(waiting), strict=True)
                waiting = []
            if whole is None:
                if item is not None:
                    yield item, None
                continue
            waiting.append(whole)
            if len(waiting) == together:
                yield from zip(waiting, self._reader.many_codes(waiting), strict=True)
                waiting, together = [], min(2 * together, most)

    def _decode(self, item: Packet | Pause, codes: CodeArray | None) -> Iterator[Waveform]:
        expected = self._expected()
        whole = isinstance(item, Pause) or item.body is not None
        if expected is not None and whole and item.start - self._segment.frame >= expected:
            if not self._reader.damage:
                raise self._contradiction(item.start + item.frames - self._segment.frame)
            # A splice was lost, and what follows is another segment.
            yield self._end_segment()
            ended = self._segment.sample + (self._segment.samples or 0)
            self._begin_segment(item.start, max((self._reader.header.num_samples or 0) - ended, 0), 0)
        if isinstance(item, Pause):
            # In slices: an item of a few bytes may stand for minutes of many channels.
            for first in range(0, item.frames, _PAUSE_FRAMES):
                frames = min(item.frames - first, _PAUSE_FRAMES)
                yield self._trimmed(self._decoder.pause(frames, item.noise, item.start + first))
        elif item.body is not None:
            self.size += len(item.body)
            sound = self._decoder.conceal(item.frames) if codes is None else self._decoder.push(codes)
            yield self._trimmed(sound)
        else:
            frames = item.frames
            if expected is not None:
                frames = max(min(frames, expected - (item.start - self._segment.frame)), 0)
            yield self._trimmed(self._decoder.conceal(frames))

    def _finish(self) -> Waveform:
        reader, segment = self._reader, self._segment
        total = reader.header.num_samples
        if segment.samples is None and total is not None:
            self._segment = segment = replace(segment, samples=total - segment.sample)
        if reader.ended and not reader.damage and segment.sample + (segment.samples or 0) != total:
            raise CorruptFileError("the file is damaged: its parts are not as long as the whole")
        expected = self._expected()
        if not reader.received and reader.damage and expected != 0:
            raise CorruptFileError("the file is damaged beyond use: none of its packets is whole")
        frames = reader.position - segment.frame
        if expected is not None and frames >= expected:
            return self._end_segment()
        if reader.ended and not reader.damage:
            raise self._contradiction(frames)
        self._cut = True
        whole = samples_in(self._config, frames, self.sample_rate)
        if segment.samples is not None:
            whole = min(whole, segment.samples + segment.trim)
        return self._trimmed(self._decoder.finish(max(whole - self._begun_at, 0)))

    def _end_segment(self) -> Waveform:
        segment = self._segment
        whole = (segment.samples or 0) + segment.trim
        return self._trimmed(self._decoder.finish(max(whole - self._begun_at, 0)))

    def _begin_segment(self, frame: int, samples: int, trim: int) -> None:
        before = self._segment.sample + (self._segment.samples or 0)
        self._segment = _Segment(frame, before, samples, trim)
        self._open(0)

    def _open(self, frame: int) -> None:
        """Begin to decode at a frame of the segment, whose first sample is a whole number at both rates."""
        segment, rate = self._segment, self._config.sample_rate
        self._begun_at = frame * self._hop * self.sample_rate // rate
        wanted = None if segment.samples is None else max(segment.samples + segment.trim - self._begun_at, 0)
        self._decoder = ChunkDecoder(self._engine, self.sample_rate, self.channels, wanted)
        self._drop = max(segment.trim - self._begun_at, 0)

    def _trimmed(self, block: Waveform) -> Waveform:
        dropped = min(self._drop, block.shape[1])
        self._drop -= dropped
        return block[:, dropped:]

    def _expected(self) -> int | None:
        """Return the frames that the segment needs, where its samples are known."""
        segment = self._segment
        if segment.samples is None:
            return None
        return frames_for(self._config, segment.samples and segment.samples + segment.trim, self.sample_rate)

    def _bounds(self, span: Span, total: int | None) -> tuple[int, int | None]:
        """Return the first sample and the number of samples, where that is known."""
        if not 0 <= span.start < 1e9 or not (span.duration is None or 0 <= span.duration < 1e9):
            raise UsageError("start and duration must be 0 or more seconds")
        first = round(span.start * self.sample_rate)
        if total is not None and first and first >= total:
            raise UsageError(f"the recording is {total / self.sample_rate:.2f} s long: nothing is at {span.start:g} s")
        return first, None if span.duration is None else round(span.duration * self.sample_rate)

    def _seek(self) -> None:
        """Go to where decoding must begin for the first sample wanted to be what the whole file gives."""
        for place in self._reader.splice_places() if self._reader.splices else ():
            before = self._segment.sample + (self._segment.samples or 0)
            if before > self._first:
                break
            self._segment = _Segment(place[0], before, *place[1:])
        segment, rate = self._segment, self._config.sample_rate
        local = self._first - segment.sample + segment.trim
        frame = local * rate // self.sample_rate // self._hop - self._config.warmup_frames(self.sample_rate)
        header = self._reader.header
        keys = header.key_frames or 1 if header.coding == CHAINED else 1

        def may_begin(at: int) -> bool:
            at -= segment.frame
            return at <= 0 or (at * self._hop * self.sample_rate % rate == 0 and at % keys == 0)

        self._reader.seek(segment.frame + max(frame, 0), may_begin)

    def _contradiction(self, frames: int) -> CorruptFileError:
        header = self._reader.header
        return CorruptFileError(
            f"the file contradicts the model: {header.num_samples or 0:,} samples at {header.sample_rate:,} Hz "
            f"in {frames:,} frames"
        )

    def _describe(self, damage: Damage) -> str:
        seconds = self._hop / self._config.sample_rate
        start = damage.start * seconds
        total = self._reader.header.seconds
        if damage.frames is None:
            if self._is_part:
                return "the end of the file is damaged or missing; the part that is asked for is whole"
            if not self._cut:
                return "the end of the file is damaged; no sound is lost"
            return f"cut off at {start:.2f} s" + (f" of {total:.2f} s" if total is not None else "")
        if not damage.frames:
            return f"{damage.what} (at {start:.2f} s); no sound is lost"
        end = start + damage.frames * seconds
        return f"lost {start:.2f} s to {end if total is None else min(end, total):.2f} s: {damage.what}"
