"""What begins behind the sound of a file, as after `cat a.wav b.wav`: another file, which most readers pass over."""

from __future__ import annotations

import re

from gritcodec.sound import frames
from gritcodec.sound.inputs import Input

# Enough of each not to be met by chance in hours of coded sound. Of ISO files the type comes behind a size; a Wave64
# and Windows Media begin with a GUID.
_BEGINS = re.compile(
    rb"fLaC[\0\x80]\0\0\x22|(?:RIFF|RIFX|RF64|BW64)....(?:WAVE|AVI )|FORM....(?:AIF[FC]|8SVX|MAUD)|OggS\0\x02\0{8}|"
    rb"\.snd\0\0|caff\0\x01\0\0|\0\0\0.ftyp|riff\x2e\x91\xcf\x11|\x30\x26\xb2\x75\x8e\x66\xcf\x11|"
    rb"TTA1[\x01\x02]\0[\x01-\x20]\0|wvpk.{4}[\x02-\x10]\x04.{6}\0{4}|FLV\x01[\x01\x04\x05]\0\0\0\t|#!AMR(?:-WB)?\n|"
    rb"\x1aE\xdf\xa3.{1,8}?(?:\x42[\x86\xf7]|\xbf\x84)|NIST_1A\n|Creative Voice File\x1a",
    re.DOTALL,
)
# What is rare in each, and how far behind the beginning it stands, for those who look for it everywhere.
_AT_FIRST = (
    b"fLaC",
    b"OggS\0\x02",
    b".snd\0\0",
    b"caff\0\1",
    b"riff\x2e\x91",
    b"\x30\x26\xb2\x75\x8e",
    b"TTA1",
    b"wvpk",
    b"FLV\1",
    b"#!AMR",
    b"\x1aE\xdf\xa3",
    b"NIST_1A\n",
    b"Creative Voice",
    b"ID3",
)
RARE = (
    *((mark, 0) for mark in _AT_FIRST),
    *((mark, 8) for mark in (b"WAVE", b"AVI ", b"AIFF", b"AIFC")),
    (b"ftyp", 4),
)
_ID3 = re.compile(rb"ID3[\x02-\x04]")
# Three packets of a transport stream.
_PACKETS = re.compile(rb"G.{187}G.{187}G", re.DOTALL)
# Two frames.
ENOUGH = 1 << 14
_TAG_HEAD, _LONGEST_TAG = 10, 1 << 22


def begins(data: bytes, at: int = 0) -> bool:
    """Whether a file of sound begins at a place where one may, in bytes of which `ENOUGH` are there, or the rest.

    A tag before it may be there too, and alone is none.
    """
    if _ID3.match(data, at):
        at = frames.after_id3(data, at)
    kinds = (frames.mpeg, frames.adts, frames.ac3)
    is_framed = any(frames.follow(data, at, size_of) for size_of in kinds)
    return is_framed or _BEGINS.match(data, at) is not None or _PACKETS.match(data, at) is not None


def is_met(data: bytes, at: int) -> bool:
    """Whether a file of sound begins at a place, which may be any."""
    if not _ID3.match(data, at):
        return _BEGINS.match(data, at) is not None
    behind_tag = frames.after_id3(data, at)
    return frames.follow(data, behind_tag, frames.mpeg) or frames.follow(data, behind_tag, frames.adts)


def follows(source: Input) -> bool:
    """Whether another file begins where the input stands."""
    head = source.peek(_TAG_HEAD)
    at = frames.after_id3(head) if _ID3.match(head) else 0
    return at <= _LONGEST_TAG and begins(source.peek(at + ENOUGH))


def left_out(size: int) -> str:
    """Say that another file of so many bytes is not read."""
    return f"behind its sound another file of {size:,} bytes begins, which is left out"
