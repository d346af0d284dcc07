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
from torch import Tensor, nn

from gritcodec.audio import Waveform
from gritcodec.errors import UsageError
from gritcodec.hearing import (
    AudibleDisturbance,
    CompressedComplexDistance,
    EnvelopeDistance,
    LogBarkDistance,
    at_rate,
)
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.quantize.search import greedy
from gritcodec.stream import CHUNK_FRAMES, ChunkEncoder, CodeArray, even_blocks, warmup_frames

MOST_EFFORT = 100
# Frames refined at once, and frames after them that are refined for what they hear of those before, and then again.
_BLOCK = 4 * CHUNK_FRAMES
_AHEAD = 16
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


class RefiningEncoder(ChunkEncoder):
    """Blocks of samples in, chunks of refined codes out; five seconds late."""

    # Tensors made in a caller's inference mode could not be part of a gradient.
    @torch.inference_mode(False)
    def __init__(
        self,
        network: Autoencoder,
        sample_rate: int,
        channels: int,
        stages: int,
        frames: int = CHUNK_FRAMES,
        effort: int = 1,
    ) -> None:
        """Begin a signal, as `ChunkEncoder` does, with `effort` steps for every block."""
        super().__init__(network, sample_rate, channels, stages, frames)
        self._effort = effort
        self._distance = Distance(network.config.sample_rate)
        dim = network.config.quantizer.dim
        # Samples lie in _pending from the first frame of _past on; the latents of its newest frames are still to come.
        self._past = torch.zeros(channels, 0, dim)
        self._latents = torch.zeros(channels, 0, dim)
        self._codes = np.zeros((channels, stages, 0), dtype=np.uint16)

    def _waiting(self) -> int:
        return self._pending.shape[1] - self._seen() * self._network.config.hop_length

    def _seen(self) -> int:
        """Return how many of the frames that `_pending` holds have latents."""
        return self._past.shape[1] + self._latents.shape[1]

    @torch.inference_mode(False)
    def _take(self, samples: Waveform, last: bool) -> list[CodeArray]:
        hop = self._network.config.hop_length
        self._pending = np.concatenate([self._pending, samples], axis=1)
        seen = self._seen()
        while (new := min(self._pending.shape[1] // hop - seen, CHUNK_FRAMES)) == CHUNK_FRAMES or (last and new):
            self._encode_latents(self._pending[:, seen * hop : (seen + new) * hop])
            seen += new
            self._frames += new
        while self._latents.shape[1] >= _BLOCK + _AHEAD:
            self._refine(_BLOCK, _AHEAD)
        if last and self._latents.shape[1]:
            self._refine(self._latents.shape[1], 0)
        chunks = []
        while (ready := min(self._codes.shape[2], self._chunk)) == self._chunk or (last and ready):
            chunks.append(self._codes[:, :, :ready])
            self._codes = self._codes[:, :, ready:]
        return chunks

    @torch.no_grad()
    def _encode_latents(self, samples: Waveform) -> None:
        hop, network = self._network.config.hop_length, self._network
        parts = []
        for group, state in self._groups:
            batch = torch.from_numpy(np.ascontiguousarray(samples[group]))
            blocks = even_blocks(batch.shape[1] // hop)
            found = [network.encoder(batch[:, first * hop : end * hop], state) for first, end in blocks]
            parts.append(network.quantizer.normalize(torch.cat(found, 1)))
        self._latents = torch.cat([self._latents, torch.cat(parts)], 1)

    def _refine(self, frames: int, ahead: int) -> None:
        """Refine so many frames, and those ahead of them, and give out the codes of the first."""
        network, hop = self._network, self._network.config.hop_length
        before = self._past.shape[1]
        waveform = torch.from_numpy(self._pending[:, : (before + frames + ahead) * hop].copy())
        for channel, latents in enumerate(self._latents):
            refined = refine(
                network,
                self._distance,
                latents[: frames + ahead],
                waveform[channel],
                self._past[channel],
                self._effort,
            )
            latents[: frames + ahead] = refined
        quantizer = network.quantizer
        with torch.no_grad():
            codes = [quantizer.encode_normalized(self._latents[:, first:end]) for first, end in even_blocks(frames)]
            found = torch.cat(codes, 1)
            past = torch.cat([self._past, quantizer.decode(found)], 1)
        kept = min(warmup_frames(network, network.config.sample_rate), past.shape[1])
        self._past = past[:, past.shape[1] - kept :]
        self._pending = self._pending[:, (before + frames - kept) * hop :]
        self._latents = self._latents[:, frames:]
        new = found[..., : self._stages].permute(0, 2, 1).numpy().astype(np.uint16)
        self._codes = np.concatenate([self._codes, new], axis=2)


def check_effort(effort: int) -> None:
    """Raise UsageError where there is no such effort."""
    if not 0 <= effort <= MOST_EFFORT:
        raise UsageError(f"effort is a number of steps from 0 to {MOST_EFFORT}, not {effort}")


def encoder(
    network: Autoencoder,
    sample_rate: int,
    channels: int,
    stages: int,
    frames: int = CHUNK_FRAMES,
    effort: int = 0,
) -> ChunkEncoder:
    """Return an encoder that takes so much effort.

    Raises:
        UsageError: there is no such effort.
    """
    check_effort(effort)
    if not effort:
        return ChunkEncoder(network, sample_rate, channels, stages, frames)
    return RefiningEncoder(network, sample_rate, channels, stages, frames, effort)
