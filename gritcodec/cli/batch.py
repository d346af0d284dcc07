"""Many files at once: folders and patterns, beside each other, what is done already left alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from gritcodec import files, messages
from gritcodec.cli.console import print_table
from gritcodec.cli.naming import Job
from gritcodec.messages import DAMAGED, explain, visible

_SECONDS_TO_TIDY = 10
# How often a file that is done is named where there is no terminal.
_LINE_SECONDS = 30.0
# Results that are not what was asked for and named one by one; of more of them the first.
_FEW = 3


@dataclass(frozen=True)
class Done:
    """What became of a job.

    Attributes:
        job: what was to be done.
        status: done, skipped, kept (skipped though another was asked for), damaged or failed.
        seconds: of audio.
        size: bytes of the .grit file.
        message: of a failure, what is damaged, what was done in another way than it was asked for, or how a result that
            is kept is another.
    """

    job: Job
    status: str
    seconds: float = 0.0
    size: int = 0
    message: str = ""


def run(
    jobs: Sequence[Job],
    work: Callable[[Job], Done],
    processes: int,
    force: bool,
    difference: Callable[[Job], str | None] = lambda _: None,
) -> int:
    """Do all jobs, print a table of what was done on stderr and return the exit code.

    Args:
        jobs: from `plan`.
        work: does one job; picklable. Its errors become rows of the table.
        processes: how many work at once.
        force: whether results that exist are made again; otherwise they are skipped.
        difference: says how a result that exists is another than what would be made; it is kept, and that is said.

    Returns:
        0, 1 where a file failed, 3 where one was damaged.
    """
    began = last = time.perf_counter()
    there = [_skipped(job, difference) for job in jobs if not force and job.target.exists()]
    todo = [job for job in jobs if force or not job.target.exists()]
    results: list[Done] = []
    with files.new_folders(*dict.fromkeys(job.target.parent for job in todo)):
        for result in _results(todo, partial(_guarded, work), processes):
            results.append(result)
            line = f"[{len(results)}/{len(todo)}] {visible(str(result.job.source))}: {result.status}"
            if result.message:
                say = messages.warn if result.status in ("damaged", "failed") else messages.note
                say(f"{line}: {result.message}")
            elif sys.stderr.isatty() or time.perf_counter() - last > _LINE_SECONDS:
                messages.note(line)
                last = time.perf_counter()
    if not messages.is_quiet():
        _say_what_was_there(there)
        _print_summary(sorted(results, key=lambda done: str(done.job.source)), there, time.perf_counter() - began)
    states = {result.status for result in results}
    return 1 if "failed" in states else DAMAGED if "damaged" in states else 0


def _skipped(job: Job, difference: Callable[[Job], str | None]) -> Done:
    other = difference(job)
    return Done(job, "skipped") if other is None else Done(job, "kept", message=other)


def _say_what_was_there(there: Sequence[Done]) -> None:
    """Say which results that were there already are not what was asked for: a few by name, of many the first."""
    kept = [done for done in there if done.status == "kept"]
    for done in kept if len(kept) <= _FEW else kept[:1]:
        others = f" (and so with {len(kept) - 1:,} others)" if len(kept) > _FEW else ""
        messages.note(
            f"{visible(str(done.job.target))}: kept, and it is {done.message}{others}: --force makes it again"
        )


def _results(jobs: Sequence[Job], work: Callable[[Job], Done], processes: int) -> Iterator[Done]:
    if processes == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    processes = min(processes, len(jobs))
    threads = max((os.cpu_count() or 1) // processes, 1)
    # Not fork: whoever calls this as a library may have threads, which do not survive it.
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
    # Of torch, should it be wanted for effort: the workers together take no more than the cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
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
        return Done(job, "failed", message=explain(error)[1].removeprefix(f"{visible(str(job.source))}: "))


def _print_summary(results: Sequence[Done], there: Sequence[Done], took: float) -> None:
    """Print a row for each file that was worked on, and a last one of them all."""
    rows = [["file", "seconds", "bytes", "kbps", "status"]] if results else []
    for done in results:
        failed = done.status == "failed"
        rate = f"{8 * done.size / done.seconds / 1000:.2f}" if done.seconds else "-"
        seconds, size = ("-", "-") if failed else (f"{done.seconds:,.1f}", f"{done.size:,}")
        rows.append([str(done.job.source), seconds, size, rate, done.status])
    counts = Counter(done.status for done in (*there, *results))
    states = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    total = f"{messages.counted(counts.total(), 'file')} in {took:.1f} s"
    if not results:
        print(f"{total}: {states} (what they become is there already; --force makes it again)", file=sys.stderr)
        return
    seconds_all, size_all = sum(done.seconds for done in results), sum(done.size for done in results)
    rate = f"{8 * size_all / seconds_all / 1000:.2f}" if seconds_all else "-"
    rows.append([total, f"{seconds_all:,.1f}", f"{size_all:,}", rate, states])
    print_table(rows)
