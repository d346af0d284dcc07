"""From a file or pipe to a file or pipe: what the command line does with a codec."""

from __future__ import annotations

import io
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from gritcodec import files
from gritcodec.bitstream import Chunk, Header, Reader, parse_header
from gritcodec.bitstream.items import MARK, Item, read_mark
from gritcodec.codec.about import About
from gritcodec.codec.described import DEFAULT_BITRATE
from gritcodec.codec.outputs import refuse_audio, sound_output, whole_output
from gritcodec.codec.settings import Progress, Settings, bitrate_notes
from gritcodec.containers import remux
from gritcodec.errors import AudioError, GritcodecError, WrongModelError
from gritcodec.files import PathLike
from gritcodec.sound import audio, tags
from gritcodec.sound.pipes import PIPE, RawFormat, binary_output, open_audio
from gritcodec.sound.writing import PLAIN, Form

if TYPE_CHECKING:
    from gritcodec.codec.codec import Codec
    from gritcodec.codec.playback import Playback, Span

# Peaks that much above full scale are worth a word when they are clipped.
_AUDIBLE_DB = 0.5
# Of a recording that does not say how long it is.
_USUAL_SECONDS = 60.0
# Called with a line for people.
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What was done.

    Attributes:
        header: of the .grit file, with the number of samples.
        seconds: of audio that went through.
        size: bytes of the file, or written to the pipe.
        took: seconds of work, the loading of the model not counted.
        damage: a line for everything that was wrong with the file that was read, and is missing.
        notes: a line for what else is worth knowing of what was written.
    """

    header: Header
    seconds: float
    size: int
    took: float
    damage: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def compress(
    codec: Codec,
    source: PathLike,
    target: PathLike,
    settings: Settings,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Outcome:
    """Compress sound.

    Args:
        codec: the model.
        source: an audio file, or - for standard input.
        target: a file that appears when it is whole; or - for standard output, where the first bytes come after the
            first second or two of sound, or six with effort, unless the settings need all of it first.
        settings: how.
        progress: called as the work goes on.
        tell: called with a line where something is done in another way than it was asked for.

    Raises:
        UsageError: there is no place for a mark.
        UsageError, AudioError, OutputError: as in `Codec.compress_file`.
    """
    if PIPE not in (str(source), str(target)):
        files.require_distinct(source, target)
    if str(target) != PIPE:
        refuse_audio(target)
    began = time.perf_counter()
    with open_audio(source, settings.raw, settings.track) as reader:
        settings.check_marks(reader.expected_seconds)
        meter = _Meter(reader, settings, progress)
        live = str(target) == PIPE and not settings.needs_all and not meter.about.marks
        if live:
            header = _compress_live(codec, meter, settings, tell or _unheard)
        else:
            like = None if str(source) == PIPE else source
            header = _compress_whole(codec, meter, target, like, settings, tell or _unheard)
        damage = reader.damage
        for line in (*reader.notes, *meter.notes):
            (tell or _unheard)(line)
    if tell is None:
        # Whoever calls this as a library need not look at the outcome.
        for line in damage:
            warnings.warn(f"{source}: {line}", audio.AudioWarning, stacklevel=2)
    header = replace(header, num_samples=meter.num_samples)
    return Outcome(header, meter.seconds, meter.size, time.perf_counter() - began, tuple(damage))


class _Meter:
    """Counts the sound of a reader on its way, and calls back.

    Attributes:
        sample_rate, channels: of the sound.
        num_samples: samples in each channel so far.
        size: bytes that they take; whoever compresses says it.
        about: what is said of the recording; its tags and marks grow until the last block, of a pipe.
        notes: a line about tags that are left out.
    """

    def __init__(self, reader: audio.AudioReader, settings: Settings, progress: Progress | None) -> None:
        self._reader, self._settings, self._progress = reader, settings, progress
        self.sample_rate, self.channels = reader.sample_rate, reader.channels
        self.num_samples = self.size = 0
        self.notes: list[str] = []
        self.about = self._about(reader.expected_seconds or _USUAL_SECONDS)

    @property
    def seconds(self) -> float:
        return self.num_samples / self.sample_rate

    def blocks(self) -> Iterator[audio.Waveform]:
        for block in self._reader.blocks():
            self.num_samples += block.shape[1]
            yield block
            if self._progress:
                self._progress(self.seconds, self._reader.expected_seconds, self.size)
        if self._settings.strict and self._reader.damage:
            raise AudioError(f"{self._reader.path}: {'; '.join(self._reader.damage)}")
        # What stands behind the sound in a pipe is known now.
        now = self._about(self.seconds)
        for kept, found in ((self.about.tags, now.tags), (self.about.marks, now.marks)):
            assert isinstance(kept, list)
            kept[:] = found

    def sized(self, size: int) -> None:
        self.size = size

    def _about(self, seconds: float) -> About:
        if not self._settings.carry:
            return self._settings.about_at(self.sample_rate)
        own = self._settings.about.tags
        # What is given by hand replaces the recording's, and stays.
        carried = tags.merged(own, tags.cleaned(self._reader.tags))[len(own) :]
        carried, left = tags.affordable(carried, self._budget(seconds))
        names = ", ".join(dict.fromkeys(name for name, _ in left))
        what = "left out of its tags, which may take a twentieth of the file"
        self.notes = [f"{what}: {names} (--tag NAME=TEXT keeps one)"] if left else []
        chapters = () if self._settings.marks else self._reader.chapters
        named = [(max(seconds, 0.0), tags.short_name(name)) for seconds, name in chapters]
        return self._settings.about_at(self.sample_rate, carried, named)

    def _budget(self, seconds: float) -> float:
        """Return the bytes that the file may have."""
        bits = 1000 * (self._settings.bitrate or DEFAULT_BITRATE) * self.channels * seconds
        return bits / 8 if self._settings.size_limit is None else self._settings.size_limit


def _compress_live(codec: Codec, meter: _Meter, settings: Settings, tell: Tell) -> Header:
    """Write the stream to standard output while it comes; return the header at its beginning."""
    rate, channels = meter.sample_rate, meter.channels
    output = binary_output()
    pieces = codec.compress_live(
        meter.blocks(),
        rate,
        channels,
        settings.bitrate,
        meter.about,
        settings.effort,
        settings.dtx,
        codec.frames_in_packet(settings.packet_seconds),
    )
    head = next(pieces)
    # Tags that are known at the end alone come too late.
    said = meter.notes
    header, _ = parse_header(head)
    for line in bitrate_notes(header, settings.bitrate):
        tell(line)
    for piece in remux.streamed(chain([head], pieces), settings.container, lambda _: codec.clock):
        output.write(piece)
        output.flush()
        meter.size += len(piece)
    meter.notes = said
    return header


def _compress_whole(
    codec: Codec, meter: _Meter, target: PathLike, like: PathLike | None, settings: Settings, tell: Tell
) -> Header:
    """Write a file when it is whole, with permissions as of the file `like`; return its header."""
    rate, channels = meter.sample_rate, meter.channels
    with whole_output(target, settings.overwrite, like) as write:
        data = codec.compress_blocks(
            meter.blocks(),
            rate,
            channels,
            settings.bitrate,
            settings.size_limit,
            meter.about,
            meter.sized,
            settings.effort,
            settings.dtx,
            codec.frames_in_packet(settings.packet_seconds),
        )
        header, _ = parse_header(data)
        size = len(data)
        if settings.container != remux.GRIT:
            data = remux.remuxed(io.BytesIO(data), settings.container, lambda _: codec.clock)
        meter.size = len(data)
        write(data)
    asked = None if settings.size_limit is not None else settings.bitrate
    # Marks: where the source did not know its length, or not the right one.
    for line in chain(bitrate_notes(header, asked, size), settings.marks_behind(meter.seconds)):
        tell(line)
    return header


def _unheard(line: str) -> None:
    """Say nothing."""


class MarkedReader(Reader):
    """A reader that keeps the marks it comes by.

    Attributes:
        marks: (sample, name) so far, of the first of several files that are chained.
    """

    def __init__(self, stream: Any, strict: bool = False) -> None:
        """As a `Reader`."""
        self.marks: list[tuple[int, str]] = []
        super().__init__(stream, strict)

    def items(self) -> Iterator[Item]:
        """Yield what a `Reader` does."""
        for item in super().items():
            if isinstance(item, Chunk) and item.mark == MARK and (found := read_mark(item.payload)) is not None:
                self.marks.append(found)
            yield item


def marks_of(source: PathLike) -> list[tuple[int, str]]:
    """Return the marks (sample, name) of a .grit file before any of it is decoded."""
    with files.open_bytes(source) as stream:
        reader = MarkedReader(remux.opened(stream))
        for _ in reader.items():
            pass
        return reader.marks


@contextmanager
def open_grit(source: PathLike, strict: bool = False) -> Iterator[Reader]:
    """Open a .grit stream in any container, or - for standard input, and read its header.

    Errors as in `bitstream.Reader` and `remux.opened`.
    """
    if str(source) == PIPE:
        yield MarkedReader(remux.opened(sys.stdin.buffer), strict)
        return
    with files.open_bytes(source) as stream:
        reader = MarkedReader(remux.opened(stream), strict)
        reader.learn_length()
        yield reader


def decompress(
    codec: Codec,
    reader: Reader,
    target: PathLike,
    span: Span | None = None,
    raw: RawFormat | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    form: Form = PLAIN,
    carry: bool = True,
) -> Outcome:
    """Decompress a .grit stream.

    Args:
        codec: the model that made it.
        reader: from `open_grit`.
        target: a .wav or .flac file, or of another of `writing.ENDINGS`, that appears when it is whole; or - for
            standard output: wav, or raw.
        span: the part wanted; None: everything.
        raw: write samples in this format instead, without a header.
        overwrite: whether `target` may be replaced.
        progress: called as the work goes on.
        form: how sound is written.
        carry: whether tags and, of all of a recording, marks go along.

    Raises:
        FormatError, WrongModelError, UsageError: as in `Codec.play`; and as in `Codec.decompress_file`.
    """
    playback = codec.play(reader, span)
    rate, channels = playback.sample_rate, playback.channels
    done, began, peak = 0, time.perf_counter(), 0.0
    expected = None if playback.num_samples is None else playback.num_samples / rate
    report: list[str] = []
    followed = reader.is_followed()
    # The length of a file that others are chained to is not that of the sound.
    length = playback.num_samples if not followed else None
    # What a pipe says of its length beforehand must stay true.
    settled = followed is None and str(target) == PIPE and raw is None
    if carry:
        whole = span is None or not (span.start or span.duration is not None)
        marks = reader.marks if whole and isinstance(reader, MarkedReader) else []
        form = replace(form, tags=reader.header.tags, marks=form.marks or marks)
    with sound_output(target, rate, channels, length, raw, overwrite, form) as (writer, written):
        for part in _chain(codec, playback, reader, span, settled, report):
            for block in part.blocks():
                writer.write(block)
                done += block.shape[1]
                peak = max(peak, float(block.max(initial=0)), -float(block.min(initial=0)))
                if progress:
                    progress(done / rate, expected, part.size)
    unclipped = form.samples == "float" if raw is None else raw.name == "f32le"
    notes = () if unclipped else tuple(_clipped(peak))
    return Outcome(reader.header, done / rate, written(), time.perf_counter() - began, tuple(report), notes)


def _clipped(peak: float) -> Iterator[str]:
    """Say what integers cannot hold, where it is more than rounding."""
    above = 20 * math.log10(max(peak, 1))
    if above >= _AUDIBLE_DB:
        yield (
            f"the sound goes {above:.1f} dB beyond full scale, and is clipped there: "
            "a recording that was clipped itself comes back rounder (--samples float or --raw f32le keeps it all)"
        )


def _chain(
    codec: Codec, playback: Playback, reader: Reader, span: Span | None, settled: bool, report: list[str]
) -> Iterator[Playback]:
    """Yield what plays a file, and then those that are chained to it; add lines to the report of each.

    Args:
        codec: the model of the first.
        playback: of the first.
        reader: of the first.
        span: where only a part is wanted, the first file alone is played.
        settled: whether nothing more may be played.
        report: lines about damage, and about what is not played.
    """
    here: Reader | None = reader
    rate, channels = playback.sample_rate, playback.channels
    before = ""
    number = 1
    while here is not None:
        yield playback
        report += [before + line for line in playback.report()]
        if span is not None and (span.start or span.duration is not None):
            return
        try:
            here = here.following()
            if here is None:
                return
            number += 1
            if (here.header.sample_rate, here.header.channels) != (rate, channels):
                raise WrongModelError(f"it has {here.header.channels} x {here.header.sample_rate:,} Hz")
            if settled:
                raise WrongModelError("the wav in the pipe has said how long it is (--raw has no such header)")
            playback = codec.play(here)
        except GritcodecError as error:
            if reader.is_strict:
                raise
            report.append(f"another .grit file follows, and is not played: {error}")
            return
        before = f"file {number} of those chained: "
