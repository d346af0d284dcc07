"""ID3v2, the tags of MP3 files, version 2.2 to 2.4: texts and chapters."""

from __future__ import annotations

from collections.abc import Iterator

from gritcodec.sound.tags import Pairs

_TEXTS = {
    "TIT2": "title",
    "TT2": "title",
    "TPE1": "artist",
    "TP1": "artist",
    "TALB": "album",
    "TAL": "album",
    "TDRC": "date",
    "TYER": "date",
    "TYE": "date",
    "TLAN": "language",
    "TLA": "language",
    "TCON": "genre",
    "TRCK": "tracknumber",
    "TRK": "tracknumber",
    "TCOP": "copyright",
}
_COMMENTS, _OWN = ("COMM", "COM"), ("TXXX", "TXX")
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")


def read(data: bytes) -> tuple[Pairs, list[tuple[float, str]]]:
    """Return tags and chapters (seconds, name) of the ID3v2 tag at the beginning of `data`."""
    pairs: Pairs = []
    chapters: list[tuple[float, str]] = []
    if data[:3] != b"ID3" or len(data) < 10:
        return pairs, chapters
    version, flags = data[3], data[5]
    body = data[10 : 10 + _safe(data[6:10])]
    if flags & 128 and version < 4:
        body = body.replace(b"\xff\0", b"\xff")
    if flags & 64 and version > 2:
        body = body[_safe(body[:4]) if version == 4 else 4 + int.from_bytes(body[:4], "big") :]
    for name, value in _frames(body, version):
        if name == "CHAP":
            chapters.append(_chapter(value, version))
        elif name in _TEXTS:
            pairs.append((_TEXTS[name], _text(value)))
        elif name in _OWN:
            # A description, and what it is of: FFmpeg's comments are so.
            described = _split(value[1:], value[:1])
            if len(described) > 1 and described[0]:
                pairs.append((described[0].lower(), described[1]))
        elif name in _COMMENTS:
            # A language and a description come before.
            encoding = value[:1]
            words = _split(value[4:], encoding)
            # Programs keep settings of their own in comments that have a description.
            if len(words) > 1 and not words[0]:
                pairs.append(("comment", words[1]))
    return pairs, sorted(chapters)


def _frames(body: bytes, version: int) -> Iterator[tuple[str, bytes]]:
    wide = version > 2
    at, head = 0, 10 if wide else 6
    while at + head <= len(body) and body[at]:
        name = body[at : at + (4 if wide else 3)].decode("latin-1")
        sizes = body[at + 4 : at + 8] if wide else body[at + 3 : at + 6]
        size = _safe(sizes) if version == 4 else int.from_bytes(sizes, "big")
        value = body[at + head : at + head + size]
        if version == 4 and body[at + 9] & 2:
            value = value.replace(b"\xff\0", b"\xff")
        yield name, value[4:] if version == 4 and body[at + 9] & 1 else value
        at += head + size


def _chapter(value: bytes, version: int) -> tuple[float, str]:
    rest = value.partition(b"\0")[2]
    name = next((_text(text) for key, text in _frames(rest[16:], version) if key == "TIT2"), "")
    return int.from_bytes(rest[:4], "big") / 1000, name


def _text(value: bytes) -> str:
    return ", ".join(word for word in _split(value[1:], value[:1]) if word)


def _split(data: bytes, encoding: bytes) -> list[str]:
    name = _ENCODINGS[encoding[0]] if encoding and encoding[0] < 4 else "latin-1"
    return [word.strip("\ufeff") for word in data.decode(name, "replace").split("\0")]


def _safe(data: bytes) -> int:
    size = 0
    for byte in data:
        size = size << 7 | byte & 127
    return size
