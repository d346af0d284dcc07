"""What each frame of a packet has around it: the input rows of the context network, stage after stage."""

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream.contexts import HISTORY, INPUT_LIMIT, MEAN, NARROW, REACH, SLOTS, THERE, WIDE, ContextModel

Codes = NDArray[np.integer]
Rows = NDArray[np.floating]

_OFFSETS = (-2, -1, 1, 2)
_SHARE = np.float32(1 / MEAN)


class Surroundings:
    """Input rows of the stages of several pieces, packets of one channel each, one stage after the other.

    Attributes:
        pieces: how many.
        frames: in each.
        stage: the next one, whose codes are not known yet.
    """

    def __init__(self, model: ContextModel, pieces: int, frames: int, past: Codes | None = None) -> None:
        """Begin.

        Args:
            model: whose vectors are added up.
            pieces: packets and channels, side by side.
            frames: in each.
            past: codes [pieces, stages of the model, frames before] that a decoder has, the last one at the end, -1
                where a frame lacks a stage; only the last frames matter. None: there are none.
        """
        self._model, self.pieces, self.frames, self.stage = model, pieces, frames, 0
        self._past = None if past is None or not past.shape[2] else past[:, :, -HISTORY:]
        begin = HISTORY - (0 if self._past is None else self._past.shape[2])
        self._before, self._inside = slice(begin, HISTORY), slice(HISTORY, HISTORY + frames)
        # Sums of the vectors of all stages so far, with frames that are not there on both sides.
        self._sums = np.zeros((pieces, HISTORY + frames + HISTORY, model.vectors.shape[2]), np.float32)
        self._there = np.zeros((*self._sums.shape[:2], 1), np.float32)
        self._there[:, begin : HISTORY + frames] = THERE
        # The input rows of stages after the second, which lack a slot; their last numbers stay.
        wide = (WIDE - 1) * model.wide
        self._rows = np.zeros((pieces, frames, wide + NARROW * model.narrow + SLOTS + 1), np.float32)
        self._rows[..., -1] = 1
        self._flags = self._rows[..., -SLOTS - 1 : -1]
        self._flags[..., : WIDE - 1] = THERE
        self._fill(self._flags[..., WIDE:], self._there)
        self._around = self._rows[..., wide : wide + NARROW * model.narrow]

    def add(self, codes: Codes) -> None:
        """Take the codes of the next stage, [pieces, frames]."""
        model, stage, wide = self._model, self.stage, self._model.wide
        vectors = model.vectors[stage].take(codes, axis=0)
        _clip(vectors[..., :wide], self._rows[..., wide : 2 * wide])
        self._sums[:, self._inside] += vectors
        if self._past is not None:
            self._sums[:, self._before] += model.vectors[stage][self._past[:, stage]]
        self.stage += 1

    def first_inputs(self, codes: Codes | None = None) -> Rows:
        """Return the input rows of stage 0; without codes, [pieces, frames], those of this packet are left out."""
        rows, wide = self._own(codes), self._model.wide
        at = [slice(HISTORY - back, HISTORY - back + self.frames) for back in range(1, SLOTS + 1)]
        parts = [rows[:, a, :wide] if slot < WIDE else rows[:, a, wide:] for slot, a in enumerate(at)]
        return np.concatenate([*parts, *(self._there[:, a] for a in at), self._rows[..., -1:]], axis=2)

    def second_inputs(self, known: Codes, odd: bool) -> Rows:
        """Return the input rows of stage 1 for the frames with even or odd numbers in the packet.

        Args:
            known: codes [pieces, frames], right at even numbers if `odd`.
            odd: whether rows are of odd numbers: these see the codes of the frames next to them.
        """
        wide = self._model.wide
        rows = np.pad(self._own(known if odd else None)[..., :wide], ((0, 0), (0, 1), (0, 0)))
        there = self._there[:, : rows.shape[1]].copy()
        if not odd:
            there[:, HISTORY:] = 0
        inputs, flags = self.inputs(), self._flags.copy()
        beside = []
        for slot, offset in ((1, -1), (2, 1)):
            at = slice(HISTORY + offset, HISTORY + offset + self.frames)
            beside.append(rows[:, at])
            flags[..., slot] = there[:, at, 0]
        parts = [inputs[..., :wide], *beside, self._around, flags, inputs[..., -1:]]
        return np.concatenate([part[:, int(odd) :: 2] for part in parts], axis=2)

    def inputs(self) -> Rows:
        """Return the input rows of a stage after the first two, without the empty slot; they are overwritten later."""
        wide = self._model.wide
        sums = _clip(self._sums)
        self._rows[..., :wide] = sums[:, self._inside, :wide]
        self._fill(self._around, sums[..., wide:])
        return self._rows

    def _fill(self, target: Rows, rows: Rows) -> None:
        """Fill the narrow slots: rows of the frames near each, and means of those further off.

        Means are floor(sum / MEAN) of the MEAN rows before and after the near ones; rows have HISTORY at both ends.
        """
        width, frames = rows.shape[2], self.frames
        for slot, offset in enumerate(_OFFSETS):
            target[..., slot * width : (slot + 1) * width] = rows[:, HISTORY + offset : HISTORY + offset + frames]
        total = np.zeros((self.pieces, rows.shape[1] + 1, width), np.float32)
        np.add.accumulate(rows, axis=1, out=total[:, 1:])
        means = total[:, MEAN:] - total[:, :-MEAN]
        means *= _SHARE
        np.floor(means, out=means)
        after = HISTORY + REACH + 1
        target[..., 4 * width : 5 * width] = means[:, :frames]
        target[..., 5 * width :] = means[:, after : after + frames]

    def _own(self, codes: Codes | None) -> Rows:
        """Return this stage's vectors of the frames before the packet and in it, [pieces, HISTORY + frames, dim]."""
        vectors = self._model.vectors[self.stage]
        rows = np.zeros((self.pieces, HISTORY + self.frames, vectors.shape[1]), np.float32)
        if self._past is not None:
            rows[:, self._before] = vectors[self._past[:, self.stage]]
        if codes is not None:
            rows[:, HISTORY:] = vectors[codes]
        return _clip(rows)


def _clip(rows: Rows, out: Rows | None = None) -> Rows:
    found = np.minimum(rows, INPUT_LIMIT, out=out)
    return np.maximum(found, -INPUT_LIMIT, out=found)
