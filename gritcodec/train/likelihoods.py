"""The context network of entropy coding in floating point, and its rounding to integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gritcodec.bitstream.contexts import HIDDEN_LIMIT, HISTORY, INPUT_LIMIT, MEAN, NARROW, REACH, SLOTS, THERE, WIDE

# One in floating point is so many in integers: inputs in units of the first stage's standard deviation, hidden units.
ONE = 64
_LIMIT = HIDDEN_LIMIT / ONE


@dataclass(frozen=True)
class Sizes:
    """Of the network: hidden units, numbers in the middle, and the share of hidden units left out at a step."""

    hidden: int
    middle: int
    dropout: float = 0.0


@dataclass(frozen=True)
class Bounds:
    """What of a window each of its frames may see, int64 [B, T] each: frames `first` to `end` - 1.

    Its packet begins at `start`.
    """

    first: Tensor
    start: Tensor
    end: Tensor

    def sees(self, offset: int) -> Tensor:
        """Whether the frame `offset` later is one of them, float32 [B, T, 1]."""
        at = torch.arange(self.end.shape[1]) + offset
        return ((at >= self.first) & (at < self.end)).float()[..., None]


class Likelihoods(nn.Module):
    """Bits that codes cost, by the network that `gritcodec.bitstream.contexts.ContextModel` computes in integers.

    Args:
        vectors: [stages, size, dim], by position, in units of the first stage's standard deviation.
        narrow: [stages, size, fewer], what of them the frames around are told of.
        groups: how many groups the codes are in.
        sizes: of the network.
    """

    def __init__(self, vectors: Tensor, narrow: Tensor, groups: int, sizes: Sizes) -> None:
        super().__init__()
        stages, size, dim = vectors.shape
        self.groups, self.places, self.dropout = groups, size // groups, sizes.dropout
        self.vectors: Tensor
        self.narrow: Tensor
        self.register_buffer("vectors", vectors)
        self.register_buffer("narrow", narrow)
        inputs = WIDE * dim + NARROW * narrow.shape[2] + SLOTS
        units, middle = sizes.hidden, sizes.middle
        self.hidden = nn.Parameter(torch.randn(stages, inputs, units) / math.sqrt(inputs))
        self.group = nn.Parameter(0.01 * torch.randn(stages, units, groups))
        self.middle = nn.Parameter(torch.randn(stages, units, middle) / math.sqrt(units))
        self.place = nn.Parameter(0.01 * torch.randn(stages, size, middle))
        self.hidden_bias = nn.Parameter(torch.zeros(stages, 1, units))
        self.group_bias = nn.Parameter(torch.zeros(stages, 1, groups))
        self.middle_bias = nn.Parameter(torch.zeros(stages, 1, middle))
        self.place_bias = nn.Parameter(torch.zeros(stages, size))

    def begin(self, counts: Tensor) -> None:
        """Let biases say how often each position comes, [stages, size]: where to begin."""
        shares = counts.float() + 0.5
        each = shares.unflatten(1, (self.groups, self.places))
        whole = each.sum(2)
        with torch.no_grad():
            self.group_bias.copy_(torch.log(whole / whole.sum(1, keepdim=True))[:, None])
            self.place_bias.copy_(torch.log(each / whole[..., None]).flatten(1))

    def matrices(self) -> list[nn.Parameter]:
        """What weight decay is for."""
        return [self.hidden, self.group, self.middle, self.place]

    def biases(self) -> list[nn.Parameter]:
        """What it is not for."""
        return [self.hidden_bias, self.group_bias, self.middle_bias, self.place_bias]

    def forward(self, positions: Tensor, bounds: Bounds, keep: slice) -> Tensor:
        """Return bits a code of every stage, [stages]; of the frames `keep` of windows [B, stages, T]."""
        with torch.no_grad():
            inputs = self.inputs(positions, bounds)[:, :, keep].flatten(1, 2)
        wanted = positions[:, :, keep].transpose(0, 1).flatten(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            groups, places = self.logits(inputs, wanted // self.places)
        nats = nn.functional.cross_entropy(groups.flatten(0, 1), (wanted // self.places).flatten(), reduction="none")
        nats += nn.functional.cross_entropy(places.flatten(0, 1), (wanted % self.places).flatten(), reduction="none")
        return nats.unflatten(0, (len(self.vectors), -1)).mean(1) / math.log(2)

    def logits(self, inputs: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Natural logits of groups, [stages, N, groups], and of the places in given groups [stages, N]."""
        hidden = torch.baddbmm(self.hidden_bias, inputs, self.hidden).clamp(0, _LIMIT)
        hidden = nn.functional.dropout(hidden, self.dropout, self.training)
        first = torch.baddbmm(self.group_bias, hidden, self.group).float()
        middle = torch.baddbmm(self.middle_bias, hidden, self.middle).clamp(-_LIMIT, _LIMIT)
        every = torch.bmm(middle, self.place.transpose(1, 2)).unflatten(2, (self.groups, self.places))
        second = every.gather(2, groups[:, :, None, None].expand(-1, -1, 1, self.places)).squeeze(2).float()
        bias = self.place_bias.unflatten(1, (self.groups, self.places))
        return first, second + torch.stack([row[at] for row, at in zip(bias, groups, strict=True)])

    def inputs(self, positions: Tensor, bounds: Bounds) -> Tensor:
        """Input rows, [stages, B, T, inputs], of windows [B, stages, T]; see docs/entropy-coding.md."""
        wide = torch.stack([v[positions[:, s]] for s, v in enumerate(self.vectors)])
        narrow = torch.stack([v[positions[:, s]] for s, v in enumerate(self.narrow)])
        sums, around = (_clamped(torch.cumsum(v, 0) - v)[1:] for v in (wide, narrow))
        own, own_narrow = _clamped(wide), _clamped(narrow[0])
        before = [bounds.sees(-back) for back in range(1, SLOTS + 1)]
        parts = [
            _shifted(own[0] if back <= WIDE else own_narrow, -back) * seen for back, seen in enumerate(before, start=1)
        ]
        first = torch.cat([*parts, *(seen * (THERE / ONE) for seen in before)], -1)
        near = (-2, -1, 1, 2)
        seen = [bounds.sees(offset) for offset in near]
        means, counts = _means(around, bounds)
        always = torch.ones_like(seen[0])
        beside = [own[:-1].clone(), torch.zeros_like(own[:-1])]
        flags = torch.cat([always, always, 0 * always, *seen, *counts], -1).expand(len(sums), -1, -1, -1).clone()
        if len(beside[0]):
            odd = ((torch.arange(positions.shape[2]) - bounds.start) % 2 == 1)[..., None]
            left = torch.where(
                odd, before[0], before[0] * (torch.arange(positions.shape[2]) == bounds.start)[..., None]
            )
            right = bounds.sees(1) * odd
            for slot, (shown, offset) in enumerate(((left, -1), (right, 1)), start=1):
                beside[slot - 1][0] = _shifted(own[1], offset) * shown
                flags[0, ..., slot] = shown[..., 0]
        near_rows = [_shifted(around, offset) * shown for offset, shown in zip(near, seen, strict=True)]
        rest = torch.cat([sums, *beside, *near_rows, *means, flags * (THERE / ONE)], -1)
        return torch.cat([first[None], rest])

    def tensors(self) -> dict[str, NDArray]:
        """Round to what `ContextModel` takes, but for `order` and the vectors."""
        octaves = 1 / math.log(2)
        layers = {
            "hidden": (self.hidden, self.hidden_bias[:, 0]),
            "group": (self.group * octaves, self.group_bias[:, 0] * octaves),
            "middle": (self.middle, self.middle_bias[:, 0]),
            "place": (self.place * octaves, self.place_bias * octaves),
        }
        found: dict[str, NDArray] = {}
        for name, (matrix, bias) in layers.items():
            rounded, shift = _rounded(matrix.detach())
            scaled = (bias.detach() * ONE * torch.exp2(shift.float())[:, None]).round().to(torch.int32)
            found |= {name: rounded.numpy(), f"{name}_bias": scaled.numpy()}
            found[f"{name}_shift"] = shift.to(torch.uint8).numpy()
        for name in ("place", "place_bias"):
            shape = found[name].shape
            found[name] = found[name].reshape(shape[0], self.groups, self.places, *shape[2:])
        return found


