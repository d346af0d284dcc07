"""The two transforms at the network's ends in numpy: causal STFT features in, streaming inverse STFT out.

The formulas are those of gritcodec.nn.spectral; both stay in float32 (numpy 2 transforms float32 as such). Every step
is worked out by itself, so that its bits do not depend on the steps beside it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gritcodec.engine.interface import overlap_add

Floats = NDArray[np.float32]

COMPRESSION = 0.3
_FLOOR = np.float32(1e-8)


def hann(window: int) -> Floats:
    """Return the periodic Hann window, [window]."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)


class Analysis:
    """Compressed STFT of [B, T * hop] samples, [B, T, 1, features], and the samples that the next block begins with."""

    def __init__(self, window: int, hop: int, logarithms: bool):
        self.window, self.hop, self.logarithms = window, hop, logarithms
        self._hann = hann(window)

    def __call__(self, samples: Floats, past: Floats) -> tuple[Floats, Floats]:
        """Return features, and what to give as `past` with the next samples."""
        x = np.concatenate([past, samples], 1)
        windows = sliding_window_view(x, self.window, 1)[:, :: self.hop]
        spectrum = np.fft.rfft(windows * self._hann).astype(np.complex64, copy=False)
        parts = spectrum.view(np.float32).reshape(*spectrum.shape, 2)
        squares = parts * parts
        power = squares[..., 0] + squares[..., 1]
        power += _FLOOR
        logarithm = np.log(power, out=power)
        gain = np.exp(logarithm * np.float32((COMPRESSION - 1) / 2))
        parts *= gain[..., None]
        features = parts.reshape(*spectrum.shape[:2], 1, -1)
        if self.logarithms:
            levels = logarithm * np.float32(0.09) + np.float32(0.5)
            features = np.concatenate([features, levels[:, :, None]], -1)
        return features, x[:, x.shape[1] - self.window + self.hop :].copy()


class Synthesis:
    """Inverse STFT by overlap-add; the output lags by window - hop samples."""

    def __init__(self, window: int, hop: int):
        self.window, self.hop, self.ratio = window, hop, window // hop
        shape = hann(window)
        envelope = np.square(shape).reshape(-1, hop).sum(0)
        self._window = shape / np.tile(envelope, self.ratio)
        self._loudest = np.float32(math.log(window / 2))

    def __call__(self, head: Floats, past: Floats) -> tuple[Floats, Floats]:
        """Log-magnitudes and phases [B, T, 1, 2 * bins] -> samples [B, T * hop], and the new last frames."""
        bins = self.window // 2 + 1
        magnitude = np.exp(np.minimum(head[:, :, 0, :bins], self._loudest))
        phase = head[:, :, 0, bins:]
        spectrum = np.empty(phase.shape, np.complex64)
        np.multiply(magnitude, np.cos(phase), out=spectrum.real)
        np.multiply(magnitude, np.sin(phase), out=spectrum.imag)
        frames: Floats = np.fft.irfft(spectrum, n=self.window).astype(np.float32, copy=False)
        frames *= self._window
        frames = np.concatenate([past, frames], 1)
        return overlap_add(frames, self.hop), frames[:, frames.shape[1] - self.ratio + 1 :].copy()
