"""Lloyd's k-means for drawing a codebook from data."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def kmeans(points: Tensor, clusters: int, iterations: int = 10) -> tuple[Tensor, Tensor]:
    """Cluster points around `clusters` centres.

    Args:
        points: [N, D] float. With N < clusters, points repeat with a little noise.
        clusters: number of centres K.
        iterations: Lloyd iterations.

    Returns:
        Centres [K, D] and each point's centre [N] int64. A centre that loses all its points is put on a point
        drawn at random, so that none is left unused.
    """
    count = points.shape[0]
    if count < clusters:
        repeats = -(-clusters // count)
        points = points.repeat(repeats, 1) + 1e-3 * points.std() * torch.randn(
            count * repeats, points.shape[1], device=points.device
        )
    order = torch.randperm(points.shape[0], device=points.device)[:clusters]
    centres = points[order].clone()
    index = _nearest(points, centres)
    for _ in range(iterations):
        sums = torch.zeros_like(centres).index_add_(0, index, points)
        sizes = torch.bincount(index, minlength=clusters)
        centres = sums / sizes.clamp_min(1)[:, None]
        empty = (sizes == 0).nonzero()[:, 0]
        if len(empty):
            centres[empty] = points[torch.randint(points.shape[0], (len(empty),), device=points.device)]
        index = _nearest(points, centres)
    return centres, index[:count]


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    return torch.addmm(-centres.square().sum(-1) / 2, points, centres.t()).argmax(-1)
