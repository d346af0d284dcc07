"""What begins behind the sound of a file, as after `cat a.wav b.wav`: another file, which most readers pass over."""

from __future__ import annotations

import re

from gritcodec.sound.inputs import Input

# Of ISO files the type comes behind a size; a Wave64 begins with a GUID.
_BEGINS = re.compile(
    rb"fLaC[\0\x80]\0\0\x22|(?:RIFF|RIFX|RF64|BW64)....WAVE|OggS\0\x02|\.snd\0\0|FORM....AIF[FC]|caff\0\x01\0\0|"
    rb"\0\0\0.ftyp|riff\x2e\x91\xcf\x11",
    re.DOTALL,
)
ENOUGH = 16


def begins(head: bytes) -> bool:
    """Whether a file of sound begins with these bytes, `ENOUGH` of them."""
    return _BEGINS.match(head) is not None


def follows(source: Input) -> bool:
    """Whether another file begins where the input stands."""
    return begins(source.peek(ENOUGH))


def left_out(size: int) -> str:
    """Say that another file of so many bytes is not read."""
    return f"behind its sound another file of {size:,} bytes begins, which is left out"
