"""The end of a .grit file: the header once more, how much there is, and where every eighth packet begins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream import varint
from gritcodec.bitstream.crc import crc32c
from gritcodec.bitstream.header import CRC_BYTES, HEADER_LIMIT, Header, parse_header
from gritcodec.bitstream.items import END
from gritcodec.errors import CorruptFileError

INDEX_STEP = 8
_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Ending:
    """What the end of a file says.

    Attributes:
        header: the file's header, with the number of samples even where the first one does not know it.
        before: bytes of the file before the end.
        frames: how many there are, those of pauses included.
        packets: how many there are.
        chunks: how many there are, splices among them.
        splices: how many there are.
        steps: bytes and frames from the end of the header to packet 8, from packet 8 to packet 16, and so on.
        size: bytes that the end takes.
    """

    header: Header
    before: int
    frames: int
    packets: int
    chunks: int
    splices: int
    steps: tuple[tuple[int, int], ...]
    size: int


class Index:
    """What the end of a file says of its items, gathered while they are written.

    Attributes:
        frames: of all items so far.
        packets: so far.
        size: bytes of all items so far.
    """

    def __init__(self) -> None:
        """Begin behind a header."""
        self.frames = self.packets = self.chunks = self.splices = self.size = 0
        # Byte, counted from the end of the header, and first frame of packets 8, 16 ...
        self._places: list[tuple[int, int]] = [(0, 0)]

    @classmethod
    def of(cls, packets: NDArray[np.int64], others: NDArray[np.int64], chunks: int = 0, splices: int = 0) -> "Index":
        """Return the index of many items at once.

        Args:
            packets: bytes and frames of every packet, [packets, 2].
            others: bytes and frames of what stands before each packet and behind the last, [packets + 1, 2].
            chunks: how many of the others are chunks.
            splices: how many of these are splices.
        """
        index = cls()
        starts = np.cumsum(others[:-1], axis=0) + np.cumsum(packets, axis=0) - packets
        index._places += [(int(size), int(frames)) for size, frames in starts[INDEX_STEP::INDEX_STEP]]
        index.packets, index.chunks, index.splices = len(packets), chunks, splices
        index.size, index.frames = map(int, packets.sum(axis=0) + others.sum(axis=0))
        return index

    def packet(self, size: int, frames: int) -> None:
        """Take note of a packet."""
        if self.packets and self.packets % INDEX_STEP == 0:
            self._places.append((self.size, self.frames))
        self.packets += 1
        self.other(size, frames)

    def chunk(self, size: int, splice: bool) -> None:
        """Take note of a chunk."""
        self.chunks += 1
        self.splices += splice
        self.other(size, 0)

    def other(self, size: int, frames: int) -> None:
        """Take note of a pause."""
        self.size += size
        self.frames += frames

    def ending(self, header: Header, header_bytes: int) -> bytes:
        """Return the end of a file.

        Args:
            header: with the number of samples.
            header_bytes: of the file's first header, which may lack it.
        """
        steps = [
            (there[0] - here[0], there[1] - here[1])
            for here, there in zip(self._places, self._places[1:], strict=False)
        ]
        data = bytes([END]) + header.to_bytes()
        data += b"".join(
            map(varint.write, (header_bytes + self.size, self.frames, self.packets, self.chunks, self.splices))
        )
        usual = INDEX_STEP * header.packet_frames
        data += b"".join(varint.write(size) + varint.write(_zigzag(frames - usual)) for size, frames in steps)
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
    before, at = varint.read(data, at)
    frames, at = varint.read(data, at)
    packets, at = varint.read(data, at)
    chunks, at = varint.read(data, at)
    splices, at = varint.read(data, at)
    count = max(packets - 1, 0) // INDEX_STEP
    if at + 2 * count + CRC_BYTES + _LENGTH_BYTES > len(data):
        raise varint.EndsTooSoonError("the file ends inside its index")
    steps = []
    for _ in range(count):
        size, at = varint.read(data, at)
        more, at = varint.read(data, at)
        steps.append((size, INDEX_STEP * header.packet_frames + _unzigzag(more)))
    end = at + _LENGTH_BYTES + CRC_BYTES
    if len(data) < end:
        raise varint.EndsTooSoonError("the file ends inside its index")
    length = int.from_bytes(data[at : at + _LENGTH_BYTES], "little")
    check = int.from_bytes(data[end - CRC_BYTES : end], "little")
    if length != end - position or check != crc32c(data[position : end - CRC_BYTES]):
        raise CorruptFileError("the file is damaged: the checksum of its end does not match")
    if header.num_samples is None:
        raise CorruptFileError("the file is damaged: its end does not tell the number of samples")
    return Ending(header, before, frames, packets, chunks, splices, tuple(steps), end - position)


def ending_length(tail: bytes, file_size: int) -> int | None:
    """Return how long the end of a file claims to be, or None where that cannot be.

    Args:
        tail: the last 8 bytes of the file.
        file_size: bytes of the file.
    """
    if len(tail) < _LENGTH_BYTES + CRC_BYTES:
        return None
    length = int.from_bytes(tail[-_LENGTH_BYTES - CRC_BYTES : -CRC_BYTES], "little")
    # Every step is 11 bytes or less, and stands for 8 packets of 6 bytes or more.
    return length if 16 < length <= min(file_size, HEADER_LIMIT + 64 + file_size // 4) else None


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _unzigzag(value: int) -> int:
    return value // 2 if value % 2 == 0 else -(value + 1) // 2
