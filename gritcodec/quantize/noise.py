"""Noise in place of codes that are still to be drawn: what ideal quantization would do to latents.

A Gaussian source of variance v, coded ideally with distortion D <= v, comes back as
(1 - D / v) z + sqrt(D (1 - D / v)) e with e ~ N(0, 1) (Cover and Thomas, "Elements of Information Theory", 10.3.2).
What D is depends on who chooses it. `white` gives all dimensions the same, as if each had a variance of 1: then a
network does best to spread what it has to say over all dimensions alike. `water` does what residual codes do: it spends
bits where there is variance, and leaves out what is below the water level (reverse water-filling, 10.3.3). Then what is
said loudest survives at few bits as if there were few dimensions, and many dimensions cost nothing.
`scaled` is `water` whose noise grows with each vector: a code's error is a share of the vector that it stands for, the
same for a loud one and a faint one, as a few bits cannot tell both size and shape. Under noise of one size for all
vectors a network learns to make those long that matter, which helps against that noise and not at all with codes
(docs/training-log.md, entry 13).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gritcodec.quantize.ranks import all_mean

_FORGET = 0.1  # of the running covariance, a step: the encoder moves
_LEAST = 1e-6


def stand_in(kind: str, z: Tensor, stages: Tensor, stage_bits: float, covariance: Tensor | None) -> Tensor:
    """Latents as so many stages would give them back, [B, ..., D] -> [B, ..., D].

    Args:
        kind: `white`, `water` or `scaled`.
        z: normalized latents.
        stages: [B], of each item.
        stage_bits: bits that a stage's code has.
        covariance: [D, D] of the latents; `white` needs none.
    """
    if covariance is None or kind == "white":
        return white(z, stage_bits * stages)
    if kind == "water":
        return water(z, stage_bits * stages, covariance)
    return scaled(z, stage_bits * worth(stages), covariance)


def white(z: Tensor, bits: Tensor) -> Tensor:
    """Latents with the same noise in all dimensions, [B, ..., D] -> [B, ..., D].

    Args:
        z: normalized latents.
        bits: [B], bits that each vector of an item is coded with.
    """
    distortion = torch.exp2(-2 * bits / z.shape[-1]).reshape(-1, *[1] * (z.ndim - 1))
    return (1 - distortion) * z + (distortion * (1 - distortion)).sqrt() * torch.randn_like(z)


def water(z: Tensor, bits: Tensor, covariance: Tensor) -> Tensor:
    """Latents with the noise that bits leave where they are spent best, [B, ..., D] -> [B, ..., D].

    Args:
        z: normalized latents.
        bits: [B], bits that each vector of an item is coded with.
        covariance: [D, D] of the latents.
    """
    return _filtered(z, bits, covariance, 1.0)


def scaled(z: Tensor, bits: Tensor, covariance: Tensor) -> Tensor:
    """Latents as `water` gives them, each vector's noise in proportion to its length, [B, ..., D] -> [B, ..., D].

    Args:
        z: normalized latents, their mean 0.
        bits: [B], bits that each vector of an item is coded with.
        covariance: [D, D] of the latents.
    """
    return _filtered(z, bits, covariance, _size(z, covariance))


def worth(stages: Tensor) -> Tensor:
    """Stages of ideal quantization that leave as much as so many stages of codes drawn by k-means.

    Measured on the latents of two networks, 1024 codes a stage: 1.0 to 1.2 for one, 0.86 for each of three, 0.8 for
    each of seven, 0.76 for each of thirteen.
    """
    return 0.25 + 0.78 * stages


def _size(z: Tensor, covariance: Tensor) -> Tensor:
    """Lengths of vectors over their usual one, [B, ..., 1]."""
    # The root of nothing has no gradient.
    return (z.square().sum(-1, keepdim=True) / covariance.trace() + _LEAST**2).sqrt()


def _filtered(z: Tensor, bits: Tensor, covariance: Tensor, size: Tensor | float) -> Tensor:
    variances, axes = torch.linalg.eigh(covariance)
    variances = variances.clamp_min(_LEAST)
    left = levels(variances, bits) / variances
    left = left.reshape(len(bits), *[1] * (z.ndim - 2), -1)
    turned = z @ axes
    noise = size * (left * (1 - left) * variances).sqrt() * torch.randn_like(z)
    return ((1 - left) * turned + noise) @ axes.t()


def levels(variances: Tensor, bits: Tensor) -> Tensor:
    """Distortion of each of independent Gaussians when bits are spent best among them, [B, D].

    Args:
        variances: [D], above 0.
        bits: [B], for all of them together.
    """
    logs = torch.log2(variances).sort(descending=True).values
    count = torch.arange(1, len(logs) + 1, device=logs.device)
    # With the k largest above water, bits = sum over them of log2(variance / water) / 2; k is the most that can be.
    water_levels = (logs.cumsum(0) - 2 * bits[:, None]) / count
    above = ((logs >= water_levels) * count).amax(-1, keepdim=True).clamp_min(1)
    return torch.minimum(torch.exp2(water_levels.gather(1, above - 1)), variances)


@torch.no_grad()
def follow(covariance: Tensor, z: Tensor) -> None:
    """Move a running covariance [D, D] towards that of latents [..., D] of all ranks, in place."""
    flat = z.detach().reshape(-1, z.shape[-1])
    covariance.lerp_(all_mean(flat.t() @ flat / len(flat)).to(covariance.dtype), _FORGET)
