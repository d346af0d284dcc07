"""Sizes and times as people write them."""

import re

from gritcodec.errors import UsageError

_FACTORS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}


def parse_size(text: str) -> int:
    """Return bytes for 100kB (100,000), 1.5MB, 64KiB (65,536) or 12345.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].lower() not in _FACTORS:
        raise UsageError(f"'{text}' is not a size: write 100kB, 1.5MB or 64KiB")
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def parse_time(text: str) -> float:
    """Return seconds for 12.5, 1:00 (one minute) or 1:02:03.5.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(r"\s*(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)\s*", text)
    if match is None:
        raise UsageError(f"'{text}' is not a time: write seconds, 1:30 or 1:02:03.5")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds
