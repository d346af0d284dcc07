"""What callers of the library give: numbers of Python, numpy and torch alike, and one clear line where it is none."""

from __future__ import annotations

import operator
from typing import Any

from gritcodec.errors import UsageError


def whole(value: Any, what: str) -> int:
    """Return a whole number that may have come as another type: of numpy or torch, or a float like 16000.0.

    Raises:
        UsageError: it is none; the message calls it `what`.
    """
    if not isinstance(value, bool | str | bytes):
        try:
            return operator.index(_alone(value))
        except TypeError:
            found = number(value, what)
            if found.is_integer():
                return int(found)
    raise UsageError(f"{what} must be a whole number, not {value!r}")


def as_bytes(value: Any) -> bytes:
    """Return the bytes of anything that is made of them.

    Raises:
        UsageError: it is not.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise UsageError(f"bytes are needed, not {type(value).__name__}")


def number(value: Any, what: str) -> float:
    """Return a number that may have come as another type, of numpy or torch.

    Raises:
        UsageError: it is none; the message calls it `what`.
    """
    if not isinstance(value, bool | str | bytes):
        try:
            return float(_alone(value))
        except (TypeError, ValueError, OverflowError, RuntimeError):
            pass
    raise UsageError(f"{what} must be a number, not {value!r}")


def _alone(value: Any) -> Any:
    """Return the only element of an array or tensor that has one, whatever its shape."""
    size = getattr(value, "numel", None) or getattr(value, "size", None)
    count = size() if callable(size) else size
    return value.item() if count == 1 and hasattr(value, "item") else value
