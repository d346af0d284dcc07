"""How far apart two waveforms are to an ear, differentiably: what training and the search through the decoder minimise.

Audible disturbance as in ITU-T P.862, correlation of envelopes as in ESTOI, compressed spectra, log Bark spectra.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Sound pressure level that the active level of speech stands for. P.862 has 79 dB as a file's mean between 350 and
# 3250 Hz; 92 for the active level over all frequencies comes closest to its scores of white noise
# (benchmarks/hearing.py).
_REFERENCE_DB = 92.0
_ACTIVE_DBFS = -26.0  # active level of the corpora's speech (gritcodec.train.packing)
_ZWICKER = 0.23  # power of the loudness law above 4 Bark
_BANDS = 49
_LOG_FLOOR = 1e-6  # power of a band about 60 dB below speech
_NOTHING = 1e-5  # product of two bins of an STFT of 512 samples that hold a tone at -95 dBFS or so
_FLOOR = 3e-3  # power of a band about 45 dB below speech; with less, gradients are those of pauses


def at_rate(samples: int, sample_rate: int) -> int:
    """Return a window as long as `samples` at 16 kHz, in multiples of 16 samples, so that a hop divides it."""
    return max(round(samples * sample_rate / 16_000 / 16), 1) * 16


class _RealFourier(torch.autograd.Function):
    """torch.fft.rfft of the last dimension, of even length, with half the work in its backward pass.

    The gradient is real too, so it is an inverse transform of half a spectrum; torch fills up the other half with zeros
    and makes a complex transform of all of it.
    """

    @staticmethod
    def forward(ctx: Any, frames: Tensor) -> Tensor:
        ctx.length = frames.shape[-1]
        return torch.fft.rfft(frames)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # irfft counts every bin but the first and the last twice: it takes it for its mirror image too.
        half = gradients[0] * 0.5
        half[..., 0] *= 2
        half[..., -1] *= 2
        return torch.fft.irfft(half, n=ctx.length, norm="forward")


def spectrum(waveform: Tensor, window: Tensor, hop: int) -> Tensor:
    """Complex STFT without padding, [B, T] -> [B, frames, bins]; the window's length is even."""
    return _RealFourier.apply(waveform.unfold(-1, window.numel(), hop) * window)


def bark(hertz: np.ndarray) -> np.ndarray:
    """Critical-band rate in Bark: Traunmueller, "Analytical expressions for the tonotopic sensory scale", 1990."""
    return 26.81 * hertz / (1960 + hertz) - 0.53


def threshold_in_quiet(hertz: np.ndarray) -> np.ndarray:
    """Threshold of hearing in dB SPL: Terhardt, "Calculating virtual pitch", 1979."""
    khz = hertz / 1000
    return 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4


