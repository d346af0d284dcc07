"""Codes into groups of equal size, neighbours together: the two symbols that entropy coding makes of a code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 24


def order_of_codes(vectors: NDArray[np.floating], groups: int, seed: int = 0) -> NDArray[np.uint16]:
    """Return codes by their position, [size]: position = group * places + place.

    Balanced k-means: each round the codes choose, those first that have most to lose, the nearest centre whose group
    has room; centres move to the means of their groups.

    Args:
        vectors: of each code, [size, dim]; size is a multiple of groups.
        groups: how many.
        seed: of the codes that centres begin at.
    """
    places = len(vectors) // groups
    centres = vectors[np.random.default_rng(seed).choice(len(vectors), groups, replace=False)]
    chosen = np.zeros(len(vectors), np.int64)
    for _ in range(_ROUNDS):
        far = ((vectors[:, None] - centres[None]) ** 2).sum(-1)
        nearest = np.sort(far, axis=1)
        wishes = np.argsort(far, axis=1)
        room = np.full(groups, places)
        for code in np.argsort(nearest[:, 0] - nearest[:, 1], kind="stable"):
            group = next(wish for wish in wishes[code] if room[wish])
            room[group] -= 1
            chosen[code] = group
        centres = np.stack([vectors[chosen == group].mean(0) for group in range(groups)])
    return np.argsort(chosen, kind="stable").astype(np.uint16)
