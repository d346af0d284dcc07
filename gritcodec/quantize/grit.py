"""GRIT-VQ's gradient: hard codes forward, a radius-based update backward.

After You, Zhang, He, Li, Liu, "Generalized Radius and Integrated Codebook Transforms for Differentiable Vector
Quantization", arXiv 2602.01140. The equations are this project's own definition, built to satisfy that
abstract; they are not the authors' code. For a latent z and its quantized value q:

    s = ||q - z||,   u = (q - z) / s (detached),   out = z + rho u,   rho = g(s) - sg[g(s)] + sg[s]

so that out equals q, and   d out / d z = I - g'(s) u u^T,   d out / d q = g'(s) u u^T.

The slope g' (radius.py) is the controllable step: 0 gives the encoder the straight-through gradient and the codes none;
1 gives the radial part of the gradient to the codes and only the tangential part to the encoder.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gritcodec.quantize.radius import member

EPSILON = 1e-8


class Quantized(NamedTuple):
    """What a quantizer returns.

    Attributes:
        values: [B, T, D], equal to the sum of the chosen codes, with GRIT-VQ's gradient.
        codes: [B, T, stages] int64 (plain: [B, T]; product: [B, T, groups, stages]); -1 where a stage was off.
        losses: scalar losses by name, already weighted, to be added to the task's loss.
        metrics: measurements by name, detached; `error` [stages] is the mean square a dimension that each stage left.
    """

    values: Tensor
    codes: Tensor
    losses: dict[str, Tensor]
    metrics: dict[str, Tensor]


class _Replace(torch.autograd.Function):
    """Forward returns q itself, to the last bit; backward applies both Jacobians."""

    @staticmethod
    def forward(ctx, z: Tensor, q: Tensor, gain: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(z, q, gain)
        return q.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[override]
        z, q, gain = ctx.saved_tensors
        gap = q - z
        # At zero distance there is no direction: the radial part is 0 and the update is straight-through.
        square = gap.square().sum(-1, keepdim=True).clamp_min(EPSILON**2)
        radial = (gain / square * (gap * gradient).sum(-1, keepdim=True)) * gap
        return gradient - radial, radial, None


def replace_by_radius(
    z: Tensor, q: Tensor, radius: str = "linear", slope: float = 1.0, scale: Tensor | float = 1.0
) -> Tensor:
    """Replace latents by their quantized values with GRIT-VQ's radius-based gradient.

    Args:
        z: [..., D] latents.
        q: [..., D] quantized values, differentiable through the codebook's transform.
        radius: member of the radius family.
        slope: factor of g', 0 to 1: between them the update does not expand gradients.
        scale: R, positive, one number or [..., 1].

    Returns:
        [..., D], equal to q.

    Raises:
        ValueError: unknown radius.
    """
    distance = (q - z).detach().square().sum(-1, keepdim=True).sqrt()
    gain = slope * member(radius).slope(distance, torch.as_tensor(scale, dtype=z.dtype, device=z.device))
    return _Replace.apply(z, q, gain)
