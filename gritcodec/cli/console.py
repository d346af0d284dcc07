"""What the command line prints: results and progress."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gritcodec import messages
from gritcodec.errors import AudioError, OutputError

if TYPE_CHECKING:
    from gritcodec.bitstream import Header
    from gritcodec.codec.settings import Progress

# Audio shorter than this is done before a progress bar could be read.
_LONG_SECONDS = 20.0
# How often a line says how far the work is where there is no terminal for a bar.
_LINE_SECONDS = 30.0
# Standard streams that were closed when the program began.
_closed: set[int] = set()


def kbps(header: Header, size: int) -> float | None:
    """Return the kilobits a second that a file of `size` bytes costs, all channels together."""
    return round(8 * size / header.seconds / 1000, 3) if header.seconds else None


def ratio(header: Header, size: int) -> float:
    """Return how many times smaller than 16-bit PCM a file of `size` bytes is; below 1 for a few samples."""
    times = 2 * header.channels * (header.num_samples or 0) / size
    return round(times, 1) if times >= 1 else float(f"{times:.2g}")


def describe_size(header: Header, size: int) -> str:
    """Say how large a file of `size` bytes is, in words."""
    if not header.seconds:
        return f"{size:,} bytes"
    # What is asked for is of each channel.
    channels = f" for {header.channels} channels" if header.channels > 1 else ""
    rate = f"{kbps(header, size):.2f} kbps{channels}"
    times = ratio(header, size)
    smaller = f"{_plain(times)} times smaller" if times >= 1 else f"{_plain(float(f'{1 / times:.2g}'))} times larger"
    return f"{size:,} bytes, {rate}, {smaller} than 16-bit PCM"


def _plain(number: float) -> str:
    """Return a number without an exponent."""
    return f"{number:,.0f}" if number >= 100_000 else f"{number:g}"


def describe_seconds(seconds: float) -> str:
    """Say how long a recording is."""
    return f"{seconds:,.2f} s of audio"


def describe_length(header: Header) -> str:
    """Say how long the recording of a whole file is, and what stands before it for the decoder alone."""
    before = header.start_trim / header.sample_rate
    more = f" (and {before:,.2f} s before it, which are decoded and not heard)" if before else ""
    return describe_seconds(header.seconds or 0.0) + more


def describe_speed(seconds: float, took: float) -> str:
    """Say how fast something went."""
    return f"in {took:.2f} s" + (f" ({times(seconds, took)})" if seconds else "")


def times(seconds: float, took: float) -> str:
    """Say how many times faster than it sounds something went, in two figures or more."""
    speed = seconds / max(took, 1e-9)
    return f"{speed:.2g} times real time" if speed < 10 else f"{speed:,.0f} times real time"


def print_quality(reference: Any, degraded: Any, rate: int) -> None:
    """Print PESQ-WB and STOI of waveforms [channels, samples], where the packages for them are installed."""
    from importlib.util import find_spec

    if not reference.shape[-1]:
        print("PESQ-WB    - (there is nothing to hear)")
        return
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


def as_json(value: Any) -> str:
    """Return JSON that standard output can hold: where it has no letters beyond ASCII, with escapes that JSON knows."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeError:
        return json.dumps(value, indent=2)
    return text


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of equal length on stderr, columns aligned; the first column to the left."""
    for line in table(rows):
        print(line, file=sys.stderr)


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; nothing that a terminal would act upon is in them."""
    rows = [[messages.visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()


@contextmanager
def progress(verb: str) -> Iterator[Progress]:
    """Give a callback that shows a bar on a terminal for long audio, and a line now and then elsewhere."""
    began = last = time.perf_counter()
    bar: Any = None
    task: Any = None

    def show(done: float, total: float | None, size: int) -> None:
        nonlocal bar, task, last
        now = time.perf_counter()
        speed = times(done, now - began)
        if done and size:
            speed = f"{8 * size / done / 1000:.2f} kbps, {speed}"
        if messages.is_quiet():
            return
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


def open_standard_streams() -> None:
    """Point closed standard streams at nothing: the next file opened would take their number and output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            _closed.add(number)
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))
        elif number and hasattr(stream, "reconfigure"):
            # File names need not be valid text.
            stream.reconfigure(errors="backslashreplace")


def require_stdout() -> None:
    """Refuse to write a result to standard output where that is closed."""
    if 1 in _closed:
        raise OutputError("standard output is closed")
