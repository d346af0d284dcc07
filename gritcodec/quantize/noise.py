"""Noise in place of codes that are still to be drawn: what ideal quantization would do to latents.

A Gaussian source of variance v, coded ideally with distortion D <= v, comes back as
(1 - D / v) z + sqrt(D (1 - D / v)) e with e ~ N(0, 1) (Cover and Thomas, "Elements of Information Theory", 10.3.2).
What D is depends on who chooses it. `white` gives all dimensions the same, as if each had a variance of 1: then a
network does best to spread what it has to say over all dimensions alike. `water` does what residual codes do: it spends
bits where there is variance, and leaves out what is below the water level (reverse water-filling, 10.3.3). Then what is
said loudest survives at few bits as if there were few dimensions, and many dimensions cost nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gritcodec.quantize.ranks import all_mean

_FORGET = 0.1  # of the running covariance, a step: the encoder moves
_LEAST = 1e-6


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
    variances, axes = torch.linalg.eigh(covariance)
    variances = variances.clamp_min(_LEAST)
    left = levels(variances, bits) / variances
    left = left.reshape(len(bits), *[1] * (z.ndim - 2), -1)
    turned = z @ axes
    noise = (left * (1 - left) * variances).sqrt() * torch.randn_like(z)
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
