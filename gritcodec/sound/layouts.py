"""How samples lie in a stream, and what else its header said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream import MAX_CHANNELS, MAX_SAMPLE_RATE
from gritcodec.errors import AudioError

ALAW, ULAW = "alaw", "ulaw"
_WIDTHS = ("i1", "i2", "i3", "i4", "f4", "f8")
_SCALES = {"1": 1 / 128, "2": 1 / 32768, "3": 1 / 8388608, "4": 1 / 2147483648}


@dataclass
class Layout:
    """What a header says.

    Attributes:
        container: the format's name.
        kind: numpy's name of a sample, such as <i2, with 3 bytes too; `ALAW`, `ULAW`; None: of another coding.
        sample_rate: Hz.
        channels: 1 to 255.
        size: bytes of the samples; None: as many as there are.
        byte_rate: bytes a second, of another coding; 0 where nobody says.
        coding: its number in a wav file.
        frames: samples in each channel, where the header tells apart from `size`.
        tags: (name, value).
        cues: sample of each place by its number in the file.
        labels: name of each place.
        left_out: bytes of another file that follows; known once what stands behind the samples is read.
        size_field: where in the file the size stands, and how; None: nowhere.
    """

    container: str
    kind: str | None
    sample_rate: int
    channels: int
    size: int | None = None
    byte_rate: int = 0
    coding: int = 0
    frames: int | None = None
    tags: list[tuple[str, str]] = field(default_factory=list)
    cues: dict[int, int] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    left_out: int = 0
    size_field: tuple[int, int, str] | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep no kind that `decoded` does not know."""
        known = name != "kind" or value in (None, ALAW, ULAW, "u1") or value[1:] in _WIDTHS
        super().__setattr__(name, value if known else None)

    def check(self, name: str) -> None:
        """Refuse what cannot be coded, with AudioError."""
        if not 1 <= self.channels <= MAX_CHANNELS or not 1 <= self.sample_rate <= MAX_SAMPLE_RATE:
            raise AudioError(
                f"{name}: {self.channels} channels at {self.sample_rate:,} Hz; "
                f"at most {MAX_CHANNELS} channels and {MAX_SAMPLE_RATE:,} Hz can be coded"
            )

    @property
    def width(self) -> int:
        """Bytes that a sample of all channels takes."""
        return self.channels * (1 if self.kind in (ALAW, ULAW, None) else int(str(self.kind)[-1]))

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return float(self.byte_rate if self.kind is None else self.width * self.sample_rate)

    @property
    def marks(self) -> list[tuple[int, str]]:
        """(sample, name) of places that have a name."""
        return sorted((self.cues[number], name) for number, name in self.labels.items() if number in self.cues)


def decoded(data: bytes, kind: str) -> NDArray[np.float32]:
    """Return float32 samples, one after the other, for bytes of a kind as in `Layout`."""
    if kind in (ALAW, ULAW):
        return _TABLES[kind][np.frombuffer(data, dtype=np.uint8)]
    if kind == "u1":
        found = np.frombuffer(data, dtype=np.uint8).astype(np.int16) - np.int16(128)
    elif kind[1:] == "i3":
        parts = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3).astype(np.int32)
        low, high = (0, 2) if kind[0] == "<" else (2, 0)
        found = (parts[:, low] | parts[:, 1] << 8 | parts[:, high] << 16) << 8 >> 8
    else:
        found = np.frombuffer(data, dtype=kind)
    if kind[-2] == "f":
        # Overflow becomes infinite, which is refused with a clear message.
        with np.errstate(over="ignore", invalid="ignore"):
            return found.astype(np.float32)
    return found.astype(np.float32) * np.float32(_SCALES[kind[-1]])


def _alaw() -> NDArray[np.float32]:
    code = np.arange(256) ^ 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    value = np.where(exponent == 0, 2 * mantissa + 1, (2 * mantissa + 33) << np.maximum(exponent - 1, 0)) * 8
    return (np.where(code & 128, value, -value) / 32768).astype(np.float32)


def _ulaw() -> NDArray[np.float32]:
    code = ~np.arange(256) & 255
    value = ((2 * (code & 15) + 33) << (code >> 4 & 7)) - 33
    return (np.where(code & 128, -value, value) * 4 / 32768).astype(np.float32)


# ITU-T G.711, as 16-bit samples.
_TABLES = {ALAW: _alaw(), ULAW: _ulaw()}
