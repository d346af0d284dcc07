"""What a corpus consists of: one piece of sound a line, where it lies and what is said in it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from typing import Any

FILE, TAR, PARQUET, ARK = "file", "tar", "parquet", "ark"


@dataclass(frozen=True)
class Item:
    """One piece of sound.

    Attributes:
        id: what the corpus calls it, unlike all others.
        source: path of the file, or of the archive that it lies in.
        kind: what lies there: `file`, `tar`, `parquet` or `ark` (a RIFF file somewhere inside another file).
        member: its name in the archive.
        place: in a tar, offset and size in bytes; in Parquet, row group and row; in an ark, the offset.
        column: of Parquet.
        start: where it begins in the file, seconds.
        duration: seconds; None: to the end.
        channel: the one wanted; None: as the run says.
        text: its transcript.
        speaker: whose voice it is.
        size: bytes of the source that it takes, roughly.
        given: the id that a manifest gives; empty where it was made of a path. Sound that is listed under two is
            wanted twice.
        problem: why it cannot be read, where that is known beforehand.
    """

    id: str
    source: str
    kind: str = FILE
    member: str = ""
    place: tuple[int, ...] = ()
    column: str = ""
    start: float = 0.0
    duration: float | None = None
    channel: int | None = None
    text: str | None = None
    speaker: str | None = None
    size: int = 0
    given: str = ""
    problem: str | None = None

    @property
    def shown(self) -> str:
        """Where it lies, for people."""
        return f"{self.source}/{self.member}" if self.member else self.source

    @property
    def is_whole(self) -> bool:
        """Whether all of the file is meant."""
        return not self.start and self.duration is None

    def plain(self) -> dict[str, Any]:
        """Return it as a dict for JSON; what is as usual is left out."""
        return {name: value for name, value in asdict(self).items() if value != _USUAL.get(name, ...)}

    def identity(self, base: str) -> int:
        """Return a number of 64 bits for the place of the sound; `base`: what relative paths are relative to."""
        path = os.path.normpath(os.path.join(base, self.source))  # noqa: PTH118 - a Path is ten times slower
        parts = (path, self.kind, self.member, self.place, self.column, self.start, self.duration, self.channel)
        return short_hash(repr((*parts, self.given) if self.given else parts))


_USUAL = {field.name: field.default for field in fields(Item) if field.name not in ("id", "source")}


def from_plain(data: dict[str, Any]) -> Item:
    """Return the item of a dict from `Item.plain`."""
    return Item(**{**data, "place": tuple(data.get("place", ()))})


def short_hash(text: str) -> int:
    """Return 64 bits of a text's hash."""
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def storable(text: str) -> str:
    """Return text that every layout holds: what is no Unicode (names of files, JSON's escapes), and NUL, as escapes."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def as_name(identity: str) -> str:
    """Return an id as a file's name: relative, without dots in its last part, nothing that leads out of a folder."""
    parts = ["".join("_" if c in '\\:*?"<>|' or ord(c) < 32 else c for c in part) for part in identity.split("/")]
    kept = [part for part in parts if part not in ("", ".", "..")] or ["_"]
    kept[-1] = kept[-1].replace(".", "_")
    return "/".join(kept)
