"""Whether a coded file ends where its own pieces say: most decoders pass over a cut last one without a word.

Boxes, chunks, tags and frames tell their size; a file that ends inside one was cut, whatever it says of its length.
A file that ends between two of them is not told from a whole one, unless its outermost piece goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from gritcodec.containers import ebml
from gritcodec.errors import CorruptFileError
from gritcodec.sound import frames, ogg

_TAIL = 1 << 17
ISO = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp", b"sidx")
EBML, SEGMENT = b"\x1aE\xdf\xa3", 0x18538067
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
# Bytes of a frame of AMR by its mode, the first byte included; 0: there is no such mode.
AMR = {
    b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1),
    b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1),
}
# Matroska, Windows Media, Flash, WavPack, TTA, Monkey's Audio; of Ogg what is not Vorbis, Opus or FLAC.
_FOR_AV = (EBML, ASF, b"FLV\1", b"wvpk", b"TTA1", b"MAC ", b"OggS")
# A frame of GSM 06.10.
GSM_BYTES, GSM_SAMPLES = 33, 160
# Bytes of a packet of a transport stream, and where its first byte stands.
_PACKETS = ((188, 0), (192, 4), (204, 0))
# Frames that must follow each other to be believed.
_ENOUGH = 3
UNKNOWN_31, _MOST_BYTES = 0x7FFFEF00, 1 << 48


def is_cut(stream: Any, name: str) -> bool:
    """Whether a seekable stream, of a file called `name`, ends inside a piece of its own; it then stands anywhere."""
    length = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(1024)
    if head[:4] == b"OggS":
        stream.seek(0)
        links, _ = ogg.links(stream)
        return bool(links) and links[-1].is_cut
    for magic, sizes in AMR.items():
        if head.startswith(magic):
            return _ends_inside_amr(stream, len(magic), sizes)
    if name.lower().endswith(".gsm"):
        return length % GSM_BYTES != 0
    for size, first in _PACKETS:
        if all(head[at : at + 1] == b"G" for at in range(first, 3 * size, size)):
            return length % size != 0
    if (pieces := _pieces(stream, head)) is not None:
        return any(end > length for end in pieces)
    stream.seek(max(length - _TAIL, 0))
    return frames_end_inside(stream.read(_TAIL))


def is_for_av(head: bytes) -> bool:
    """Whether a file with these bytes at its beginning is of a format that PyAV alone reads."""
    start = frames.after_id3(head)
    is_framed = any(frames.follow(head, start, size_of) for size_of in (frames.adts, frames.ac3))
    return is_framed or head[4:8] in ISO or head.startswith((*AMR, *_FOR_AV))


def damaged_bytes(stream: Any) -> int:
    """Return how many bytes of a seekable stream are no page of Ogg, or frame of ADTS or AC-3; 0 of other formats.

    Decoders look for the next one, and say nothing.
    """
    stream.seek(0)
    head = stream.read(_TAIL)
    stream.seek(0)
    if head[:4] == b"OggS":
        return ogg.links(stream)[1]
    start = frames.after_id3(head)
    for size_of in (frames.adts, frames.ac3):
        if frames.follow(head, start, size_of):
            return _between_frames(stream.read(), start, size_of)
    return 0


def _between_frames(data: bytes, at: int, size_of: frames.SizeOf) -> int:
    first, lost = data[at : at + 1], 0
    while at < len(data):
        if (size := size_of(data, at)) is not None:
            at += size
            continue
        following = data.find(first, at + 1)
        while following >= 0 and not frames.follow(data, following, size_of):
            following = data.find(first, following + 1)
        if following < 0:
            # Tags, or a frame that is cut.
            break
        lost += following - at
        at = following
    return lost


def lacks_index(stream: Any) -> bool:
    """Whether a seekable stream is an mp4, mov or the like without the part that says where its sound lies."""
    stream.seek(0)
    if stream.read(8)[4:] not in ISO:
        return False
    return b"moov" not in {name for name, _ in boxes(stream)}


def frames_end_inside(tail: bytes) -> bool:
    """Whether the end of a stream of frames of ADTS, AC-3, E-AC-3 or MPEG audio is not that of a frame."""
    for size_of in (frames.adts, frames.ac3, frames.mpeg):
        for start in range(min(len(tail), _TAIL // 8)):
            if size_of(tail, start) is None:
                continue
            at, count = start, 0
            while (size := size_of(tail, at)) is not None:
                at, count = at + size, count + 1
            # A header that is cut itself, or another thing behind the last frame, such as tags.
            is_begun = 0 < len(tail) - at < frames.HEAD_BYTES and tail[at] == tail[start]
            if count >= _ENOUGH and (at >= len(tail) or is_begun):
                return at != len(tail)
            if count >= _ENOUGH:
                break
    return False


def _ends_inside_amr(stream: Any, start: int, sizes: tuple[int, ...]) -> bool:
    stream.seek(start)
    data, at = stream.read(), 0
    while at < len(data):
        at += sizes[data[at] >> 3 & 15] or 1
    return at > len(data)


def _pieces(stream: Any, head: bytes) -> Iterator[int] | None:
    """Yield where each outermost piece of a file ends; None: it is of no format that has any."""
    if head[4:8] in ISO:
        return (end for _, end in boxes(stream))
    if head[:4] in (b"RIFF", b"RIFX"):
        return _chunks(stream, "little" if head[:4] == b"RIFF" else "big")
    if head[:4] == EBML:
        return (end for end in (segment_end(head),) if end is not None)
    if head[:16] == ASF:
        return _objects(stream)
    if head[:3] == b"FLV":
        return _flv(stream)
    if head[:4] == b"\0\0\1\xba":
        return _program(stream)
    return None


def boxes(stream: Any) -> Iterator[tuple[bytes, int]]:
    """Yield name and end of each outermost box of an mp4 or the like."""
    at = 0
    stream.seek(0)
    while len(head := stream.read(16)) >= 8:
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        # 0: to the end of the file.
        yield head[4:8], at + size
        if size < 8:
            return
        at += size
        stream.seek(at)


def _chunks(stream: Any, order: Any) -> Iterator[int]:
    at = 0
    stream.seek(0)
    while (head := stream.read(8))[:3] == b"RIF":
        size = int.from_bytes(head[4:], order)
        # As of those who could not go back to say it.
        if size == 0 or size >= UNKNOWN_31:
            return
        at += 8 + size
        yield at
        stream.seek(at + at % 2)


def segment_end(head: bytes) -> int | None:
    """Return where the first segment of a Matroska file ends; None where its head does not tell."""
    try:
        size, at = ebml.number(head, 4)
        name, at = ebml.name_at(head, at + (size or 0))
        size, at = ebml.number(head, at)
    except CorruptFileError:
        return None
    return at + size if name == SEGMENT and size is not None else None


def _objects(stream: Any) -> Iterator[int]:
    at = 0
    stream.seek(0)
    while len(head := stream.read(24)) == 24:
        size = int.from_bytes(head[16:], "little")
        # No place in a file is further.
        if not 24 <= size < _MOST_BYTES:
            return
        at += size
        yield at
        stream.seek(at)


def _flv(stream: Any) -> Iterator[int]:
    at = 9
    stream.seek(at)
    while head := stream.read(15):
        # The size of the tag before, and then a tag.
        at += 4 if len(head) <= 4 else 15 + int.from_bytes(head[5:8], "big")
        yield at
        stream.seek(at)


def _program(stream: Any) -> Iterator[int]:
    at = 0
    stream.seek(0)
    while (head := stream.read(14))[:3] == b"\0\0\1":
        if head[3] == 0xBA:
            at += 14 + (head[13] & 7 if len(head) == 14 else 0) if head[4:5] and head[4] & 0xC0 == 0x40 else 12
        elif head[3] == 0xB9:
            at += 4
        else:
            at += 6 + int.from_bytes(head[4:6], "big")
        yield at
        stream.seek(at)
