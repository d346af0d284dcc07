"""Frames of MPEG audio, of AAC in ADTS and of AC-3, each with its own header, and the tags that stand around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
# By whether it is MPEG 1, and the layer.
_KBPS = {
    (True, 1): tuple(range(0, 480, 32)),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): _KBPS_2,
    (False, 3): _KBPS_2,
}
_MONO = 3
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
# Of ADTS and AC-3, what tells how long a frame is.
HEAD_BYTES = 7
ID3V1_BYTES, _APE_BYTES = 128, 32

# What returns the bytes of the frame at a place; None: there is none.
SizeOf = Callable[[bytes, int], int | None]


@dataclass(frozen=True)
class Frame:
    """The header of a frame.

    Attributes:
        word: its four bytes.
        layer: 1, 2 or 3.
        size: bytes of the frame.
        sample_rate: Hz.
        samples: in each channel.
        channels: 1 or 2.
        side: bytes of the side information, in Layer III.
    """

    word: int
    layer: int
    size: int
    sample_rate: int
    samples: int
    channels: int
    side: int

    def alike(self, other: Frame) -> bool:
        """Whether another frame can be of the same stream: version, layer and rate are the same."""
        return (self.word ^ other.word) & 0xFFFE0C00 == 0


def parse_frame(data: bytes, at: int) -> Frame | None:
    """Return the frame header at a place, or None where there is none."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    word = int.from_bytes(data[at : at + 4], "big")
    version, layer, kbps_index, rate_index = word >> 19 & 3, 4 - (word >> 17 & 3), word >> 12 & 15, word >> 10 & 3
    if version == 1 or layer == 4 or kbps_index in (0, 15) or rate_index == 3:
        return None
    rate, one = _RATES[version][rate_index], version == 3
    kbps, padding = _KBPS[one, layer][kbps_index], word >> 9 & 1
    samples = 384 if layer == 1 else 576 if layer == 3 and not one else 1152
    # A slot of Layer I has four bytes.
    size = (12000 * kbps // rate + padding) * 4 if layer == 1 else samples * 125 * kbps // rate + padding
    mono = word >> 6 & 3 == _MONO
    side = (17 if mono else 32) if one else (9 if mono else 17)
    return Frame(word, layer, size, rate, samples, 1 if mono else 2, side)


def mpeg(data: bytes, at: int) -> int | None:
    """Return the bytes of a frame of MPEG audio."""
    frame = parse_frame(data, at)
    return None if frame is None else frame.size


def adts(data: bytes, at: int) -> int | None:
    """Return the bytes of a frame of AAC in ADTS."""
    if at + HEAD_BYTES > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return size if size >= HEAD_BYTES else None


def ac3(data: bytes, at: int) -> int | None:
    """Return the bytes of a frame of AC-3 or E-AC-3."""
    if at + HEAD_BYTES > len(data) or data[at] != 0x0B or data[at + 1] != 0x77:
        return None
    if data[at + 5] >> 3 > 10:
        return 2 * (((data[at + 2] & 7) << 8 | data[at + 3]) + 1)
    rate, code = data[at + 4] >> 6, data[at + 4] & 63
    if rate == 3 or code >> 1 >= len(_AC3_KBPS):
        return None
    kbps = _AC3_KBPS[code >> 1]
    return (4 * kbps, 2 * (320 * kbps // 147 + (code & 1)), 6 * kbps)[rate]


def follow(data: bytes, at: int, size_of: SizeOf) -> bool:
    """Whether a frame stands at a place, and another one behind it."""
    size = size_of(data, at)
    return size is not None and (size_of(data, at + size) is not None or at + size == len(data))


def after_id3(data: bytes, at: int = 0) -> int:
    """Return where what follows one or more ID3v2 tags, which stand at a place, begins."""
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 127
        at += 10 + size + (10 if data[at + 5] & 16 else 0)
    return at


def after_tags(data: bytes, at: int, with_id3: bool = True) -> int:
    """Return where what follows tags of the end or the beginning of a file begins; without ID3v2, of the end alone."""
    while True:
        before, behind_id3 = at, after_id3(data, at) if with_id3 else at
        # One that is longer than the file is none.
        at = behind_id3 if behind_id3 <= len(data) else at
        if data[at : at + 3] == b"TAG":
            at += ID3V1_BYTES
        elif data[at : at + 8] == b"APETAGEX":
            # With a footer of the same size behind it, which its size counts.
            at += _APE_BYTES + int.from_bytes(data[at + 12 : at + 16], "little")
        elif data[at : at + 11] == b"LYRICSBEGIN" and (end := data.find(b"LYRICS200", at)) >= 0:
            at = end + 9
        if at == before:
            return min(at, len(data))
