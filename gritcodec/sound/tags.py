"""What a recording says about itself: names as Vorbis comments have them, in lower case; chapters as marks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gritcodec.bitstream.fields import MAX_EXTRA_BYTES, is_new_tag
from gritcodec.containers import comments

Pairs = list[tuple[str, str]]
# Of what a header has room for; the rest is for what is given by hand.
_MOST_BYTES = MAX_EXTRA_BYTES // 4
_MOST_MARK_BYTES = 200
# What a tag takes beside its texts, at most.
_FIELD_BYTES = 8
# Names that other formats have for the same; None: of the encoder, of pictures, or what only that file is about.
_NAMES: dict[str, str | None] = {
    "track": "tracknumber",
    "year": "date",
    "creation_time": "date",
    "description": "comment",
    "comments": "comment",
    "encoder": None,
    "software": None,
    "encoded_by": None,
    "major_brand": None,
    "minor_version": None,
    "compatible_brands": None,
    "vendor_id": None,
    "handler_name": None,
    "itunsmpb": None,
    "metadata_block_picture": None,
    "coverart": None,
    "waveformatextensible_channel_mask": None,
    "duration": None,
    "wm/encodingsettings": None,
    "wmfsdkversion": None,
    "wmfsdkneeded": None,
    "isvbr": None,
}
# mkvmerge's word about the track it wrote, which is another one now.
_NAMES |= dict.fromkeys(("bps", "number_of_frames", "number_of_bytes", "_statistics_tags"))
_NAMES |= dict.fromkeys(("_statistics_writing_app", "_statistics_writing_date_utc"))
# Of a file's bytes what tags may take, which stand in it twice; so much text may be there in any.
_SHARE, _COPIES, _ALWAYS_BYTES = 0.05, 2, 256
_CHAPTER = re.compile(r"CHAPTER(\d+)(NAME)?", re.IGNORECASE)


def cleaned(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """Return the tags that a .grit file can hold and that still hold for it, each once, in order."""
    found: Pairs = []
    room = _MOST_BYTES
    for name, value in pairs:
        key = _NAMES.get(name.lower().strip(), name.lower().strip())
        # Text that is no text is kept as far as it can be.
        value = value.encode("utf-8", "replace").decode().strip("\0 \r\n")
        if key is None or not value or key.startswith("itun") or (key, value) in found or not is_new_tag(key, value):
            continue
        cost = _cost((key, value))
        if cost <= room and (key, value) != ("language", "und"):
            room -= cost
            found.append((key, value))
    return found


def affordable(pairs: Pairs, file_bytes: float) -> tuple[Pairs, Pairs]:
    """Return the tags that a file of so many bytes has room for, and those that it has not, the longest.

    Sound pays for them: lyrics of nine kilobytes would be three quarters of a minute of speech.
    """
    room = max(file_bytes * _SHARE / _COPIES, _ALWAYS_BYTES)
    kept = set[tuple[str, str]]()
    for pair in sorted(pairs, key=_cost):
        room -= _cost(pair)
        if room >= 0:
            kept.add(pair)
    return [pair for pair in pairs if pair in kept], [pair for pair in pairs if pair not in kept]


def _cost(pair: tuple[str, str]) -> int:
    return sum(len(text.encode()) for text in pair) + _FIELD_BYTES


def merged(given: Sequence[tuple[str, str]], carried: Pairs) -> Pairs:
    """Return tags that were given, and those of the recording whose names are not among them."""
    names = {name.lower() for name, _ in given}
    return [*given, *((name, value) for name, value in carried if name.lower() not in names)]


def short_name(name: str) -> str:
    """Return the name of a chapter as it can be kept."""
    data = " ".join(name.encode("utf-8", "replace").decode().split()).encode()
    return data[:_MOST_MARK_BYTES].decode("utf-8", "ignore")


def chapters(pairs: Pairs) -> tuple[Pairs, list[tuple[float, str]]]:
    """Return tags without those that are chapters (CHAPTER001=00:01:02.5, CHAPTER001NAME=...), and the chapters."""
    places: dict[str, float] = {}
    names: dict[str, str] = {}
    rest: Pairs = []
    for name, value in pairs:
        match = _CHAPTER.fullmatch(name)
        time = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", value.strip()) if match and not match[2] else None
        if match and match[2]:
            names[match[1]] = value
        elif match and time:
            places[match[1]] = 3600 * int(time[1]) + 60 * int(time[2]) + float(time[3])
        else:
            rest.append((name, value))
    return rest, sorted((seconds, names.get(number, "")) for number, seconds in places.items())


def flac_comments(data: bytes) -> Pairs:
    """Return the Vorbis comments of a FLAC file of which `data` is the beginning."""
    at = 4
    while data[:4] == b"fLaC" and at + 4 <= len(data):
        kind, size = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
        if kind & 127 == 4:
            return list(comments.pairs(data[at + 4 : at + 4 + size]))
        at += 4 + size
        if kind & 128:
            break
    return []


def chapter_comments(chapters: Iterable[tuple[float, str]]) -> Pairs:
    """Return chapters (seconds, name) as Vorbis comments have them."""
    pairs: Pairs = []
    for number, (seconds, name) in enumerate(sorted(chapters), 1):
        milliseconds = round(1000 * seconds)
        hours, rest = divmod(milliseconds, 3_600_000)
        minutes, rest = divmod(rest, 60_000)
        pairs.append((f"chapter{number:03}", f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"))
        pairs.append((f"chapter{number:03}name", name))
    return pairs
