"""Removing a codec's delay, which is the same for every clip and so is measured once, on a clip of our own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gritcodec.evaluate.contenders.base import RATE

# No codec here lags more; MP3 behind libsndfile is the slowest with 69 ms.
_MOST_SAMPLES = RATE // 5
_STEP = 16
# Below this the waveforms have little in common, as a vocoder's have with its input: envelopes must do.
_LIKENESS = 0.5


def delay(reference: NDArray[np.floating], decoded: NDArray[np.floating]) -> int:
    """Return by how many samples, at 16 kHz, `decoded` lags behind `reference`, both [samples].

    The level's course, band by band, gives it to a millisecond or so for any codec. Where the waveforms
    themselves are alike, their correlation within 8 ms of that gives it to a sample.
    """
    coarse = _best_lag(_course(reference), _course(decoded), _MOST_SAMPLES // _STEP)[0] * _STEP
    lag, likeness = _waveform_lag(reference, decoded, coarse, 8 * _STEP)
    return lag if likeness > _LIKENESS else coarse


def shift(decoded: np.ndarray, lag: int, samples: int) -> np.ndarray:
    """Return `decoded` without its delay, cut or filled with silence to so many samples."""
    moved = decoded[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag, decoded.dtype), decoded])
    return np.pad(moved[:samples], (0, max(samples - len(moved), 0)))


def _course(waveform: NDArray[np.floating], bands: int = 16) -> NDArray[np.floating]:
    """Return log energies [bands, steps] below 4 kHz, a millisecond apart: all codecs keep those frequencies."""
    window = 256
    padded = np.pad(np.asarray(waveform, dtype=np.float64), (window // 2, window // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::_STEP]
    power = np.abs(np.fft.rfft(frames * np.hanning(window)))[:, 1:65] ** 2
    levels = np.log(power.reshape(len(power), bands, -1).sum(2).T + 1e-5)
    return levels - levels.mean(1, keepdims=True)


def _best_lag(a: NDArray[np.floating], b: NDArray[np.floating], most: int) -> tuple[int, float]:
    """Return the lag of b behind a, [rows, steps], with the largest correlation, and that correlation."""
    size = 1 << (a.shape[1] + b.shape[1]).bit_length()
    product = np.fft.irfft((np.fft.rfft(b, size) * np.fft.rfft(a, size).conj()).sum(0), size)
    lags = np.arange(-most, most + 1)
    best = int(lags[np.argmax(product[lags])])
    return best, float(product[best] / np.sqrt((a**2).sum() * (b**2).sum() + 1e-20))


def _waveform_lag(
    reference: NDArray[np.floating], decoded: NDArray[np.floating], near: int, within: int
) -> tuple[int, float]:
    size = 1 << (len(reference) + len(decoded)).bit_length()
    product = np.fft.irfft(np.fft.rfft(decoded, size) * np.fft.rfft(reference, size).conj(), size)
    lags = np.arange(near - within, near + within + 1)
    best = int(lags[np.argmax(product[lags])])
    return best, float(product[best] / np.sqrt((reference**2).sum() * (decoded**2).sum() + 1e-20))
