"""Headers of the formats that hold samples as they are: what libsndfile makes of a cut or unfinished one is not enough.

libsndfile takes a size of 0 for an empty file, shortens a promise silently to what is there, refuses an unknown size
in CAF, and cannot read any of them from a pipe.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable

from gritcodec.errors import AudioError
from gritcodec.sound import behind, riff
from gritcodec.sound.inputs import Input
from gritcodec.sound.layouts import ALAW, ULAW, Layout
from gritcodec.sound.riff import text

_UNKNOWN = 0xFFFFFFFF
_AU = {1: ULAW, 2: "i1", 3: "i2", 4: "i3", 5: "i4", 6: "f4", 7: "f8", 27: ALAW}
# What samples of AIFF-C are; those without a compression are integers, first byte first.
_AIFC = {b"sowt": "<i", b"fl32": ">f4", b"FL32": ">f4", b"fl64": ">f8", b"FL64": ">f8", b"raw ": "u1"}
_AIFC |= {b"alaw": ALAW, b"ALAW": ALAW, b"ulaw": ULAW, b"ULAW": ULAW, b"in24": ">i3", b"in32": ">i4", b"twos": ">i"}
_AIFF_TEXTS = {b"NAME": "title", b"AUTH": "artist", b"ANNO": "comment", b"(c) ": "copyright"}
_CAF_FLOAT, _CAF_LITTLE = 1, 2
_CAF_NAMES = {"title": "title", "artist": "artist", "album": "album", "recorded date": "date", "comments": "comment"}
_CAF_NAMES |= {"genre": "genre", "year": "date", "copyright": "copyright", "comment": "comment", "date": "date"}
_CAF_NAMES |= {"language": "language", "track number": "tracknumber"}
_MOST_BYTES = 1 << 20


def parse(source: Input) -> Layout | None:
    """Read to where the samples begin.

    Returns:
        How they lie; None where it is another format, or one that has to be seen from its end. The input then may
        stand anywhere.

    Raises:
        AudioError: it is one of these, and has no samples, or its header is damaged.
    """
    start = source.peek(16)
    readers: dict[bytes, Callable[[Input], Layout | None]] = {b".snd": _au, b"dns.": _au, b"FORM": _aiff, b"caff": _caf}
    if riff.is_wave(start):
        layout: Layout | None = riff.parse(source)
    elif start[:4] in readers:
        layout = readers[start[:4]](source)
    else:
        return None
    if layout is not None:
        layout.check(source.name)
    return layout


def read_trailer(source: Input, layout: Layout) -> None:
    """Read what stands behind the samples, of which the input has passed the last one."""
    if layout.container == "aiff":
        source.skip(source.tell() % 2)
        while not behind.follows(source) and len(head := source.read(8)) == 8:
            _aiff_text(head[:4], source, int.from_bytes(head[4:], "big"), layout)
    elif layout.container == "caf":
        while not behind.follows(source) and len(head := source.read(12)) == 12:
            _caf_info(head[:4], source, int.from_bytes(head[4:], "big"), layout)
    else:
        riff.read_trailer(source, layout)
    # Wave64 fills its pieces up to eight bytes.
    for _ in range(8 if layout.container == "w64" else 1):
        if behind.follows(source):
            layout.left_out = source.skip(sys.maxsize)
            return
        source.skip(1)


def _au(source: Input) -> Layout | None:
    head = source.read(24)
    order = ">" if head[:4] == b".snd" else "<"
    if len(head) < 24:
        raise AudioError(f"{source.name}: the header of the AU file is cut")
    start, size, code, rate, channels = struct.unpack(f"{order}5I", head[4:])
    if code not in _AU:
        return None
    note = source.read(min(max(start - 24, 0), _MOST_BYTES))
    source.skip(start - 24 - len(note))
    kind = _AU[code] if code in (1, 27) else f"{order}{_AU[code]}"
    layout = Layout("au", kind, rate, channels, None if size in (0, _UNKNOWN) else size)
    if words := text(note).strip():
        layout.tags.append(("comment", words))
    return layout


def _aiff(source: Input) -> Layout | None:
    head = source.read(12)
    if head[8:] not in (b"AIFF", b"AIFC"):
        return None
    layout, said, frames = Layout("aiff", None, 0, 0), b"", 0
    while True:
        head = source.read(8)
        if len(head) < 8:
            raise AudioError(f"{source.name}: the AIFF file has no samples")
        name, size = head[:4], int.from_bytes(head[4:], "big")
        if name == b"SSND":
            break
        if name == b"COMM":
            said = source.read(size + size % 2)
            if len(said) < 18:
                raise AudioError(f"{source.name}: the header of the AIFF file is damaged or cut")
            layout.channels, frames, bits = struct.unpack(">HIH", said[:8])
            layout.sample_rate = _extended(said[8:18])
            layout.kind = _aiff_kind(said[18:22], bits)
        else:
            _aiff_text(name, source, size, layout)
    if layout.kind is None:
        # Another coding, or the header comes behind the samples.
        return None
    offset = int.from_bytes(source.read(8)[:4], "big")
    source.skip(offset)
    # Both are 0 where the writer could not go back.
    count = size - 8 - offset if size not in (0, _UNKNOWN) else frames * layout.width
    layout.size = count if count > 0 or size not in (0, _UNKNOWN) else None
    if layout.size is not None and frames:
        layout.size = min(layout.size, frames * layout.width)
    return layout


def _aiff_kind(code: bytes, bits: int) -> str | None:
    kind = _AIFC.get(code, None if code not in (b"", b"NONE") else ">i")
    return f"{kind}{(bits + 7) // 8}" if kind in ("<i", ">i") and 1 <= bits <= 32 else kind


def _aiff_text(name: bytes, source: Input, size: int, layout: Layout) -> None:
    body = source.read(size) if name in _AIFF_TEXTS and size < _MOST_BYTES else b""
    source.skip(size - len(body) + size % 2)
    if body:
        layout.tags.append((_AIFF_TEXTS[name], text(body)))


def _extended(data: bytes) -> int:
    """Return the whole number nearest to an 80-bit float."""
    exponent, mantissa = struct.unpack(">HQ", data)
    # More than any rate is none, and may be more than a float holds.
    shift = min((exponent & 0x7FFF) - 16383, 31) - 63
    value = math.ldexp(mantissa, shift)
    return round(value) if value < 1 << 31 else 0


def _caf(source: Input) -> Layout | None:
    source.read(8)
    layout = Layout("caf", None, 0, 0)
    while True:
        head = source.read(12)
        if len(head) < 12:
            raise AudioError(f"{source.name}: the CAF file has no samples")
        name, size = head[:4], int.from_bytes(head[4:], "big", signed=True)
        if name == b"data":
            break
        if name == b"desc":
            body = source.read(32)
            if len(body) < 32 or size < 32:
                raise AudioError(f"{source.name}: the header of the CAF file is damaged or cut")
            rate, code, flags, _, _, layout.channels, bits = struct.unpack(">d4sIIIII", body)
            layout.sample_rate = round(rate) if 0 < rate < 1 << 31 else 0
            order = "<" if flags & _CAF_LITTLE else ">"
            kinds = {b"lpcm": f"{order}{'f' if flags & _CAF_FLOAT else 'i'}{bits // 8}", b"alaw": ALAW, b"ulaw": ULAW}
            layout.kind = kinds.get(code)
            source.skip(size - 32)
        else:
            _caf_info(name, source, max(size, 0), layout)
    if layout.kind is None:
        return None
    source.read(4)
    layout.size = size - 4 if size >= 4 else None
    return layout


def _caf_info(name: bytes, source: Input, size: int, layout: Layout) -> None:
    body = source.read(size) if name == b"info" and size < _MOST_BYTES else b""
    source.skip(size - len(body))
    words = body[4:].split(b"\0")
    for key, value in zip(words[::2], words[1::2], strict=False):
        if (known := _CAF_NAMES.get(text(key).lower())) is not None:
            layout.tags.append((known, text(value)))
