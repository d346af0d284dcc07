"""The transform family: parameters shared by all codes of a codebook, C' = T(C).

Each is a module from base codes [stages, K, D] to codes of the same shape, with parameters of its own for every
stage, equal to the identity at the start. None sees data: C' depends on codes and parameters alone, is computed once
a step, and takes the place of C when a model is saved.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class IdentityTransform(nn.Module):
    """C' = C: no code moves but those that were chosen."""

    def __init__(self, stages: int, dim: int):
        super().__init__()

    def forward(self, codes: Tensor) -> Tensor:
        return codes


class LinearTransform(nn.Module):
    """C' = C W, W starts at the identity (SimVQ, arXiv 2411.02038, is this with frozen codes)."""

    def __init__(self, stages: int, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(dim).repeat(stages, 1, 1))

    def forward(self, codes: Tensor) -> Tensor:
        return codes @ self.weight


class LowRankTransform(nn.Module):
    """C' = C + C B A of rank D / 4, A starts at 0."""

    def __init__(self, stages: int, dim: int):
        super().__init__()
        rank = max(dim // 4, 1)
        self.down = nn.Parameter(torch.randn(stages, dim, rank) / math.sqrt(dim))
        self.up = nn.Parameter(torch.zeros(stages, rank, dim))

    def forward(self, codes: Tensor) -> Tensor:
        return codes + codes @ self.down @ self.up


class MLPTransform(nn.Module):
    """C' = C + MLP(C), one hidden layer of 2 D, its last layer starts at 0."""

    def __init__(self, stages: int, dim: int):
        super().__init__()
        self.weight_in = nn.Parameter(torch.randn(stages, dim, 2 * dim) / math.sqrt(dim))
        self.bias_in = nn.Parameter(torch.zeros(stages, 1, 2 * dim))
        self.weight_out = nn.Parameter(torch.zeros(stages, 2 * dim, dim))

    def forward(self, codes: Tensor) -> Tensor:
        return codes + F.gelu(codes @ self.weight_in + self.bias_in) @ self.weight_out


class AttentionTransform(nn.Module):
    """C' = C + attention of every code over all codes of its stage (one head), its last layer starts at 0."""

    def __init__(self, stages: int, dim: int):
        super().__init__()
        self.query_key_value = nn.Parameter(torch.randn(stages, dim, 3 * dim) / math.sqrt(dim))
        self.out = nn.Parameter(torch.zeros(stages, dim, dim))

    def forward(self, codes: Tensor) -> Tensor:
        query, key, value = (codes @ self.query_key_value)[:, None].chunk(3, -1)
        return codes + F.scaled_dot_product_attention(query, key, value)[:, 0] @ self.out


TRANSFORMS: dict[str, type[nn.Module]] = {
    "identity": IdentityTransform,
    "linear": LinearTransform,
    "lowrank": LowRankTransform,
    "mlp": MLPTransform,
    "attention": AttentionTransform,
}


def build(name: str, stages: int, dim: int) -> nn.Module:
    """A transform by name.

    Raises:
        ValueError: unknown transform.
    """
    if name not in TRANSFORMS:
        raise ValueError(f"unknown transform '{name}'; one of {', '.join(TRANSFORMS)}")
    return TRANSFORMS[name](stages, dim)
