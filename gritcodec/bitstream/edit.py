"""Files out of files, without a model: fewer stages, one recording after another, a part of one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from gritcodec.bitstream import plan
from gritcodec.bitstream.clock import Clock
from gritcodec.bitstream.contents import (
    Contents,
    Damaged,
    Segment,
    as_far_as_there,
    check_saved,
    read_all,
    read_for_edit,
    segments_of,
)
from gritcodec.bitstream.header import Header
from gritcodec.bitstream.items import MARK, SPLICE, Chunk, Item, Packet, moved_mark, read_mark, splice_payload
from gritcodec.bitstream.writer import LiveWriter, Part, assemble, assemble_within
from gritcodec.errors import CorruptFileError, UsageError


def truncate(data: bytes, kbps: float | None = None, limit: int | None = None, damaged: Damaged | None = None) -> bytes:
    """Return the file that compressing at a lower bitrate would have given, by leaving out bytes.

    Args:
        data: a sound file; a damaged one where `damaged` is given: what is lost in it stays lost, and a file that was
            cut has no end.
        kbps: the bitrate of each channel, overhead included.
        limit: bytes that the file may have, instead of a bitrate.
        damaged: is called with the contents of a damaged file; None: damage is an error.

    Raises:
        FormatError: not a .grit file, or a damaged one.
        UsageError: the file has not that many stages, or one stage is more than `limit`.
    """
    contents = read_for_edit(data, damaged)
    header, parts = contents.header.edited(), contents.parts
    if kbps is None:
        if header.num_samples is None:
            raise CorruptFileError("the file is cut short, and nothing in it tells its length: give a bitrate")
        return assemble_within(header, parts, None, limit, contents.ended)
    stages = plan.nominal_stages(header, kbps) if math.isfinite(kbps) else 0
    if not 1 <= stages <= header.stages:
        step = header.code_bits * header.frame_rate / 100_000
        raise UsageError(f"the file can be cut to {step:g} ... {header.stages * step:g} kbps, not to {kbps:g}")
    if not contents.live:
        return assemble_within(header, parts, kbps, ended=contents.ended)
    # A live stream's header names the most stages that its packets could have, not those that they came to have.
    most = min(plan.needed_stages(header, kbps, short=True), header.stages)
    writer = LiveWriter(replace(header, stages=most, num_samples=None), plan.nominal_kbps(header, kbps))
    pieces = [writer.begin(), *map(writer.add, parts)]
    if contents.ended:
        pieces.append(writer.finish(header.num_samples or 0))
    return b"".join(pieces)


def join(
    files: Sequence[bytes],
    names: Sequence[str] = (),
    damaged: Callable[[int, Contents], None] | None = None,
    clock_of: Callable[[Header], Clock | None] = lambda _: None,
) -> bytes:
    """Return a file that plays the given ones one after the other, without gaps; packets stay as they are.

    Fields and tags are the first file's, marks those of all.

    Args:
        files: one or more sound files of the same model, rate and channels; chained ones count as several.
        names: of the files in messages; by their numbers where there are none.
        damaged: is called with the number of a damaged file, from 0, and its contents: what is lost in it stays lost,
            and where it was cut the next one begins; None: damage is an error.
        clock_of: gives for a header what a file that was cut needs to know of the model, or None.

    Raises:
        FormatError: one is not a .grit file, or damaged.
        UsageError: they differ in model, sample rate, channels or coding.
    """
    contents: list[Contents] = []
    called = names or [f"file {number}" for number in range(1, len(files) + 1)]
    for number, (name, data) in enumerate(zip(called, files, strict=True)):
        for each in read_all(data, strict=damaged is None):
            if damaged is not None:
                check_saved(each, partial(damaged, number))
            _require_alike(contents[0].header if contents else each.header, each.header, name)
            contents.append(each if each.ended else as_far_as_there(each, clock_of(each.header)))
    segments = [segment for each in contents for segment in segments_by_themselves(each)]
    return joined(contents[0].header, segments)


def check_joinable(contents: Contents, clock: Clock | None) -> None:
    """Refuse what `join` does not take of a file, for who knows its name; errors as there."""
    check_saved(contents)
    segments_of(as_far_as_there(contents, clock))


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
