"""A small context model for tests and for the entropy-coded golden file, the same wherever it is made."""

import numpy as np

from gritcodec.bitstream import ContextModel


def tensors(stages: int = 3, bits: int = 6, dim: int = 4, units: int = 8, seed: int = 20) -> dict[str, np.ndarray]:
    """Tensors of a `ContextModel` with random numbers in all their ranges."""
    draw = np.random.default_rng(seed)
    size = 1 << bits

    def integers(kind, most, *shape):
        return draw.integers(-most, most + 1, shape).astype(kind)

    return {
        "vectors": integers(np.int8, 127, stages, size, dim),
        "vector_shift": draw.integers(0, 5, stages).astype(np.uint8),
        "hidden": integers(np.int8, 127, stages, 6 * dim, units),
        "hidden_bias": integers(np.int32, 100_000, stages, units),
        "hidden_shift": draw.integers(6, 12, stages).astype(np.uint8),
        "output": integers(np.int8, 127, stages, units, size),
        "output_bias": integers(np.int32, 100_000, stages, size),
        "output_shift": draw.integers(8, 12, stages).astype(np.uint8),
    }


def likely_codes(model: ContextModel, channels: int, stages: int, frames: int, seed: int = 0) -> np.ndarray:
    """Codes drawn from the model itself, [channels, stages, frames]: they take few bits."""
    draw = np.random.default_rng(seed)
    codes = np.zeros((channels, stages, frames), dtype=np.int64)
    for channel in codes:
        for frame in range(frames):
            weights = model.first_weights(channel[0, :frame])[0].astype(np.int64) + 1
            channel[0, frame] = draw.choice(model.size, p=weights / weights.sum())
        for stage in range(1, stages):
            for frame, weights in enumerate(model.weights(channel, stage).astype(np.int64) + 1):
                channel[stage, frame] = draw.choice(model.size, p=weights / weights.sum())
    return codes


def model(**settings: int) -> ContextModel:
    """The model of those tensors."""
    return ContextModel(tensors(**settings))
