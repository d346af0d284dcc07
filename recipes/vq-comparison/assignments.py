"""Stages that choose or pull codes in another way: VQ-WAE, SCQ, HyperVQ and NS-VQ, from their equations."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from stage import COMMITMENT, Codebook, Output, closest, distances, straight_through
from torch import Tensor, nn


class Transported(Codebook):
    """VQ-WAE (arXiv 2302.05917): the cheapest transport between weighted codes and the batch's latents is the loss.

    The codes' weights are learned, and held to be even by their divergence from uniform. Assumed: entropic transport
    (Sinkhorn, 20 rounds, a regularization of a twentieth of the mean cost), weight 0.01 of the divergence.
    """

    ROUNDS, SMOOTH = 20, 0.05

    def __init__(self, dim: int, size: int):
        super().__init__(dim, size)
        self.weights = nn.Parameter(torch.zeros(size))

    def forward(self, z: Tensor) -> Output:
        self.steps += self.training
        index = closest(z, self.codebook)
        values = straight_through(z, self.codebook[index])
        if not self.training:
            return values, index, z.new_zeros(())
        cost = distances(z, self.codebook)
        share = self.weights.softmax(-1)
        plan, prices = transport(cost.detach(), share.detach(), self.SMOOTH * float(cost.detach().mean()), self.ROUNDS)
        uneven = (share * (share * len(share)).log()).sum()
        loss = ((plan * cost).sum() + (share * prices).sum()) / z.shape[-1] + 0.01 * uneven
        return values, index, loss


@torch.no_grad()
def transport(cost: Tensor, share: Tensor, smooth: float, rounds: int) -> tuple[Tensor, Tensor]:
    """Entropic transport of rows, of equal weight, to columns of weight `share`: plan [N, K] and columns' prices."""
    kernel = torch.exp(-(cost - cost.amin(-1, keepdim=True)) / smooth)
    columns, least = torch.ones_like(share), 1e-30
    for _ in range(rounds):
        rows = 1 / len(cost) / (kernel @ columns).clamp_min(least)
        columns = share / (kernel.t() @ rows).clamp_min(least)
    rows = 1 / len(cost) / (kernel @ columns).clamp_min(least)
    prices = smooth * columns.clamp_min(least).log()
    return rows[:, None] * kernel * columns, prices - (share * prices).sum()


class Convex(Codebook):
    """SCQ, soft convex quantization (arXiv 2310.03004): in training a latent becomes a mean of codes, weighted by P.

    (C C' + lambda I) P = C Z + lambda P_nearest, [K, K], then P is projected on the simplex. By Woodbury's identity
    P = P_nearest + C (C'C + lambda I)^-1 (z - q): a system of D alone. At test the nearest code: how far that is from
    what training saw is `mismatch`, a share of the latents' variance. Assumed: lambda is 0.1 of C'C's mean eigenvalue.
    """

    LAMBDA = 0.1

    def __init__(self, dim: int, size: int):
        super().__init__(dim, size)
        self.mismatch = 0.0

    def forward(self, z: Tensor) -> Output:
        self.steps += self.training
        index = closest(z, self.codebook)
        hard = self.codebook[index]
        loss = F.mse_loss(hard, z.detach()) + COMMITMENT * F.mse_loss(z, hard.detach())
        if not self.training:
            return hard, index, loss
        values = convex_weights(z, self.codebook, index, self.LAMBDA) @ self.codebook
        self.mismatch = float((values - hard).detach().square().mean() / z.detach().square().mean())
        return values, index, loss


def convex_weights(z: Tensor, book: Tensor, index: Tensor, strength: float) -> Tensor:
    """P of SCQ, [N, K], each row on the simplex."""
    gram = book.t() @ book
    ridge = strength * gram.diagonal().mean().detach() * torch.eye(len(gram), device=z.device, dtype=z.dtype)
    moved = torch.linalg.solve(gram + ridge, (z - book[index]).t()).t() @ book.t()
    nearest = F.one_hot(index, len(book)).to(z.dtype)
    return simplex(nearest + moved)


