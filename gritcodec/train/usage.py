"""How often a trained model's codes are used once their prices count, which depend on how often they are used."""

from __future__ import annotations

import torch
from torch import Tensor

from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.quantize.usage import shares
from gritcodec.train.config import DataConfig
from gritcodec.train.data import Corpus

_ROUNDS = 8


def draw_latents(network: Autoencoder, corpus: Corpus, data: DataConfig, seed: int, count: int) -> Tensor:
    """Encoder outputs of speech drawn as in training, float32 [count, dim]."""
    found: list[Tensor] = []
    while sum(map(len, found)) < count:
        step = len(found)
        waveforms = corpus.batch(data, seed, step) * corpus.levels(data, seed, step)
        with torch.inference_mode():
            found.append(network.encoder(waveforms[:, 0]).flatten(0, 1))
    return torch.cat(found)[:count]


@torch.no_grad()
def settle_usage(network: Autoencoder, latents: Tensor, rounds: int = _ROUNDS) -> list[float]:
    """Choose codes by their prices and set usage to what was chosen, in turn, until both agree.

    Args:
        network: evaluation mode; its quantizer's `usage` is set.
        latents: [N, dim] of the encoder; N should be many times the number of codes.
        rounds: how many times.

    Returns:
        Entropy of the codes of each stage, bits.
    """
    quantizer = network.quantizer
    weight, quantizer.rate_weight = quantizer.rate_weight, 0.0
    for _ in range(rounds if weight else 1):
        codes = torch.cat([quantizer.encode(part) for part in latents.split(4096)])
        quantizer.usage.copy_(shares(codes, quantizer.usage))
        quantizer.rate_weight = weight
    return [float(bits) for bits in quantizer.perplexity().log2()]
