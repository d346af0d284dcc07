"""EBML (RFC 8794): an identifier, a size and bytes, one inside another; as much of it as Matroska needs.

ebmlite, the library there is, reads a schema in XML at each start and takes sizes on trust; this is less than that.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from gritcodec.errors import CorruptFileError

CRC32 = 0xBF
VOID = 0xEC
# The size of an element whose end nobody knows yet: all its bits set.
UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"


class Element(NamedTuple):
    """An element in a buffer.

    Attributes:
        name: its identifier, marker bits included.
        data: its content.
    """

    name: int
    data: bytes


def element(name: int, data: bytes) -> bytes:
    """Return an element with this content."""
    return identifier(name) + size(len(data)) + data


def master(name: int, *children: bytes) -> bytes:
    """Return an element made of others."""
    return element(name, b"".join(children))


def checked(name: int, *children: bytes) -> bytes:
    """Return an element made of others that begins with their CRC-32."""
    content = b"".join(children)
    return element(name, element(CRC32, zlib.crc32(content).to_bytes(4, "little")) + content)


def unsigned(name: int, value: int) -> bytes:
    """Return an element that holds an integer from 0 on."""
    return element(name, value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big"))


def signed(name: int, value: int) -> bytes:
    """Return an element that holds an integer with a sign."""
    return element(name, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def floating(name: int, value: float) -> bytes:
    """Return an element that holds a float64."""
    return element(name, struct.pack(">d", value))


def text(name: int, value: str) -> bytes:
    """Return an element that holds UTF-8."""
    return element(name, value.encode())


def identifier(name: int) -> bytes:
    """Return an identifier's bytes."""
    return name.to_bytes((name.bit_length() + 7) // 8, "big")


def size(value: int, width: int = 0) -> bytes:
    """Return the bytes of a size, or of another number of that form; `width` bytes of them, or as few as will do."""
    width = width or next(count for count in range(1, 9) if value < (1 << 7 * count) - 1)
    return (1 << 7 * width | value).to_bytes(width, "big")


def number(data: bytes, at: int) -> tuple[int | None, int]:
    """Return a size and the position after it; None where it says that it is not known.

    Raises:
        CorruptFileError: there is none at `at`.
    """
    if at >= len(data) or not data[at]:
        raise CorruptFileError("the file is damaged: a size in it is none")
    width = 9 - data[at].bit_length()
    if at + width > len(data):
        raise CorruptFileError("the file is damaged: it ends inside a size")
    value = int.from_bytes(data[at : at + width], "big") & (1 << 7 * width) - 1
    return (None if value == (1 << 7 * width) - 1 else value), at + width


def name_at(data: bytes, at: int) -> tuple[int, int]:
    """Return an identifier of up to four bytes and the position after it; errors as in `number`."""
    width = 9 - data[at].bit_length() if at < len(data) and data[at] else 5
    if width > 4 or at + width > len(data):
        raise CorruptFileError("the file is damaged: an identifier in it is none")
    return int.from_bytes(data[at : at + width], "big"), at + width


def children(data: bytes) -> Iterator[Element]:
    """Yield the elements that a whole element is made of; what stands before damage is given.

    Raises:
        CorruptFileError: at damage.
    """
    at = 0
    while at < len(data):
        name, at = name_at(data, at)
        length, at = number(data, at)
        if length is None or at + length > len(data):
            raise CorruptFileError("the file is damaged: an element goes beyond the one that it is in")
        yield Element(name, data[at : at + length])
        at += length


def integer(data: bytes) -> int:
    """Return the unsigned integer that an element holds; 0 where it is empty."""
    return int.from_bytes(data[:8], "big")


def signed_integer(data: bytes) -> int:
    """Return the integer with a sign that an element holds; 0 where it is empty."""
    return int.from_bytes(data[:8], "big", signed=True)
