"""Pages of Ogg (RFC 3533): packets into pages and out of them, through damage.

There is no library to lean on: PyAV cannot put an unknown codec into Ogg, and mutagen's pages are under the GPL.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gritcodec.bitstream.window import Window

CAPTURE = b"OggS"
CONTINUED, FIRST, LAST = 1, 2, 4
_HEADER_BYTES = 27
_MOST_SEGMENTS = 255
_NO_PACKET_ENDS = (1 << 64) - 1
# Bytes looked through at once for the next page, and how many bytes may be checksummed in doing so.
_SPAN = 4096
_WORK_ALLOWANCE = 1 << 26
_WORK_PER_BYTE = 256
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def checksum(data: bytes) -> int:
    """Return the CRC of a page whose own CRC is zero: polynomial 0x04C11DB7, most significant bit first, from 0.

    zlib's is the same with all bits in the other order, and a hundred times faster than a loop here.
    """
    register = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{register:032b}"[::-1], 2)


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        flags: 1 continues a packet, 2 begins a stream, 4 ends one.
        granule: position of the last packet that ends on it; None where none does.
        serial: of the logical stream.
        sequence: number in the logical stream, modulo 2^32.
        pieces: of packets, in order.
        open: whether the last piece goes on on the next page.
    """

    flags: int
    granule: int | None
    serial: int
    sequence: int
    pieces: tuple[bytes, ...]
    open: bool = False

    def to_bytes(self) -> bytes:
        """Return the page as it stands in a stream."""
        lacing = bytearray()
        for number, piece in enumerate(self.pieces):
            lacing += b"\xff" * (len(piece) // 255)
            if not (self.open and number == len(self.pieces) - 1):
                lacing.append(len(piece) % 255)
        granule = _NO_PACKET_ENDS if self.granule is None else self.granule
        head = CAPTURE + bytes([0, self.flags]) + granule.to_bytes(8, "little")
        head += self.serial.to_bytes(4, "little") + (self.sequence & 0xFFFFFFFF).to_bytes(4, "little")
        rest = bytes([len(lacing)]) + bytes(lacing) + b"".join(self.pieces)
        return head + checksum(head + bytes(4) + rest).to_bytes(4, "little") + rest


def parse_page(data: bytes) -> tuple[Page, int] | None:
    """Return the page at the beginning of `data` and its bytes, or None where there is none, or a damaged one."""
    if len(data) < _HEADER_BYTES or data[:5] != CAPTURE + b"\0":
        return None
    count = data[26]
    lacing = data[_HEADER_BYTES : _HEADER_BYTES + count]
    size = _HEADER_BYTES + count + sum(lacing)
    if len(data) < size or int.from_bytes(data[22:26], "little") != checksum(data[:22] + bytes(4) + data[26:size]):
        return None
    pieces, start, length = [], _HEADER_BYTES + count, 0
    for value in lacing:
        length += value
        if value < 255:
            pieces.append(data[start : start + length])
            start, length = start + length, 0
    is_open = count > 0 and lacing[-1] == 255
    if is_open:
        pieces.append(data[start:size])
    granule, serial, sequence = (
        int.from_bytes(data[first:last], "little") for first, last in ((6, 14), (14, 18), (18, 22))
    )
    found = None if granule == _NO_PACKET_ENDS else granule
    return Page(data[5], found, serial, sequence, tuple(pieces), is_open), size


class Paginator:
    """Packets of one logical stream into pages."""

    def __init__(self, serial: int) -> None:
        """Begin a stream."""
        self._serial = serial
        self._sequence = 0
        self._granule: int | None = None
        self._clear(continued=False)

    def add(self, packet: bytes, granule: int) -> Iterator[bytes]:
        """Put a packet that ends at `granule` on the page; yield the pages that are full."""
        at = 0
        while (len(packet) - at) // 255 + 1 > (room := _MOST_SEGMENTS - self._segments):
            if room:
                self._pieces.append(packet[at : at + 255 * room])
                at += 255 * room
            yield self.flush(is_open=at > 0)
        self._pieces.append(packet[at:])
        self._segments += (len(packet) - at) // 255 + 1
        self._granule = granule

    def flush(self, flags: int = 0, is_open: bool = False) -> bytes:
        """Return the page as it is, and begin the next."""
        flags |= self._flags
        page = Page(flags, self._granule, self._serial, self._sequence, tuple(self._pieces), is_open)
        self._sequence += 1
        self._clear(continued=is_open)
        return page.to_bytes()

    def _clear(self, continued: bool) -> None:
        self._pieces: list[bytes] = []
        self._segments = 0
        self._granule = None
        self._flags = CONTINUED if continued else 0


class PageReader:
    """Whole pages out of a file or pipe.

    Attributes:
        skipped: bytes that were no whole page.
    """

    def __init__(self, stream: Any) -> None:
        """Begin where a readable binary file object stands."""
        self.skipped = self._work = 0
        self._window = Window(stream)

    def begins(self) -> bool:
        """Whether what follows begins like a page."""
        return self._window.view(0, len(CAPTURE)) == CAPTURE

    def next(self, stop_at_first: bool = False) -> Page | None:
        """Return the next whole page, whatever was damaged before it; None at the end.

        A search that costs far more than the bytes it passes, as in a file made for that, is the end too.

        Args:
            stop_at_first: leave a page that begins a logical stream for the next call, and return None.
        """
        while True:
            candidate = self._candidate()
            found = parse_page(candidate)
            if found is not None:
                page, size = found
                if stop_at_first and page.flags & FIRST:
                    return None
                self._window.skip(size)
                return page
            self._work += len(candidate)
            block = self._window.view(0, _SPAN)
            if not block or self._work > _WORK_ALLOWANCE + _WORK_PER_BYTE * self.skipped:
                return None
            position = block.find(CAPTURE, 1)
            self.skipped += self._window.skip(position if position > 0 else max(len(block) - 3, 1))

    def _candidate(self) -> bytes:
        """Return as many bytes as a page here would have, and wait for no more: a pipe may not have them yet."""
        size = _HEADER_BYTES
        head = self._window.view(0, size)
        if len(head) == size and head.startswith(CAPTURE):
            lacing = self._window.view(size, head[-1])
            size += len(lacing) + sum(lacing)
        return self._window.view(0, size)
