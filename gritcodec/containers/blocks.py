"""Matroska's blocks: a track's number, a time, and the frames that lie in one of four ways in them."""

import zlib
from typing import NamedTuple

from gritcodec.containers import bare, ebml
from gritcodec.errors import CorruptFileError

ZLIB, HEADER_STRIPPING = 0, 3
_XIPH, _FIXED, _EBML = 1, 2, 3


class Block(NamedTuple):
    """A block.

    Attributes:
        track: number of its track.
        time: counted from its cluster's timestamp, in units of the segment.
        frames: what Matroska calls so: one item each.
    """

    track: int
    time: int
    frames: list[bytes]


def parse(data: bytes) -> Block:
    """Return the content of a SimpleBlock or Block.

    Raises:
        CorruptFileError: it is none.
    """
    track, at = ebml.number(data, 0)
    if track is None or at + 3 > len(data):
        raise CorruptFileError("the file is damaged: a block in it is none")
    time = int.from_bytes(data[at : at + 2], "big", signed=True)
    lacing = data[at + 2] >> 1 & 3
    return Block(track, time, _unlace(data, at + 3, lacing) if lacing else [data[at + 3 :]])


def _unlace(data: bytes, at: int, lacing: int) -> list[bytes]:
    if at >= len(data):
        raise CorruptFileError("the file is damaged: a block in it is none")
    others = data[at]
    at += 1
    if lacing == _FIXED:
        sizes = [(len(data) - at) // (others + 1)] * others
    elif lacing == _XIPH:
        sizes, at = _xiph_sizes(data, at, others)
    else:
        sizes, at = _ebml_sizes(data, at, others)
    frames = []
    for size in sizes:
        if size < 0 or at + size > len(data):
            raise CorruptFileError("the file is damaged: frames go beyond their block")
        frames.append(data[at : at + size])
        at += size
    return [*frames, data[at:]]


def _xiph_sizes(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    sizes = []
    for _ in range(count):
        size = 0
        while data[at : at + 1] == b"\xff":
            size, at = size + 255, at + 1
        if at >= len(data):
            raise CorruptFileError("the file is damaged: a block ends inside its sizes")
        sizes.append(size + data[at])
        at += 1
    return sizes, at


def _ebml_sizes(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    """The first size as it is, then differences with a sign."""
    sizes: list[int] = []
    for _ in range(count):
        start = at
        value, at = ebml.number(data, start)
        # All bits set are a difference like any other here.
        bits = 7 * (at - start)
        value = (1 << bits) - 1 if value is None else value
        sizes.append(sizes[-1] + value - ((1 << bits - 1) - 1) if sizes else value)
    return sizes, at


def expand(frame: bytes, compression: tuple[int, bytes] | None) -> bytes:
    """Undo what a track's ContentCompression says was done to a frame.

    Args:
        frame: as it stands in its block.
        compression: algorithm and settings.

    Raises:
        CorruptFileError: it is damaged.
    """
    if compression is None:
        return frame
    algorithm, settings = compression
    if algorithm == HEADER_STRIPPING:
        return settings + frame
    try:
        return zlib.decompressobj().decompress(frame, bare.MAX_BYTES)
    except zlib.error as error:
        raise CorruptFileError(f"the file is damaged: a block cannot be expanded ({error})") from error
