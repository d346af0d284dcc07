"""Sources to shards: plans, has the shards made on one machine or by Ray, and sums up."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from gritcodec import messages
from gritcodec.errors import GritcodecError, UsageError
from gritcodec.files import PathLike
from gritcodec.tokens import layouts, listing, summary
from gritcodec.tokens.plan import Folder, Sizes, Task
from gritcodec.tokens.reading import check_channels
from gritcodec.tokens.shards import Coder, Maker, Setup

# A shard at which workers die so many times in a row is not tried again.
_DEATHS = 3

Told = Callable[[dict[str, Any]], None]


def tokenize(
    sources: Iterable[str],
    out: PathLike,
    setup: Setup | None = None,
    layout: str = "parquet",
    sizes: Sizes | None = None,
    jobs: int = 1,
    ray: str | None = None,
    retry: bool = False,
    told: Told | None = None,
) -> summary.Summary:
    """Code all that sources hold into a folder of shards; what is done already stays.

    Args:
        sources: as in `listing.items`.
        out: the folder.
        setup: what codes are made by.
        layout: one of `layouts.LAYOUTS`.
        sizes: of the shards that are new.
        jobs: processes that work at once; with Ray, actors, 0 for as many as there are cores.
        ray: the address of a cluster, `auto`, or `local` for one on this machine alone; None: no Ray.
        retry: whether shards in which something was refused are made again.
        told: called with the record of each shard as it is done.

    Raises:
        UsageError: no such source, model, bitrate or layout, or the layout's package is not installed; `out` holds
            something else, or codes of another model, or another run is at work there.
        OutputError: a shard cannot be written.
    """
    setup, folder = setup or Setup(), Folder(out)
    if jobs < 0 or (jobs == 0 and ray is None):
        raise UsageError(f"--jobs must be 1 or more, not {jobs}")
    check_channels(setup.mixing)
    began = time.perf_counter()
    coder = Coder(setup)
    names = layouts.layout(layout).names
    layouts.require(layout)
    if ray is not None:
        from gritcodec.tokens import cluster

        cluster.require_somebody(ray)
    given = _peeked(listing.items(sources))
    folder.begin(layout, coder.about)
    with folder.alone():
        folder.plan(given, sizes or Sizes())
        tasks = folder.tasks(names, retry)
        made = summary.Made()
        for record in _made(folder, setup, tasks, jobs, ray):
            made.add(record)
            if told is not None:
                told(record)
        found = summary.sum_up(folder, made, time.perf_counter() - began)
        summary.write(folder, found)
    return found


def _peeked(found: Iterator[Any]) -> Iterator[Any]:
    """Look at the first item, so that a slip in a name is told before a folder is made."""
    first = next(found, None)
    if first is None:
        raise UsageError("there is no sound in these sources; of a folder name lists and archives: 'FOLDER/*.tar'")

    def whole() -> Iterator[Any]:
        yield first
        yield from found

    return whole()


def _made(folder: Folder, setup: Setup, tasks: Sequence[Task], jobs: int, ray: str | None) -> Iterator[dict[str, Any]]:
    if not tasks:
        return
    if len(tasks) < jobs:
        smaller = "smaller ones (--shard-items), in a new folder, are work for all"
        messages.note(f"{len(tasks)} shards to make are work for {len(tasks)} of {jobs} workers: {smaller}")
    if ray is not None:
        from gritcodec.tokens import cluster

        yield from cluster.made(str(folder.path.resolve()), setup, tasks, ray, jobs)
    elif jobs == 1 or len(tasks) == 1:
        maker = Maker(str(folder.path), setup)
        yield from map(maker.make, tasks)
    else:
        yield from _beside(folder, setup, tasks, jobs)


def _beside(folder: Folder, setup: Setup, tasks: Sequence[Task], jobs: int) -> Iterator[dict[str, Any]]:
    """Make shards in processes; those that were lost with one that died are made again."""
    left = dict.fromkeys(tasks, 0)
    while left:
        try:
            for task, record in _pool(folder, setup, list(left), min(jobs, len(left))):
                del left[task]
                yield record
        except BrokenProcessPool:
            # Which of those in flight it was, nobody knows; they are the first that are left.
            for task in list(left)[:jobs]:
                left[task] += 1
            unlucky = [task.shard for task, deaths in left.items() if deaths >= _DEATHS]
            if unlucky:
                numbers = ", ".join(map(str, unlucky))
                raise GritcodecError(
                    f"workers died {_DEATHS} times at shards {numbers}: is there memory enough? "
                    "The same command goes on from here"
                ) from None


def _pool(folder: Folder, setup: Setup, tasks: list[Task], jobs: int) -> Iterator[tuple[Task, dict[str, Any]]]:
    # Not fork: whoever calls this as a library may have threads, which do not survive it.
    context = multiprocessing.get_context("spawn")
    waiting = iter(tasks)
    running: dict[Future[dict[str, Any]], Task] = {}
    pool = ProcessPoolExecutor(jobs, context, _start, (str(folder.path), setup, max((os.cpu_count() or 1) // jobs, 1)))
    try:
        # No more than the workers have at hand: millions of futures would be kept otherwise.
        while True:
            while len(running) < 2 * jobs and (task := next(waiting, None)) is not None:
                running[pool.submit(_make, task)] = task
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
        pool.shutdown()
    except BaseException:
        _end(pool)
        raise


def _end(pool: ProcessPoolExecutor) -> None:
    """Have the workers leave by way of what tidies up, without waiting for their shards."""
    for process in (getattr(pool, "_processes", None) or {}).values():
        if process.is_alive():
            process.terminate()
    pool.shutdown(wait=False, cancel_futures=True)


class _Worker:
    """What a process of the pool keeps."""

    maker: Maker | None = None
    busy = False


def _start(folder: str, setup: Setup, threads: int) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    # Ctrl-C reaches all processes: the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_leave_with_the_first, daemon=True).start()
    _Worker.maker = Maker(folder, setup)


def _leave_with_the_first() -> None:
    """End this process when the one that began it was killed: it would wait for work for ever."""
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _leave(number: int, _: object) -> None:
    if _Worker.busy:
        # By way of what removes temporary files.
        sys.exit(128 + number)
    # The pool takes any exception for a result, and would wait for ever for a lock that a killed process held.
    os._exit(128 + number)


def _make(task: Task) -> dict[str, Any]:
    assert _Worker.maker is not None
    _Worker.busy = True
    try:
        return _Worker.maker.make(task)
    except SystemExit as end:
        os._exit(int(end.code or 0))
    finally:
        _Worker.busy = False
