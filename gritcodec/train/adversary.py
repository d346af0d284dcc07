"""The adversarial stage: discriminators with their optimizer, and what the codec hears from them."""

from __future__ import annotations

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
        accelerator: of the run.
    """

    def __init__(self, config: AdversarialConfig, accelerator: Accelerator):
        self.config, self.accelerator = config, accelerator
        self.network = Discriminators(config).to(accelerator.device)
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.rate, betas=(0.8, 0.99), weight_decay=0.0, fused=True
        )
        self.model, self.optimizer = accelerator.prepare(self.network, optimizer)

    def train_step(self, real: Tensor, fake: Tensor, rate: float) -> dict[str, Tensor]:
        """One step of the discriminators.

        Args:
            real, fake: [B, T] waveforms; no gradient goes back through them.
            rate: share of the peak learning rate.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate * rate
        count = real.shape[0]
        with self.accelerator.autocast():
            # Both in one pass: under DistributedDataParallel a model may be called once for each backward.
            outputs = self.model(torch.cat([real, fake.detach()]))
            loss = discriminator_loss(*_split(outputs, count))
        self.accelerator.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {"discriminator": loss.detach()}

    def losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The codec's adversarial and feature losses, weighted, of [B, T] waveforms."""
        self.network.requires_grad_(False)
        try:
            with self.accelerator.autocast():
                with torch.no_grad():
                    wanted = self.network(real)
                adversarial, feature = generator_losses(wanted, self.network(fake))
        finally:
            self.network.requires_grad_(True)
        return {"adversarial": self.config.weight * adversarial, "feature": self.config.feature * feature}


def _split(outputs: list[list[Tensor]], count: int) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    return (
        [[layer[:count] for layer in member] for member in outputs],
        [[layer[count:] for layer in member] for member in outputs],
    )
