"""Multi-resolution spectral losses."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn

from gritcodec.nn.hearing import (
    AudibleDisturbance,
    CompressedComplexDistance,
    EnvelopeDistance,
    PhaseDerivativeDistance,
    at_rate,
    spectrum,
)
from gritcodec.train.config import LossConfig

# (window, mel bands), in samples at 16 kHz: short windows see onsets, long ones harmonics. Six, as in DAC (arXiv
# 2306.06546), from 4 ms up.
MEL_SCALES = ((64, 8), (128, 16), (256, 32), (512, 64), (1024, 80), (2048, 128))
STFT_SCALES = ((512, 128), (1024, 256), (2048, 512))
_MEL_FLOOR = 1e-3  # measured: a lower floor spends the gradient on silence
_POWER_FLOOR = 1e-4  # of auraloss, likewise: at its default 1e-8 near-empty bins were 94% of the gradient


def mel_distances(sample_rate: int) -> list[LogMelDistance]:
    """All six scales, as long in time at every sampling rate."""
    return [LogMelDistance(sample_rate, at_rate(window, sample_rate), bands) for window, bands in MEL_SCALES]


def mel_filters(sample_rate: int, window: int, bands: int) -> Tensor:
    """Slaney mel filters, [bands, window // 2 + 1]."""
    try:
        import librosa

        return torch.from_numpy(librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=bands))
    except ImportError:
        # Lent GPU machines carry torchaudio but not librosa; both give the same filters.
        from torchaudio.functional import melscale_fbanks

        return melscale_fbanks(
            window // 2 + 1, 0.0, sample_rate / 2, bands, sample_rate, norm="slaney", mel_scale="slaney"
        ).T.contiguous()


def stft_distance(window: int, hop: int) -> nn.Module:
    """auraloss's distance of [B, 1, T] waveforms: spectral convergence and log magnitudes, of one window in samples."""
    from auraloss.freq import STFTLoss

    class Magnitudes(STFTLoss):
        """Without the phases, which auraloss computes and has no use for here: as much work as all the rest of it."""

        def stft(self, x: Tensor) -> tuple[Tensor, None]:
            padded = nn.functional.pad(x[:, None], (window // 2, window // 2), mode="reflect")[:, 0]
            parts = torch.view_as_real(spectrum(padded, self.window, hop))
            return parts.square().sum(-1).clamp_min(self.eps).sqrt(), None

    return Magnitudes(fft_size=window, hop_size=hop, win_length=window, eps=_POWER_FLOOR)


class LogMelDistance(nn.Module):
    """Mean absolute difference of log-mel spectra at one scale, of [B, T] waveforms."""

    hann: Tensor
    filters: Tensor

    def __init__(self, sample_rate: int, window: int, bands: int):
        super().__init__()
        self.hop = window // 4
        self.register_buffer("hann", torch.hann_window(window), persistent=False)
        self.register_buffer("filters", mel_filters(sample_rate, window, bands).T.contiguous(), persistent=False)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Natural log of mel magnitudes above a floor, [B, frames, bands]."""
        parts = torch.view_as_real(spectrum(waveform, self.hann, self.hop))
        magnitude = (parts.square().sum(-1) + 1e-9).sqrt()
        return torch.log(magnitude @ self.filters + _MEL_FLOOR)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.log_mel(target)
        return (self.log_mel(output) - wanted).abs().mean()


class ReconstructionLoss(nn.Module):
    """The weighted sum of the losses in a LossConfig, with resolutions drawn afresh at each step."""

    def __init__(self, config: LossConfig, sample_rate: int):
        super().__init__()
        self.config = config
        if config.mel:
            self.mel = nn.ModuleList(mel_distances(sample_rate))
        if config.stft:
            self.stft = nn.ModuleList(
                stft_distance(at_rate(window, sample_rate), at_rate(hop, sample_rate)) for window, hop in STFT_SCALES
            )
        if config.complex:
            self.complex = CompressedComplexDistance(
                at_rate(512, sample_rate), at_rate(128, sample_rate), phase_share=config.phase
            )
        if config.phase_derivatives:
            self.phase_derivatives = PhaseDerivativeDistance(at_rate(512, sample_rate), at_rate(64, sample_rate))
        if config.disturbance:
            self.disturbance = AudibleDisturbance(sample_rate, at_rate(512, sample_rate))
        if config.envelope:
            self.envelope = EnvelopeDistance(sample_rate, at_rate(400, sample_rate))

    def forward(self, output: Tensor, target: Tensor, draw: random.Random | None = None) -> dict[str, Tensor]:
        """Weighted losses by name.

        Args:
            output, target: [B, 1, T] float32.
            draw: source of the resolutions; None uses all of them (evaluation).
        """
        losses = {}
        flat_output, flat_target = output[:, 0].float(), target[:, 0].float()
        if self.config.mel:
            chosen = self._draw(len(self.mel), self.config.draws, draw)
            losses["mel"] = self.config.mel * sum(self.mel[i](flat_output, flat_target) for i in chosen) / len(chosen)
        if self.config.stft:
            chosen = self._draw(len(self.stft), max(self.config.draws // 2, 1), draw)
            total = sum(self.stft[i](output.float(), target.float()) for i in chosen)
            losses["stft"] = self.config.stft * total / len(chosen)
        if self.config.complex:
            losses["complex"] = self.config.complex * self.complex(flat_output, flat_target)
        if self.config.phase_derivatives:
            distance = self.phase_derivatives(flat_output, flat_target)
            losses["phase_derivatives"] = self.config.phase_derivatives * distance
        if self.config.disturbance:
            losses["disturbance"] = self.config.disturbance * self.disturbance(flat_output, flat_target)
        if self.config.envelope:
            losses["envelope"] = self.config.envelope * self.envelope(flat_output, flat_target)
        return losses

    @staticmethod
    def _draw(count: int, wanted: int, draw: random.Random | None) -> list[int]:
        return list(range(count)) if draw is None else draw.sample(range(count), min(wanted, count))
