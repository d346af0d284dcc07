"""Tags and marks of a finished wav or flac file: more than the ten names that libsndfile writes."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from gritcodec.sound.riff import INFO_NAMES
from gritcodec.sound.tags import Pairs, chapter_comments

_INFO_KEYS = {name: key for key, name in reversed(INFO_NAMES.items())}
_COMMENT_BLOCK, _PICTURE_BLOCK, _LAST = 4, 6, 128
_MOST_RIFF = (1 << 32) - 1
_COPY_BYTES = 1 << 20


def add(path: Path, kind: str, tags: Pairs, marks: Sequence[tuple[int, str]], sample_rate: int) -> None:
    """Add tags and marks (sample, name) to a file of libsndfile's format `kind`; those it has no place for are left.

    Raises:
        OSError: of the file system.
    """
    if kind == "WAV":
        if chunks := _wav_chunks(tags, marks):
            _append(path, chunks)
    elif kind == "FLAC":
        pairs = [*tags, *chapter_comments([(sample / sample_rate, name) for sample, name in marks])]
        if pairs:
            _comment_flac(path, pairs)


def _wav_chunks(tags: Pairs, marks: Sequence[tuple[int, str]]) -> bytes:
    known = [(_INFO_KEYS[name.lower()], value) for name, value in tags if name.lower() in _INFO_KEYS]
    chunks = b""
    if known:
        chunks += _chunk(b"LIST", b"INFO" + b"".join(_chunk(k.encode(), v.encode() + b"\0") for k, v in known))
    places = [(number, sample, name) for number, (sample, name) in enumerate(marks, 1) if sample < 1 << 32]
    if places:
        cues = b"".join(struct.pack("<II4sIII", n, s, b"data", 0, 0, s) for n, s, _ in places)
        chunks += _chunk(b"cue ", struct.pack("<I", len(places)) + cues)
        labels = (_chunk(b"labl", struct.pack("<I", n) + name.encode() + b"\0") for n, _, name in places)
        chunks += _chunk(b"LIST", b"adtl" + b"".join(labels))
    return chunks


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _append(path: Path, chunks: bytes) -> None:
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size + 1 + len(chunks) > _MOST_RIFF:
            return
        file.write(bytes(size % 2) + chunks)
        file.seek(4)
        file.write(struct.pack("<I", size + size % 2 + len(chunks) - 8))


def _comment_flac(path: Path, pairs: Pairs) -> None:
    """Put comments behind the first block, in place of libsndfile's own, which are its vendor alone."""
    with open(path, "rb") as file:
        head = file.read(4)
        blocks, last = [], False
        while not last:
            first = file.read(4)
            last, kind = bool(first[0] & _LAST), first[0] & ~_LAST
            body = file.read(int.from_bytes(first[1:], "big"))
            if kind != _COMMENT_BLOCK:
                blocks.append((kind, body))
        blocks.insert(1, (_COMMENT_BLOCK, _comments(pairs)))
        # Seek points count from the first frame: they stay right.
        ahead = b"".join(
            bytes([kind | (_LAST if number == len(blocks) - 1 else 0)]) + len(body).to_bytes(3, "big") + body
            for number, (kind, body) in enumerate(blocks)
        )
        other = path.with_name(path.name + ".tags")
        try:
            with open(other, "wb") as made:
                made.write(head + ahead)
                while data := file.read(_COPY_BYTES):
                    made.write(data)
            # Into the same file, which others have locked.
            with open(other, "rb") as made, open(path, "r+b") as target:
                while data := made.read(_COPY_BYTES):
                    target.write(data)
                target.truncate()
        finally:
            other.unlink(missing_ok=True)


def _comments(pairs: Pairs) -> bytes:
    texts = [f"{name.upper()}={value}".encode() for name, value in pairs]
    strings = [struct.pack("<I", len(text)) + text for text in (b"gritcodec", *texts)]
    return strings[0] + struct.pack("<I", len(texts)) + b"".join(strings[1:])
