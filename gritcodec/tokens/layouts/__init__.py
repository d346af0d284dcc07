"""Shards on disk, by the conventions that people load; all of them hold the same.

A layout is a module with `names` (the files of a shard), `write` and `read`. Written twice, a shard has the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from gritcodec.errors import UsageError
from gritcodec.files import PathLike, require_file
from gritcodec.messages import needing
from gritcodec.tokens.layouts.rows import About, Row

LAYOUTS = ("parquet", "webdataset", "lhotse", "npz")


def layout(name: str) -> Any:
    """Return the module of a layout.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in LAYOUTS:
        raise UsageError(f"no format '{name}'; there are {', '.join(LAYOUTS)}")
    return import_module(f"gritcodec.tokens.layouts.{name}")


def require(name: str) -> None:
    """Look for the package that a layout's shards are written with, before a folder is begun for it.

    Raises:
        UsageError: it is not installed.
    """
    if name == "parquet":
        with needing("tokens", "the format parquet"):
            import_module("pyarrow")


def is_shard(path: Path) -> bool:
    """Whether a file's name is a shard's, of any layout."""
    return _layout_of(path) is not None


def read_shard(path: PathLike) -> tuple[About, Iterator[Row]]:
    """Read a shard of any layout.

    Args:
        path: of a shard; of lhotse's two files, the one with the cuts.

    Returns:
        What all its rows have in common, and the rows.

    Raises:
        UsageError: there is no such file, or its name is no shard's.
        FormatError: it is damaged, or holds no codes of gritcodec.
    """
    require_file(path)
    name = _layout_of(Path(path))
    if name is None:
        raise UsageError(f"{path} is no shard: tokens-N.parquet, .tar or .npz, or cuts.N.jsonl.gz")
    return layout(name).read(Path(path))


def _layout_of(path: Path) -> str | None:
    if re.fullmatch(r"codes\.\d+\.tar", path.name):
        # It goes with a file of cuts.
        return None
    if re.fullmatch(r"cuts\.\d+\.jsonl\.gz", path.name):
        return "lhotse"
    return {".parquet": "parquet", ".npz": "npz", ".tar": "webdataset"}.get(path.suffix)
