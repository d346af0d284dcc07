"""npz: a few plain arrays a shard, codes end to end; nothing but numpy is needed, and nothing is pickled.

`codes` [stages, frames of all], `starts` [pieces + 1] (piece k has the frames from starts[k] to starts[k + 1]), an
array [pieces] for every other field, and `about`, JSON.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gritcodec.files import atomic_output, system_errors
from gritcodec.tokens.layouts.rows import About, Row, about_from, reading
from gritcodec.tokens.tars import npy

_PLAIN = ("id", "num_samples", "sample_rate", "channels", "source")
# Not everything that is said is known; numpy has no text that is missing.
_MAYBE = ("text", "speaker")


def names(shard: int) -> list[str]:
    """Return the names of a shard's files."""
    return [f"tokens-{shard:06d}.npz"]


def write(folder: Path, shard: int, rows: Sequence[Row], about: About) -> None:
    """Write a shard, whole or not at all."""
    empty = np.zeros((about.stages, 0), about.dtype)
    arrays: dict[str, Any] = {
        "codes": np.concatenate([empty, *(row.codes for row in rows)], axis=1),
        "starts": np.cumsum([0, *(row.codes.shape[1] for row in rows)], dtype=np.int64),
        **{name: np.array([getattr(row, name) for row in rows]) for name in _PLAIN},
        "duration": np.array([row.duration for row in rows]),
        "frame_rate": np.array(about.frame_rate),
        **{name: np.array([getattr(row, name) or "" for row in rows], dtype=np.str_) for name in _MAYBE},
        **{f"has_{name}": np.array([getattr(row, name) is not None for row in rows]) for name in _MAYBE},
        "about": np.array(about.text()),
    }
    path = folder / names(shard)[0]
    with (
        atomic_output(path) as temporary,
        system_errors(path),
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, array in arrays.items():
            # numpy.savez would do, but for the names that it forces on files.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), npy(array))


def read(path: Path) -> tuple[About, Iterator[Row]]:
    """Read a shard; see `layouts.read_shard`."""
    with reading(path):
        with np.load(path, allow_pickle=False) as archive:
            held = {name: archive[name] for name in archive.files}
        about = about_from(str(held["about"]), path)
        codes, starts = held["codes"], held["starts"]

    def rows() -> Iterator[Row]:
        with reading(path):
            for k in range(len(starts) - 1):
                said: dict[str, Any] = {name: str(held[name][k]) if held[f"has_{name}"][k] else None for name in _MAYBE}
                plain: dict[str, Any] = {name: held[name][k].item() for name in _PLAIN}
                yield Row(codes=codes[:, starts[k] : starts[k + 1]], **plain, **said)

    return about, rows()
