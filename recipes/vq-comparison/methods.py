"""Every quantizer of the comparison behind one call: z [B, T, D] -> values [B, T, D], codes [B, T, stages], loss.

Settings are each method's own defaults (its authors', or those of the package that provides it); codes that can be
drawn from data are, by k-means on the first batch. All are residual, with the same number of codes a stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from assignments import Convex, Hyperbolic, Neighbours, Transported
from posteriors import Mixture, Stochastic, Variational
from stage import Bridge, Codebook, Product, Residual, TimeScales, Widened
from torch import Tensor, nn

from gritcodec.quantize import ProductGritVQ, ResidualGritVQ

Build = Callable[[int, int, int], nn.Module]


@dataclass(frozen=True)
class Method:
    """A quantizer of the comparison.

    Attributes:
        build: (dim, stages, codebook_size) -> module.
        rates: learning rates of trained codes and of a codebook's transform, over that of the network. The best of
            `candidates` on the first level's seed 0, which is not reported; EMA moves codes by itself.
        candidates: the rates that were tried.
        freeze: share of the steps in which the encoder stands still; afterwards it is held to what it gave then.
    """

    build: Build
    rates: tuple[float, float] = (1.0, 1.0)
    candidates: tuple[tuple[float, float], ...] = ()
    freeze: float = 0.0


_CODES = (".base", "._codebook.embed", ".codebook", ".log_variance", ".weights", ".log_cold")
_TRANSFORMS = (".transform.", ".code_transform.", ".vq_bridge.")


def parameter_groups(modules: nn.Module, rates: tuple[float, float]) -> list[dict[str, Any]]:
    """Optimizer groups with a `factor` each: network, codes, transforms."""
    groups: list[dict[str, Any]] = [{"params": [], "factor": factor, "lr": 0.0} for factor in (1.0, *rates)]
    for name, parameter in modules.named_parameters():
        transform = any(part in name for part in _TRANSFORMS)
        groups[2 if transform else int(name.endswith(_CODES))]["params"].append(parameter)
    return [group for group in groups if group["params"]]


class Grit(nn.Module):
    """GRIT-VQ, one member of its family."""

    def __init__(self, dim: int, stages: int, size: int, **settings: Any):
        super().__init__()
        self.quantizer = ResidualGritVQ(dim, stages, size, **settings)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.quantizer(z)
        return out.values, out.codes, torch.stack(list(out.losses.values())).sum()


class GritProduct(nn.Module):
    """GRIT-VQ in groups of dimensions, as many as others have stages."""

    def __init__(self, dim: int, groups: int, size: int, **settings: Any):
        super().__init__()
        self.quantizer = ProductGritVQ(dim, groups, size, **settings)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.quantizer(z)
        return out.values, out.codes[..., 0], torch.stack(list(out.losses.values())).sum()


class Library(nn.Module):
    """A residual quantizer of vector-quantize-pytorch."""

    def __init__(self, quantizer: nn.Module):
        super().__init__()
        self.quantizer = quantizer

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, codes, *rest = self.quantizer(z)
        return values, codes, rest[0].sum() if rest else z.new_zeros(())


class Substitution(nn.Module):
    """NSVQ: noise of the quantization error's size takes its place in training (PyPI `nsvq`)."""

    def __init__(self, dim: int, stages: int, size: int):
        super().__init__()
        from nsvq import ResidualNSVQ

        self.quantizer = ResidualNSVQ(size, dim, stages, allow_warning=False, verbose=False)
        self.started = False

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        flat = z.reshape(-1, z.shape[-1])
        if not self.started:  # from data, as all the others
            start = ResidualGritVQ(z.shape[-1], self.quantizer.num_codebooks, self.quantizer.num_embeddings)
            start.initialize(flat.detach())
            with torch.no_grad():
                self.quantizer.codebook.copy_(start.codebooks())
            self.started = True
        if self.training:
            values, codes, _ = self.quantizer(flat)
        else:
            values, codes, _ = self.quantizer.inference(flat)
        return values.reshape(z.shape), codes.t().reshape(*z.shape[:-1], -1), z.new_zeros(())


class Nothing(nn.Module):
    """No quantization: what the codec itself leaves, which no quantizer can be better than."""

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return z, z.new_zeros((*z.shape[:-1], 1), dtype=torch.long), z.new_zeros(())


