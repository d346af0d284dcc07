"""What is typed as the value of an option: read, and offered to a shell that completes it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from gritcodec.errors import GritcodecError, UsageError
from gritcodec.units import parse_time

# Of Unix time, whose microseconds a file keeps in 64 bits.
_MOST_SECONDS = 2**63 / 1_000_000


def text(given: str) -> str:
    """Return text as it was meant: where the locale knows no UTF-8, its bytes have come as they are.

    Raises:
        UsageError: it is no UTF-8 either.
    """
    try:
        given.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(given).decode()
        except UnicodeError as error:
            raise UsageError(f"'{given}' is not UTF-8 text") from error
    return given


def tag(given: str) -> tuple[str, str]:
    """Return name and value of NAME=TEXT, with UsageError where it is not one."""
    from gritcodec.bitstream.fields import check_tags

    name, sign, value = given.partition("=")
    if not sign or not name:
        raise UsageError(f"'{given}' is not a tag: write NAME=TEXT")
    check_tags(((name, value),))
    return name, value


def mark(given: str) -> tuple[float, str]:
    """Return seconds and name of TIME=NAME, with UsageError where it is not one."""
    when, sign, name = given.partition("=")
    if not sign:
        raise UsageError(f"'{given}' is not a mark: write TIME=NAME")
    return parse_time(when), name


def start_time(given: str) -> int:
    """Return the microseconds of Unix time of `now`, seconds since 1970, or a date as in ISO 8601."""
    if given == "now":
        return time.time_ns() // 1000
    found: float | None = None
    with suppress(ValueError):
        found = float(given)
    with suppress(ValueError, OverflowError, OSError):
        found = found if found is not None else datetime.fromisoformat(given).timestamp()
    if found is None or not abs(found) < _MOST_SECONDS:
        raise UsageError(f"'{given}' is no time: write now, 2026-11-28T19:30:00Z or seconds since 1970")
    return round(found * 1_000_000)


def models(incomplete: str) -> list[str]:
    """Return the shipped models whose names begin so; nothing, and a shell offers folders."""
    from gritcodec import model_store

    return [name for name in model_store.available() if name.startswith(incomplete)]


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Return what offers a shell those of a few words that begin so."""

    def offered(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offered


def bitrates(ctx: Any, incomplete: str) -> list[str]:
    """Return the bitrates that begin so, of the model that the line names, or of the usual one."""
    from gritcodec import model_store

    name = ctx.params.get("model")
    chosen = name if isinstance(name, str) else "speech-16k"
    # Somebody is typing: a model that is not there yet is no error.
    with suppress(GritcodecError, OSError):
        rates = model_store.read(model_store.resolve(chosen)).bitrates
        return [f"{rate:g}" for rate in rates if f"{rate:g}".startswith(incomplete)]
    return []
