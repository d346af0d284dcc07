"""Every quantizer of the comparison behind one call: z [B, T, D] -> values [B, T, D], codes [B, T, stages], loss.

Settings are each method's own defaults (its authors', or those of the package that provides it); codes that can be
drawn from data are, by k-means on the first batch. All are residual, with the same number of codes a stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gritcodec.quantize import ResidualGritVQ

Build = Callable[[int, int, int], nn.Module]


@dataclass(frozen=True)
class Method:
    """A quantizer of the comparison.

    Attributes:
        build: (dim, stages, codebook_size) -> module.
        rates: learning rates of trained codes and of a codebook's transform, over that of the network. The best of
            `candidates` on the first level's seed 0, which is not reported; EMA moves codes by itself.
        candidates: the rates that were tried.
    """

    build: Build
    rates: tuple[float, float] = (1.0, 1.0)
    candidates: tuple[tuple[float, float], ...] = ()


_CODES = (".base", "._codebook.embed", "quantizer.codebook")
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


def _grit(rates: tuple[float, float] = (30.0, 10.0), **settings: Any) -> Method:
    return Method(lambda dim, stages, size: Grit(dim, stages, size, **settings), rates)


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
    # GRIT-VQ's default: tanh radius, nearest-code scale, linear transform; then one change at a time.
    "GRIT-VQ": _grit(),
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
# The leading handful and what it has to beat.
JOINT = ["STE + EMA, dead codes replaced", "STE, learned codes", "NSVQ", "SimVQ", "GRIT-VQ", "GRIT-VQ, constant"]
JOINT_WIDE = ["STE + EMA, dead codes replaced", "STE, learned codes", "SimVQ", "GRIT-VQ"]
WIDE = [*JOINT, "rotation trick + EMA", "DiVeQ", "FSQ", "GRIT-VQ, no transform", "GRIT-VQ, frozen base"]
