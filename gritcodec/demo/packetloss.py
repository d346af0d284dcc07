"""Packets taken out of a .grit file, as a network that loses them would."""

import io
import random
from dataclasses import dataclass

from gritcodec.bitstream import Packet, Reader
from gritcodec.errors import UsageError


@dataclass(frozen=True)
class Lossy:
    """A file with packets missing.

    Attributes:
        data: its bytes, shorter than before.
        packets: how many packets there were.
        lost: the numbers of those that are gone, ascending.
    """

    data: bytes
    packets: int
    lost: tuple[int, ...]


def packet_ranges(data: bytes) -> list[tuple[int, int]]:
    """Return where every packet of a sound file begins and ends, in bytes.

    Raises:
        CorruptFileError: the file is damaged.
    """
    reader = Reader(io.BytesIO(data), strict=True)
    at, ranges = reader.header_bytes, []
    for item in reader.items():
        if isinstance(item, Packet):
            ranges.append((at, at + item.size))
        at += item.size
    return ranges


def drop_packets(data: bytes, percent: float, seed: int) -> Lossy:
    """Leave out a share of a file's packets; what remains is byte for byte as it was.

    Args:
        data: a sound file.
        percent: of the packets, 0 to 100; one at least stays, and one at least goes above 0.
        seed: chooses which.

    Raises:
        CorruptFileError: the file is damaged already.
        UsageError: it has one packet only.
    """
    ranges = packet_ranges(data)
    if percent <= 0:
        return Lossy(data, len(ranges), ())
    if len(ranges) < 2:
        raise UsageError("this recording is a single packet of 1.28 s or less: there is nothing to lose but all of it")
    count = min(max(round(percent / 100 * len(ranges)), 1), len(ranges) - 1)
    lost = sorted(random.Random(seed).sample(range(len(ranges)), count))
    kept, at = [], 0
    for number in lost:
        kept.append(data[at : ranges[number][0]])
        at = ranges[number][1]
    return Lossy(b"".join([*kept, data[at:]]), len(ranges), tuple(lost))
