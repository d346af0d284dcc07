"""How likely every code is, given those before it: a small network in integers, exact on every machine.

It reads, for each stage of the quantizer, what the stages before it say about the frames around, and gives
integer weights for the 1024 codes. Products and sums stay below 2^53, so that float64 matrix multiplication
gives them exactly, in whatever order a library adds; where they stay below 2^24, float32 does, at half the time.
docs/bitstream.md holds the definition.
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
_LIKELIHOODS = np.array([round(_PEAK * 2 ** (-i / _PARTS)) for i in range(_PARTS * _OCTAVES)] + [0], dtype=np.float64)
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
        # What all vectors can be divided by is left out until their products are summed: sums are smaller without it.
        common = tensors["vector_shift"].min(initial=20)
        shift = (tensors["vector_shift"] - common).astype(np.int64)[:, None, None]
        vectors = tensors["vectors"].astype(np.int64) << shift
        kind = np.float32 if self._largest_sum(vectors, tensors["hidden"]) < _SINGLE else np.float64
        self._vectors = vectors.astype(kind)
        self._hidden = tensors["hidden"].astype(kind)
        self._hidden_bias = tensors["hidden_bias"].astype(np.float64)
        self._unit = float(1 << int(common))
        self._hidden_scale = np.exp2(-tensors["hidden_shift"].astype(np.float64))
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

    @staticmethod
    def _largest_sum(vectors: NDArray[np.int64], hidden: NDArray[np.int8]) -> int:
        """Return what no sum of products of any codes, nor a part of one, exceeds."""
        largest = np.abs(vectors).max(axis=1, initial=0)
        before = np.cumsum(largest, axis=0) - largest
        inputs = np.concatenate([np.tile(before[1:], (1, VECTORS - 1)), largest[:-1]], axis=1)
        inputs = np.concatenate([np.tile(largest[:1], (1, VECTORS)), inputs])
        return int((inputs[:, None] @ np.abs(hidden.astype(np.int64))).max(initial=0))

    def packet(self, frames: int) -> "PacketContexts":
        """Return what gives a packet's weights stage by stage, of one channel."""
        return PacketContexts(self, frames)

    def weights(self, codes: NDArray[np.integer], stage: int) -> Weights:
        """Return the weights of all codes of a stage, integers in float32 [frames, size].

        Args:
            codes: of one packet and channel, [stages, frames]; `stage` is looked at only if it is 0, for the
                frames before each.
            stage: from 0.
        """
        frames = codes.shape[1]
        if stage:
            packet = self.packet(frames)
            for known in codes[:stage]:
                packet.add(known)
            return packet.weights()
        past = np.concatenate([np.zeros((VECTORS, self._dim), self._vectors.dtype), self._vectors[0][codes[0]]])
        parts = [past[VECTORS - back : VECTORS - back + frames] for back in range(1, VECTORS + 1)]
        return self._weights(np.concatenate(parts, axis=1), 0)

    def first_weights(self, before: NDArray[np.integer]) -> Weights:
        """Return the weights of the first stage's next code, [1, size]; `before`: its codes so far, [frames]."""
        row = np.zeros((VECTORS, self._dim), self._vectors.dtype)
        last = before[-VECTORS:][::-1]
        row[: len(last)] = self._vectors[0][last]
        return self._weights(row.reshape(1, -1), 0)

    def _weights(self, inputs: NDArray[np.floating], stage: int) -> Weights:
        sums = (inputs @ self._hidden[stage]).astype(np.float64)
        sums *= self._unit
        sums += self._hidden_bias[stage]
        sums *= self._hidden_scale[stage]
        np.floor(sums, out=sums)
        hidden = np.clip(sums, 0, HIDDEN_LIMIT, out=sums).astype(self._output.dtype, copy=False)
        logits = hidden @ self._output[stage]
        logits += self._output_bias[stage]
        logits *= self._output_scale[stage]
        np.floor(logits, out=logits)
        best = np.argmax(logits, axis=1)
        rows = np.arange(len(logits))
        below = np.subtract(logits[rows, best][:, None], logits, out=logits)
        weights = _LIKELIHOODS.take(below.astype(np.intp), mode="clip")
        total = weights.sum(axis=1, keepdims=True)
        whole = (1 << PRECISION) - self.size
        # A fraction a / b that is not whole is at least 1 / b away from the next whole number, and a is below 2^44:
        # the quotient in float64 cannot round up to it.
        weights *= whole
        weights /= total
        np.floor(weights, out=weights)
        weights[rows, best] += whole - weights.sum(axis=1)
        return weights.astype(np.float32)


class PacketContexts:
    """The weights of a packet's stages after the first, one stage after the other."""

    def __init__(self, model: ContextModel, frames: int) -> None:
        """Begin a packet of one channel; `ContextModel.packet` is the usual way here."""
        self._model, self._stage = model, 0
        kind, dim = model._vectors.dtype, model._dim
        self._sums = np.zeros((frames + 2 * REACH, dim), kind)
        # Rows of inputs: sums of the vectors of the frames around, side by side, and the last stage's vector.
        self._around = np.lib.stride_tricks.as_strided(
            self._sums, (frames, (2 * REACH + 1) * dim), self._sums.strides, writeable=False
        )
        self._inputs = np.empty((frames, VECTORS * dim), kind)

    def add(self, codes: NDArray[np.integer]) -> None:
        """Take the codes of the next stage, [frames]."""
        model, dim = self._model, self._model._dim
        vectors = np.take(model._vectors[self._stage], codes, axis=0, out=self._inputs[:, -dim:], mode="clip")
        self._sums[REACH:-REACH] += vectors
        self._stage += 1

    def weights(self) -> Weights:
        """Return the weights of the next stage, [frames, size], as `ContextModel.weights` does."""
        self._inputs[:, : -self._model._dim] = self._around
        return self._model._weights(self._inputs, self._stage)
