"""Discriminators for the adversarial stage: complex STFTs at several resolutions, and periods of the waveform.

Zeghidour et al., "SoundStream", arXiv 2107.03312 and Defossez et al., "High Fidelity Neural Audio Compression",
arXiv 2210.13438 (complex STFT); Kong et al., "HiFi-GAN", arXiv 2010.05646 (periods).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from gritcodec.nn.hearing import spectrum
from gritcodec.train.config import AdversarialConfig

_SLOPE = 0.1
_COMPRESSION = 0.3


class STFTDiscriminator(nn.Module):
    """One resolution: the complex STFT [B, 2, frames, bins], magnitudes raised to 0.3, through 2-D convolutions.

    Args:
        window: samples; the hop is a quarter of it.
        channels: of every layer.
    """

    hann: Tensor

    def __init__(self, window: int, channels: int):
        super().__init__()
        self.register_buffer("hann", torch.hann_window(window), persistent=False)
        layers = [weight_norm(nn.Conv2d(2, channels, (3, 7), padding=(1, 3)))]
        for dilation in (1, 2, 4):  # in time; every layer halves the bins
            layers.append(
                weight_norm(
                    nn.Conv2d(channels, channels, (3, 5), stride=(1, 2), dilation=(dilation, 1), padding=(dilation, 2))
                )
            )
        self.layers = nn.ModuleList(layers)
        self.out = weight_norm(nn.Conv2d(channels, 1, (3, 3), padding=(1, 1)))

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Waveform [B, T] -> outputs of all layers, the logits last."""
        parts = torch.view_as_real(spectrum(waveform, self.hann, self.hann.numel() // 4))
        power = parts.square().sum(-1, keepdim=True) + 1e-5
        x = (parts * power ** ((_COMPRESSION - 1) / 2)).permute(0, 3, 1, 2)
        return _outputs(self.layers, self.out, x)


def _outputs(layers: nn.ModuleList, out: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs of all layers, the logits last."""
    features = []
    for layer in layers:
        x = F.leaky_relu(layer(x), _SLOPE)
        features.append(x)
    return [*features, out(x)]


class PeriodDiscriminator(nn.Module):
    """One period: the waveform [B, T] as [B, 1, T / period, period], convolved along time alone."""

    def __init__(self, period: int, channels: int):
        super().__init__()
        self.period = period
        widths = (1, channels, 2 * channels, 4 * channels)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), stride=(3, 1), padding=(2, 0))) for a, b in itertools.pairwise(widths)
        )
        self.out = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Waveform [B, T] -> outputs of all layers, the logits last."""
        short = -waveform.shape[-1] % self.period
        x = F.pad(waveform, (0, short)).reshape(waveform.shape[0], 1, -1, self.period)
        return _outputs(self.layers, self.out, x)


class Discriminators(nn.Module):
    """A configuration's discriminators, [B, T] -> a list of layer outputs for each that is asked.

    Args of the call:
        waveform: [B, T].
        chosen: which of the discriminators to ask, by index; None asks all.
    """

    def __init__(self, config: AdversarialConfig):
        super().__init__()
        self.members = nn.ModuleList(
            [
                *(STFTDiscriminator(window, config.channels) for window in config.windows),
                *(PeriodDiscriminator(period, config.channels) for period in config.periods),
            ]
        )

    def forward(self, waveform: Tensor, chosen: Sequence[int] | None = None) -> list[list[Tensor]]:
        indices = range(len(self.members)) if chosen is None else chosen
        return [self.members[index](waveform) for index in indices]


def discriminator_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Hinge loss, mean over discriminators (Lim and Ye, arXiv 1705.02894); 2 when nothing is told apart."""
    losses = [
        F.relu(1 - r[-1].float()).mean() + F.relu(1 + f[-1].float()).mean() for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(losses).mean()


def generator_losses(real: list[list[Tensor]], fake: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
    """Adversarial hinge loss of the codec, and feature matching relative to the features' size, means over all."""
    adversarial = torch.stack([F.relu(1 - f[-1].float()).mean() for f in fake]).mean()
    distances = [
        (a.detach().float() - b.float()).abs().mean() / a.detach().float().abs().mean().clamp_min(1e-3)
        for r, f in zip(real, fake, strict=True)
        for a, b in zip(r[:-1], f[:-1], strict=True)
    ]
    return adversarial, torch.stack(distances).mean()
