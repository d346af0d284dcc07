"""Means over clips and how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` clips, of `wanted` that should have had a value, and its 95% bootstrap interval."""

    mean: float
    low: float
    high: float
    count: int
    wanted: int


def estimate(values: Sequence[float], wanted: int | None = None, weights: Sequence[float] | None = None) -> Estimate:
    """Return the mean of at least one value, and the percentile bootstrap interval of it over clips.

    Clips are drawn with the same random numbers every time: the same scores give the same interval.

    Args:
        values: one for each clip.
        wanted: how many should have had a value.
        weights: how much each counts, above 0; all the same where nothing is said.
    """
    array = np.asarray(values, dtype=np.float64)
    share = np.ones_like(array) if weights is None else np.asarray(weights, dtype=np.float64)
    draws = np.random.default_rng(0).integers(0, len(array), (_DRAWS, len(array)))
    means = (array * share)[draws].sum(1) / share[draws].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    mean = float(np.average(array, weights=share))
    return Estimate(mean, float(low), float(high), len(array), len(array) if wanted is None else wanted)


def sign_test(right: int, total: int) -> float:
    """Return the probability of at least so many right answers of `total` by guessing between two."""
    from math import comb

    return sum(comb(total, k) for k in range(right, total + 1)) / 2**total