def simplex(rows: Tensor) -> Tensor:
    """The nearest point on the simplex to each row (Held, Wolfe and Crowder, 1974), with its gradient."""
    with torch.no_grad():
        ordered = rows.sort(-1, descending=True).values
        count = torch.arange(1, rows.shape[-1] + 1, device=rows.device)
        last = ((ordered * count > ordered.cumsum(-1) - 1) * count).amax(-1, keepdim=True)
        on = rows >= ordered.gather(-1, last - 1)
    level = ((rows * on).sum(-1, keepdim=True) - 1) / on.sum(-1, keepdim=True)
    return (rows - level).clamp_min(0) * on


class Hyperbolic(Codebook):
    """HyperVQ (arXiv 2403.13015): the code is the class that multinomial regression in the Poincare ball gives.

    Logits are the signed distances of "Hyperbolic Neural Networks++" (arXiv 2006.08210), curvature 1; a code's value is
    a point that stands for its hyperplane. Drawn by Gumbel's softmax in training, hard; the largest at test. Assumed:
    the hyperplane of code c stands halfway to it, and its value is c, the origin's mirror image, so that codes drawn
    from data decide as nearest ones do near the origin; latents are scaled to a norm of `REACH` before the ball's
    exponential map.
    """

    REACH = 0.3
    spread: Tensor

    def __init__(self, dim: int, size: int):
        super().__init__(dim, size)
        self.register_buffer("spread", torch.ones(()))
        self.log_cold = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        super().start(z)
        self.spread.copy_(z.square().sum(-1).mean().sqrt().clamp_min(1e-6) / self.REACH)
        left = distances(z, self.codebook).amin(-1).mean() / self.spread.square()
        self.log_cold.copy_(torch.log(z.shape[-1] / (4 * left.clamp_min(1e-6))))

    def logits(self, z: Tensor) -> Tensor:
        """Signed distances times their normal's length, [N, K]."""
        tangent, code = z / self.spread, self.codebook / self.spread
        length = tangent.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        point = torch.tanh(length) * tangent / length
        size = code.norm(dim=-1).clamp_min(1e-6)
        bend = 2 / (1 - point.square().sum(-1, keepdim=True)).clamp_min(1e-5)
        # The hyperplane is size / 2 away: twice that is what its offset is counted in.
        inner = bend * (point @ code.t()) / size * torch.cosh(size) - (bend - 1) * torch.sinh(size)
        return 2 * size * torch.asinh(inner)

    def forward(self, z: Tensor) -> Output:
        self.steps += self.training
        logits = self.logits(z)
        index = logits.detach().argmax(-1)
        q = self.codebook[index]
        if self.training:
            drawn = F.gumbel_softmax(logits * self.log_cold.exp(), 1.0, hard=True)
            index = drawn.detach().argmax(-1)
            q = drawn @ self.codebook
        loss = F.mse_loss(q, z.detach()) + COMMITMENT * F.mse_loss(z, q.detach())
        return straight_through(z, q) + (q - q.detach()), index, loss


class Neighbours(Codebook):
    """NS-VQ (arXiv 2602.18896): the codebook loss is over all codes, with a temperature that decays.

    The winner counts 1, the others clamp(0.01 K softmax(-d^2 / tau), 0, 1), detached. Assumed: tau begins at the mean
    square distance to the nearest code and falls by e every 100 steps, to a hundredth.
    """

    SHARE, ANNEAL = 0.01, 100

    def forward(self, z: Tensor) -> Output:
        self.steps += self.training
        index = closest(z, self.codebook)
        q = self.codebook[index]
        square = distances(z.detach(), self.codebook)
        weights = self.weigh(square.detach(), index)
        loss = (weights * square).sum(-1).mean() / z.shape[-1] + COMMITMENT * F.mse_loss(z, q.detach())
        return straight_through(z, q), index, loss

    def weigh(self, square: Tensor, index: Tensor) -> Tensor:
        """What each code counts for each vector, [N, K]."""
        start = square.amin(-1).mean().clamp_min(1e-8)
        tau = start * max(math.exp(-self.steps / self.ANNEAL), 0.01)
        weights = (self.SHARE * square.shape[-1] * (-square / tau).softmax(-1)).clamp(0, 1)
        return weights.scatter(-1, index[:, None], 1.0)
