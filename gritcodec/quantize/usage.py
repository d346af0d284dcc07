"""How often codes are used: counting, what a use costs in bits, and what becomes of codes that nobody uses."""

import torch
from torch import Tensor

from gritcodec.quantize.ranks import all_mean

# Prices end at a tenth of an even share: a code that has gone out of use stays within reach.
_RAREST = 0.1


@torch.no_grad()
def shares(codes: Tensor, before: Tensor) -> Tensor:
    """Share of each code among the vectors of its stage, over all ranks, [stages, K].

    Args:
        codes: [N, stages] int64, -1 where a vector does not use a stage.
        before: [stages, K], taken where no vector used a stage.
    """
    stages, size = before.shape
    shifted = codes + 1 + torch.arange(stages, device=codes.device) * (size + 1)
    counts = torch.bincount(shifted.flatten(), minlength=stages * (size + 1))
    counts = all_mean(counts.reshape(stages, -1)[:, 1:].float())
    total = counts.sum(-1, keepdim=True)
    return torch.where(total > 0, counts / total.clamp_min(1), before)


def perplexity(usage: Tensor) -> Tensor:
    """exp(entropy) of usage [stages, K], [stages], 1 to K."""
    share = usage / usage.sum(-1, keepdim=True)
    return torch.exp(-(share * share.clamp_min(1e-10).log()).sum(-1))


def energy_left(stage_scale: Tensor) -> Tensor:
    """Mean square that each stage leaves, [stages]: the next one's input, as `stage_scale` has its root, [stages]."""
    energy = stage_scale.square()
    last = energy[-1:] * (energy[-1:] / energy[-2:-1] if len(energy) > 1 else 1)
    return torch.cat([energy[1:], last])


def prices(usage: Tensor, weight: Tensor) -> Tensor:
    """What choosing each code costs, as a share of the energy that its stage leaves on average, [stages, K].

    Args:
        usage: share of each code, [stages, K].
        weight: share of that energy that a bit costs, [stages, 1] or [1, 1].
    """
    size = usage.shape[-1]
    share = usage / usage.sum(-1, keepdim=True)
    return -torch.log2(share.clamp_min(_RAREST / size)) * weight


@torch.no_grad()
def replace_dead(base: Tensor, usage: Tensor, below: float) -> None:
    """Split the most used codes in two, one half each for a code that is hardly used; the same on all ranks.

    Base codes are what is copied, so this works under any transform.

    Args:
        base: codes [stages, K, D], changed in place, as usage is.
        usage: [stages, K].
        below: share of an even share under which a code is hardly used.
    """
    size = usage.shape[-1]
    for codes, used in zip(base, usage, strict=True):
        dead = (used < below / size).nonzero()[:, 0]
        if not len(dead):
            continue
        dead = dead[: size // 2]
        busy = used.topk(len(dead)).indices
        source = codes[busy]
        with torch.random.fork_rng(devices=[usage.device] if usage.is_cuda else []):
            torch.manual_seed(len(dead))
            apart = 0.05 * source.square().mean(-1, keepdim=True).sqrt() * torch.randn_like(source)
        codes[dead] = source + apart
        used[busy] /= 2
        used[dead] = used[busy]
