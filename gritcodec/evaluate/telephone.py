"""Speech as the telephone leaves it: 300 to 3400 Hz at 8 kHz, through one of its codecs."""

from __future__ import annotations

import ctypes
import io
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from gritcodec.errors import AudioError
from gritcodec.evaluate.contenders.base import RATE

# Clips take turns: samples as they are, G.711 in America and Japan, G.711 elsewhere, GSM 06.10, AMR at 12.2 kbps.
LINES = ("pcm", "mu-law", "a-law", "gsm", "amr")
_SUBTYPES = {"mu-law": "ULAW", "a-law": "ALAW", "gsm": "GSM610"}
_AMR = "libopencore-amrnb.so.0"
_FRAME = 160
_MODE_122 = 7
_RATE = RATE // 2

Samples = NDArray[np.floating]


def missing() -> str | None:
    """Name the package that AMR needs; None where it is there."""
    return None if _library() else f"it needs {_AMR}: apt-get install libopencore-amrnb0"


def through(speech: Samples, line: str) -> Samples:
    """Return [samples] at 16 kHz after a call, as long as before; what codecs add of delay is left in.

    Args:
        speech: [samples] at 16 kHz.
        line: one of `LINES`.
    """
    import soxr

    narrow = np.round(soxr.resample(_band(np.asarray(speech, dtype=np.float64)), RATE, _RATE).clip(-1, 1) * 32767)
    pcm = narrow.astype(np.int16)
    if line == "amr":
        pcm = _amr(pcm)
    elif line != "pcm":
        pcm = _libsndfile(pcm, _SUBTYPES[line])
    wide = soxr.resample(pcm[: len(narrow)] / 32768, _RATE, RATE)
    return np.pad(wide, (0, max(len(speech) - len(wide), 0)))[: len(speech)]


def _band(speech: Samples) -> Samples:
    """Keep 300 to 3400 Hz, with slopes of 100 and 300 Hz outside."""
    size = 1 << (len(speech) + RATE // 10).bit_length()
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    gain = np.clip((hertz - 200) / 100, 0, 1) * np.clip((3700 - hertz) / 300, 0, 1)
    return np.fft.irfft(np.fft.rfft(speech, size) * np.sin(gain * np.pi / 2) ** 2, size)[: len(speech)]


def _libsndfile(pcm: NDArray[np.int16], subtype: str) -> NDArray[np.int16]:
    import soundfile

    coded = io.BytesIO()
    soundfile.write(coded, pcm, _RATE, format="WAV", subtype=subtype)
    coded.seek(0)
    return soundfile.read(coded, dtype="int16")[0]


def _amr(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    """Code and decode frame by frame, without discontinuous transmission."""
    library = _library()
    if library is None:
        raise AudioError(f"telephone: {missing()}")
    for name in ("Encoder_Interface_init", "Decoder_Interface_init"):
        getattr(library, name).restype = ctypes.c_void_p
    encoder = ctypes.c_void_p(library.Encoder_Interface_init(0))
    decoder = ctypes.c_void_p(library.Decoder_Interface_init())
    room = (ctypes.c_ubyte * 64)()
    decoded = np.zeros(len(pcm) + -len(pcm) % _FRAME, dtype=np.int16)
    padded = np.pad(pcm, (0, len(decoded) - len(pcm)))
    for start in range(0, len(padded), _FRAME):
        library.Encoder_Interface_Encode(encoder, _MODE_122, _pointer(padded[start:]), room, 0)
        library.Decoder_Interface_Decode(decoder, room, _pointer(decoded[start:]), 0)
    library.Encoder_Interface_exit(encoder)
    library.Decoder_Interface_exit(decoder)
    return decoded


def _pointer(samples: NDArray[np.int16]) -> ctypes.c_void_p:
    return samples.ctypes.data_as(ctypes.c_void_p)


def _library() -> ctypes.CDLL | None:
    with suppress(OSError):
        return ctypes.CDLL(_AMR)
    return None
