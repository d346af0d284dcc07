"""One packet: a byte that marks it and tells its stages, the codes, and a check that binds it to its place."""

from dataclasses import dataclass

from gritcodec.bitstream import varint
from gritcodec.bitstream.crc import crc32c, extend, last_word
from gritcodec.bitstream.header import CRC_BYTES, Header
from gritcodec.errors import CorruptFileError

FULL = 0x40
SHORT = 0xC0
END = 0x80
KIND = 0xC0
# The mark and the check.
PACKET_OVERHEAD = 1 + CRC_BYTES


@dataclass(frozen=True)
class Packet:
    """About a second of codes.

    Attributes:
        number: 0 for the first packet of a file.
        frames: frames in it.
        stages: quantizer stages in it; 0 when it was lost.
        body: its codes, see `packing`; None when it was lost.
        size: bytes that it takes in the file.
    """

    number: int
    frames: int
    stages: int
    body: bytes | None
    size: int


def build(number: int, stages: int, frames: int, packet_frames: int, body: bytes) -> bytes:
    """Return the bytes of a packet.

    Args:
        number: its place in the file, from 0.
        stages: 1 to 63.
        frames: `packet_frames`, or fewer in the last packet of a file.
        packet_frames: as the header says.
        body: what the coding made of the codes.
    """
    head = bytes([FULL | stages]) if frames == packet_frames else bytes([SHORT | stages]) + varint.write(frames)
    data = head + body
    return data + extend(crc32c(data), number.to_bytes(4, "little")).to_bytes(CRC_BYTES, "little")


def parse_head(data: bytes, header: Header) -> tuple[int, int, int] | None:
    """Return stages, frames and the position of the body of a packet, or None where none begins.

    Args:
        data: the first three bytes of a packet, or more.
        header: of the file.
    """
    if not data or data[0] & FULL == 0 or not 1 <= data[0] & ~KIND <= header.stages:
        return None
    stages = data[0] & ~KIND
    if data[0] & KIND == FULL:
        return stages, header.packet_frames, 1
    try:
        frames, at = varint.read(data[:3], 1)
    except CorruptFileError:
        return None
    return (stages, frames, at) if 1 <= frames < header.packet_frames else None


def number_of(data: bytes, expected: int) -> int:
    """Return the number that makes the check of a packet right.

    Every packet has one from 0 to 2**32 - 1, a damaged one a random one: the caller judges it.

    Args:
        data: a whole packet, its check last.
        expected: the number to try first, for speed alone.
    """
    crc = crc32c(data[:-CRC_BYTES])
    check = int.from_bytes(data[-CRC_BYTES:], "little")
    if expected < 1 << 32 and extend(crc, expected.to_bytes(4, "little")) == check:
        return expected
    return last_word(crc, check)
