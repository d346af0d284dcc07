"""AMR-WB (3GPP TS 26.171), the wide-band voice of mobile phones, through the two open libraries for it."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

import numpy as np

from gritcodec.errors import AudioError, UsageError
from gritcodec.evaluate.contenders.base import RATE, Contender, read_pcm, write_pcm

_ENCODER, _DECODER = "libvo-amrwbenc.so.0", "libopencore-amrwb.so.0"
# Storage format of RFC 4867, section 5.
_MAGIC = b"#!AMR-WB\n"
# Bytes of a frame behind its first byte, which names the mode.
_SIZES = {0: 17, 1: 23, 2: 32, 3: 36, 4: 40, 5: 46, 6: 50, 7: 58, 8: 60, 9: 5, 14: 0, 15: 0}
_FRAME = 320


class AmrWb(Contender):
    """VisualOn's encoder and OpenCORE's decoder."""

    family = "amr-wb"
    rates = ("6.6", "8.85", "12.65", "23.85")
    _MODES = ("6.6", "8.85", "12.65", "14.25", "15.85", "18.25", "19.85", "23.05", "23.85")

    def __init__(self, setting: str) -> None:
        """Take a mode, in kbps."""
        super().__init__(setting)
        if setting not in self._MODES:
            raise UsageError(f"amr-wb:{setting}: its modes are {', '.join(self._MODES)} kbps")

    def missing(self) -> str | None:
        """Name the packages of the two libraries."""
        for name, package in ((_ENCODER, "libvo-amrwbenc0"), (_DECODER, "libopencore-amrwb0")):
            if _library(name) is None:
                return f"{name} is not installed: apt-get install {package}"
        return None

    def version(self) -> str:
        """Which libraries."""
        return f"{_ENCODER} {_DECODER} no dtx"

    def encode(self, clip: Path, packed: Path) -> None:
        """Code frame by frame, without discontinuous transmission."""
        samples, rate = read_pcm(clip)
        if rate != RATE:
            raise AudioError(f"amr-wb: {clip.name} is at {rate} Hz, not at {RATE}")
        library = _required(_ENCODER)
        library.E_IF_init.restype = ctypes.c_void_p
        state = ctypes.c_void_p(library.E_IF_init())
        room = (ctypes.c_ubyte * 64)()
        frames = [_MAGIC]
        mode = self._MODES.index(self.setting)
        # Silence behind the end: the decoder's delay would otherwise cut the last milliseconds off.
        padded = np.pad(samples, (0, -len(samples) % _FRAME + _FRAME))
        for frame in padded.reshape(-1, _FRAME):
            size = library.E_IF_encode(state, mode, _pointer(np.ascontiguousarray(frame)), room, 0)
            frames.append(bytes(room[:size]))
        library.E_IF_exit(state)
        packed.write_bytes(b"".join(frames))

    def decode(self, packed: Path, decoded: Path) -> None:
        """Decode frame by frame."""
        library = _required(_DECODER)
        library.D_IF_init.restype = ctypes.c_void_p
        state = ctypes.c_void_p(library.D_IF_init())
        data, place = packed.read_bytes(), len(_MAGIC)
        blocks = []
        while place < len(data):
            size = 1 + _SIZES.get(data[place] >> 3 & 15, 0)
            block = np.zeros(_FRAME, dtype=np.int16)
            library.D_IF_decode(state, data[place : place + size], _pointer(block), 0)
            blocks.append(block)
            place += size
        library.D_IF_exit(state)
        write_pcm(decoded, np.concatenate(blocks), RATE)


def _pointer(samples: np.ndarray) -> ctypes.c_void_p:
    return samples.ctypes.data_as(ctypes.c_void_p)


def _library(name: str) -> ctypes.CDLL | None:
    with suppress(OSError):
        return ctypes.CDLL(name)
    return None


def _required(name: str) -> ctypes.CDLL:
    library = _library(name)
    if library is None:
        raise AudioError(f"{name} is not installed")
    return library
