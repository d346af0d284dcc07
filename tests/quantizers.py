"""Quantizers for tests."""

import torch

from gritcodec.quantize import ResidualGritVQ


def make(stages: int = 4, size: int = 16, dim: int = 6, **settings) -> ResidualGritVQ:
    """A quantizer with codes drawn from correlated normal latents, the same at every call."""
    torch.manual_seed(0)
    quantizer = ResidualGritVQ(dim, stages, size, **settings)
    quantizer.initialize(torch.randn(400, dim) @ torch.randn(dim, dim))
    return quantizer
