"""Stages with a posterior over codes or latents: SQ-VAE (stacked: HQ-VAE), GM-VQ and VAEVQ, from their equations."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from stage import COMMITMENT, Codebook, Output, closest, distances, straight_through
from torch import Tensor, nn

ANNEAL = 200  # steps in which the temperature of Gumbel's softmax falls to 1 / e; never below COLDEST
COLDEST = 0.1


class Stochastic(Codebook):
    """SQ-VAE (arXiv 2205.07547), and stacked the residual form of HQ-VAE (arXiv 2401.00365).

    Codes are drawn with logits -d^2 / 2 s^2, s learned for every stage, relaxed by Gumbel's softmax in training; the
    nearest is taken afterwards. The loss is ||z - q||^2 / 2 s^2 - H(posterior), the divergence from a uniform prior.
    Assumed: as both papers' reconstruction term is D / 2 log(error), that divergence counts 2 error / D beside a mean
    square error, and the error is what quantization leaves; the temperature falls over hundreds of steps, not epochs.
    """

    def __init__(self, dim: int, size: int):
        super().__init__(dim, size)
        self.log_variance = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        super().start(z)
        self.log_variance.copy_((z - self.codebook[closest(z, self.codebook)]).square().mean().clamp_min(1e-8).log())

    def temperature(self) -> float:
        return max(math.exp(-self.steps / ANNEAL), COLDEST)

    def forward(self, z: Tensor) -> Output:
        index = closest(z, self.codebook)
        if not self.training:
            return self.codebook[index], index, z.new_zeros(())
        self.steps += 1
        logits = -distances(z, self.codebook) / (2 * self.log_variance.exp())
        return self.drawn(z, index, logits)

    def drawn(self, z: Tensor, index: Tensor, logits: Tensor) -> Output:
        """Return what a draw by logits gives in training; `index`: of the nearest codes."""
        q = F.gumbel_softmax(logits, self.temperature()) @ self.codebook
        log_posterior = logits.log_softmax(-1)
        entropy = -(log_posterior.exp() * log_posterior).sum(-1).mean()
        square = (z - q).square()
        divergence = square.sum(-1).mean() / (2 * self.log_variance.exp()) - entropy
        return q, index, 2 * square.detach().mean() / z.shape[-1] * divergence


class Mixture(Stochastic):
    """GM-VQ (arXiv 2410.10180): codes are the means of a Gaussian mixture with one learned variance.

    The code that Gumbel's softmax draws is taken hard, with the soft one's gradient; ||z - q||^2 / 2 s^2 stays, and in
    the place of each vector's entropy stands that of the posterior averaged over the batch, which is to be large (the
    aggregated categorical posterior bound). No commitment loss. Weighted and annealed as `Stochastic` is; D / 2 log s^2
    is added, as the variance of a mixture would grow without it. No noise is added to the code: assumed.
    """

    def drawn(self, z: Tensor, index: Tensor, logits: Tensor) -> Output:
        drawn = F.gumbel_softmax(logits, self.temperature(), hard=True)
        q = drawn @ self.codebook
        together = logits.softmax(-1).mean(0)
        entropy = -(together * together.clamp_min(1e-12).log()).sum()
        square = (z - q).square()
        fit = square.sum(-1).mean() / (2 * self.log_variance.exp()) + z.shape[-1] / 2 * self.log_variance
        loss = 2 * square.detach().mean() / z.shape[-1] * (fit - entropy)
        return q, drawn.detach().argmax(-1), loss


class Variational(Codebook):
    """VAEVQ (arXiv 2511.06863): a variational latent is quantized, and the codebook is held to its distribution.

    Three parts. Noise of a learned variance, aligned with q: it acts along the direction from latent to code. The pull
    between latent and code counts less where the noise is large (coherence): exp(-variance / error). And the
    2-Wasserstein distance of the codes' (diagonal) Gaussian from N(0, I) in units of the stage's input. Assumed: the
    variance is a linear function of the latent and begins at 1 % of the error; a weight of 1e-3 for its divergence from
    that of the quantization error, 0.1 for the distance.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, dim: int, size: int):
        super().__init__(dim, size)
        self.log_ratio = nn.Linear(dim, 1)
        nn.init.zeros_(self.log_ratio.weight)
        nn.init.constant_(self.log_ratio.bias, math.log(0.01))
        self.register_buffer("center", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(()))

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        super().start(z)
        self.center.copy_(z.mean(0))
        self.spread.copy_(z.std().clamp_min(1e-6))

    def forward(self, z: Tensor) -> Output:
        clean = self.codebook[closest(z, self.codebook)]
        noisy, coherence, divergence = z, z.new_ones(len(z), 1), z.new_zeros(())
        if self.training:
            log_ratio = self.log_ratio(z).clamp(-10, 0)
            noisy = z + (log_ratio / 2).exp() * torch.randn_like(log_ratio) * (clean - z).detach()
            coherence = torch.exp(-log_ratio.exp()).detach()
            divergence = (log_ratio.exp() - 1 - log_ratio).mean() / 2
        index = closest(noisy, self.codebook)
        q = self.codebook[index]
        pull = (coherence * (noisy - q.detach()).square()).mean()
        codes = (self.codebook - self.center) / self.spread
        wasserstein = codes.mean(0).square().mean() + (codes.std(0) - 1).square().mean()
        loss = F.mse_loss(q, noisy.detach()) + COMMITMENT * pull + 1e-3 * divergence + 0.1 * wasserstein
        return straight_through(noisy, q), index, loss
