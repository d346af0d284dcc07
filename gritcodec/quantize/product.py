"""Product (grouped) GRIT-VQ: the latent's dimensions in groups, each with codebooks of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gritcodec.quantize.grit import Quantized
from gritcodec.quantize.residual import ResidualGritVQ


class ProductGritVQ(nn.Module):
    """Quantize groups of dimensions apart (Jegou et al., "Product quantization for nearest neighbor search", 2011).

    Args:
        dim: latent dimension D, a multiple of groups.
        groups: number of groups.
        codebook_size: codes K of every codebook.
        stages: residual stages a group; 1 is a plain product quantizer.
        settings: every other argument of ResidualGritVQ.

    Raises:
        ValueError: groups does not divide dim.
    """

    def __init__(self, dim: int, groups: int, codebook_size: int, stages: int = 1, **settings: Any):
        super().__init__()
        if groups < 1 or dim % groups:
            raise ValueError(f"dim {dim} cannot be split into {groups} groups")
        self.dim = dim
        self.groups = nn.ModuleList(
            ResidualGritVQ(dim // groups, stages, codebook_size, **settings) for _ in range(groups)
        )

    def forward(self, latents: Tensor, active: Tensor | None = None) -> Quantized:
        """Quantize latents [B, ..., D]; codes are [B, ..., groups, stages], losses are means over groups.

        Args:
            latents: floating point.
            active: [B] int, stages used by each item in every group; None uses all.
        """
        parts = [group(x, active) for group, x in zip(self.groups, latents.chunk(len(self.groups), -1), strict=True)]
        losses = {name: torch.stack([part.losses[name] for part in parts]).mean() for name in parts[0].losses}
        metrics = {name: torch.stack([part.metrics[name] for part in parts]).mean(0) for name in parts[0].metrics}
        codes = torch.stack([part.codes for part in parts], -2)
        return Quantized(torch.cat([part.values for part in parts], -1), codes, losses, metrics)

    @torch.no_grad()
    def encode(self, latents: Tensor, stages: int | None = None) -> Tensor:
        """Latents [..., D] -> codes [..., groups, stages] int64."""
        parts = zip(self._groups(), latents.chunk(len(self.groups), -1), strict=True)
        return torch.stack([group.encode(x, stages) for group, x in parts], -2)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes [..., groups, n] int64 -> quantized values [..., D]."""
        return torch.cat([group.decode(codes[..., i, :]) for i, group in enumerate(self._groups())], -1)

    def perplexity(self) -> Tensor:
        """exp(entropy) of running code usage, [groups, stages]."""
        return torch.stack([group.perplexity() for group in self._groups()])

    def parameter_groups(self, rate: float, **rates: float) -> list[dict[str, Any]]:
        """See ResidualGritVQ.parameter_groups."""
        return [group for part in self._groups() for group in part.parameter_groups(rate, **rates)]

    def _groups(self) -> list[ResidualGritVQ]:
        return [group for group in self.groups if isinstance(group, ResidualGritVQ)]
