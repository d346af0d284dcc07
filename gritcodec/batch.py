"""Many files at once: folders and patterns, beside each other, what is done already left alone."""

from __future__ import annotations

import glob
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gritcodec.console import DAMAGED, explain, print_table
from gritcodec.errors import UsageError

AUDIO_ENDINGS = frozenset([".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"])
GRIT_ENDINGS = frozenset({".grit"})
_SECONDS_TO_TIDY = 10


@dataclass(frozen=True)
class Job:
    """One file to make from another."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Done:
    """What became of a job.

    Attributes:
        job: what was to be done.
        status: done, skipped, damaged or failed.
        seconds: of audio.
        size: bytes of the .grit file.
        message: of a failure, or what is damaged.
    """

    job: Job
    status: str
    seconds: float = 0.0
    size: int = 0
    message: str = ""


def is_batch(sources: Sequence[Path], target: Path | None) -> bool:
    """Whether arguments name more than one file to read, or a folder to write to."""
    return (
        len(sources) > 1
        or any(source.is_dir() or _is_pattern(source) for source in sources)
        or (target is not None and target.is_dir())
    )


def plan(sources: Sequence[Path], target: Path | None, endings: frozenset[str], new_ending: str) -> list[Job]:
    """Return what is to be done.

    Args:
        sources: files, folders (searched with all below them) and patterns such as 'talks/**/*.wav'.
        target: the folder for the results, created when it is missing; None: beside the sources.
        endings: of the files to take out of folders, in lower case.
        new_ending: of the results.

    Raises:
        UsageError: nothing matches, a target that is a file, or two sources for one result.
    """
    if target is not None and target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file: several results need a folder")
    jobs: dict[Path, Job] = {}
    for source, base in _found(sources, endings):
        folder = source.parent if target is None else target / source.parent.relative_to(base)
        job = Job(source, folder / f"{source.stem}{new_ending}")
        if job.target in jobs and jobs[job.target].source != source:
            raise UsageError(f"{jobs[job.target].source} and {source} would both become {job.target}")
        jobs[job.target] = job
    if not jobs:
        raise UsageError(f"no {'/'.join(sorted(endings))} files in {', '.join(map(str, sources))}")
    return list(jobs.values())


def run(jobs: Sequence[Job], work: Callable[[Job], Done], processes: int, force: bool) -> int:
    """Do all jobs, print a table of them on stderr and return the exit code.

    Args:
        jobs: from `plan`.
        work: does one job; picklable. Its errors become rows of the table.
        processes: how many work at once.
        force: whether results that exist are made again; otherwise they are skipped.

    Returns:
        0, 1 where a file failed, 3 where one was damaged.
    """
    if processes < 1:
        raise UsageError(f"--jobs must be 1 or more, not {processes}")
    began = time.perf_counter()
    skipped = [Done(job, "skipped") for job in jobs if not force and job.target.exists()]
    todo = [job for job in jobs if force or not job.target.exists()]
    for folder in {job.target.parent for job in todo}:
        folder.mkdir(parents=True, exist_ok=True)
    results = [*skipped]
    for number, result in enumerate(_results(todo, partial(_guarded, work), processes), start=1):
        results.append(result)
        if sys.stderr.isatty() or result.message:
            text = f": {result.message}" if result.message else ""
            print(f"gritcodec: [{number}/{len(todo)}] {result.job.source}: {result.status}{text}", file=sys.stderr)
    _print_summary(sorted(results, key=lambda done: str(done.job.source)), time.perf_counter() - began)
    states = {result.status for result in results}
    return 1 if "failed" in states else DAMAGED if "damaged" in states else 0


def _is_pattern(path: Path) -> bool:
    return not path.exists() and glob.has_magic(str(path))


def _found(sources: Sequence[Path], endings: frozenset[str]) -> Iterator[tuple[Path, Path]]:
    """Yield files, and the folder to which their place in the results is relative."""
    for source in sources:
        if source.is_dir():
            yield from ((f, source) for f in sorted(source.rglob("*")) if f.suffix.lower() in endings and f.is_file())
        elif _is_pattern(source):
            # The pattern may be an absolute path, which Path.glob refuses.
            files = sorted(map(Path, glob.glob(str(source), recursive=True)))  # noqa: PTH207
            yield from ((f, f.parent) for f in files if f.suffix.lower() in endings and f.is_file())
        else:
            yield source, source.parent


def _results(jobs: Sequence[Job], work: Callable[[Job], Done], processes: int) -> Iterator[Done]:
    if processes == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    processes = min(processes, len(jobs))
    threads = max((os.cpu_count() or 1) // processes, 1)
    # Not fork: torch's threads do not survive it.
    pool = multiprocessing.get_context("spawn").Pool(processes, _start_worker, (threads,))
    try:
        yield from pool.imap_unordered(work, jobs)
        # Workers end by themselves: a signal that meets one on its way out can be lost, and the pool waits for ever.
        pool.close()
    except BaseException:
        pool.terminate()
        raise
    finally:
        pool.join()


def _start_worker(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    # Ctrl-C reaches all processes: the first one ends the others, so that temporary files are removed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_worker)


def _end_worker(received: int, _: object) -> None:
    """Leave by way of everything that tidies up; where the exception is lost, the process ends seconds later anyway."""
    if hasattr(signal, "alarm"):
        signal.alarm(_SECONDS_TO_TIDY)
    sys.exit(128 + received)


def _guarded(work: Callable[[Job], Done], job: Job) -> Done:
    try:
        return work(job)
    except Exception as error:
        return Done(job, "failed", message=explain(error)[1])


def _print_summary(results: Sequence[Done], took: float) -> None:
    rows = [["file", "seconds", "bytes", "kbps", "status"]]
    for done in results:
        rate = f"{8 * done.size / done.seconds / 1000:.2f}" if done.seconds else "-"
        rows.append([str(done.job.source), f"{done.seconds:.1f}", f"{done.size:,}", rate, done.status])
    seconds, size = sum(done.seconds for done in results), sum(done.size for done in results)
    rate = f"{8 * size / seconds / 1000:.2f}" if seconds else "-"
    counts: dict[str, Any] = {}
    for done in results:
        counts[done.status] = counts.get(done.status, 0) + 1
    states = ", ".join(f"{count} {status}" for status, count in counts.items())
    rows.append([f"{len(results)} files in {took:.1f} s", f"{seconds:.1f}", f"{size:,}", rate, states])
    print_table([[cell.encode(errors="backslashreplace").decode() for cell in row] for row in rows])
