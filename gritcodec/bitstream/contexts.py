"""How likely every code is, given those before it: a small network in integers, exact on every machine.

It reads, for each stage of the quantizer, what the stages before it say about the frames around, and gives
integer weights for the 1024 codes. Products and sums stay below 2^53, so that float64 matrix multiplication
gives them exactly, in whatever order a library adds. docs/bitstream.md holds the definition.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream.rangecoder import PRECISION, Weights
from gritcodec.errors import ModelError

# A stage after the first looks so many frames to either side at the sum of the stages before it; with the vector of
# the stage just before, these are six vectors, as many as the first stage looks back.
REACH = 2
VECTORS = 2 * REACH + 2
HIDDEN_LIMIT = 1023
# Logits count in parts of an octave; below so many octaves a weight is zero.
_PARTS = 64
_OCTAVES = 21
_PEAK = 1 << 20
_LIKELIHOODS = np.array([round(_PEAK * 2 ** (-i / _PARTS)) for i in range(_PARTS * _OCTAVES)] + [0], dtype=np.float32)
# Integers up to here, and sums of them, are exact in float32.
_SINGLE = 1 << 24

# Name: kind and number of dimensions of the tensors of a model.
TENSORS = {
    "vectors": (np.int8, 3),
    "vector_shift": (np.uint8, 1),
    "hidden": (np.int8, 3),
    "hidden_bias": (np.int32, 2),
    "hidden_shift": (np.uint8, 1),
    "output": (np.int8, 3),
    "output_bias": (np.int32, 2),
    "output_shift": (np.uint8, 1),
}


class ContextModel:
    """Weights for the codes of each stage, from the codes that a decoder has already.

    Attributes:
        stages: quantizer stages it knows.
        size: codes in each codebook.
    """

    def __init__(self, tensors: Mapping[str, NDArray]) -> None:
        """Take the tensors of a model, with S stages of K codes, D dimensions and H hidden units.

        Args:
            tensors: vectors int8 [S, K, D], vector_shift uint8 [S]; hidden int8 [S, 6 * D, H], hidden_bias
                int32 [S, H], hidden_shift uint8 [S]; output int8 [S, H, K], output_bias int32 [S, K],
                output_shift uint8 [S]. Shifts are 0 to 20.

        Raises:
            ModelError: they do not fit each other.
        """
        self._check(tensors)
        shift = tensors["vector_shift"].astype(np.int64)[:, None, None]
        self._vectors = (tensors["vectors"].astype(np.int64) << shift).astype(np.float64)
        self._hidden = tensors["hidden"].astype(np.float64)
        self._hidden_bias = tensors["hidden_bias"].astype(np.float64)
        self._hidden_scale = np.exp2(-tensors["hidden_shift"].astype(np.float64))
        # Half the time goes into these products, and single precision is twice as fast; where it is not exact for
        # certain, it is not used.
        largest = HIDDEN_LIMIT * np.abs(tensors["output"].astype(np.int64)).sum(axis=1)
        single = (largest + np.abs(tensors["output_bias"].astype(np.int64))).max() < _SINGLE
        kind = np.float32 if single else np.float64
        self._output = tensors["output"].astype(kind)
        self._output_bias = tensors["output_bias"].astype(kind)
        self._output_scale = np.exp2(-tensors["output_shift"].astype(np.float64)).astype(kind)
        self.stages, self.size, self._dim = self._vectors.shape

    @staticmethod
    def _check(tensors: Mapping[str, NDArray]) -> None:
        for name, (kind, dimensions) in TENSORS.items():
            tensor = tensors.get(name)
            if tensor is None or tensor.dtype != kind or tensor.ndim != dimensions:
                raise ModelError(f"the model's table of contexts is damaged: {name}")
        stages, size, dim = tensors["vectors"].shape
        units = tensors["hidden"].shape[2]
        shapes = {
            "hidden": (stages, VECTORS * dim, units),
            "hidden_bias": (stages, units),
            "output": (stages, units, size),
            "output_bias": (stages, size),
        }
        shapes |= dict.fromkeys(("vector_shift", "hidden_shift", "output_shift"), (stages,))
        for name, shape in shapes.items():
            if tensors[name].shape != shape or (name.endswith("_shift") and tensors[name].max() > 20):
                raise ModelError(f"the model's table of contexts is damaged: {name}")

    def weights(self, codes: NDArray[np.integer], stage: int) -> Weights:
        """Return the weights of all codes of a stage, integers in float32 [frames, size].

        Args:
            codes: of one packet and channel, [stages, frames]; `stage` is looked at only if it is 0, for the
                frames before each.
            stage: from 0.
        """
        frames = codes.shape[1]
        if stage == 0:
            past = self._padded(self._vectors[0][codes[0]], VECTORS, 0)
            parts = [past[VECTORS - back : VECTORS - back + frames] for back in range(1, VECTORS + 1)]
        else:
            known = [self._vectors[k][codes[k]] for k in range(stage)]
            around = self._padded(np.sum(known, axis=0), REACH, REACH)
            parts = [around[at : at + frames] for at in range(2 * REACH + 1)] + [known[-1]]
        return self._weights(np.concatenate(parts, axis=1), stage)

    def first_weights(self, before: NDArray[np.integer]) -> Weights:
        """Return the weights of the first stage's next code, [1, size]; `before`: its codes so far, [frames]."""
        row = np.zeros((VECTORS, self._dim))
        last = before[-VECTORS:][::-1]
        row[: len(last)] = self._vectors[0][last]
        return self._weights(row.reshape(1, -1), 0)

    @staticmethod
    def _padded(rows: NDArray[np.float64], before: int, after: int) -> NDArray[np.float64]:
        return np.pad(rows, ((before, after), (0, 0)))

    def _weights(self, inputs: NDArray[np.float64], stage: int) -> Weights:
        sums = inputs @ self._hidden[stage] + self._hidden_bias[stage]
        hidden = np.clip(np.floor(sums * self._hidden_scale[stage]), 0, HIDDEN_LIMIT).astype(self._output.dtype)
        logits = hidden @ self._output[stage]
        logits += self._output_bias[stage]
        logits *= self._output_scale[stage]
        np.floor(logits, out=logits)
        best = np.argmax(logits, axis=1)
        rows = np.arange(len(logits))
        below = np.subtract(logits[rows, best][:, None], logits, out=logits)
        likelihoods = _LIKELIHOODS.take(below.astype(np.int64), mode="clip")
        whole = (1 << PRECISION) - self.size
        # A fraction a / b that is not whole is at least 1 / b away from the next whole number, and a is below 2^44:
        # the quotient in float64 cannot round up to it.
        weights = likelihoods * np.float64(whole) / likelihoods.sum(axis=1, dtype=np.float64, keepdims=True)
        np.floor(weights, out=weights)
        weights[rows, best] += whole - weights.sum(axis=1)
        return weights.astype(np.float32)
