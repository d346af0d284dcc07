"""The radius family: how far the gradient moves a latent along the quantization direction.

A member is a function g(s) of the quantization distance s >= 0 with slope g'(s); see grit.py for what the slope does.
All slopes lie between 0 and 1, so no member expands a gradient. R is a scale, a detached tensor that broadcasts to s.

    linear    g = s                            g' = 1                       the same share at any distance
    tanh      g = R tanh(s / R)                g' = 1 - tanh(s / R)^2       codes hear of near latents alone
    log       g = R log(1 + s / R)             g' = 1 / (1 + s / R)         the same, with a long tail
    huber     g = R (sqrt(1 + (s/R)^2) - 1)    g' = (s/R) / sqrt(1 + ...)   codes hear of far latents most
    constant  g = R                            g' = 0                       straight-through
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Radius(NamedTuple):
    """One member: value and slope as functions of s and R, tensors of any shape that broadcast."""

    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]


RADII: dict[str, Radius] = {
    "linear": Radius(lambda s, r: s + 0 * r, lambda s, r: torch.ones_like(s)),
    "tanh": Radius(lambda s, r: r * torch.tanh(s / r), lambda s, r: 1 - torch.tanh(s / r).square()),
    "log": Radius(lambda s, r: r * torch.log1p(s / r), lambda s, r: r / (r + s)),
    "huber": Radius(lambda s, r: torch.hypot(r, s) - r, lambda s, r: s / torch.hypot(r, s)),
    "constant": Radius(lambda s, r: 0 * s + r, lambda s, r: torch.zeros_like(s)),
}


def member(name: str) -> Radius:
    """Look a radius up.

    Raises:
        ValueError: unknown radius.
    """
    if name not in RADII:
        raise ValueError(f"unknown radius '{name}'; one of {', '.join(RADII)}")
    return RADII[name]


@torch.no_grad()
def half_gaps(codes: Tensor, rows: int = 256, some: slice = slice(None)) -> Tensor:
    """Half the distance from each code to its nearest other one, a scale R that knows the geometry.

    Args:
        codes: [K, D].
        rows: codes whose distances to all others are held at once: never K x K.
        some: the codes that are asked for; all of them unless told.

    Returns:
        [K], or as many as `some` has.
    """
    norms = codes.square().sum(-1)
    asked = range(len(codes))[some]
    gaps = []
    for first in range(asked.start, asked.stop, rows):
        block = codes[first : min(first + rows, asked.stop)]
        square = norms[first : first + len(block), None] + norms - 2 * block @ codes.t()
        here = torch.arange(len(block), device=codes.device)
        square[here, first + here] = torch.inf
        gaps.append(square.amin(-1))
    return torch.cat(gaps).clamp_min(0).sqrt() / 2
