"""WebDataset: a tar of KEY.npy (codes) and KEY.json (all else)."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gritcodec.errors import FormatError
from gritcodec.tokens import tars
from gritcodec.tokens.items import as_name
from gritcodec.tokens.layouts.rows import About, Row, about_from, reading


def names(shard: int) -> list[str]:
    """Return the names of a shard's files."""
    return [f"tokens-{shard:06d}.tar"]


def write(folder: Path, shard: int, rows: Sequence[Row], about: About) -> None:
    """Write a shard, whole or not at all."""

    def members() -> Iterator[tuple[str, bytes]]:
        for row in rows:
            kept = {name: getattr(row, name) for name in Row.__dataclass_fields__ if name != "codes"}
            kept |= {"duration": row.duration, **asdict(about)}
            # Keys end at the first dot.
            key = as_name(row.id)
            yield f"{key}.npy", tars.npy(row.codes)
            yield f"{key}.json", json.dumps(kept, ensure_ascii=False).encode()

    tars.write(folder / names(shard)[0], members())


def read(path: Path) -> tuple[About, Iterator[Row]]:
    """Read a shard; see `layouts.read_shard`."""
    rows = _rows(path)
    first = next(rows, None)
    if first is None:
        raise FormatError(f"{path} is empty")

    def all_rows() -> Iterator[Row]:
        yield first[1]
        for _, row in rows:
            yield row

    return first[0], all_rows()


def _rows(path: Path) -> Iterator[tuple[About, Row]]:
    tars.require_end(path)
    with reading(path), tarfile.open(path, "r:") as archive:
        codes = None
        for member in tars.members(archive):
            stream = archive.extractfile(member)
            data = stream.read() if stream else b""
            if member.name.endswith(".npy"):
                codes = np.load(io.BytesIO(data), allow_pickle=False)
            elif member.name.endswith(".json") and codes is not None:
                row = json.loads(data)
                kept = {name: row[name] for name in Row.__dataclass_fields__ if name != "codes"}
                yield about_from(data, path), Row(codes=codes, **kept)
                codes = None
