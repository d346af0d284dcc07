"""A small context model for tests and for the entropy-coded golden file, the same wherever it is made."""

import numpy as np

from gritcodec.bitstream import ContextModel
from gritcodec.bitstream.contexts import NARROW, SLOTS, WIDE
from gritcodec.bitstream.rangecoder import Decoder
from gritcodec.bitstream.symbols import Readers, Surroundings, take


def tensors(
    stages: int = 3, bits: int = 6, dim: int = 4, units: int = 8, seed: int = 20, narrow: int = 3, middle: int = 5
) -> dict[str, np.ndarray]:
    """Tensors of a `ContextModel` with random numbers in all their ranges."""
    draw = np.random.default_rng(seed)
    groups, places = 1 << bits // 2, 1 << bits - bits // 2
    size = groups * places

    def integers(kind, most, *shape):
        return draw.integers(-most, most + 1, shape).astype(kind)

    def shifts(low, high):
        return draw.integers(low, high, stages).astype(np.uint8)

    return {
        "order": np.stack([draw.permutation(size) for _ in range(stages)]).astype(np.uint16),
        "vectors": integers(np.int8, 127, stages, size, dim),
        "vector_shift": shifts(0, 4),
        "narrow": integers(np.int8, 127, stages, size, narrow),
        "narrow_shift": shifts(0, 4),
        "hidden": integers(np.int8, 127, stages, WIDE * dim + NARROW * narrow + SLOTS, units),
        "hidden_bias": integers(np.int32, 100_000, stages, units),
        "hidden_shift": shifts(6, 12),
        "group": integers(np.int8, 127, stages, units, groups),
        "group_bias": integers(np.int32, 100_000, stages, groups),
        "group_shift": shifts(8, 12),
        "middle": integers(np.int8, 127, stages, units, middle),
        "middle_bias": integers(np.int32, 100_000, stages, middle),
        "middle_shift": shifts(6, 10),
        "place": integers(np.int8, 127, stages, groups, places, middle),
        "place_bias": integers(np.int32, 100_000, stages, groups, places),
        "place_shift": shifts(8, 12),
    }


def likely_codes(model: ContextModel, channels: int, stages: int, frames: int, seed: int = 0) -> np.ndarray:
    """Codes [channels, stages, frames] that take few bits: what the model reads out of random bytes."""
    codes = np.zeros((channels, stages, frames), dtype=np.int64)
    for number, channel in enumerate(codes):
        around = Surroundings(model, 1, frames)
        readers = Readers([Decoder(np.random.default_rng([seed, number]).bytes(16 * stages * frames))], 1)
        for stage in range(stages):
            take(readers, model, around, channel[stage : stage + 1])
    return codes


def model(**settings: int) -> ContextModel:
    """The model of those tensors."""
    return ContextModel(tensors(**settings))
