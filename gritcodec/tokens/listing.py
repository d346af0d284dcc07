"""Sources as people name them -> items: folders, patterns, audio files; the rest by manifests and archives."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from gritcodec.errors import UsageError
from gritcodec.sound.endings import BUILT_IN, WITH_AV, matching
from gritcodec.tokens import archives, manifests
from gritcodec.tokens.items import Item

_READERS: dict[str, Callable[[Path], Iterator[Item]]] = {
    ".tar": archives.tar_items,
    ".parquet": archives.parquet_items,
    ".jsonl": manifests.jsonl_items,
    ".jsonl.gz": manifests.jsonl_items,
    ".json": manifests.jsonl_items,
    ".tsv": manifests.table_items,
    ".csv": manifests.table_items,
    ".scp": manifests.kaldi_items,
    ".txt": manifests.list_items,
    ".lst": manifests.list_items,
}
# What can be read with PyAV alone is listed without it too: each is refused with this reason, and none is forgotten.
_SOUNDS = BUILT_IN | WITH_AV
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def items(sources: Iterable[str]) -> Iterator[Item]:
    """Yield what is to be coded, in an order that the sources alone decide; memory does not grow with it.

    Args:
        sources: folders (searched with all below them), patterns such as 'talks/**/*.wav', audio files, lists,
            manifests (.jsonl, .tsv, .csv, wav.scp, lhotse's cuts), WebDataset's tars, Parquet files.

    Raises:
        UsageError: there is no such source, nothing matches, or it is of no kind that is known.
        AudioError: an archive or manifest that cannot be read.
    """
    return chain.from_iterable(map(_of_source, sources))


def _of_source(source: str) -> Iterator[Item]:
    path = Path(source)
    if not source:
        raise UsageError("a source's name is empty; the current folder is called .")
    if path.is_dir():
        yield from _of_folder(path)
    elif path.exists():
        yield from _of_file(path)
    elif glob.has_magic(source):
        found = matching(source)
        if not found:
            raise UsageError(f"nothing matches {source}")
        # Texts beside the sound are lists only where the pattern asks for them.
        ending = _ending(path)
        wanted = {ending} if ending in _READERS else _SOUNDS
        for name in found:
            if _ending(Path(name)) in wanted and Path(name).is_file():
                yield from _of_file(Path(name))
    else:
        raise UsageError(f"there is no {source}")


def _ending(path: Path) -> str:
    name = path.name.lower()
    return ".jsonl.gz" if name.endswith(".jsonl.gz") else path.suffix.lower()


def _of_file(path: Path) -> Iterator[Item]:
    ending = _ending(path)
    if not path.is_file():
        # What comes out of a pipe cannot be found there again.
        raise UsageError(f"{path} is not a regular file")
    if path.name.lower().endswith(_COMPRESSED):
        raise UsageError(f"{path} is compressed, so that nothing in it can be found again: unpack it to .tar first")
    if ending in _READERS:
        yield from _READERS[ending](path)
    elif ending in _SOUNDS:
        yield Item(path.stem, str(path), size=path.stat().st_size)
    else:
        known = ", ".join(sorted(_READERS))
        raise UsageError(f"{path} is neither an audio file nor one of {known}, which list or hold some")


def _of_folder(folder: Path) -> Iterator[Item]:
    """Yield the audio files below a folder, by name, those of a folder before its folders; hidden ones are left out."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        # A link to a folder above would be followed for ever.
        if (here := os.path.realpath(parent)) in seen:
            folders[:] = []
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = os.path.relpath(parent, folder)
        before = "" if inside == os.curdir else f"{inside}/".replace(os.sep, "/")
        for name in sorted(names):
            stem, ending = os.path.splitext(name)  # noqa: PTH122 - a Path for each of millions is slow
            if ending.lower() in _SOUNDS and not name.startswith("."):
                path = os.path.join(parent, name)  # noqa: PTH118
                yield Item(before + stem, path, size=manifests.size_of(path))
