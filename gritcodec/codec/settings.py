"""How sound is compressed: the choices that go together from the command line to the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gritcodec.bitstream import PACKET_FRAMES, Header, granted_kbps
from gritcodec.codec.about import About
from gritcodec.containers import remux
from gritcodec.errors import UsageError

if TYPE_CHECKING:
    from gritcodec.sound.pipes import RawFormat

# Called with the seconds of audio done so far, where they are known those of the whole signal, and the bytes that the
# part done takes in the .grit file.
Progress = Callable[[float, float | None, int], None]

_SAME_KBPS = 1e-6
# Of the bitrate: the header of a short recording may take 10 %.
_MOST_BESIDE = 1.15


@dataclass(frozen=True)
class Settings:
    """How to compress.

    Attributes:
        bitrate: kbps a channel, see `Codec.compress`; None: the default.
        size_limit: bytes that the file may have, instead of a bitrate.
        effort: as in `Codec.encode`.
        dtx: as in `Codec.compress`.
        about: tags and times; its marks are not looked at.
        marks: (seconds, name) of chapters.
        raw: how samples lie in a source without a header.
        track: which one of a source that has several, from 1; None: the first.
        carry: whether tags and chapters of the source go along; those given here come first.
        strict: whether damage of the source is an error.
        container: one of `remux.CONTAINERS`; the bitrate is that of the .grit file.
        packet_seconds: of sound in a packet, to the nearest frame; None: 64 frames.
        overwrite: whether the result may replace a file.
    """

    bitrate: float | None = None
    size_limit: int | None = None
    effort: int = 0
    dtx: bool = False
    about: About = field(default_factory=About)
    marks: tuple[tuple[float, str], ...] = ()
    raw: RawFormat | None = None
    container: str = remux.GRIT
    overwrite: bool = False
    track: int | None = None
    carry: bool = True
    strict: bool = False
    packet_seconds: float | None = None

    @property
    def needs_all(self) -> bool:
        """Whether nothing can be written before all of the sound is there, into a pipe either."""
        return self.size_limit is not None or bool(self.marks)

    def about_at(
        self, sample_rate: int, tags: Sequence[tuple[str, str]] = (), chapters: Sequence[tuple[float, str]] = ()
    ) -> About:
        """Return what is said about the recording, with the samples of its marks; tags and chapters are its own."""
        marks = [(round(seconds * sample_rate), name) for seconds, name in (*self.marks, *chapters)]
        return replace(self.about, tags=[*self.about.tags, *tags], marks=marks)

    def check_marks(self, seconds: float | None) -> None:
        """Refuse marks behind the end of a recording of so many seconds, with UsageError; None: nobody knows."""
        for line in () if seconds is None else self.marks_behind(seconds):
            raise UsageError(line)

    def marks_behind(self, seconds: float) -> Iterator[str]:
        """Yield a line for every mark behind the end of a recording of so many seconds."""
        for place, name in self.marks:
            # Times are rounded to samples, of which one second has 768,000 at most.
            if place > seconds + 1e-6:
                yield f"the recording is {seconds:.2f} s long: there is no place for the mark '{name}' at {place:g} s"


def bitrate_notes(header: Header, asked: float | None, size: int | None = None) -> Iterator[str]:
    """Yield a line where a recording has another bitrate than it was asked for.

    Args:
        header: as it stands at the beginning of the file: a live stream's does not know the number of samples.
        asked: kbps a channel; None: none in particular.
        size: bytes of the whole .grit file; None: not known.
    """
    if asked is None:
        return
    if size and header.seconds and header.packet_frames < PACKET_FRAMES:
        costs = 8 * size / header.seconds / header.channels / 1000
        if costs > _MOST_BESIDE * asked:
            packet = f"packets of {100_000 * header.packet_frames / header.frame_rate:g} ms"
            yield f"{packet} cost {costs:.2f} kbps with one stage in each: more than the {asked:g} asked for"
    used = granted_kbps(header, asked)
    if abs(used - asked) > _SAME_KBPS:
        what = "a live stream" if header.num_samples is None else "a recording of less than 10 s"
        yield f"{what} has a whole number of stages: {used:g} kbps is used in place of {asked:g}"
