"""The adversarial stage: discriminators with their optimizer, and what the codec hears from them."""

from __future__ import annotations

import random

import torch
from accelerate import Accelerator
from torch import Tensor

from gritcodec.train.config import AdversarialConfig
from gritcodec.train.discriminators import Discriminators, discriminator_loss, generator_losses

_CLIP = 10.0


class Adversary:
    """Discriminators of a run.

    Args:
        config: of the adversarial stage.
        seed: of what is drawn.
        accelerator: of the run.
    """

    def __init__(self, config: AdversarialConfig, seed: int, accelerator: Accelerator):
        self.config, self.seed, self.accelerator = config, seed, accelerator
        self.network = Discriminators(config).to(accelerator.device)
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.rate, betas=(0.8, 0.99), weight_decay=0.0, fused=True
        )
        self.model, self.optimizer = accelerator.prepare(self.network, optimizer)

    def draw(self, step: int) -> list[int]:
        """Indices of the discriminators that take part in a step, the same on every rank."""
        count = len(self.network.members)
        wanted = min(self.config.draws or count, count)
        return sorted(random.Random(f"discriminators/{self.seed}/{step}").sample(range(count), wanted))

    def train_step(self, step: int, real: Tensor, fake: Tensor, rate: float) -> dict[str, Tensor]:
        """One step of the discriminators.

        Args:
            step: of the run; it says which of them take part.
            real, fake: [B, T] waveforms; no gradient goes back through them.
            rate: share of the peak learning rate.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate * rate
        count = real.shape[0]
        with self.accelerator.autocast():
            # Both in one pass: under DistributedDataParallel a model may be called once for each backward.
            outputs = self.model(torch.cat([real, fake.detach()]), self.draw(step))
            loss = discriminator_loss(*_split(outputs, count))
        self.accelerator.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {"discriminator": loss.detach()}

    def losses(self, step: int, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The codec's adversarial and feature losses, weighted, of [B, T] waveforms, as those drawn for a step hear."""
        chosen = self.draw(step)
        self.network.requires_grad_(False)
        try:
            with self.accelerator.autocast():
                with torch.no_grad():
                    wanted = self.network(real, chosen)
                adversarial, feature = generator_losses(wanted, self.network(fake, chosen))
        finally:
            self.network.requires_grad_(True)
        return {"adversarial": self.config.weight * adversarial, "feature": self.config.feature * feature}


def _split(outputs: list[list[Tensor]], count: int) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    return (
        [[layer[:count] for layer in member] for member in outputs],
        [[layer[count:] for layer in member] for member in outputs],
    )
