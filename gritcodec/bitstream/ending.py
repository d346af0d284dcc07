"""The end of a .grit file: the header once more, the number of packets, and where every eighth begins."""

from collections.abc import Sequence
from dataclasses import dataclass

from gritcodec.bitstream import varint
from gritcodec.bitstream.crc import crc32c
from gritcodec.bitstream.header import CRC_BYTES, HEADER_LIMIT, Header, parse_header
from gritcodec.bitstream.packet import END
from gritcodec.errors import CorruptFileError

INDEX_STEP = 8
_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Ending:
    """What the end of a file says.

    Attributes:
        header: the file's header, with the number of samples even where the first one does not know it.
        packets: how many there are.
        steps: bytes from packet 0 to packet 8, from packet 8 to packet 16, and so on.
        size: bytes that the end takes.
    """

    header: Header
    packets: int
    steps: tuple[int, ...]
    size: int


def build_ending(header: Header, sizes: Sequence[int]) -> bytes:
    """Return the end of a file.

    Args:
        header: with the number of samples.
        sizes: bytes of every packet, in order.
    """
    steps = [sum(sizes[i : i + INDEX_STEP]) for i in range(0, len(sizes) - INDEX_STEP, INDEX_STEP)]
    data = bytes([END]) + header.to_bytes() + varint.write(len(sizes)) + b"".join(map(varint.write, steps))
    length = len(data) + CRC_BYTES + _LENGTH_BYTES
    data += length.to_bytes(_LENGTH_BYTES, "little")
    return data + crc32c(data).to_bytes(CRC_BYTES, "little")


def parse_ending(data: bytes, position: int = 0) -> Ending:
    """Read the end of a file; more bytes may follow it.

    Raises:
        FormatError: there is none at `position`; `varint.EndsTooSoonError` when more bytes are needed to tell.
    """
    if position >= len(data):
        raise varint.EndsTooSoonError("the file ends too soon")
    if data[position] != END:
        raise CorruptFileError("this is not the end of a .grit file")
    header, at = parse_header(data, position + 1)
    packets, at = varint.read(data, at)
    count = max(packets - 1, 0) // INDEX_STEP
    if at + count + CRC_BYTES + _LENGTH_BYTES > len(data):
        raise varint.EndsTooSoonError("the file ends inside its index")
    steps = []
    for _ in range(count):
        step, at = varint.read(data, at)
        steps.append(step)
    end = at + _LENGTH_BYTES + CRC_BYTES
    if len(data) < end:
        raise varint.EndsTooSoonError("the file ends inside its index")
    length = int.from_bytes(data[at : at + _LENGTH_BYTES], "little")
    check = int.from_bytes(data[end - CRC_BYTES : end], "little")
    if length != end - position or check != crc32c(data[position : end - CRC_BYTES]):
        raise CorruptFileError("the file is damaged: the checksum of its end does not match")
    if header.num_samples is None:
        raise CorruptFileError("the file is damaged: its end does not tell the number of samples")
    return Ending(header, packets, tuple(steps), end - position)


def ending_length(tail: bytes, file_size: int) -> int | None:
    """Return how long the end of a file claims to be, or None where that cannot be.

    Args:
        tail: the last 8 bytes of the file.
        file_size: bytes of the file.
    """
    if len(tail) < _LENGTH_BYTES + CRC_BYTES:
        return None
    length = int.from_bytes(tail[-_LENGTH_BYTES - CRC_BYTES : -CRC_BYTES], "little")
    # Every indexed step of the largest file is 4 bytes or less, and stands for 8 packets of 6 bytes or more.
    return length if 16 < length <= min(file_size, HEADER_LIMIT + 16 + file_size // 10) else None
