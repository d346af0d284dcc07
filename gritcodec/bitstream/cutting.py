"""A part of a file, by leaving out packets: nothing is decoded, nothing coded again."""

from dataclasses import replace

from gritcodec.bitstream.clock import Clock
from gritcodec.bitstream.contents import Damaged, Segment, as_far_as_there, read_for_edit
from gritcodec.bitstream.edit import joined, segments_by_themselves
from gritcodec.bitstream.header import CHAINED, Header
from gritcodec.bitstream.items import MARK, Chunk, Item, Packet, Pause, moved_mark, read_mark
from gritcodec.errors import UsageError

_MICROSECONDS = 1_000_000


def cut(data: bytes, first: int, count: int | None, clock: Clock, damaged: Damaged | None = None) -> bytes:
    """Return the file of a part of a recording, exact to the sample.

    It begins some frames early, for the decoder to be where it would be, and the header says how many samples
    to drop; so its sound is that of the whole file.

    Args:
        data: a sound file; a damaged one where `damaged` is given: what is lost in it stays lost.
        first: sample of the recording that becomes the first.
        count: samples of the part; None: to the end.
        clock: of the model that made it.
        damaged: is called with the contents of a damaged file; None: damage is an error.

    Raises:
        FormatError: not a .grit file, or a damaged one.
        UsageError: there is no such part.
    """
    contents = as_far_as_there(read_for_edit(data, damaged), clock)
    header, total = contents.header, contents.header.num_samples or 0
    end = total if count is None else min(first + count, total)
    if not 0 <= first < end:
        raise UsageError(f"the recording has {total:,} samples: none are from {first:,} to {end:,}")
    kept, before = [], 0
    for segment in segments_by_themselves(contents):
        low, high = max(first - before, 0), min(end - before, segment.num_samples)
        if low < high:
            kept.append(_part(header, segment, low, high, clock))
        before += segment.num_samples
    time = header.start_time
    if time is not None:
        time += first * _MICROSECONDS // header.sample_rate
    return joined(replace(header, start_time=time), kept)


def _part(header: Header, segment: Segment, first: int, end: int, clock: Clock) -> Segment:
    """Return samples `first` to `end` of a segment, marks counted from the part's beginning."""
    rate = header.sample_rate
    wanted = (segment.start_trim + first) * clock.sample_rate // rate // clock.hop_length
    starts = _starts(segment.items)
    begin = 0
    for number, (item, start) in enumerate(zip(segment.items, starts, strict=True)):
        fresh = not start or (number and isinstance(_before(segment.items, number), Pause)) or isinstance(item, Pause)
        warm = start <= wanted if fresh else start + clock.warmup <= wanted
        whole = start * clock.hop_length * rate % clock.sample_rate == 0
        key = header.coding != CHAINED or fresh or start % (header.key_frames or 1) == 0
        if warm and whole and key and not isinstance(item, Chunk):
            begin = number
    frame = starts[begin]
    trim = segment.start_trim + first - frame * clock.hop_length * rate // clock.sample_rate
    last = frame + clock.frames(trim + end - first, rate)
    items: list[Item] = []
    for number, (item, start) in enumerate(zip(segment.items, starts, strict=True)):
        if isinstance(item, Chunk) and item.mark == MARK:
            # By its sample, wherever it stands.
            found = read_mark(item.payload)
            if found is not None and first <= found[0] < end:
                items.append(replace(item, payload=moved_mark(item.payload, found[0] - first)))
        elif number >= begin and start < last + isinstance(item, Chunk):
            count = last - start
            items.append(replace(item, frames=min(item.frames, count)) if isinstance(item, Pause) else item)
    return Segment(trim, end - first, items)


def _starts(items: list[Item]) -> list[int]:
    """Return the frame at which each item stands, counted from the first one."""
    starts, frame = [], 0
    for item in items:
        starts.append(frame)
        frame += item.frames
    return starts


def _before(items: list[Item], number: int) -> Item | None:
    """Return the packet or pause before an item."""
    return next((item for item in reversed(items[:number]) if isinstance(item, Packet | Pause)), None)
