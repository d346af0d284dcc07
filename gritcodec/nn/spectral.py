"""The two fixed transforms at the network's ends: causal STFT features in, streaming inverse STFT out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gritcodec.nn.streaming import Stream, extend_left

COMPRESSION = 0.3
_FLOOR = 1e-8  # of power: below the rounding noise of 16-bit audio


class CompressedSTFT(nn.Module):
    """Causal STFT with power-law compressed magnitudes, [B, T] -> [B, T // hop, features].

    Step j ends at sample (j + 1) * hop and sees the `window` samples before it, so nothing of the future is used.
    Compression (|X|^0.3, phase kept) shows the network quiet and loud speech at like size.

    Args:
        window, hop: samples.
        logarithms: give the logarithm of each bin's magnitude too, after the 2 * (window // 2 + 1) real and imaginary
            parts. How loud a bin is takes a network long to learn from those two
            (docs/training-log.md, entry 11).
    """

    hann: Tensor

    def __init__(self, window: int, hop: int, logarithms: bool = False):
        super().__init__()
        self.window, self.hop, self.logarithms = window, hop, logarithms
        self.context = window - hop
        self.features = (3 if logarithms else 2) * (window // 2 + 1)
        self.register_buffer("hann", torch.hann_window(window), persistent=False)

    def forward(self, waveform: Tensor, stream: Stream | None = None) -> Tensor:
        x = extend_left(self, waveform.float()[..., None], self.context, stream)[..., 0]
        spectrum = torch.fft.rfft(x.unfold(-1, self.window, self.hop) * self.hann)
        parts = torch.view_as_real(spectrum)
        logarithm = torch.log(parts.square().sum(-1, keepdim=True) + _FLOOR)
        # Not pow(): its last few values of a block are computed in another way than the others, with other bits.
        compressed = (parts * torch.exp((COMPRESSION - 1) / 2 * logarithm)).flatten(-2)
        return torch.cat([compressed, _level(logarithm[..., 0])], -1) if self.logarithms else compressed


def _level(logarithm: Tensor) -> Tensor:
    """Natural logarithm of power -> -1.2 for nothing, 0.5 for a bin of power 1, 1.4 for a full tone."""
    return 0.5 + 0.09 * logarithm


class InverseSTFT(nn.Module):
    """Inverse STFT by overlap-add, ([B, T, F] log-magnitude, [B, T, F] phase) -> [B, T * hop].

    Frame j covers the samples (j + 1) * hop - window ... (j + 1) * hop of a signal that starts at
    -(window - hop): the output lags by window - hop samples, and that is all the look-ahead there is.
    The windows sum to a constant, so frames need no division by an envelope.
    Siuzdak, "Vocos", arXiv 2306.00814, for the magnitude and phase parametrization.
    """

    synthesis: Tensor

    def __init__(self, window: int, hop: int):
        super().__init__()
        self.window, self.hop = window, hop
        self.context = window // hop - 1
        hann = torch.hann_window(window)
        envelope = hann.square().reshape(-1, hop).sum(0)
        self.loudest = math.log(window / 2)
        self.register_buffer("synthesis", hann / envelope.repeat(window // hop), persistent=False)

    def forward(self, log_magnitude: Tensor, phase: Tensor, stream: Stream | None = None) -> Tensor:
        # exp() of an untrained network must not overflow; a full-scale sine's bin holds half the window.
        magnitude = torch.exp(log_magnitude.float().clamp(max=self.loudest))
        spectrum = torch.complex(magnitude * torch.cos(phase.float()), magnitude * torch.sin(phase.float()))
        frames = torch.fft.irfft(spectrum, n=self.window) * self.synthesis
        batch, steps, _ = frames.shape
        return self._added(extend_left(self, frames, self.context, stream)).reshape(batch, steps * self.hop)

    def tail(self, stream: Stream) -> Tensor | None:
        """Return what the last frames of a stream go on to sound like, [B, window - hop]; None if there were none."""
        frames = stream.take(self)
        if frames is None:
            return None
        return self._added(nn.functional.pad(frames, (0, 0, 0, frames.shape[1]))).flatten(1)

    def _added(self, frames: Tensor) -> Tensor:
        """Overlap-add [B, ratio - 1 + T, window] -> [B, T, hop].

        Segment m of the output is the sum over r of part r of frame m - r, added in this order wherever a block
        of a stream begins: the bits do not depend on the blocks.
        """
        ratio = self.window // self.hop
        steps = frames.shape[1] - (ratio - 1)
        parts = frames.unflatten(-1, (ratio, self.hop))
        total = parts[:, ratio - 1 :, 0]
        for r in range(1, ratio):
            total = total + parts[:, ratio - 1 - r : ratio - 1 - r + steps, r]
        return total
