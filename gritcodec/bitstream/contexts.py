"""How likely every code is, given those before it: a small network in integers, exact on every machine.

A code is two symbols: the group of its neighbours and its place in the group. For each stage of the quantizer the
network reads what the stages before it say about the frames around, and gives integer frequencies for the groups,
then, once the group is known, for the places. All values are integers of 32 bits; where their sums stay below 2^23,
float32 matrix multiplication gives them exactly, in whatever order a library adds, and float64 does elsewhere.
docs/entropy-coding.md holds the definition.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream.header import MAX_STAGES
from gritcodec.errors import ModelError

# An input row has so many vectors, so many narrow ones, and for each a number that tells whether it is of anything.
WIDE, NARROW = 3, 6
SLOTS = WIDE + NARROW
# A stage after the first looks so many frames to either side one by one, and at the mean of so many beyond.
REACH, MEAN = 2, 8
# So many frames before a packet can matter to it.
HISTORY = REACH + MEAN
THERE = 256
INPUT_LIMIT = 511
HIDDEN_LIMIT = 1023
LARGEST_SHIFT = 20
LARGEST_VECTOR_SHIFT = 3
# Sums below this are exact in float32, and so is the difference of two.
_SINGLE = 1 << 23
_INT32 = (1 << 31) - 1

# Name: kind and number of dimensions of the tensors of a model.
TENSORS = {
    "order": (np.uint16, 2),
    "vectors": (np.int8, 3),
    "vector_shift": (np.uint8, 1),
    "narrow": (np.int8, 3),
    "narrow_shift": (np.uint8, 1),
    "hidden": (np.int8, 3),
    "hidden_bias": (np.int32, 2),
    "hidden_shift": (np.uint8, 1),
    "group": (np.int8, 3),
    "group_bias": (np.int32, 2),
    "group_shift": (np.uint8, 1),
    "middle": (np.int8, 3),
    "middle_bias": (np.int32, 2),
    "middle_shift": (np.uint8, 1),
    "place": (np.int8, 4),
    "place_bias": (np.int32, 3),
    "place_shift": (np.uint8, 1),
}


class ContextModel:
    """Frequencies for the codes of each stage, from the codes that a decoder has already.

    Attributes:
        stages: quantizer stages it knows.
        size: codes in each codebook.
        order: codes by their position, [stages, size]; position = group * places + place.
        positions: positions by their code, [stages, size].
    """

    def __init__(self, tensors: Mapping[str, NDArray]) -> None:
        """Take the tensors of a model: S stages, G groups of P codes, D or E dimensions, H hidden units, M between.

        Args:
            tensors: order uint16 [S, G * P], vectors int8 [S, G * P, D], narrow int8 [S, G * P, E], hidden int8
                [S, 3 * D + 6 * E + 9, H], group int8 [S, H, G], middle int8 [S, H, M], place int8 [S, G, P, M];
                hidden_bias int32 [S, H], group_bias [S, G], middle_bias [S, M], place_bias [S, G, P]; and for all
                matrices a shift, uint8 [S]: vector_shift and narrow_shift 0 to 3, the others 0 to 20.

        Raises:
            ModelError: they do not fit each other, or a sum could leave 32 bits.
        """
        _check(tensors)
        self.stages, self.groups, self.places, _ = tensors["place"].shape
        self.size = self.groups * self.places
        self.order = tensors["order"].astype(np.int64)
        self.positions = np.argsort(self.order, axis=1)
        self.wide, self.narrow = tensors["vectors"].shape[2], tensors["narrow"].shape[2]
        # Wide and narrow side by side.
        self.vectors = np.concatenate(
            [_vectors(tensors, "vectors", "vector_shift"), _vectors(tensors, "narrow", "narrow_shift")], axis=2
        )
        # Biases are rows of their own: what they are multiplied by is 1.
        hidden = _layer(tensors, "hidden", INPUT_LIMIT)
        # Stages after the second have nothing in the last wide slot.
        empty = slice((WIDE - 1) * self.wide, WIDE * self.wide)
        self.hidden = [each if stage < 2 else np.delete(each, empty, axis=0) for stage, each in enumerate(hidden)]
        # Logits of groups, and the middle, from one product.
        self.heads = np.concatenate([_layer(tensors, name, HIDDEN_LIMIT) for name in ("group", "middle")], axis=2)
        self.place = np.ascontiguousarray(_layer(tensors, "place", HIDDEN_LIMIT))
        self._first_sums: NDArray[np.floating] | None = None

    def first_sums(self) -> NDArray[np.floating]:
        """Return what each code of stage 0 adds to the hidden sums of the frames after it, [size, SLOTS, H + 1]."""
        if self._first_sums is None:
            both = np.clip(self.vectors[0, :-1], -INPUT_LIMIT, INPUT_LIMIT)
            vectors = [both[:, : self.wide]] * WIDE + [both[:, self.wide :]] * NARROW
            matrices = np.split(self.hidden[0], np.cumsum([each.shape[1] for each in vectors]))[:SLOTS]
            self._first_sums = np.stack([v @ matrix for v, matrix in zip(vectors, matrices, strict=True)], axis=1)
        return self._first_sums

    def hidden_sums(self, inputs: NDArray[np.floating], stage: int) -> NDArray[np.floating]:
        """Return the sums of a stage's hidden units, [frames, H + 1], from input rows."""
        return np.dot(inputs.astype(self.hidden[stage].dtype, copy=False), self.hidden[stage])

    def units(self, sums: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return hidden units, [..., H + 1], from their sums, which are overwritten."""
        np.maximum(sums, 0, out=sums)
        np.minimum(sums, HIDDEN_LIMIT, out=sums)
        return np.floor(sums, out=sums).astype(self.heads.dtype, copy=False)

    def logits(self, hidden: NDArray[np.floating], stage: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return logits [..., G] of a stage's groups, and the middle [..., M + 1], from hidden units."""
        both = np.dot(hidden, self.heads[stage])
        middle = both[..., self.groups :]
        np.maximum(middle, -HIDDEN_LIMIT, out=middle)
        np.minimum(middle, HIDDEN_LIMIT, out=middle)
        np.floor(middle, out=middle)
        return both[..., : self.groups], middle.astype(self.place.dtype, copy=False)

    def place_logits(
        self, middle: NDArray[np.floating], groups: NDArray[np.integer], stage: int
    ) -> NDArray[np.floating]:
        """Return logits [frames, P] of the places in groups [frames], from the middle [frames, M + 1]."""
        return np.matmul(self.place[stage].take(groups, axis=0), middle[:, :, None])[:, :, 0]


def _vectors(tensors: Mapping[str, NDArray], name: str, shift: str) -> NDArray[np.float32]:
    """Return vectors [S, size + 1, D]; the last of each stage, zeros, is of frames that lack it."""
    vectors = tensors[name].astype(np.int64) << tensors[shift].astype(np.int64)[:, None, None]
    return np.pad(vectors, ((0, 0), (0, 1), (0, 0))).astype(np.float32)


def _layer(tensors: Mapping[str, NDArray], name: str, largest_input: int) -> NDArray[np.floating]:
    """Return a layer divided by 2^shift, in float32 if that is exact whatever comes in.

    Returns:
        [S, inputs + 1, outputs], the bias in the last row; of `hidden` and `middle` with one more output, which is
        always 1; of `place` [S, G, P, M + 1].

    Raises:
        ModelError: a sum could leave 32 bits.
    """
    matrix, bias = tensors[name].astype(np.int64), tensors[f"{name}_bias"].astype(np.int64)
    axis = -1 if name == "place" else 1
    most = int((largest_input * np.abs(matrix).sum(axis=axis) + np.abs(bias)).max(initial=0))
    if most > _INT32:
        raise ModelError(f"the model's table of contexts is damaged: sums of {name} reach {most}")
    kind = np.float32 if most < _SINGLE else np.float64
    scale = np.exp2(-tensors[f"{name}_shift"].astype(np.float64))
    scale = scale.reshape(-1, *[1] * (matrix.ndim - 1))
    whole = np.concatenate([matrix, np.expand_dims(bias, axis)], axis=axis) * scale
    if name in ("hidden", "middle"):
        one = np.zeros((*whole.shape[:2], 1))
        one[:, -1] = 1
        whole = np.concatenate([whole, one], axis=2)
    return whole.astype(kind)


def _check(tensors: Mapping[str, NDArray]) -> None:
    for name, (kind, dimensions) in TENSORS.items():
        tensor = tensors.get(name)
        if tensor is None or tensor.dtype != kind or tensor.ndim != dimensions:
            raise ModelError(f"the model's table of contexts is damaged: {name}")
    stages, groups, places, middle = tensors["place"].shape
    dim, narrow, units = tensors["vectors"].shape[2], tensors["narrow"].shape[2], tensors["hidden"].shape[2]
    shapes = {
        "order": (stages, groups * places),
        "vectors": (stages, groups * places, dim),
        "narrow": (stages, groups * places, narrow),
        "hidden": (stages, WIDE * dim + NARROW * narrow + SLOTS, units),
        "hidden_bias": (stages, units),
        "group": (stages, units, groups),
        "group_bias": (stages, groups),
        "middle": (stages, units, middle),
        "middle_bias": (stages, middle),
        "place_bias": (stages, groups, places),
    }
    shapes |= {name: (stages,) for name in TENSORS if name.endswith("_shift")}
    for name, shape in shapes.items():
        most = LARGEST_VECTOR_SHIFT if name in ("vector_shift", "narrow_shift") else LARGEST_SHIFT
        if tensors[name].shape != shape or (name.endswith("_shift") and tensors[name].max(initial=0) > most):
            raise ModelError(f"the model's table of contexts is damaged: {name}")
    if min(groups, places) < 2 or max(groups, places) > 256 or stages > MAX_STAGES:
        raise ModelError(
            f"the model's table of contexts is damaged: {stages} stages, {groups} groups of {places} codes"
        )
    if not np.array_equal(np.sort(tensors["order"], axis=1), np.tile(np.arange(groups * places), (stages, 1))):
        raise ModelError("the model's table of contexts is damaged: order is none")
