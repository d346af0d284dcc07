"""Gradient balancer: loss weights become shares of the gradient at the output.

Defossez et al., "High Fidelity Neural Audio Compression", arXiv 2210.13438, section 3.4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gritcodec.quantize.ranks import all_mean

_DECAY = 0.99


class Balancer(nn.Module):
    """Scales every loss's gradient at the output by its running norm.

    The first loss keeps the size it has, so that losses which do not go through the output (commitment, codebook)
    keep theirs beside it; the others get their share of it. Running norms are over all ranks.

    Args:
        shares: by loss; only their ratios matter.
    """

    norms: Tensor

    def __init__(self, shares: dict[str, float]):
        super().__init__()
        self.shares = shares
        self.register_buffer("norms", torch.zeros(len(shares)))

    def gradient(self, losses: dict[str, Tensor], output: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The balanced gradient at the output.

        Args:
            losses: scalars by name, functions of output; each needs a share.
            output: the decoder's output, in the graph.

        Returns:
            The gradient, of output's shape, and every loss's share of its norm before balancing.
        """
        names = [name for name in self.shares if name in losses]
        gradients = [torch.autograd.grad(losses[name], output, retain_graph=True)[0] for name in names]
        index = [list(self.shares).index(name) for name in names]
        # Per item, so that the batch's size does not matter.
        found = torch.stack([g.flatten(1).norm(dim=-1).mean() for g in gradients])
        with torch.no_grad():
            mean = all_mean(found)
            old = self.norms[index]
            self.norms[index] = torch.where(old > 0, old.lerp(mean, 1 - _DECAY), mean)
            running = self.norms[index].clamp_min(1e-12)
            shares = torch.tensor([self.shares[name] for name in names], device=running.device)
            scales = (shares / shares[0]) * (running[0] / running)
        total = torch.stack([scale * gradient for scale, gradient in zip(scales, gradients, strict=True)]).sum(0)
        before = {f"norm/{name}": value for name, value in zip(names, found.detach(), strict=True)}
        return total, before
