"""Plain GRIT-VQ: one stage of the residual quantizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gritcodec.quantize.grit import Quantized
from gritcodec.quantize.residual import ResidualGritVQ


class GritVQ(ResidualGritVQ):
    """Plain GRIT-VQ: one codebook, codes [B, T].

    Args:
        dim: latent dimension D.
        codebook_size: codes K.
        settings: every other argument of ResidualGritVQ but `stages`.
    """

    def __init__(self, dim: int, codebook_size: int, **settings: Any):
        super().__init__(dim, 1, codebook_size, **settings)

    def forward(self, latents: Tensor, active: Tensor | None = None) -> Quantized:
        """Quantize latents [B, ..., D]; codes are [B, ...]."""
        out = super().forward(latents, active)
        return out._replace(codes=out.codes[..., 0]) if out.codes.shape[-1] else out

    @torch.no_grad()
    def encode(self, latents: Tensor, stages: int | None = None) -> Tensor:
        """Latents [..., D] -> codes [...] int64."""
        return super().encode(latents)[..., 0]

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes [...] int64 -> quantized values [..., D]."""
        return super().decode(codes[..., None])
