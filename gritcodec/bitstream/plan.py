"""How many stages each packet keeps, so that a file stays within what was asked for, overhead included.

Nothing here concerns a reader: every packet says how many stages it has. What matters is that a file that was
truncated keeps the very stages that one encoded at the lower bitrate has; so the packets that lose a stage
first are the same ones at every bitrate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream.ending import INDEX_STEP, Index
from gritcodec.bitstream.header import PACKET_FRAMES, PLAIN, Header
from gritcodec.bitstream.items import packet_overhead

Stages = NDArray[np.int64]

# Shorter recordings keep all stages of their bitrate: overhead is then a matter of a few bytes.
BUDGET_FROM_SECONDS = 10
# A live stream, whose length nobody knows, saves up for its fixed overhead over so many seconds.
_LIVE_SECONDS = 9
_SLACK_KBPS = 1e-6


def nominal_stages(header: Header, kbps: float) -> int:
    """Return the largest number of stages whose codes alone, of one channel, do not exceed a bitrate; may be 0."""
    return int((kbps + _SLACK_KBPS) * 100_000 // (header.code_bits * header.frame_rate))


def nominal_kbps(header: Header, kbps: float) -> float:
    """Return the bitrate of `nominal_stages`, kbps a channel."""
    return nominal_stages(header, kbps) * header.code_bits * header.frame_rate / 100_000


def needed_stages(header: Header, kbps: float, short: bool) -> int:
    """Return the most stages that any packet can have at a bitrate, 1 or more; `short`: less than 10 s.

    Plain packets of longer recordings may have one more than the bitrate is good for, which others then lack.
    Entropy coding makes room for more, and twice as many are the limit: there is no telling before the codes
    are there.
    """
    stages = nominal_stages(header, kbps)
    more = not short and kbps - nominal_kbps(header, kbps) > _SLACK_KBPS
    return max(stages + more, 1) * (2 if header.coding != PLAIN else 1)


def is_short(header: Header) -> bool:
    """Whether a recording is too short for a budget, as far as its header knows."""
    return (header.num_samples or 0) < BUDGET_FROM_SECONDS * header.sample_rate


def granted_kbps(header: Header, kbps: float) -> float:
    """Return the bitrate that a recording gets which was asked for one: another than that where there is no budget.

    Args:
        header: as it stands at the beginning of the file: without the number of samples in a live stream.
        kbps: asked for, each channel.
    """
    return nominal_kbps(header, kbps) if is_short(header) else kbps


def budget_bytes(header: Header, kbps: float) -> int:
    """Return the bytes that a recording of known length may take at so many kbps a channel."""
    return (
        int(kbps * 1000 + 1000 * _SLACK_KBPS) * header.channels * (header.num_samples or 0) // (8 * header.sample_rate)
    )


@dataclass(frozen=True)
class Frame:
    """What a file holds beside the bodies of its packets.

    Attributes:
        frames: of every packet, int64 [packets].
        others: bytes and frames of the pauses and chunks before each packet and behind the last, int64
            [packets + 1, 2].
        chunks: how many of them are chunks.
        splices: how many of these are splices.
    """

    frames: Stages
    others: Stages
    chunks: int = 0
    splices: int = 0

    @classmethod
    def of(cls, frames: Sequence[int]) -> "Frame":
        """Return that of a file of packets alone."""
        return cls(np.array(frames, dtype=np.int64), np.zeros((len(frames) + 1, 2), dtype=np.int64))


def for_bitrate(header: Header, sizes: Sequence[Sequence[int]], around: Frame, kbps: float) -> Stages:
    """Choose the stages of every packet of a recording of known length.

    Args:
        header: of the recording; its stages are not looked at.
        sizes: for every packet the bytes of its body with 1, 2, ... stages.
        around: what there is beside.
        kbps: what the file may cost, each channel, unless a single stage costs more: all bytes together from 10 s
            on, the bodies of packets alone in shorter recordings, and what packets below 64 frames have beside them.

    Returns:
        int64 [packets], 1 or more each.
    """
    most = needed_stages(header, kbps, is_short(header))
    sizes = [row[:most] for row in sizes]
    if not is_short(header):
        return for_size(header, sizes, around, budget_bytes(header, kbps))
    limit = _short_budget(header, around.frames.tolist(), max(nominal_stages(header, kbps), 1))
    return _within(sizes, lambda table, chosen: int(table[np.arange(len(chosen)), chosen - 1].sum()), limit)


def _short_budget(header: Header, frames: list[int], stages: int) -> int:
    """Return the bytes that the bodies of a short recording's packets may have.

    Packets that are shorter than usual pay for what they have beside their bodies, and usual ones would not.
    """
    if header.packet_frames >= PACKET_FRAMES:
        return sum(stages * header.block_bytes(count) for count in frames)
    usual, rest = divmod(sum(frames), PACKET_FRAMES)
    bodies = stages * (usual * header.block_bytes(PACKET_FRAMES) + header.block_bytes(rest))
    beside = sum(packet_overhead(count, header) for count in frames)
    return bodies - max(beside - (usual + (rest > 0)) * packet_overhead(header.packet_frames, header), 0)


def for_size(header: Header, sizes: Sequence[Sequence[int]], around: Frame, limit: int) -> Stages:
    """Choose the stages of every packet so that the whole file has at most `limit` bytes.

    Arguments and result as in `for_bitrate`. Where one stage is too much already, one stage it is: the
    caller compares.
    """
    fixed = np.array([packet_overhead(count, header) for count in around.frames.tolist()], dtype=np.int64)
    head = len(header.to_bytes())

    def file_size(table: Stages, chosen: Stages) -> int:
        bodies = table[np.arange(len(chosen)), chosen - 1] + fixed
        index = Index.of(np.stack([bodies, around.frames], axis=1), around.others, around.chunks, around.splices)
        return head + index.size + len(index.ending(header, head))

    return _within(sizes, file_size, limit)


def live_room(header: Header, kbps: float, frames: int, packets: int) -> float:
    """Return the bytes that may be spent by now on all packets of a live stream, before its end is known.

    Args:
        header: of the stream.
        kbps: each channel.
        frames: of all packets so far, the next one included.
        packets: without the next one.

    Returns:
        Bytes for the packets so far and the next one's body.
    """
    rate = header.frame_rate / 100
    # Header, end with its copy, the last packet's filling up, and a block for what the decoder's delay costs.
    fixed: float = 2 * (len(header.to_bytes()) + 8) + 28 + header.channels + header.block_bytes(header.packet_frames)
    index = (packets + 1) * 6 / INDEX_STEP
    budget = (kbps + _SLACK_KBPS) * 125 * header.channels * frames / rate
    if header.bare:
        # What carries such packets has the header once, and no end.
        fixed = index = 0.0
    return (
        budget - fixed * min(frames / rate / _LIVE_SECONDS, 1) - index - packet_overhead(header.packet_frames, header)
    )


def _within(sizes: Sequence[Sequence[int]], size: Callable[[Stages, Stages], int], limit: int) -> Stages:
    """Return the largest choice of stages of a size within the limit, one stage a packet at least."""
    low, high = len(sizes), sum(map(len, sizes))
    order = _spread(len(sizes))
    table = _table(sizes)
    while low < high:
        middle = (low + high + 1) // 2
        if size(table, _stages(sizes, order, middle)) <= limit:
            low = middle
        else:
            high = middle - 1
    return _stages(sizes, order, low)


def _spread(packets: int) -> NDArray[np.int64]:
    """Return for every packet its place, 0 to packets - 1, in the order in which packets get one stage more.

    That order is the one of their numbers with the 32 bits reversed: any first part of it is spread evenly.
    """
    numbers = np.arange(packets, dtype=np.uint32)
    bits = np.unpackbits(numbers.view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
    keys = np.packbits(bits, axis=1, bitorder="big").reshape(-1, 4).copy().view(">u4").reshape(-1)
    place = np.empty(packets, dtype=np.int64)
    place[np.argsort(keys, kind="stable")] = np.arange(packets)
    return place


def _stages(sizes: Sequence[Sequence[int]], order: NDArray[np.int64], total: int) -> Stages:
    base, extra = divmod(total, max(len(sizes), 1))
    stages = base + (order < extra).astype(np.int64)
    return np.minimum(stages, np.fromiter(map(len, sizes), dtype=np.int64, count=len(sizes)))


def _table(sizes: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Return the sizes as int64 [packets, stages], short rows filled with their last value."""
    widest = max(map(len, sizes), default=1)
    rows = [[*row, *[row[-1]] * (widest - len(row))] for row in sizes]
    return np.array(rows, dtype=np.int64).reshape(len(sizes), widest)