def bark_bands(sample_rate: int, window: int, bands: int = _BANDS) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Bands of equal width in Bark from 50 Hz to 8 kHz or half the rate.

    Returns:
        How much of each bin's power each band takes, [window // 2 + 1, bands] float32; the bands' centres in Hz and
        widths in Bark, [bands] each.
    """
    low, high = bark(np.array([50.0, min(8000.0, sample_rate / 2)]))
    edges = np.linspace(low, high, bands + 1)
    width = sample_rate / window
    bins = np.arange(window // 2 + 1) * width
    lower, upper = bark(np.maximum(bins - width / 2, 1.0)), bark(bins + width / 2)
    # A bin wider than a band is shared by those it covers.
    inside = np.minimum(upper[:, None], edges[1:]) - np.maximum(lower[:, None], edges[:-1])
    share = np.maximum(inside, 0.0) / (upper - lower)[:, None]
    middle = (edges[1:] + edges[:-1]) / 2
    hertz = 1960 * (middle + 0.53) / (26.28 - middle)
    return torch.from_numpy(share.astype(np.float32)), hertz, np.diff(edges)


class CompressedComplexDistance(nn.Module):
    """Distance of STFTs whose magnitudes are raised to 0.3, complex and magnitude parts, of [B, T] waveforms.

    Common in speech enhancement (Ephrat et al., arXiv 1804.03619; Braun and Tashev, arXiv 2009.12286).
    """

    hann: Tensor

    def __init__(self, window: int = 512, hop: int = 128, power: float = 0.3, phase_share: float = 0.3):
        super().__init__()
        self.hop, self.power, self.phase_share = hop, power, phase_share
        self.register_buffer("hann", torch.hann_window(window), persistent=False)

    def compress(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        parts = torch.view_as_real(spectrum(waveform, self.hann, self.hop))
        square = parts.square().sum(-1) + 1e-5
        return square ** (self.power / 2), parts * (square ** ((self.power - 1) / 2))[..., None]

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted, wanted_complex = self.compress(target)
        got, got_complex = self.compress(output)
        phase = (got_complex - wanted_complex).square().sum(-1).mean()
        return self.phase_share * phase + (1 - self.phase_share) * (got - wanted).square().mean()


class PhaseDerivativeDistance(nn.Module):
    """Difference of phases' changes in time and frequency, of [B, T] waveforms; 0 to 2, faint bins weighing less.

    Instantaneous frequency and group delay: what an ear hears of harmonics whose absolute phase cannot be known.
    Directions of products of neighbouring bins are compared, which need no unwrapping, and say nothing of magnitudes,
    so that nothing is gained by too little sound. Ai and Ling, "APNet", arXiv 2305.07952, compare the same two with
    losses that undo the wrapping.

    Args:
        window, hop: samples. The shorter the hop, the less a wrong frequency turns the phase from frame to frame.
        power: that magnitudes are raised to, of bins as they weigh.
    """

    hann: Tensor

    def __init__(self, window: int = 512, hop: int = 64, power: float = 0.6):
        super().__init__()
        self.hop, self.power = hop, power
        self.register_buffer("hann", torch.hann_window(window), persistent=False)

    @staticmethod
    def _products(x: Tensor) -> tuple[Tensor, Tensor]:
        """Each bin times the conjugate of its neighbour in time, and in frequency."""
        return x[:, 1:] * x[:, :-1].conj(), x[..., 1:] * x[..., :-1].conj()

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self._products(spectrum(target, self.hann, self.hop))
        got = self._products(spectrum(output, self.hann, self.hop))
        total = output.new_zeros(())
        for a, b in zip(got, wanted, strict=True):
            with torch.no_grad():
                size = b.abs()
                # A product's magnitude is a square. Bins with nothing but rounding in them have no direction.
                weight = size ** (self.power / 2) * (size > _NOTHING)
                least = 0.01 * size + _NOTHING / 10
                along = torch.view_as_real(b / size.clamp_min(_NOTHING))
            parts = torch.view_as_real(a)
            # The less there is in a bin of the output, the steeper its direction; without a least size, any gradient.
            cosine = (parts * along).sum(-1) / torch.maximum((parts.square().sum(-1) + 1e-14).sqrt(), least)
            total = total + (weight * (1 - cosine)).mean()
        return total / 2


class LogBarkDistance(nn.Module):
    """Mean absolute difference of log spectra in 64 bands of equal width in Bark, of [B, T] waveforms."""

    hann: Tensor
    bands: Tensor

    def __init__(self, sample_rate: int, window: int, bands: int = 64):
        super().__init__()
        self.hop = window // 4
        hann = torch.hann_window(window)
        self.register_buffer("hann", hann, persistent=False)
        share, _, _ = bark_bands(sample_rate, window, bands)
        self.register_buffer("bands", share / float(hann.square().sum()), persistent=False)

    def log_bark(self, waveform: Tensor) -> Tensor:
        """Natural log of the square root of bands' power above a floor, [B, frames, bands]."""
        power = torch.view_as_real(spectrum(waveform, self.hann, self.hop)).square().sum(-1) @ self.bands
        return (power + _LOG_FLOOR).log() / 2

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.log_bark(target)
        return (self.log_bark(output) - wanted).abs().mean()