def _clamped(vectors: Tensor) -> Tensor:
    return vectors.clamp(-INPUT_LIMIT / ONE, INPUT_LIMIT / ONE)


def _means(sums: Tensor, bounds: Bounds) -> tuple[list[Tensor], list[Tensor]]:
    """Means of the MEAN frames before and after the near ones, and what share of them is there, [1, B, T, 1]."""
    total = nn.functional.pad(torch.cumsum(sums, 2), (0, 0, 1, 0))
    at = torch.arange(sums.shape[2])
    means, counts = [], []
    for first, end in ((at - HISTORY, at - REACH), (at + REACH + 1, at + HISTORY + 1)):
        low = torch.maximum(first.expand_as(bounds.first), bounds.first).clamp_min(0)
        high = torch.minimum(end.expand_as(bounds.end), bounds.end)
        high = torch.maximum(high, low).clamp_max(sums.shape[2])
        low = torch.minimum(low, high)
        stages, rows = torch.arange(len(sums))[:, None, None], torch.arange(sums.shape[1])[:, None]
        means.append((total[stages, rows, high] - total[stages, rows, low]) / MEAN)
        counts.append(((high - low).float() / MEAN)[None, ..., None])
    return means, [count[0] for count in counts]


def _shifted(rows: Tensor, offset: int) -> Tensor:
    """Rows [..., frames, dim] of the frame `offset` later, zeros beyond the window."""
    frames = rows.shape[-2]
    pad = nn.functional.pad(rows, (0, 0, max(-offset, 0), max(offset, 0)))
    return pad[..., max(offset, 0) : max(offset, 0) + frames, :]


def _rounded(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [stages, ...] as int8 and the power of two they were multiplied by, [stages]; outliers are clipped."""
    largest = torch.from_numpy(np.quantile(weights.abs().flatten(1).numpy(), 0.9999, axis=1))
    exponents = torch.floor(torch.log2(127 / largest.clamp_min(1e-4))).clamp(0, 16)
    scale = torch.exp2(exponents).reshape(-1, *[1] * (weights.ndim - 1))
    return (weights * scale).round().clamp(-127, 127).to(torch.int8), exponents.long()
