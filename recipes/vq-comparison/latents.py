"""First level: every quantizer inside a small autoencoder of cached latents; seconds a run.

x [N, dim] are the shipped encoder's latents. z = LayerNorm(x + MLP(x)) is quantized, y = q + MLP(q) is to be x again.
Encoder, quantizer and decoder are trained together, so a quantizer's gradient matters; y goes through the shipped
decoder to be heard. A run depends on method, K and seed alone.
"""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from assignments import Convex
from measure import reconstruction, steadiness, use_of_codes
from methods import METHODS, parameter_groups
from torch import Tensor, nn

from gritcodec import model_store
from gritcodec.engine import store
from gritcodec.train.config import DataConfig
from gritcodec.train.data import open_corpus

SEGMENT = 2.0  # seconds
TRAIN_SECONDS, VALID_SECONDS = 3000, 480
BATCH, STEPS, RATE, WARMUP = 16, 400, 1e-3, 40
FIRST = 16384  # vectors that codes are drawn from, or as many as there are codes
COUNTED = 8192  # codes from which on their use by the training vectors is counted too: unseen ones are too few


def prepare(corpus: str, path: Path) -> None:
    """Cache latents of training voices and of unseen ones, and the unseen ones' audio."""
    from safetensors.torch import save_file

    network = store.load(model_store.resolve("speech-16k"))
    tensors: dict[str, Tensor] = {}
    for split, seconds in (("train", TRAIN_SECONDS), ("valid", VALID_SECONDS)):
        data = DataConfig(corpus=corpus, segment=SEGMENT, batch=20, gain_db=0.0, quiet_share=0.0)
        opened = open_corpus(data, network.config.sample_rate, split)
        found = [opened.batch(data, 7, i)[:, 0] for i in range(round(seconds / SEGMENT / data.batch))]
        with torch.no_grad():
            tensors[split] = torch.cat([network.quantizer.normalize(network.encoder(x)) for x in found])
        if split == "valid":
            tensors["audio"] = torch.cat(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"fingerprint": _shipped()})


def _shipped() -> str:
    """Fingerprint of the shipped model."""
    return model_store.read(model_store.resolve("speech-16k")).fingerprint.hex()


def are_of_now(path: Path) -> bool:
    """Whether cached latents are of the shipped weights; runs beside them are of the same ones."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get("fingerprint") == _shipped()


class Residual(nn.Module):
    """x + MLP(x)."""

    def __init__(self, dim: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _mismatch(modules: nn.Module) -> dict[str, float]:
    """How far what training saw is from hard codes, where a method says so: the mean over its stages."""
    said = [module.mismatch for module in modules.modules() if isinstance(module, Convex)]
    return {"mismatch": sum(said) / len(said)} if said else {}


def run(
    method: str,
    size: int,
    stages: int,
    seed: int,
    cache: dict[str, Tensor],
    rates: tuple[float, float] | None = None,
) -> dict[str, float]:
    """Train once, measure on unseen voices; rates take the place of the method's own."""
    torch.manual_seed(seed)
    data = cache["train"]
    dim = data.shape[-1]
    encoder, decoder = Residual(dim), Residual(dim)
    torch.manual_seed(1000 + seed)
    quantizer = METHODS[method].build(dim, stages, size).train()
    order = torch.Generator().manual_seed(seed)

    def latents(x: Tensor) -> Tensor:
        return F.layer_norm(encoder(x), (dim,))

    with torch.no_grad():
        items = torch.randperm(len(data), generator=order)[: max(FIRST, size) // data.shape[1]]
        quantizer(latents(data[items]))  # draws the codes where they come from data
    modules = nn.ModuleList([encoder, decoder, quantizer])
    groups = parameter_groups(modules, rates or METHODS[method].rates)
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
    teacher = copy.deepcopy(encoder).requires_grad_(False) if METHODS[method].freeze else None
    norms, began = [], time.process_time()
    for step in range(STEPS):
        rate = min((step + 1) / WARMUP, 0.5 + 0.5 * math.cos(math.pi * step / STEPS))
        for group in optimizer.param_groups:
            group["lr"] = RATE * rate * group["factor"]
        x = data[torch.randint(len(data), (BATCH,), generator=order)][:, :50]
        z = latents(x)
        frozen = step < METHODS[method].freeze * STEPS
        z = z.detach().requires_grad_(True) if frozen else z
        z.retain_grad()
        values, _, auxiliary = quantizer(z)
        if teacher and not frozen:
            auxiliary = auxiliary + (z - F.layer_norm(teacher(x), (dim,))).square().mean()
        loss = (decoder(values) - x).square().mean() + auxiliary
        optimizer.zero_grad()
        loss.backward()
        assert z.grad is not None
        norms.append(float(z.grad.norm()))
        optimizer.step()
    took = (time.process_time() - began) / STEPS
    modules.eval()
    network = store.load(model_store.resolve("speech-16k"))
    with torch.no_grad():
        x = cache["valid"]
        parts = [quantizer(latents(part)) for part in x.split(20)]
        codes, y = torch.cat([part[1] for part in parts]), decoder(torch.cat([part[0] for part in parts]))
        seen = {}
        if size >= COUNTED:
            found = torch.cat([quantizer(latents(part))[1] for part in data.split(20)])
            seen = {"usage_seen": use_of_codes(found, size)["usage"]}
        heard = torch.cat([network.decoder(part) for part in y[::4].split(20)])
    delay = network.delay
    return {
        "error": float((y - x).square().mean() / x.square().mean()),
        **reconstruction(heard[:, delay:], cache["audio"][::4, :-delay], network.config.sample_rate),
        **use_of_codes(codes, size),
        **seen,
        **_mismatch(modules),
        **steadiness(norms),
        "ms": 1000 * took,
    }
