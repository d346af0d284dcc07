"""Codes drawn from the latents of training audio: in the middle of a run, and for one that ended before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.train.config import TrainConfig
from gritcodec.train.data import Corpus

_ITERATIONS = 8


@torch.no_grad()
def draw_codes(
    network: Autoencoder,
    corpus: Corpus,
    config: TrainConfig,
    vectors: int,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Give a network's quantizer codes for the latents that its encoder makes; the same whoever computes them.

    Args:
        network: in place.
        corpus: of the run.
        config: of the run.
        vectors: latents to draw them from, at least.
        autocast: gives the precision in which the encoder runs.
    """
    found: list[Tensor] = []
    device = next(network.parameters()).device
    while sum(len(latents) for latents in found) < vectors:
        batch = corpus.batch(config.data, config.seed + 1, len(found)).to(device)
        with autocast():
            latents = network.encoder(batch[:, 0])
        found.append(latents.float().flatten(0, 1))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        network.quantizer.initialize(torch.cat(found), iterations=_ITERATIONS)
