"""Statistics over all processes of a distributed run; in one process each returns what it is given."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def all_mean(x: Tensor) -> Tensor:
    """Mean of x over all ranks."""
    if _several():
        x = x.clone()
        dist.all_reduce(x)
        x /= dist.get_world_size()
    return x


def mean_over_ranks(x: Tensor) -> Tensor:
    """all_mean with a gradient."""
    if _several():
        from torch.distributed.nn.functional import all_reduce

        return all_reduce(x) / dist.get_world_size()
    return x


def all_rows(x: Tensor) -> Tensor:
    """Rows of all ranks, [N, D] -> [ranks * N, D], in the order of the ranks."""
    if _several():
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        x = torch.cat(parts)
    return x
