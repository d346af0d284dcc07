"""Second level: a small codec trained together with each quantizer, on audio; a minute or two a run.

All runs start from one autoencoder that was trained without quantization, and see the same batches. The codec is the
shipped one's architecture with an eighth of its parameters; latents [B, T, 64] are layer-normalized for every method.
"""

from __future__ import annotations

import copy
import math
import random
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import reconstruction, steadiness, use_of_codes
from methods import METHODS, WIDE_FROM, WIDE_RATES, Method, parameter_groups
from torch import Tensor, nn

from gritcodec.nn.autoencoder import Decoder, Encoder
from gritcodec.nn.config import NetworkConfig, QuantizerConfig
from gritcodec.train.config import DataConfig, LossConfig
from gritcodec.train.data import Corpus, open_corpus
from gritcodec.train.losses import ReconstructionLoss

NETWORK = NetworkConfig(
    encoder_fine=96,
    encoder_fine_blocks=1,
    encoder_coarse=192,
    encoder_coarse_blocks=2,
    decoder_coarse=192,
    decoder_coarse_blocks=2,
    decoder_fine=128,
    decoder_fine_blocks=2,
    quantizer=QuantizerConfig(dim=64),
)
START_STEPS, STEPS, WARMUP, RATE = 2000, 400, 50, 5e-4
FIRST_BATCHES = 48  # of 8 x 50 latents: what codes are drawn from
VALID_BATCHES = 24  # that are heard
CODED_BATCHES = 96  # whose codes are counted: fewer latents than codes would never use them all


class Codec(nn.Module):
    """Encoder and decoder around any quantizer of the comparison."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(NETWORK), Decoder(NETWORK)
        self.delay = self.decoder.delay

    def latents(self, waveform: Tensor) -> Tensor:
        return F.layer_norm(self.encoder(waveform[:, 0]), (NETWORK.quantizer.dim,))


def data(corpus: str) -> DataConfig:
    return DataConfig(corpus=corpus, segment=1.0, batch=8, quiet_share=0.0)


def _fit(
    codec: Codec,
    quantizer: nn.Module | None,
    opened: Corpus,
    config: DataConfig,
    seed: int,
    method: Method | None = None,
) -> dict[str, float]:
    """Train for START_STEPS without a quantizer or STEPS with one."""
    steps = STEPS if quantizer else START_STEPS
    peak = RATE if quantizer else 2 * RATE
    loss = ReconstructionLoss(LossConfig(), NETWORK.sample_rate)
    modules = nn.ModuleList([codec, *([quantizer] if quantizer else [])])
    optimizer = torch.optim.AdamW(
        parameter_groups(modules, method.rates if method else (1.0, 1.0)), betas=(0.8, 0.98), weight_decay=0.0
    )
    teacher = copy.deepcopy(codec).requires_grad_(False) if method and method.freeze else None
    norms, began = [], time.process_time()
    for step in range(steps):
        for group in optimizer.param_groups:
            cosine = 0.5 + 0.5 * math.cos(math.pi * step / steps)
            group["lr"] = peak * min((step + 1) / WARMUP, cosine) * group["factor"]
        waveform = opened.batch(config, seed, step)
        with torch.autocast("cpu", torch.bfloat16):
            z = codec.latents(waveform)
        frozen = method is not None and step < method.freeze * steps
        z = z.detach().float().requires_grad_(True) if frozen else z.float()
        z.retain_grad()
        values, auxiliary = z, z.new_zeros(())
        if quantizer:
            values, _, auxiliary = quantizer(z)
        if teacher and not frozen:
            auxiliary = auxiliary + (z - teacher.latents(waveform)).square().mean()
        with torch.autocast("cpu", torch.bfloat16):
            output = codec.decoder(values)[:, None]
        target = waveform[..., : waveform.shape[-1] - codec.delay]
        losses = loss(output[..., codec.delay :].float(), target, random.Random(f"{seed}/{step}"))
        optimizer.zero_grad()
        (torch.stack(list(losses.values())).sum() + auxiliary).backward()
        assert z.grad is not None
        norms.append(float(z.grad.norm()))
        nn.utils.clip_grad_norm_(modules.parameters(), 2.0)
        optimizer.step()
    return {**steadiness(norms), "ms": 1000 * (time.process_time() - began) / steps}


def prepare(corpus: str, path: Path) -> None:
    """Train the autoencoder that all runs start from."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    codec = Codec()
    config = data(corpus)
    _fit(codec, None, open_corpus(config, NETWORK.sample_rate), config, seed=99)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(codec.state_dict(), path)


def run(
    method: str,
    size: int,
    stages: int,
    seed: int,
    corpus: str,
    start: dict[str, Tensor],
    rates: tuple[float, float] | None = None,
    first: int | None = None,
) -> dict[str, float]:
    """Train codec and quantizer once, measure on unseen voices; what is given takes the place of the method's own."""
    torch.manual_seed(seed)
    codec, config = Codec(), data(corpus)
    codec.load_state_dict(start)
    opened = open_corpus(config, NETWORK.sample_rate)
    quantizer = METHODS[method].build(NETWORK.quantizer.dim, stages, size).train()
    with torch.no_grad():  # draws the codes where they come from data
        drawn = range(first or FIRST_BATCHES)
        quantizer(torch.cat([codec.latents(opened.batch(config, 10_000 + seed, i)) for i in drawn]))
    own = WIDE_RATES.get(method, METHODS[method].rates) if size >= WIDE_FROM else METHODS[method].rates
    measured = _fit(codec, quantizer, opened, config, seed, replace(METHODS[method], rates=rates or own))
    codec.eval(), quantizer.eval()
    unseen = open_corpus(config, NETWORK.sample_rate, "valid")
    outputs, targets, codes = [], [], []
    with torch.no_grad():
        for index in range(CODED_BATCHES):
            waveform = unseen.batch(config, 1, index)
            values, chosen, _ = quantizer(codec.latents(waveform))
            codes.append(chosen)
            if index >= VALID_BATCHES:
                continue
            outputs.append(codec.decoder(values)[:, codec.delay :])
            targets.append(waveform[:, 0, : -codec.delay])
    heard = reconstruction(torch.cat(outputs), torch.cat(targets), NETWORK.sample_rate)
    return {**heard, **use_of_codes(torch.cat(codes), size), **measured}
