"""How often a trained model's codes are used once their prices count, which depend on how often they are used."""

from __future__ import annotations

import torch
from torch import Tensor

from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.quantize.usage import shares
from gritcodec.train.config import DataConfig
from gritcodec.train.data import Corpus

_ROUNDS, _WHOLE = 8, 2
_BLOCK = 512  # vectors: what a search holds of them stays in the cache
_LESS, _MORE = 0.85, 1.05  # by what a stage's prices change at a time
_ABOVE = 0.1  # bits


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
def settle_usage(network: Autoencoder, latents: Tensor, rounds: int = _ROUNDS, least_bits: float = 0.0) -> list[float]:
    """Choose codes by their prices and set usage to what was chosen, in turn, until both agree.

    Args:
        network: evaluation mode; its quantizer's `usage` is set, and its `rate_weight` if least_bits is given.
        latents: [N, dim] of the encoder; N should be many times the number of codes.
        rounds: how many times.
        least_bits: a stage whose codes have less entropy than this gets a rate_weight below the others', found in
            three times as many rounds.

    Returns:
        Entropy of the codes of each stage, bits.
    """
    quantizer = network.quantizer
    weight = quantizer.rate_weight
    weights = torch.tensor(weight).expand(quantizer.stages)
    share, turns = torch.ones(quantizer.stages), rounds * (3 if least_bits else 1)
    quantizer.rate_weight = 0.0
    turns = turns if bool(weights.any()) else 1
    for turn in range(turns):
        # On the way a quarter will do, and takes a quarter of the time.
        some = latents if turn >= turns - _WHOLE else latents[::4]
        codes = torch.cat([quantizer.encode(part) for part in some.split(_BLOCK)])
        quantizer.usage.copy_(shares(codes, quantizer.usage))
        bits = quantizer.perplexity().log2().cpu()
        if least_bits:
            # Prices only fall in the last rounds: what they did at the end has to last.
            more = torch.where(bits > least_bits + _ABOVE, _MORE if turn < 2 * rounds else 1.0, 1.0)
            share = (share * torch.where(bits < least_bits, _LESS, more)).clamp_max(1.0)
            weight = tuple(round(float(value), 5) for value in weights * share)
        quantizer.rate_weight = weight
    return [float(value) for value in quantizer.perplexity().log2()]
