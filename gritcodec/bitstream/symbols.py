"""Codes <-> symbols of the range coder: the group of each code, and its place in there.

Pieces, packets of one channel each, are worked on side by side, which costs a fraction of one after the other. A
stage is coded in passes over frames that do not depend on each other: stage 0 frame by frame, stage 1 frames with
even numbers and then those between, the others all at once. In a pass come the groups of all channels, channel by
channel, and then the places.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream.contexts import HIDDEN_LIMIT, SLOTS, ContextModel
from gritcodec.bitstream.frequencies import weights, weights_of_one
from gritcodec.bitstream.rangecoder import Decoder, Encoder
from gritcodec.bitstream.surroundings import Codes, Rows, Surroundings
from gritcodec.errors import CorruptFileError


class Symbols:
    """The symbols of all codes of some pieces, and their weights, ready to be pushed stage by stage."""

    def __init__(self, model: ContextModel, codes: Codes, past: Codes | None = None) -> None:
        """Work them out.

        Args:
            model: of the weights.
            codes: [pieces, stages, frames].
            past: see `Surroundings`.
        """
        pieces, stages, frames = codes.shape
        around = Surroundings(model, pieces, frames, past)
        by_stage = codes.transpose(1, 0, 2).astype(np.int64)
        positions = np.take_along_axis(model.positions[:stages], by_stage.reshape(stages, -1), axis=1)
        self._groups, self._places = np.divmod(positions.reshape(by_stage.shape), model.places)
        groups = np.empty((stages, pieces, frames, model.groups), model.heads.dtype)
        places = np.empty((stages, pieces, frames, model.places), model.place.dtype)
        for stage in range(stages):
            for chosen, inputs in _passes(around, by_stage[stage]):
                shape = inputs.shape[:2]
                logits, middle = model.logits(_hidden(model, inputs, stage), stage)
                known = self._groups[stage][:, chosen].ravel()
                groups[stage][:, chosen] = logits.reshape(*shape, -1)
                places[stage][:, chosen] = model.place_logits(middle, known, stage).reshape(*shape, -1)
            around.add(by_stage[stage])
        self._group_weights = weights(groups.reshape(-1, model.groups)).reshape(groups.shape)
        self._place_weights = weights(places.reshape(-1, model.places)).reshape(places.shape)

    def push(self, encoder: Encoder, stage: int, pieces: slice) -> None:
        """Append those of a stage; `pieces`: the channels of a packet."""
        symbols = self._groups[stage][pieces], self._places[stage][pieces]
        weighed = self._group_weights[stage][pieces], self._place_weights[stage][pieces]
        if stage == 0 and weighed[0].shape == weighed[1].shape:
            # Frame by frame, in one call.
            alphabet = weighed[0].shape[2]
            in_turn = np.stack(weighed).transpose(2, 0, 1, 3).reshape(-1, alphabet)
            encoder.push(np.stack(symbols).transpose(2, 0, 1).ravel(), in_turn)
            return
        for chosen in _frames_of_passes(stage, symbols[0].shape[1]):
            for each, rows in zip(symbols, weighed, strict=True):
                encoder.push(each[:, chosen].ravel(), rows[:, chosen].reshape(-1, rows.shape[2]))


class Readers:
    """Decoders of some packets of equal length, and whether each is still good."""

    def __init__(self, decoders: Sequence[Decoder | None], channels: int) -> None:
        """Take one decoder for each packet, None for those whose codes are known otherwise."""
        self._decoders, self._channels = decoders, channels
        self.failed = [False] * len(decoders)
        self.some_are_known = any(decoder is None for decoder in decoders)

    def take(self, weighed: NDArray[np.float32], target: Codes) -> None:
        """Read symbols into target [pieces, frames] under weights [pieces * frames, alphabet]."""
        rows = self._channels * target.shape[1]
        for number, decoder in enumerate(self._decoders):
            if decoder is None or self.failed[number]:
                continue
            try:
                found = decoder.take(weighed[number * rows : (number + 1) * rows])
            except CorruptFileError:
                self.failed[number] = True
                continue
            pieces = slice(number * self._channels, (number + 1) * self._channels)
            target[pieces] = found.reshape(self._channels, -1)

    def only(self) -> Decoder | None:
        """Return the decoder if there is one, of one channel."""
        return self._decoders[0] if len(self._decoders) == self._channels == 1 else None


def take(readers: Readers, model: ContextModel, around: Surroundings, known: Codes) -> None:
    """Read the codes of the stage that `around` has come to, and take them in there.

    Args:
        readers: of the packets.
        model: of the weights.
        around: of the packets.
        known: codes [pieces, frames], right where there is no decoder; the others are written there.
    """
    stage, only = around.stage, readers.only()
    groups, places = np.zeros_like(known), np.zeros_like(known)
    if readers.some_are_known:
        groups, places = np.divmod(model.positions[stage][known], model.places)
    if stage == 0 and only is not None:
        try:
            known[0] = _take_first(only, model, around.first_inputs()[0])
        except CorruptFileError:
            readers.failed[0] = True
    elif stage == 0:
        _take_first_of_many(readers, model, around, (groups, places, known))
    else:
        for chosen, inputs in _passes(around, known):
            logits, middle = model.logits(_hidden(model, inputs, stage), stage)
            readers.take(weights(logits), groups[:, chosen])
            given = groups[:, chosen].ravel()
            readers.take(weights(model.place_logits(middle, given, stage)), places[:, chosen])
            known[:, chosen] = model.order[stage].take(groups[:, chosen] * model.places + places[:, chosen])
    around.add(known)


def _hidden(model: ContextModel, inputs: Rows, stage: int) -> Rows:
    return model.units(model.hidden_sums(inputs.reshape(-1, inputs.shape[2]), stage))


def _frames_of_passes(stage: int, frames: int) -> list[slice]:
    if stage == 0:
        return [slice(frame, frame + 1) for frame in range(frames)]
    if stage == 1:
        return [slice(0, None, 2), slice(1, None, 2)][: min(frames, 2)]
    return [slice(None)]


def _passes(around: Surroundings, codes: Codes) -> Iterator[tuple[slice, Rows]]:
    """Yield which frames are coded at a time, and their input rows; of stage 0, whose codes are known, all.

    `codes` [pieces, frames] are to be right, when the next pass is asked for, where they were yielded before.
    """
    if around.stage == 0:
        yield slice(None), around.first_inputs(codes)
    elif around.stage == 1:
        for odd, chosen in enumerate(_frames_of_passes(1, around.frames)):
            yield chosen, around.second_inputs(codes, bool(odd))
    else:
        yield slice(None), around.inputs()


def _take_first_of_many(
    readers: Readers, model: ContextModel, around: Surroundings, targets: tuple[Codes, Codes, Codes]
) -> None:
    """Read the codes of stage 0 of several pieces: groups, places and codes, [pieces, frames] each."""
    groups, places, codes = targets
    inputs = around.first_inputs()
    sums = model.hidden_sums(inputs.reshape(-1, inputs.shape[2]), 0).reshape(*inputs.shape[:2], -1)
    sums = np.concatenate([sums, np.zeros((len(sums), SLOTS, sums.shape[2]), sums.dtype)], axis=1)
    added = model.first_sums()
    for frame in range(around.frames):
        now = slice(frame, frame + 1)
        logits, middle = model.logits(model.units(sums[:, frame].copy()), 0)
        readers.take(weights(logits), groups[:, now])
        readers.take(weights(model.place_logits(middle, groups[:, frame], 0)), places[:, now])
        codes[:, frame] = model.order[0].take(groups[:, frame] * model.places + places[:, frame])
        sums[:, frame + 1 : frame + 1 + SLOTS] += added[codes[:, frame]]


def _take_first(decoder: Decoder, model: ContextModel, inputs: Rows) -> NDArray[np.int64]:
    """Read the codes of stage 0 of one piece, [frames], as `_take_first_of_many` does, with as few calls as will do."""
    kind = np.result_type(model.hidden[0], model.heads, model.place)
    tables = (model.heads[0], model.place[0], model.first_sums())
    heads, places, added = (table.astype(kind, copy=False) for table in tables)
    frames, order, limit = len(inputs), model.order[0].tolist(), HIDDEN_LIMIT
    sums = np.zeros((frames + SLOTS, model.hidden[0].shape[1]), kind)
    sums[:frames] = model.hidden_sums(inputs, 0)
    both = np.empty(heads.shape[1], kind)
    logits, middle = both[: model.groups], both[model.groups :]
    codes = [0] * frames
    for frame in range(frames):
        hidden = sums[frame]
        np.maximum(hidden, 0, out=hidden)
        np.minimum(hidden, limit, out=hidden)
        np.floor(hidden, out=hidden)
        np.dot(hidden, heads, out=both)
        np.maximum(middle, -limit, out=middle)
        np.minimum(middle, limit, out=middle)
        np.floor(middle, out=middle)
        group = decoder.take_one(weights_of_one(logits))
        place = decoder.take_one(weights_of_one(np.dot(places[group], middle)))
        code = codes[frame] = order[group * model.places + place]
        later = sums[frame + 1 : frame + 1 + SLOTS]
        np.add(later, added[code], out=later)
    return np.array(codes, np.int64)
