"""What the recipes that pack a corpus share: its files, its progress, its worker processes. Knows no torch.

A packed corpus is a folder with audio.int16 (or several such files), manifest.jsonl with a line for each piece of
audio, refused.jsonl with a line for each refused clip, and summary.json, which is written last.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from gritcodec.errors import GritcodecError

AUDIO = "audio.int16"
MANIFEST = "manifest.jsonl"
REFUSED = "refused.jsonl"
SUMMARY = "summary.json"


class RecipeError(GritcodecError):
    """Something the user of a recipe has to know, in one line."""


class Progress:
    """One line on stderr: rewritten in place on a terminal, a new one every ten seconds otherwise."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        print(("\r\033[K" if self._terminal else "") + text, file=sys.stderr, flush=True)

    def tick(self, label: str, done: int, total: int, more: str = "") -> None:
        """Tell how far a long step has come."""
        now = time.monotonic()
        if now - self._shown < (0.1 if self._terminal else 10.0):
            return
        self._shown = now
        text = f"{label}: {done}/{total}{more}"
        print(f"\r\033[K{text}" if self._terminal else text, end="" if self._terminal else "\n", file=sys.stderr)
        sys.stderr.flush()


def exit_code(name: str, work: Callable[[], None]) -> int:
    """Do the work of the command `name`; what the user has to know becomes one line on stderr.

    Returns:
        0 when it is done, 1 when something is wrong, 130 after Ctrl-C.
    """
    try:
        work()
    except (RecipeError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


def run_program(command: Sequence[str], missing: str, cwd: Path | None = None, shown: str = "") -> None:
    """Run a program that a recipe needs.

    Args:
        command: its name and arguments.
        missing: what to do when it is not on this machine.
        cwd: where it runs.
        shown: names the command in the error, where all of it would be too long.

    Raises:
        RecipeError: there is no such program, or it fails.
    """
    if shutil.which(command[0]) is None:
        raise RecipeError(f"{command[0]} is not on this machine: {missing}")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise RecipeError(f"{shown or ' '.join(command)}: {said[-1]}")


def fingerprint(*parts: Any) -> str:
    """Return a short digest of plain data."""
    text = json.dumps(parts, sort_keys=True, default=dataclasses.asdict)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def fresh_folder(path: Path) -> Path:
    """Return `path` as a new, empty folder, without what an interrupted run left there."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def write_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name, then give it its own."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def finished(out: Path, key: str) -> dict[str, Any] | None:
    """Return the summary of the corpus in `out` when it was made, to the end, from what `key` stands for."""
    try:
        summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
        same = summary["fingerprint"] == key and (out / MANIFEST).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return summary if same else None


@contextlib.contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Keep a second run out of a folder; the lock goes away with the process, however that ends.

    Raises:
        RecipeError: another run is at work there.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecipeError(f"another run is at work in {folder}: wait for it, or choose another folder") from error
        yield


@contextlib.contextmanager
def worker_pool(jobs: int, start: Callable[..., None] | None = None, *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """Give processes that leave Ctrl-C to their parent and end when it does.

    Args:
        jobs: how many.
        start: called with `arguments` at the start of each.

    Raises:
        RecipeError: one of them died, usually for want of memory.
    """
    pool = ProcessPoolExecutor(jobs, initializer=_start_worker, initargs=(os.getpid(), start, arguments))
    try:
        yield pool
    except BrokenExecutor as error:
        raise RecipeError("a converting process died (out of memory?); try fewer --jobs") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(parent: int, start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    if start:
        start(*arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # each worker would print a traceback otherwise

    def leave_with_parent() -> None:
        # A killed parent cannot end its workers, and they hold its lock: the next run would wait for them for ever.
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
