"""What every part of the program says to people on stderr: notes, errors, and the exit codes that go with them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from gritcodec.errors import GritcodecError, UsageError

DAMAGED = 3
EXIT_CODES = (
    "Exit codes: 0 done; 1 bad input (damaged beyond use, another model, no space ...); 2 bad use; "
    "3 done, but the input is damaged: what could be saved is written, stderr says what is lost; "
    "130 interrupted; 141 the reader of a pipe has left; 143 terminated."
)

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Leave out everything but errors and what is lost, or say everything again."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether nothing but errors and what is lost is to be said."""
    return _quiet


def note(text: str) -> None:
    """Print one line on stderr, unless everything is to be quiet."""
    if not _quiet:
        warn(text)


def warn(text: str) -> None:
    """Print one line on stderr about something that is lost, or failed; quiet or not."""
    print("gritcodec:", one_line(text), file=sys.stderr, flush=True)


def progress(text: str) -> None:
    """Print a line on stderr about work that goes on, unless everything is to be quiet."""
    if not _quiet:
        print(text, file=sys.stderr, flush=True)


def counted(count: int, noun: str) -> str:
    """Return how many there are of something: 1 file, 2 files."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def visible(text: str) -> str:
    """Return text in one line, control and other unprintable characters as backslash escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str) -> str:
    """Return a message in one line: its lines joined, what a terminal would act upon made visible."""
    return visible(re.sub(r"\s*[\r\n]\s*", " ", text.strip()))


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Turn the lack of a package inside the block into a UsageError that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "gritcodec").partition(".")[0] == "gritcodec":
            raise
        raise UsageError(f"{what} needs {error.name}: pip install 'gritcodec[{extra}]'") from error


@contextmanager
def about(source: object, target: object = "") -> Iterator[None]:
    """Let an error inside the block name the file it is about, `source`, unless its message names a file already."""
    try:
        yield
    except GritcodecError as error:
        said, name = str(error), "standard input" if str(source) == "-" else str(source)
        named = any(path in said for path in (name, str(target)) if len(path) > 1)
        if name and not named:
            error.args = (f"{visible(name)}: {said}",)
        raise
    except OSError as error:
        # Of what is open already the system does not say the name.
        if error.filename is None and not isinstance(error, BrokenPipeError):
            error.filename = "standard output" if str(target) == "-" else str(source) or None
        raise


@contextmanager
def native_stderr_off() -> Iterator[None]:
    """Keep what native code says in passing off the terminal: Python's own redirection does not reach it."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def report(error: Exception) -> int:
    """Print one line about an error and return the exit code."""
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has left. Python flushes stdout once more at its end: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    code, message = explain(error)
    # Whoever reads stderr may have left too: the code still tells.
    with suppress(OSError):
        print("gritcodec: error:", message, file=sys.stderr, flush=True)
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
    return code, one_line(message)
