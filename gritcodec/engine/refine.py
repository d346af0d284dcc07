"""Analysis by synthesis: codes chosen by what the decoder makes of them, not by the encoder's word alone.

The encoder says in one pass where a sound lies among the latents; a few steps of gradient descent through the decoder
find a place nearby from which the decoder's output is closer to the sound, with codes in place of latents all along.
Speech coders have chosen their excitation so since Atal and Remde, "A new model of LPC excitation for producing
natural-sounding speech at low bit rates" (1982); for learned codecs see Yang, Bamler and Mandt, "Improving inference
for neural image compression" (2020). Decoders and files know nothing of it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gritcodec.engine.interface import CodeArray, State, Waveform
from gritcodec.engine.torch import TorchEngine, building, even_blocks, neutral
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.nn.hearing import (
    AudibleDisturbance,
    CompressedComplexDistance,
    EnvelopeDistance,
    LogBarkDistance,
    at_rate,
)
from gritcodec.quantize.search import greedy

Latents = NDArray[np.float32]

# In the first step each latent, whose variance is 1, moves by so much over the root of the number of steps.
_RATE = 0.13
# Steps alternate between nearly all stages and half as many, so that every bitrate gains.
_SHARES = (6 / 7, 3 / 7)
# Speech at this level is what the distances are made for; what lies far below it is not lifted up to it.
_ACTIVE_DBFS = -26.0
_MOST_GAIN_DB = 34.0
_SILENCE = 1e-9


class Distance(nn.Module):
    """How far an output is from what it should be, of [B, T] waveforms of speech at -26 dBFS.

    Attributes:
        least: samples that waveforms must have.
    """

    def __init__(self, sample_rate: int) -> None:
        """Make the windows for a sampling rate in Hz."""
        super().__init__()
        self.parts = nn.ModuleList(
            [
                CompressedComplexDistance(at_rate(512, sample_rate), at_rate(128, sample_rate), phase_share=0.65),
                AudibleDisturbance(sample_rate, at_rate(512, sample_rate)),
                EnvelopeDistance(sample_rate, at_rate(400, sample_rate)),
                LogBarkDistance(sample_rate, at_rate(256, sample_rate)),
                LogBarkDistance(sample_rate, at_rate(1024, sample_rate)),
            ]
        )
        self.weights = (4.0, 0.15, 0.5, 0.5, 0.5)
        self.least = at_rate(1024, sample_rate)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the weighted sum, a scalar."""
        return torch.stack(
            [weight * part(output, target) for weight, part in zip(self.weights, self.parts, strict=True)]
        ).sum()


def refine(network: Autoencoder, distance: Distance, z: Tensor, waveform: Tensor, past: Tensor, steps: int) -> Tensor:
    """Move latents to where the decoder, given their codes, comes closer to a waveform.

    Args:
        network: in evaluation mode.
        distance: of two waveforms.
        z: normalized latents [F, dim].
        waveform: [(P + F) * hop_length], of the frames before and of these.
        past: what the decoder was given for the P frames before, [P, dim].
        steps: of gradient descent.

    Returns:
        Normalized latents [F, dim].
    """
    quantizer, delay = network.quantizer, network.delay
    gain = _gain(waveform)
    if gain is None or len(waveform) - delay < distance.least:
        return z
    target = (gain * waveform[: len(waveform) - delay])[None]
    start, z = z, z.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([z], betas=(0.9, 0.95))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = _RATE / math.sqrt(steps) * (1 - 0.9 * step / steps)
        stages = max(round(quantizer.stages * _SHARES[step % len(_SHARES)]), 1)
        with torch.no_grad():
            values = quantizer.decode(greedy(z.detach(), quantizer.tables(), stages))
        # The gradient at the codes is taken for that at the latents, as in training.
        with torch.enable_grad():
            latents = torch.cat([past, z + (values - z).detach()])
            output = gain * network.decoder(latents[None])[:, delay:]
            loss = distance(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # No sound is known that ends so; were there one, its codes would be lost.
    return z.detach() if bool(torch.isfinite(z).all()) else start


def _gain(waveform: Tensor) -> float | None:
    """Return what brings the loud parts of a waveform to the usual level; None for silence."""
    power = waveform.unfold(0, min(320, len(waveform)), 320).square().mean(-1)
    loud = float(power[power >= 0.01 * power.max()].mean())
    if loud < _SILENCE:
        return None
    return 10 ** (min(_ACTIVE_DBFS - 10 * math.log10(loud), _MOST_GAIN_DB) / 20)


class Refiner:
    """What `codec.refining` needs of the network, in numpy's arrays.

    Attributes:
        engine: that runs the network.
    """

    def __init__(self, engine: TorchEngine) -> None:
        """Take the network of an engine."""
        self.engine = engine
        with building():
            self._distance = Distance(engine.config.sample_rate).to(engine.device)

    def latents(self, samples: Waveform, state: State) -> Latents:
        """Return the normalized latents of the next block, see `TorchEngine.latents`."""
        return self.engine.latents(samples, state)

    def refined(self, latents: Latents, waveform: Waveform, past: Latents, steps: int) -> Latents:
        """Return latents moved to where the decoder comes closer to a waveform, see `refine`.

        Args:
            latents: normalized, [F, dim].
            waveform: [(P + F) * hop_length].
            past: [P, dim].
            steps: of gradient descent.
        """
        with neutral():
            z, sound, before = (self._tensor(array) for array in (latents, waveform, past))
            return refine(self.engine.network, self._distance, z, sound, before, steps).numpy(force=True)

    def codes(self, latents: Latents) -> tuple[CodeArray, Latents]:
        """Return the codes of normalized latents [B, F, dim], [B, stages, F], and what they stand for, [B, F, dim]."""
        quantizer = self.engine.network.quantizer
        with neutral(), torch.no_grad():
            z = self._tensor(latents)
            found = torch.cat(
                [quantizer.encode_normalized(z[:, first:end]) for first, end in even_blocks(z.shape[1])], 1
            )
            values = quantizer.decode(found).numpy(force=True)
        return found.permute(0, 2, 1).numpy(force=True).astype(np.uint16), values

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(array.copy()).to(self.engine.device)
