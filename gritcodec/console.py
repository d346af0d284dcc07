"""What the command line prints: results, progress, errors; and the exit codes that go with them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gritcodec.errors import AudioError, GritcodecError, UsageError

if TYPE_CHECKING:
    from gritcodec.bitstream import Header
    from gritcodec.transfer import Progress

DAMAGED = 3
EXIT_CODES = (
    "Exit codes: 0 done; 1 bad input (damaged beyond use, another model, no space ...); 2 bad use; "
    "3 done, but the input is damaged: what could be saved is written, stderr says what is lost; "
    "130 interrupted; 141 the reader of a pipe has left."
)

# Audio shorter than this is done before a progress bar could be read.
_LONG_SECONDS = 20.0
# How often a line says how far the work is where there is no terminal for a bar.
_LINE_SECONDS = 30.0


def note(text: str) -> None:
    """Print one line on stderr."""
    print("gritcodec:", " ".join(text.split()), file=sys.stderr, flush=True)


def kbps(header: Header, size: int) -> float | None:
    """Return the kilobits a second that a file of `size` bytes costs, all channels together."""
    return round(8 * size / header.seconds / 1000, 3) if header.seconds else None


def ratio(header: Header, size: int) -> float:
    """Return how many times smaller than 16-bit PCM a file of `size` bytes is."""
    return round(2 * header.channels * (header.num_samples or 0) / size, 1)


def describe_size(header: Header, size: int) -> str:
    """Say how large a file of `size` bytes is, in words."""
    rate = f"{kbps(header, size):.2f} kbps, " if header.seconds else ""
    return f"{size:,} bytes, {rate}{ratio(header, size):g} times smaller than 16-bit PCM"


def describe_seconds(seconds: float) -> str:
    """Say how long a recording is."""
    return f"{seconds:.2f} s of audio"


def describe_speed(seconds: float, took: float) -> str:
    """Say how fast something went."""
    return f"in {took:.2f} s ({seconds / max(took, 1e-9):.0f} times real time)"


def print_quality(reference: Any, degraded: Any, rate: int) -> None:
    """Print PESQ-WB and STOI of waveforms [channels, samples], where the packages for them are installed."""
    from importlib.util import find_spec

    if find_spec("pesq") is None or find_spec("pystoi") is None:
        print("PESQ-WB and STOI: pip install 'gritcodec[evaluate]' to measure them")
        return
    from gritcodec.evaluate import metrics

    measures = (("PESQ-WB", metrics.pesq_wb), ("STOI", metrics.stoi), ("ESTOI", metrics.estoi))
    for name, measure in measures:
        try:
            print(f"{name:<11}{measure(reference, degraded, rate):.3f}")
        except AudioError as error:
            print(f"{name:<11}- ({error})")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of equal length on stderr, columns aligned; the first column to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        print("  ".join(cells).rstrip(), file=sys.stderr)


@contextmanager
def progress(verb: str) -> Iterator[Progress]:
    """Give a callback that shows a bar on a terminal for long audio, and a line now and then elsewhere."""
    began = last = time.perf_counter()
    bar: Any = None
    task: Any = None

    def show(done: float, total: float | None, size: int) -> None:
        nonlocal bar, task, last
        now = time.perf_counter()
        speed = f"{done / max(now - began, 1e-9):.0f} times real time"
        if done and size:
            speed = f"{8 * size / done / 1000:.2f} kbps, {speed}"
        if sys.stderr.isatty():
            if bar is None and (total is None or total > _LONG_SECONDS):
                from rich.console import Console
                from rich.progress import Progress

                bar = Progress(console=Console(stderr=True), transient=True)
                bar.start()
                task = bar.add_task(verb, total=total)
            if bar is not None:
                bar.update(task, completed=done, description=f"{verb}, {speed}")
        elif now - last > _LINE_SECONDS:
            last = now
            of = f" of {total:,.0f}" if total is not None else ""
            print(f"gritcodec: {verb}: {done:,.0f}{of} s, {speed}", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Turn the lack of a package inside the block into a UsageError that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "gritcodec").partition(".")[0] == "gritcodec":
            raise
        raise UsageError(f"{what} needs {error.name}: pip install 'gritcodec[{extra}]'") from error


def report(error: Exception) -> int:
    """Print one line about an error and return the exit code."""
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has left. Python flushes stdout once more at its end: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    code, message = explain(error)
    print("gritcodec: error:", message, file=sys.stderr)
    return code


def explain(error: Exception) -> tuple[int, str]:
    """Return the exit code for an error, and one line about it."""
    # The parser's errors come from click, or from the copy of it inside typer: known by what they can do.
    parser_message = getattr(error, "format_message", None)
    if isinstance(error, GritcodecError):
        code, message = error.exit_code, str(error)
    elif callable(parser_message):
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        code, message = 2, f"{parser_message()}{hint}"
    elif isinstance(error, MemoryError):
        code, message = 1, "not enough memory"
    elif isinstance(error, OSError):
        code, message = 1, f"{error.filename or 'input or output'}: {error.strerror or error}"
    else:
        code, message = 1, f"this is a bug: {type(error).__name__}: {error} (--debug shows where)"
    return code, " ".join(message.split())


def open_standard_streams() -> None:
    """Point closed standard streams at nothing: the next file opened would take their number and output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))
        elif number and hasattr(stream, "reconfigure"):
            # File names need not be valid text.
            stream.reconfigure(errors="backslashreplace")
