"""What is in a .grit file, read at once: to be looked at, or to make another of."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gritcodec.bitstream.clock import Clock
from gritcodec.bitstream.header import Header
from gritcodec.bitstream.items import KNOWN_CHUNKS, SPLICE, Chunk, Item, Packet, Pause, read_splice
from gritcodec.bitstream.reader import Damage, Reader
from gritcodec.bitstream.writer import Body, Gap, Part
from gritcodec.errors import CorruptFileError

_FOLLOWED = "other .grit files follow the first one: join makes one file of them"


@dataclass(frozen=True)
class Contents:
    """A whole file, read at once.

    Attributes:
        header: with the number of samples, unless the file is a live stream that was cut.
        live: whether the header at the beginning does not know the number of samples.
        items: packets, pauses and chunks; packets without a body stand for frames that were lost.
        damage: what was wrong; empty in a sound file.
        header_bytes: bytes of the header, which the end repeats.
        ending_bytes: bytes of the end.
    """

    header: Header
    live: bool
    items: list[Item]
    damage: list[Damage]
    header_bytes: int
    ending_bytes: int

    @property
    def bodies(self) -> list[Body | None]:
        """What every packet holds; None where one was lost."""
        packets = [item for item in self.items if isinstance(item, Packet)]
        return [None if each.body is None else Body(each.stages, each.frames, each.body) for each in packets]

    @property
    def packet_bytes(self) -> int:
        """Bytes of all packets that could be read, their marks and checks included."""
        return sum(item.size for item in self.items if isinstance(item, Packet))

    @property
    def ended(self) -> bool:
        """Whether the end is there: False for a file that was cut."""
        return self.ending_bytes > 0

    @property
    def frames(self) -> int:
        """Frames in all, those of pauses and those that were lost included."""
        return sum(item.frames for item in self.items)

    @property
    def parts(self) -> list[Part]:
        """What a writer takes, without chunks that are not known and speak of these very samples."""
        kept: list[Part] = []
        for item in self.items:
            if isinstance(item, Packet):
                lost = item.body is None
                kept.append(Gap(item.frames) if lost else Body(item.stages, item.frames, item.body or b""))
            elif isinstance(item, Pause) or item.mark in KNOWN_CHUNKS or item.is_safe:
                kept.append(item)
        return kept


# What is called with the contents of a damaged file.
Damaged = Callable[[Contents], None]


@dataclass(frozen=True)
class Segment:
    """A recording of a file that may hold several without gaps between.

    Attributes:
        start_trim: samples of the decoded signal before its first.
        num_samples: that it gives.
        items: its packets, pauses and chunks, splices left out.
    """

    start_trim: int
    num_samples: int
    items: list[Item]


def read_contents(data: bytes, strict: bool = False) -> Contents:
    """Read all items of a file, the first of chained ones; errors as in `Reader`.

    Args:
        data: the file.
        strict: whether any damage is an error, and more files behind it.
    """
    contents = next(read_all(data, strict))
    rest = len(data) - contents.header_bytes - contents.ending_bytes - sum(item.size for item in contents.items)
    if strict and rest:
        raise CorruptFileError(_FOLLOWED)
    return contents


def read_all(data: bytes, strict: bool = False) -> Iterator[Contents]:
    """Yield the contents of every file that is chained in `data`; errors as in `Reader`."""
    reader: Reader | None = Reader(io.BytesIO(data), strict)
    while reader is not None:
        live = reader.header.num_samples is None
        items = list(reader.items())
        yield Contents(reader.header, live, items, reader.damage, reader.header_bytes, reader.ending_bytes)
        reader = reader.following()


def whole_header(data: bytes, strict: bool = True) -> Header:
    """Return the header of a file, with the number of samples even where only its end knows it."""
    reader = Reader(io.BytesIO(data), strict)
    reader.learn_length()
    return reader.header


def segments_of(contents: Contents) -> list[Segment]:
    """Return the recordings of a file that has its end.

    Raises:
        CorruptFileError: they are not as long as the file says.
    """
    header = contents.header
    total = header.num_samples or 0
    segments: list[Segment] = []
    trim, items = header.start_trim, list[Item]()
    samples = total if header.first_segment is None else header.first_segment
    for item in contents.items:
        if isinstance(item, Chunk) and item.mark == SPLICE:
            segments.append(Segment(trim, samples, items))
            samples, trim = read_splice(item.payload)
            items = []
        else:
            items.append(item)
    segments.append(Segment(trim, samples, items))
    if sum(segment.num_samples for segment in segments) != total:
        raise CorruptFileError("the file is damaged: its parts are not as long as the whole")
    return segments


def read_for_edit(data: bytes, damaged: Damaged | None) -> Contents:
    """Return the contents of a file that is to be changed: a sound one, or what is whole of a damaged one.

    Args:
        data: one file; chained ones are an error.
        damaged: is called with the contents of a damaged file; None: damage is an error.

    Raises:
        CorruptFileError: it is damaged and must not be, or none of its packets is whole, or another file follows.
    """
    if damaged is None:
        return read_contents(data, strict=True)
    found = read_all(data)
    contents = next(found)
    if next(found, None) is not None:
        raise CorruptFileError(_FOLLOWED)
    check_saved(contents, damaged)
    return contents


def check_saved(contents: Contents, damaged: Damaged = lambda _: None) -> None:
    """Tell of damage; `CorruptFileError` where nothing is left."""
    if not contents.damage:
        return
    if not any(isinstance(item, Pause) or (isinstance(item, Packet) and item.body) for item in contents.items):
        raise CorruptFileError("the file is damaged beyond use: none of its packets is whole")
    damaged(contents)


def as_far_as_there(contents: Contents, clock: Clock | None) -> Contents:
    """Return a file that was cut as one of the length that it plays; others as they are.

    Args:
        contents: of any file.
        clock: of its model, which only a file that was cut needs.

    Raises:
        CorruptFileError: there is no clock, or less than a sample.
    """
    if contents.ended:
        return contents
    if clock is None:
        raise CorruptFileError("the file is cut short, and only its model tells how long the rest of it is")
    header = contents.header
    samples, before, frames, trim = header.first_segment, 0, 0, header.start_trim
    has_splices = False
    for item in contents.items:
        if isinstance(item, Chunk) and item.mark == SPLICE:
            has_splices, before, frames = True, before + (samples or 0), 0
            samples, trim = read_splice(item.payload)
        frames += item.frames
    # Of several segments the header says how long all are.
    most = samples if header.first_segment is not None else header.num_samples
    there = max(clock.samples(frames, header.sample_rate) - trim, 0)
    last = there if most is None else min(there, most)
    if before + last == 0:
        raise CorruptFileError("the file is damaged beyond use: it is cut before its first sample")
    first = header.first_segment if has_splices else None
    return replace(contents, header=replace(header, num_samples=before + last, first_segment=first))


def heard_header(data: bytes, clock: Clock) -> Header:
    """Return the header of a file with the number of samples that are heard, of one that was cut those before there."""
    return as_far_as_there(next(read_all(data)), clock).header
