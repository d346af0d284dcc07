"""Codes of one packet <-> bytes, stage after stage, so that dropping stages is cutting off what is last.

A coding is chosen by the header; `codings.coding_for` is the only place that knows which there are. A new one needs
a number in `header.CODINGS` and a class with the methods of `Coding`.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream.header import Header

CodeArray = NDArray[np.uint16]


class Coding(Protocol):
    """How the body of a packet holds codes. A packet must be readable without any other."""

    def pack(self, codes: NDArray[np.integer]) -> bytes:
        """Return the body for codes [channels, stages, frames]; ValueError where a code is out of range."""

    def unpack(self, body: bytes, stages: int, frames: int) -> CodeArray:
        """Return the codes uint16 [channels, stages, frames] of a body; CorruptFileError where it has none."""

    def length(self, start: bytes, stages: int, frames: int) -> int | None:
        """Return the bytes of a body from its first bytes, or None when these are too few to tell."""

    def sizes(self, body: bytes, stages: int, frames: int) -> list[int]:
        """Return the bytes that the body would have with 1, 2, ... `stages` stages."""

    def cut(self, body: bytes, stages: int, frames: int, keep: int) -> bytes:
        """Return the body that `pack` gives for the first `keep` stages."""


class PlainCoding:
    """Coding 0: every code takes the same number of bits, most significant bit first, without gaps.

    Stage by stage the codes of channel 0, then of channel 1 ..., each frame by frame; zero bits fill the last byte.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self._bits = header.code_bits
        self._channels = header.channels

    def pack(self, codes: NDArray[np.integer]) -> bytes:
        """See `Coding.pack`."""
        if codes.ndim != 3 or codes.shape[0] != self._channels:
            raise ValueError(f"codes must be [{self._channels}, stages, frames], not of shape {codes.shape}")
        if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << self._bits:
            raise ValueError(f"codes must be 0 to {(1 << self._bits) - 1}: found {codes.min()} to {codes.max()}")
        row = codes.transpose(1, 0, 2).reshape(-1).astype(">u2")
        bits = np.unpackbits(row.view(np.uint8).reshape(-1, 2), axis=1)[:, 16 - self._bits :]
        return np.packbits(bits.reshape(-1)).tobytes()

    def unpack(self, body: bytes, stages: int, frames: int) -> CodeArray:
        """See `Coding.unpack`."""
        count = stages * self._channels * frames
        bits = np.zeros((count, 16), dtype=np.uint8)
        read = np.unpackbits(np.frombuffer(body, dtype=np.uint8), count=count * self._bits)
        bits[:, 16 - self._bits :] = read.reshape(count, self._bits)
        codes = np.packbits(bits, axis=1).view(">u2").reshape(stages, self._channels, frames)
        return np.ascontiguousarray(codes.transpose(1, 0, 2), dtype=np.uint16)

    def length(self, start: bytes, stages: int, frames: int) -> int | None:
        """See `Coding.length`."""
        return self._header.body_bytes(stages, frames)

    def sizes(self, body: bytes, stages: int, frames: int) -> list[int]:
        """See `Coding.sizes`."""
        return [self._header.body_bytes(count, frames) for count in range(1, stages + 1)]

    def cut(self, body: bytes, stages: int, frames: int, keep: int) -> bytes:
        """See `Coding.cut`."""
        kept = bytearray(body[: self._header.body_bytes(keep, frames)])
        used = keep * self._channels * frames * self._bits % 8
        if used:
            kept[-1] &= 0xFF00 >> used & 0xFF
        return bytes(kept)
