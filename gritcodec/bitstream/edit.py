"""Files out of files, without a model: fewer stages, one recording after another, a part of one."""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gritcodec.bitstream import plan
from gritcodec.bitstream.header import Header
from gritcodec.bitstream.items import (
    KNOWN_CHUNKS,
    MARK,
    SPLICE,
    Chunk,
    Item,
    Packet,
    Pause,
    moved_mark,
    read_mark,
    read_splice,
    splice_payload,
)
from gritcodec.bitstream.reader import Damage, Reader
from gritcodec.bitstream.writer import Body, LiveWriter, Part, assemble, assemble_within
from gritcodec.errors import CorruptFileError, UsageError


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
    def frames(self) -> int:
        """Frames in all, those of pauses and those that were lost included."""
        return sum(item.frames for item in self.items)

    @property
    def parts(self) -> list[Part]:
        """What a writer takes, without chunks that are not known and speak of these very samples.

        Raises:
            CorruptFileError: packets are lost.
        """
        kept: list[Part] = []
        for item in self.items:
            if isinstance(item, Packet):
                if item.body is None:
                    raise CorruptFileError("the file is damaged: packets are missing")
                kept.append(Body(item.stages, item.frames, item.body))
            elif isinstance(item, Pause) or item.mark in KNOWN_CHUNKS or item.is_safe:
                kept.append(item)
        return kept


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
        raise CorruptFileError("other .grit files follow the first one: join makes one file of them")
    return contents


def read_all(data: bytes, strict: bool = False) -> Iterator[Contents]:
    """Yield the contents of every file that is chained in `data`; errors as in `Reader`."""
    reader: Reader | None = Reader(io.BytesIO(data), strict)
    while reader is not None:
        live = reader.header.num_samples is None
        items = list(reader.items())
        yield Contents(reader.header, live, items, reader.damage, reader.header_bytes, reader.ending_bytes)
        reader = reader.following()


def whole_header(data: bytes) -> Header:
    """Return the header of a sound file, with the number of samples even where only the end knows it."""
    reader = Reader(io.BytesIO(data), strict=True)
    reader.learn_length()
    return reader.header


def segments_of(contents: Contents) -> list[Segment]:
    """Return the recordings of a sound file.

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


def truncate(data: bytes, kbps: float | None = None, limit: int | None = None) -> bytes:
    """Return the file that compressing at a lower bitrate would have given, by leaving out bytes.

    Args:
        data: a sound file.
        kbps: the bitrate of each channel, overhead included.
        limit: bytes that the file may have, instead of a bitrate.

    Raises:
        FormatError: not a .grit file, or a damaged one.
        UsageError: the file has not that many stages, or one stage is more than `limit`.
    """
    contents = read_contents(data, strict=True)
    header, parts = contents.header.edited(), contents.parts
    if kbps is None:
        return assemble_within(header, parts, None, limit)
    stages = plan.nominal_stages(header, kbps) if math.isfinite(kbps) else 0
    if not 1 <= stages <= header.stages:
        step = header.code_bits * header.frame_rate / 100_000
        raise UsageError(f"the file can be cut to {step:g} ... {header.stages * step:g} kbps, not to {kbps:g}")
    if not contents.live:
        return assemble_within(header, parts, kbps)
    # A live stream's header names the most stages that its packets could have, not those that they came to have.
    most = min(plan.needed_stages(header, kbps, short=True), header.stages)
    writer = LiveWriter(replace(header, stages=most, num_samples=None), plan.nominal_kbps(header, kbps))
    return b"".join([writer.begin(), *map(writer.add, parts), writer.finish(header.num_samples or 0)])


def join(files: Sequence[bytes], names: Sequence[str] = ()) -> bytes:
    """Return a file that plays the given ones one after the other, without gaps; packets stay as they are.

    Fields and tags are the first file's, marks those of all.

    Args:
        files: one or more sound files of the same model, rate and channels; chained ones count as several.
        names: of the files in messages; by their numbers where there are none.

    Raises:
        FormatError: one is not a .grit file, or damaged.
        UsageError: they differ in model, sample rate, channels or coding.
    """
    contents: list[Contents] = []
    called = names or [f"file {number}" for number in range(1, len(files) + 1)]
    for name, data in zip(called, files, strict=True):
        for each in read_all(data, strict=True):
            contents.append(each)
            _require_alike(contents[0].header, each.header, name)
    segments = [segment for each in contents for segment in segments_by_themselves(each)]
    return joined(contents[0].header, segments)


def segments_by_themselves(contents: Contents) -> list[Segment]:
    """Return the segments of a file with marks that count from the segment's own beginning."""
    segments, before = [], 0
    for segment in segments_of(contents):
        segments.append(replace(segment, items=[_shifted(item, -before) for item in segment.items]))
        before += segment.num_samples
    return segments


def _shifted(item: Item, samples: int) -> Item:
    if isinstance(item, Chunk) and item.mark == MARK and (found := read_mark(item.payload)) is not None:
        return replace(item, payload=moved_mark(item.payload, max(found[0] + samples, 0)))
    return item


def joined(header: Header, segments: Sequence[Segment]) -> bytes:
    """Return a file of segments whose marks count from the beginning of each; those without samples are left out."""
    segments = [segment for segment in segments if segment.num_samples]
    total = sum(segment.num_samples for segment in segments)
    frames = [item.frames for segment in segments for item in segment.items if isinstance(item, Packet)]
    trim = segments[0].start_trim if segments else 0
    header = replace(
        header.edited(),
        num_samples=total,
        start_trim=trim,
        first_segment=segments[0].num_samples if len(segments) > 1 else None,
        packet_frames=max([header.packet_frames, *frames]),
    )
    parts: list[Part] = []
    before = 0
    for number, segment in enumerate(segments):
        if number:
            parts.append(Chunk(0, SPLICE, splice_payload(segment.num_samples, segment.start_trim), 0))
        moved = [_shifted(item, before) for item in segment.items]
        parts += Contents(header, False, moved, [], 0, 0).parts
        before += segment.num_samples
    return assemble(header, parts)


def _require_alike(first: Header, other: Header, name: str) -> None:
    for what, mine, its in (
        ("model", first.fingerprint.hex(), other.fingerprint.hex()),
        ("sample rate", first.sample_rate, other.sample_rate),
        ("number of channels", first.channels, other.channels),
        ("coding", first.coding, other.coding),
        ("distance of key frames", first.key_frames, other.key_frames),
        ("width of codes", first.code_bits, other.code_bits),
        ("frame rate", first.frame_rate, other.frame_rate),
    ):
        if mine != its:
            raise UsageError(f"{name} cannot be joined to the first: its {what} is {its}, not {mine}")