class CodeTransformer(nn.Module):
    """One self-attention layer over the codes, [K, D] or [1, K, D]: SimVQ's transform as TransVQ has it.

    With its output layer at zero it is the bridge that VQBridge puts in front of learned codes.
    """

    def __init__(self, dim: int, identity: bool):
        super().__init__()
        heads = math.gcd(dim, 4)
        self.layer = nn.TransformerEncoderLayer(dim, heads, 2 * dim, dropout=0.0, batch_first=True, norm_first=True)
        if identity:
            nn.init.zeros_(self.layer.self_attn.out_proj.weight)
            nn.init.zeros_(self.layer.linear2.weight)
            nn.init.zeros_(self.layer.linear2.bias)

    def forward(self, codes: Tensor) -> Tensor:
        out = self.layer(codes if codes.ndim == 3 else codes[None])
        return out if codes.ndim == 3 else out[0]


def _library(name: str, rates: tuple[float, float] = (1.0, 1.0), candidates: Any = (), **settings: Any) -> Method:
    def build(dim: int, stages: int, size: int) -> nn.Module:
        import vector_quantize_pytorch as package

        if name == "ResidualFSQ":
            levels = {1024: [4] * 5, 8192: [8, 8, 8, 4, 4]}[size]
            return Library(package.ResidualFSQ(dim=dim, num_quantizers=stages, levels=levels))
        chosen = dict(settings)
        if chosen.pop("bridge", False):
            chosen["vq_bridge"] = CodeTransformer(dim, identity=True)
        if chosen.pop("transformer", False):
            chosen["codebook_transform"] = CodeTransformer(dim, identity=False)
        return Library(getattr(package, name)(dim=dim, num_quantizers=stages, codebook_size=size, **chosen))

    return Method(build, rates, candidates)


def _committed(times: float, **settings: Any) -> Method:
    """GRIT-VQ with so many times its default commitment, which is 1 / stages."""

    def build(dim: int, stages: int, size: int) -> nn.Module:
        return Grit(dim, stages, size, commitment_weight=times / stages, **settings)

    return Method(build, (30.0, 10.0))


def _grit(rates: tuple[float, float] = (30.0, 10.0), **settings: Any) -> Method:
    return Method(lambda dim, stages, size: Grit(dim, stages, size, **settings), rates)


def _staged(kind: type[Codebook], rates: tuple[float, float] = (30.0, 1.0), **settings: Any) -> Method:
    """Residual stages of one kind, see stage.py."""
    candidates = ((1.0, 1.0), (10.0, 1.0), (30.0, 1.0))

    def build(dim: int, stages: int, size: int) -> nn.Module:
        return Residual([kind(dim, size) for _ in range(stages)])

    return Method(build, rates, candidates, **settings)


def _bridged(dim: int, stages: int, size: int) -> nn.Module:
    return Residual([Codebook(dim, size, Bridge(dim, size)) for _ in range(stages)])


