"""Converted clips of each source, kept between runs so that only what changed is converted again."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sources import Source, Spec

from gritcodec.train.clips import Clip, convert
from gritcodec.train.packing import RecipeError, fingerprint, fresh_folder, worker_pool

STORE_VERSION = 1  # raise it when clips.py makes other samples out of the same file
SAMPLES = "clips.int16"
RECORDS = "clips.jsonl"


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known of one clip; `offset` and `samples` point into clips.int16, `samples` is 0 if refused."""

    path: str
    digest: str
    seconds: float
    offset: int
    samples: int
    reason: str | None
    detail: str


class ClipStore:
    """The clips of one source in a folder of their own.

    The folder's name carries a digest of all that decides about its content; it appears only when whole.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def records(self) -> Iterator[Record]:
        """Yield the clips in the order of their paths, refused ones included."""
        with (self.folder / RECORDS).open(encoding="utf-8") as lines:
            for line in lines:
                yield Record(**json.loads(line))

    def samples(self) -> npt.NDArray[np.int16]:
        """Return all samples of the store, [samples] of int16, mapped from the disk."""
        file = self.folder / SAMPLES
        if file.stat().st_size == 0:  # an empty file cannot be mapped
            return np.zeros(0, "<i2")
        return np.memmap(file, dtype="<i2", mode="r")


def build_store(
    source: Source,
    deb: Path,
    root: Path,
    spec: Spec,
    folder: Path,
    jobs: int,
    report: Callable[[int, int], None],
) -> ClipStore:
    """Convert the clips of one source, or find them converted.

    Args:
        source: what to take.
        deb: the package file; its name and size tell versions apart.
        root: where the package is unpacked.
        spec: rate, checks and level.
        folder: parent of all stores.
        jobs: processes at work.
        report: called with (clips done, clips in all).

    Returns:
        The complete store.

    Raises:
        RecipeError: when the globs match no file, or reach a reserved one.
    """
    paths = source.select(root)
    if not paths:
        raise RecipeError(f"source {source.name}: no file of {deb.name} matches {', '.join(source.include)}")
    key = fingerprint(
        STORE_VERSION,
        deb.name,
        deb.stat().st_size,
        spec.rate,
        spec.checks,
        spec.level,
        source.include,
        source.exclude,
    )
    final = folder / f"{source.name}-{key}"
    if final.is_dir():
        return ClipStore(final)
    partial = fresh_folder(folder / f"{final.name}.partial")
    try:
        _fill(partial, paths, root, spec, jobs, report)
        partial.replace(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ClipStore(final)


def _fill(
    folder: Path, paths: list[str], root: Path, spec: Spec, jobs: int, report: Callable[[int, int], None]
) -> None:
    offset = 0
    with (folder / SAMPLES).open("wb") as audio, (folder / RECORDS).open("w", encoding="utf-8") as lines:
        for done, clip in enumerate(_convert_all(paths, root, spec, jobs), 1):
            samples = len(clip.pcm) // 2
            record = Record(clip.path, clip.digest, clip.seconds, offset, samples, clip.reason, clip.detail)
            audio.write(clip.pcm)
            lines.write(json.dumps(dataclasses.asdict(record), ensure_ascii=False) + "\n")
            offset += samples
            report(done, len(paths))


def _convert_all(paths: list[str], root: Path, spec: Spec, jobs: int) -> Iterator[Clip]:
    """Yield the clips in the order of `paths`: the corpus must not depend on the number of processes."""
    work = functools.partial(convert, root, target_rate=spec.rate, checks=spec.checks, level=spec.level)
    if jobs == 1 or len(paths) < 32:  # starting processes would take longer than the work
        yield from map(work, paths)
        return
    with worker_pool(jobs) as pool:
        yield from pool.map(work, paths, chunksize=16)
