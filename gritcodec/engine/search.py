"""The search for codes in numpy, the products of its scores apart: gritcodec.quantize.search without torch.

The steps, their order and so their rounding are the torch search's; what it costs beside the products is kept low, as
a live stream searches one frame at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Scores = Callable[[int, Floats], Floats]

_PAST = np.float32(0.4)
_CHILDREN = 2
_RAREST = 0.1
# Frames searched at a time: their scores stay in a core's own cache.
_FRAMES = 64


@dataclass(frozen=True)
class Books:
    """Codebooks and prices, as gritcodec.quantize.search.Tables.

    Attributes:
        books: codes of all stages, float32 [stages, K, D].
        prices: of each code, in units of the squared distance, [stages, K].
        units: mean square distance that each stage leaves, [stages].
        offsets: half of each code's square norm and half of its price, [stages, K].
        ratios: prices in units of what their stage leaves, [stages, K].
    """

    books: Floats
    prices: Floats
    units: Floats

    offsets: Floats
    ratios: Floats

    @classmethod
    def of(cls, base: Floats, scale: Floats, usage: Floats, rate_weight: float | tuple[float, ...]) -> Books:
        """Work the tables out of a quantizer's tensors and its setting.

        Args:
            base: codes in units of their stage's scale, [stages, K, D].
            scale: root mean square of what each stage is given, [stages].
            usage: share of each code, [stages, K].
            rate_weight: share of a stage's energy that a bit costs, one for all stages or one for each.
        """
        books = base * scale[:, None, None]
        energy = np.square(scale)
        last = energy[-1:] * (energy[-1:] / energy[-2:-1] if len(energy) > 1 else np.float32(1))
        units = np.concatenate([energy[1:], last]) * np.float32(base.shape[2])
        share = usage / usage.sum(-1, keepdims=True)
        bits = -np.log2(np.maximum(share, np.float32(_RAREST / usage.shape[1])))
        weight = np.array(rate_weight, np.float32).reshape(-1, 1)
        prices = bits * weight * units[:, None]
        offsets = (np.square(books).sum(-1) + prices) / np.float32(2)
        return cls(books, prices, units, offsets, prices / units[:, None])


def _width(width: int, stage: int, stages: int) -> int:
    """Paths followed from a stage on: one less in the second half, where choices matter to few stages more."""
    return 1 if stage + 1 == stages else max(width - (2 * stage + 2 > stages), 1)


def greedy(z: Floats, books: Books, scores: Scores, stages: int) -> NDArray[np.uint16]:
    """Best code of every stage for what the stages before it left, [N, D] -> [N, stages]."""
    residual, codes = z, np.empty((len(z), stages), np.uint16)
    for stage in range(stages):
        code = scores(stage, residual).argmax(1)
        codes[:, stage] = code
        residual = residual - books.books[stage][code]
    return codes


def beam(z: Floats, books: Books, scores: Scores, width: int) -> NDArray[np.uint16]:
    """Codes of all stages along the best of `width` paths, [N, D] -> [N, stages]."""
    found = [_beam(z[first : first + _FRAMES], books, scores, width) for first in range(0, len(z), _FRAMES)]
    return found[0] if len(found) == 1 else np.concatenate(found)


def _two_best(scores: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Places and values of the largest two of each row, [R, K] -> [R, 2] each; scores are written over."""
    count, size = scores.shape
    children = min(_CHILDREN, size)
    code = np.empty((count, children), np.intp)
    value = np.empty((count, children), np.float32)
    flat, first = scores.reshape(-1), np.arange(0, count * size, size)
    for child in range(children):
        best = scores.argmax(1)
        at = first + best
        code[:, child] = best
        value[:, child] = flat[at]
        if child + 1 < children:
            flat[at] = -np.inf
    return code, value


def _beam(z: Floats, books: Books, scores: Scores, width: int) -> NDArray[np.uint16]:
    count, stages = len(z), len(books.books)
    rows = np.arange(count)[:, None]
    residual = z
    energy = (z * z).sum(-1, keepdims=True)
    past = np.zeros_like(energy)
    parents, chosen, paths = [], [], 1
    for stage in range(stages):
        code, value = _two_best(scores(stage, residual))
        children = code.shape[1]
        # ||r - c||^2 = ||r||^2 - 2 (r . c - ||c||^2 / 2), and the scores hold half of the price too.
        value *= np.float32(2)
        energy = (energy.reshape(-1, 1) - value - books.prices[stage].take(code)).reshape(count, -1)
        past = (past.reshape(-1, 1) + books.ratios[stage].take(code)).reshape(count, -1)
        part = energy / books.units[stage]
        survivors = min(_width(width, stage, stages), paths * children)
        order = (part + past).argsort(1)[:, :survivors]
        # Places of the survivors among all frames' candidates, and of the paths that they come from.
        keep = (order + rows * (paths * children)).reshape(-1)
        parent = keep // children
        code = code.reshape(-1).take(keep)
        residual = residual.take(parent, 0) - books.books[stage].take(code, 0)
        energy = energy.reshape(-1).take(keep)
        past = past.reshape(-1).take(keep) + _PAST * part.reshape(-1).take(keep)
        parents.append(parent)
        chosen.append(code)
        paths = survivors
    at = np.arange(count)
    codes = np.empty((count, stages), np.uint16)
    for stage in range(stages - 1, -1, -1):
        codes[:, stage] = chosen[stage].take(at)
        at = parents[stage].take(at)
    return codes