def _product(dim: int, stages: int, size: int) -> nn.Module:
    return Product([Codebook(dim // stages, size) for _ in range(stages)])


def _widened(dim: int, stages: int, size: int) -> nn.Module:
    return Widened(dim, 8 * dim, Residual([Codebook(8 * dim, size) for _ in range(stages)]))


_LEARNED: dict[str, Any] = {
    "kmeans_init": True,
    "learnable_codebook": True,
    "ema_update": False,
    "rotation_trick": False,
    "rates": (30, 1),
    "candidates": ((1, 1), (10, 1), (30, 1), (100, 1)),
}
_TRANSFORMED = ((1, 1), (1, 3), (1, 10), (1, 30))

METHODS: dict[str, Method] = {
    "no quantization": Method(lambda dim, stages, size: Nothing()),
    "STE + EMA, dead codes replaced": _library(
        "ResidualVQ", rotation_trick=False, kmeans_init=True, threshold_ema_dead_code=2
    ),
    "STE + EMA": _library("ResidualVQ", rotation_trick=False, kmeans_init=True),
    "STE, learned codes": _library("ResidualVQ", **_LEARNED),
    "rotation trick + EMA": _library("ResidualVQ", rotation_trick=True, kmeans_init=True, threshold_ema_dead_code=2),
    "DiVeQ": _library("ResidualVQ", diveq=True, **_LEARNED),
    "SimVQ": _library("ResidualSimVQ", rates=(1, 30), candidates=_TRANSFORMED),
    "FSQ": _library("ResidualFSQ"),
    "LFQ": _library("ResidualLFQ"),
    "BSQ": _library("ResidualLFQ", spherical=True),
    "NSVQ": Method(Substitution, (30, 1), _LEARNED["candidates"]),
    "VQBridge": _library(
        "ResidualVQ", bridge=True, **{**_LEARNED, "rates": (30, 10), "candidates": ((1, 1), (30, 1), (30, 10))}
    ),
    "TransVQ": _library("ResidualSimVQ", transformer=True, candidates=((1, 1), (1, 10))),
    "SQ-VAE, HQ-VAE": _staged(Stochastic),
    "GM-VQ": _staged(Mixture),
    "VAEVQ": _staged(Variational),
    "VQ-WAE": _staged(Transported),
    "SCQ": _staged(Convex),
    "HyperVQ": _staged(Hyperbolic),
    "NS-VQ": _staged(Neighbours),
    "FVQ": Method(_bridged, (30.0, 10.0), ((1.0, 1.0), (30.0, 1.0), (30.0, 10.0))),
    "MSVQ": Method(TimeScales, (30.0, 1.0), ((1.0, 1.0), (30.0, 1.0))),
    "PQ": Method(_product, (30.0, 1.0), ((1.0, 1.0), (30.0, 1.0))),
    "RVQ": _staged(Codebook),
    "VQRAE": Method(_widened, (30.0, 1.0), ((1.0, 1.0), (30.0, 1.0)), freeze=0.5),
    "GRIT-VQ, product": Method(GritProduct, (30.0, 10.0)),
    "GRIT-VQ, product, commitment 0.25": Method(partial(GritProduct, commitment_weight=0.25), (30.0, 10.0)),
    # GRIT-VQ's default: tanh radius, nearest-code scale, linear transform; then one change at a time.
    "GRIT-VQ": _grit(),
    # What is left of it without radius and transform: straight-through codes of the same draw and commitment.
    "STE, same draw and commitment": _grit(radius="constant", transform="identity"),
    # Its default is 1 / stages, as stages' commitments add up.
    "GRIT-VQ, commitment 0.25": _grit(commitment_weight=0.25),
    "GRIT-VQ, commitment 1": _grit(commitment_weight=1.0),
    "GRIT-VQ, half the commitment": _committed(0.5),
    "GRIT-VQ, a quarter of the commitment": _committed(0.25),
    "STE, same draw, half the commitment": _committed(0.5, radius="constant", transform="identity"),
    "GRIT-VQ, half the commitment, dead codes replaced": _committed(0.5, replace_below=0.3),
    "GRIT-VQ, half the commitment, mlp transform": _committed(0.5, transform="mlp"),
    "GRIT-VQ, search by 4 paths": _grit(beam=4),
    "GRIT-VQ, tanh, running scale": _grit(radius_scale="running"),
    "GRIT-VQ, log": _grit(radius="log"),
    "GRIT-VQ, huber": _grit(radius="huber"),
    "GRIT-VQ, linear radius": _grit(radius="linear"),
    "GRIT-VQ, linear radius, slope 0.3": _grit(radius="linear", slope=0.3),
    "GRIT-VQ, constant": _grit(radius="constant"),
    "GRIT-VQ, no transform": _grit(transform="identity"),
    "GRIT-VQ, lowrank transform": _grit(transform="lowrank"),
    "GRIT-VQ, mlp transform": _grit(transform="mlp"),
    "GRIT-VQ, attention transform": _grit(transform="attention"),
    "GRIT-VQ, frozen base": _grit(train_base=False),
    "GRIT-VQ, equal rates": _grit(rates=(1.0, 1.0)),
    "GRIT-VQ, codes drawn from data": _grit(initialization="data"),
    "GRIT-VQ, random codes": _grit(initialization="normal"),
}

# In joint training from K = 8192 on: the best of plan.WIDE_TRIALS, which are of seed 0 there.
WIDE_FROM = 8192
_LED = [
    "GRIT-VQ",
    "GRIT-VQ, half the commitment",
    "STE, learned codes",
    "STE, same draw and commitment",
    "STE, same draw, half the commitment",
]
WIDE_RATES: dict[str, tuple[float, float]] = dict.fromkeys(_LED, (100.0, 10.0))