class AudibleDisturbance(nn.Module):
    """How much an ear would hear of the difference of two waveforms [B, T]; 0 when nothing.

    The perceptual model of ITU-T P.862 (2001) and P.862.2, made differentiable: Bark spectra, loudness after Zwicker,
    a dead zone of a quarter of the lesser loudness, additions counted more than losses, and the worst stretches of
    320 ms counted most. What P.862 does to forgive (alignment in time, level and frequency response) is left out,
    and levels are taken as they are: speech at -26 dBFS is heard at 92 dB SPL. Bands and thresholds come from formulas.
    Used as a training loss before by Martin-Donas et al., "A deep learning loss function based on the perceptual
    evaluation of the speech quality", 2018.
    """

    hann: Tensor
    bands: Tensor
    threshold: Tensor
    power: Tensor
    loudness: Tensor
    widths: Tensor

    def __init__(self, sample_rate: int, window: int, reference_db: float = _REFERENCE_DB):
        super().__init__()
        self.hop = window // 2
        hann = torch.hann_window(window)
        share, hertz, widths = bark_bands(sample_rate, window)
        # Parseval: the sum over bands is the frame's mean power, that of speech being the reference.
        scale = 2 / (window * float(hann.square().sum())) * 10 ** ((reference_db - _ACTIVE_DBFS) / 10)
        centre = bark(hertz)
        # Below 4 Bark loudness grows faster with power.
        power = _ZWICKER * np.where(centre < 4, np.minimum(6 / (np.maximum(centre, 0) + 2), 2.0) ** 0.15, 1.0)
        threshold = 10 ** (threshold_in_quiet(hertz) / 10)
        one_khz = 10 ** (float(threshold_in_quiet(np.array(1000.0))) / 10)
        sone = 1 / ((one_khz / 0.5) ** _ZWICKER * ((0.5 + 0.5 * 1e4 / one_khz) ** _ZWICKER - 1))
        for name, value in (
            ("hann", hann),
            ("bands", share * scale),
            ("threshold", torch.from_numpy(threshold).float()),
            ("power", torch.from_numpy(power).float()),
            ("loudness", torch.from_numpy(sone * (threshold / 0.5) ** power).float()),
            ("widths", torch.from_numpy(widths).float()),
        ):
            self.register_buffer(name, value, persistent=False)

    def bark_spectrum(self, waveform: Tensor) -> Tensor:
        """Power in each band, [B, T] -> [B, frames, bands], in units in which 40 dB SPL is 10^4."""
        return torch.view_as_real(spectrum(waveform, self.hann, self.hop)).square().sum(-1) @ self.bands

    def sones(self, power: Tensor) -> Tensor:
        """Loudness density of Bark spectra, [..., bands]; 0 below the threshold of hearing."""
        ratio = (power / self.threshold).clamp_min(1.0)
        return self.loudness * ((0.5 + 0.5 * ratio) ** self.power - 1)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.bark_spectrum(target)
            wanted_sones = self.sones(wanted)
            audible = (wanted * (wanted > self.threshold)).sum(-1)
            weight = ((audible + 1e5) / 1e7) ** -0.04
        got = self.bark_spectrum(output)
        got_sones = self.sones(got)
        difference = got_sones - wanted_sones
        dead = 0.25 * torch.minimum(got_sones, wanted_sones)
        heard = (difference.abs() - dead).clamp_min(0.0)
        total = self.widths.sum()
        symmetric = ((heard * self.widths).square().sum(-1) / total + 1e-6).sqrt() * total
        # Additions count more than losses. P.862's factor is 0 below 3 and cut at 12; it weighs, and is not learnt.
        factor = ((got.detach() + 50) / (wanted + 50)) ** 1.2
        factor = torch.where(factor < 3, 0.0, factor.clamp_max(12.0))
        asymmetric = (heard * factor * self.widths).sum(-1)
        score = 0.1 * self._over_time(symmetric * weight) + 0.0309 * self._over_time(asymmetric * weight)
        return score.mean()

    @staticmethod
    def _over_time(frames: Tensor) -> Tensor:
        """[B, frames] -> [B]: power 6 over stretches of 20 frames, power 2 over those."""
        frames = 45 * torch.tanh(frames / 45)  # P.862 cuts at 45, where the gradient would end
        length = min(20, frames.shape[-1])
        stretches = frames.unfold(-1, length, max(length // 2, 1)).clamp_min(1e-3)
        worst = (stretches**6).mean(-1) ** (1 / 6)
        return worst.square().mean(-1).sqrt()


class EnvelopeDistance(nn.Module):
    """1 minus the correlation of third-octave envelopes over 375 ms, of [B, T] waveforms.

    Extended STOI (Jensen and Taal, "An algorithm for predicting the intelligibility of speech masked by modulated
    noise maskers", 2016) at the network's own sampling rate, with stretches of speech pauses left out.
    """

    hann: Tensor
    bands: Tensor

    def __init__(self, sample_rate: int, window: int, frames: int = 30):
        super().__init__()
        self.hop, self.frames = window // 2, frames
        centres = 150.0 * 2 ** (np.arange(15) / 3)
        centres = centres[centres * 2 ** (1 / 6) <= sample_rate / 2]
        bins = np.arange(window // 2 + 1) * sample_rate / window
        width = sample_rate / window
        low, high = centres * 2 ** (-1 / 6), centres * 2 ** (1 / 6)
        inside = np.minimum(bins[:, None] + width / 2, high) - np.maximum(bins[:, None] - width / 2, low)
        self.register_buffer("hann", torch.hann_window(window), persistent=False)
        self.register_buffer("bands", torch.from_numpy(np.maximum(inside, 0) / width).float(), persistent=False)

    def envelopes(self, waveform: Tensor) -> Tensor:
        """Magnitudes of third-octave bands, [B, T] -> [B, frames, bands]."""
        return (
            torch.view_as_real(spectrum(waveform, self.hann, self.hop)).square().sum(-1) @ self.bands + _FLOOR
        ).sqrt()

    @staticmethod
    def _normalized(stretches: Tensor) -> Tensor:
        """[B, N, bands, frames] with mean 0 and norm 1 in time, then over bands."""
        for dim in (-1, -2):
            stretches = stretches - stretches.mean(dim, keepdim=True)
            stretches = stretches / (stretches.square().sum(dim, keepdim=True) + 1e-6).sqrt()
        return stretches

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean over stretches; 0 for waveforms shorter than a stretch."""
        length = self.frames
        got = self.envelopes(output)
        if got.shape[1] < length:
            return output.sum() * 0.0
        with torch.no_grad():
            envelope = self.envelopes(target)
            # Pauses have no envelope to keep: ESTOI drops frames 40 dB below the loudest.
            loud = envelope.square().sum(-1)
            speech = (loud > 1e-4 * loud.amax(-1, keepdim=True)).float().unfold(-1, length, length // 3).mean(-1)
            wanted = self._normalized(envelope.unfold(1, length, length // 3))
        correlation = (self._normalized(got.unfold(1, length, length // 3)) * wanted).sum(-2).mean(-1)
        return ((1 - correlation) * speech).sum() / (speech.sum() + math.ulp(1.0))
