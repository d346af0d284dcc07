"""Bitrates, rates, sizes and times as people write them: with a unit, with the k of thousands, or bare."""

import math
import re

from gritcodec.errors import UsageError

# The unit left out is bytes: 3k is 3,000 of them.
_SIZES = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}
_KBPS = {"": 1.0, "k": 1.0, "m": 1000.0}
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_WORDS = {"hours": "h", "hour": "h", "hr": "h", "minutes": "m", "minute": "m", "min": "m", "mins": "m"}
_WORDS |= {"seconds": "s", "second": "s", "sec": "s", "secs": "s", "msec": "ms"}
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"


def parse_bitrate(text: str) -> float:
    """Return kbps, of 1000 bits a second, for 3, 1.5, 3k, 6kbps, 6 kbit/s or 6000bps.

    Raises:
        UsageError: it is none of these.
    """
    # A capital B is of bytes, which no bitrate here is. A number alone is of kilobits; with a unit and no k, of bits.
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([kKmM]?)((?i:bps|bits?/s|bits?)|b|b/s)?\s*", text)
    if match is None:
        raise UsageError(f"'{text}' is not a bitrate: write kilobits a second, as in 3, 1.5 or 6kbps")
    prefix, unit = match[2].lower(), match[3]
    return float(match[1]) * (0.001 if unit and not prefix else _KBPS[prefix])


def parse_rate(text: str) -> int:
    """Return Hz for 16000, 16k, 44.1kHz or 48000 Hz.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(rf"\s*({_NUMBER})\s*(k?)(?:hz)?\s*", text, re.IGNORECASE)
    found = float(match[1]) * (1000 if match[2] else 1) if match else math.nan
    # 44.1 kHz is 44,100 Hz, whatever binary fractions make of it.
    if not math.isclose(found, round(found) if math.isfinite(found) else 0.0):
        raise UsageError(f"'{text}' is not a sampling rate: write 16000, 16k or 44.1kHz")
    return round(found)


def parse_size(text: str) -> int:
    """Return bytes for 100kB (100,000), 100k, 1.5MB, 64KiB (65,536) or 12345.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([kmg]?i?)(?:b|bytes?)?\s*", text, re.IGNORECASE)
    if match is None or match[2].lower() not in _SIZES:
        raise UsageError(f"'{text}' is not a size: write 3k, 100kB, 1.5MB or 64KiB")
    return int(float(match[1]) * _SIZES[match[2].lower()])


def parse_time(text: str) -> float:
    """Return seconds for 12.5, 90s, 1:00 (one minute), 1:02:03.5, 2min, 1m30s or 500ms.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(rf"\s*(?:(?:(\d+):)?(\d+):)?({_NUMBER})\s*", text)
    if match is not None:
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return 3600 * hours + 60 * minutes + seconds
    parts = re.findall(rf"({_NUMBER})\s*([a-z]+)\s*", text.lower())
    units = [_WORDS.get(unit, unit) for _, unit in parts]
    order = [list(_SECONDS).index(unit) if unit in _SECONDS else -1 for unit in units]
    whole = re.fullmatch(rf"\s*(?:(?:{_NUMBER})\s*[a-z]+\s*)+", text.lower())
    # Each unit once, the large ones first, as in 1h02m03.5s.
    if whole is None or -1 in order or sorted(set(order)) != order:
        raise UsageError(f"'{text}' is not a time: write seconds, 1:30, 1:02:03.5 or 1m30s")
    return math.fsum(float(number) * _SECONDS[unit] for (number, _), unit in zip(parts, units, strict=True))


def parse_minutes(text: str) -> float:
    """Return minutes for 90 (of minutes), 1.5, 90s, 2h or 1h30m.

    Raises:
        UsageError: it is none of these.
    """
    if re.fullmatch(rf"\s*(?:{_NUMBER})\s*", text):
        return float(text)
    if ":" in text:
        raise UsageError(f"'{text}' may be hours or minutes: write minutes, 90s or 1h30m")
    return parse_time(text) / 60


def parse_gain(text: str) -> float:
    """Return decibels for 3, -1.5 or -1.5dB.

    Raises:
        UsageError: it is none of these.
    """
    match = re.fullmatch(r"\s*(\S+?)\s*(?:dB)?\s*", text, re.IGNORECASE)
    try:
        return float(match[1] if match else text)
    except ValueError:
        raise UsageError(f"'{text}' is not a gain: write decibels, as in 3 or -1.5") from None
