"""Which code of every stage: the best one of each stage in turn, or a good path through all stages found by a beam."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# How much of the errors that a path made on its way counts beside the one it ends with: dropping stages later on must
# leave good codes too. Without it fewer stages gain less from the search, and all of them no more.
_PAST = 0.4
_CHILDREN = 2  # codes of the next stage tried for each path
# Scores held at once, vectors x codes: what stays in a processor's cache, and what fills a GPU. Beyond K = 8192 a
# processor is twice as fast for it, and nothing of size N x K is ever there.
_TILE = {"cpu": (1024, 1024)}
_LARGE_TILE = (8192, 8192)
_BEAM_SCORES = 2**25  # of a beam, which needs the two best of all codes; at K = 1024 no clip of minutes is cut
_LEAST_ROWS = 8


def _width(width: int, stage: int, stages: int) -> int:
    """Paths followed from a stage on: one less in the second half, where choices matter to few stages more."""
    return 1 if stage + 1 == stages else max(width - (2 * stage + 2 > stages), 1)


@dataclass(frozen=True)
class Tables:
    """What a search needs to know of the codebooks.

    Attributes:
        books: codes C' of all stages, [stages, K, D].
        offsets: half of each code's square norm and half of its price, [stages, K].
        prices: what choosing each code costs, in units of the squared distance, [stages, K].
        units: mean square distance that each stage leaves, [stages].
    """

    books: Tensor
    offsets: Tensor
    prices: Tensor
    units: Tensor


def best(scores: Tensor) -> Tensor:
    """Index of the largest of each row, [N, K] -> [N]; the first of equals."""
    if scores.device.type == "cpu":
        # numpy's is ten times as fast as torch's.
        return torch.from_numpy(scores.numpy().argmax(-1))
    return scores.argmax(-1)


def nearest(z: Tensor, book: Tensor, offsets: Tensor) -> Tensor:
    """Index of the code with the largest z . c - offset, [N, D] and [K, D] -> [N] int64; the first of equals.

    argmin ||z - c||^2 + price = argmax (z . c - offset): one matrix product with the offsets as its bias, in tiles.
    """
    rows, columns = _TILE.get(z.device.type, _LARGE_TILE)
    if len(z) > rows:
        return torch.cat([nearest(part, book, offsets) for part in z.split(rows)])
    found: list[Tensor] = []
    values: list[Tensor] = []
    for first in range(0, len(book), columns):
        here = slice(first, first + columns)
        scores = torch.addmm(offsets[here], z, book[here].t(), beta=-1)
        index = best(scores)
        if len(book) <= columns:
            return index
        values.append(scores.gather(1, index[:, None])[:, 0])
        found.append(index + first)
    tile = best(torch.stack(values, -1))
    return torch.stack(found, -1).gather(1, tile[:, None])[:, 0]


def greedy(z: Tensor, tables: Tables, stages: int) -> Tensor:
    """Best code of every stage for what the stages before it left, [N, D] -> [N, stages] int64."""
    residual, codes = z, []
    for stage in range(stages):
        index = nearest(residual, tables.books[stage], tables.offsets[stage])
        codes.append(index)
        if stage + 1 < stages:
            residual = residual - tables.books[stage].index_select(0, index)
    return torch.stack(codes, -1)


def beam(z: Tensor, tables: Tables, width: int) -> Tensor:
    """Codes of all stages along the best of `width` paths, [N, D] -> [N, stages] int64.

    A stage's best code can be a bad start for those after it. So several paths are followed (the M-algorithm of
    Jelinek and Anderson, 1971; for residual quantizers Barnes, Rizvi and Nasrabadi, "Advances in residual vector
    quantization", 1996), each to its two best codes of the next stage. A path costs the square distance it leaves, as
    a multiple of what its stage leaves on average, 0.4 of the same of all stages before, and its codes' prices. The
    path is the same however many of its stages are used: n stages of it are the first n codes. In the second half of
    the stages `width` - 1 paths are followed: a quarter less work there, for 1 % more of the energy left.
    """
    count, dim = z.shape
    stages, size, _ = tables.books.shape
    most = max(_BEAM_SCORES // (size * width), _LEAST_ROWS)
    if count > most:
        return torch.cat([beam(part, tables, width) for part in z.split(most)])
    rows = torch.arange(count, device=z.device)[:, None]
    residual, energy = z[:, None], z.square().sum(-1, keepdim=True)
    past = torch.zeros_like(energy)
    parents: list[Tensor] = []
    chosen: list[Tensor] = []
    for stage in range(stages):
        book, unit, price = tables.books[stage], tables.units[stage], tables.prices[stage]
        scores = torch.addmm(tables.offsets[stage], residual.reshape(-1, dim), book.t(), beta=-1)
        codes: list[Tensor] = []
        values: list[Tensor] = []
        for child in range(min(_CHILDREN, size)):
            if child:
                scores.scatter_(1, codes[-1], -torch.inf)
            codes.append(best(scores)[:, None])
            values.append(scores.gather(1, codes[-1]))
        code = torch.cat(codes, -1).view(count, -1)
        price = price[code]
        # ||r - c||^2 = ||r||^2 - 2 (r . c - ||c||^2 / 2), and the scores hold half of the price too.
        energy = energy.repeat_interleave(len(codes), 1) - 2 * torch.cat(values, -1).view(count, -1) - price
        past = past.repeat_interleave(len(codes), 1) + price / unit
        survivors = min(_width(width, stage, stages), code.shape[1])
        keep = (energy / unit + past).topk(survivors, largest=False).indices
        parent, code = keep // len(codes), code.gather(1, keep)
        residual = residual[rows, parent] - book[code]
        energy = energy.gather(1, keep)
        past = past.gather(1, keep) + _PAST * energy / unit
        parents.append(parent)
        chosen.append(code)
    at = torch.zeros_like(rows)
    found = []
    for parent, code in zip(reversed(parents), reversed(chosen), strict=True):
        found.append(code.gather(1, at)[:, 0])
        at = parent.gather(1, at)
    return torch.stack(found[::-1], -1)
