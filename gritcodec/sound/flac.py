"""FLAC files that follow each other in one: libsndfile plays the first, and not always all of it."""

from __future__ import annotations

import os
from typing import Any

from gritcodec.sound import behind, frames

# A beginning, with a tag before it, may lie across two pieces.
_LONGEST = 1 << 16
_READ = 1 << 22


def start(stream: Any) -> int | None:
    """Return where a FLAC file begins in a seekable stream, behind ID3 tags; None: it is none."""
    at = 0
    while True:
        stream.seek(at)
        head = stream.read(10)
        if head[:3] != b"ID3":
            return at if head[:4] == b"fLaC" else None
        at += frames.after_id3(head)


def parts(stream: Any, first: int) -> list[tuple[int, int, bool]]:
    """Return (begin, end, is FLAC) of the files that follow each other in a stream, the first one at `first`."""
    length = stream.seek(0, os.SEEK_END)
    begins_at, kinds = [0], [True]
    at = _behind_metadata(stream, first)
    while at < length:
        stream.seek(at)
        data = stream.read(_READ)
        found = _first(data)
        if found is None:
            at += len(data) if at + len(data) >= length else len(data) - _LONGEST
            continue
        place, is_flac = at + found, data[found : found + 4] == b"fLaC"
        begins_at.append(place)
        kinds.append(is_flac)
        # What is no FLAC is not looked into.
        at = _behind_metadata(stream, place) if is_flac else length
    return list(zip(begins_at, [*begins_at[1:], length], kinds, strict=True))


def _first(data: bytes) -> int | None:
    """Return where in these bytes a file begins, the first of several."""
    places = []
    for rare, before in behind.RARE:
        place = data.find(rare, before)
        # What is rare is looked for first: a pattern of them all takes thirty times as long.
        while place >= 0 and not behind.is_met(data, place - before):
            place = data.find(rare, place + 1)
        if place >= 0:
            places.append(place - before)
    return min(places, default=None)


def _behind_metadata(stream: Any, at: int) -> int:
    """Return where the frames of a FLAC file begin: its pictures may be anything."""
    at, is_last = at + 4, False
    while not is_last:
        stream.seek(at)
        head = stream.read(4)
        if len(head) < 4:
            break
        is_last = bool(head[0] & 128)
        at += 4 + int.from_bytes(head[1:], "big")
    return at
