"""As much of Ogg as Opus in it needs (RFC 3533, RFC 7845): packets out of a file, and a file without tags."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gritcodec.errors import AudioError

_HEAD = struct.Struct("<4sBBqIIIB")


@dataclass(frozen=True)
class Stream:
    """Opus packets in order, and the samples at 48 kHz that they give: `skip` to drop first, `total` with those."""

    packets: list[bytes]
    skip: int
    total: int


def read(data: bytes) -> Stream:
    """Return what is in a file with one logical stream; AudioError where it is not Ogg."""
    packets, open_packet, total = [], b"", 0
    for page in _pages(data):
        total = max(_HEAD.unpack_from(page)[3], total)
        lacing, body = _parts(page)
        place = 0
        for size in lacing:
            open_packet += body[place : place + size]
            place += size
            if size < 255:
                packets.append(open_packet)
                open_packet = b""
    if len(packets) < 2 or not packets[0].startswith(b"OpusHead"):
        raise AudioError("this Ogg file holds no Opus")
    return Stream(packets[2:], int.from_bytes(packets[0][10:12], "little"), total)


def without_tags(data: bytes) -> bytes:
    """Return the same file with empty OpusTags: tools write their options there, or reserve half a kilobyte."""
    pages = list(_pages(data))
    lacing, tags = _parts(pages[1]) if len(pages) > 1 else (b"", b"")
    if not tags.startswith(b"OpusTags") or lacing[-1:] == b"\xff":
        raise AudioError("the second page of this Ogg file does not hold OpusTags alone")
    bare = b"OpusTags" + bytes(8)
    page = _HEAD.pack(*_HEAD.unpack_from(pages[1])[:6], 0, 1) + bytes([len(bare)]) + bare
    page = page[:22] + _checksum(page).to_bytes(4, "little") + page[26:]
    return b"".join([pages[0], page, *pages[2:]])


def _pages(data: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(data):
        if data[place : place + 4] != b"OggS":
            raise AudioError("this is no Ogg file")
        count = data[place + 26]
        end = place + 27 + count + sum(data[place + 27 : place + 27 + count])
        yield data[place:end]
        place = end


def _parts(page: bytes) -> tuple[bytes, bytes]:
    return page[27 : 27 + page[26]], page[27 + page[26] :]


def _checksum(page: bytes) -> int:
    """CRC-32 of RFC 3533: not reflected, starting at 0."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = value << 1 ^ (0x04C11DB7 if value >> 31 else 0)
            value &= 0xFFFFFFFF
    return value
