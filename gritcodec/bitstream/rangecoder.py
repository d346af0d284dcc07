"""Symbols <-> bytes by range coding: constriction's coder, with the shortest ending that decodes.

The coder is the one of G. N. N. Martin, "Range encoding" (1979), with words of 32 bits, a state of 64 bits and
probabilities in units of 2^-24; docs/entropy-coding.md says it exactly. Its input are integers alone, so nothing
depends on how a machine rounds.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gritcodec.errors import CorruptFileError

PRECISION = 24
_WORD = 32
# Zero words behind a block: as many as a decoder looks ahead.
_AHEAD = 8

# Integers [symbols, alphabet], each row with the sum 2^24 - alphabet, which float32 holds; one is added to each.
Weights = NDArray[np.float32]


class Encoder:
    """Symbols into bytes, in order."""

    def __init__(self) -> None:
        """Begin a block."""
        import constriction

        self._coder = constriction.stream.queue.RangeEncoder()
        self._model = constriction.stream.model.Categorical(perfect=False)

    def push(self, symbols: NDArray[np.integer], weights: Weights) -> None:
        """Append symbols [n] under weights [n, alphabet]."""
        if len(symbols):
            # constriction's probabilities of this sum become exactly weight + 1 in 2^24, for all partial sums
            # are integers that float32 holds.
            weights = np.ascontiguousarray(weights, dtype=np.float32)
            self._coder.encode(np.ascontiguousarray(symbols, dtype=np.int32), self._model, weights)

    def finish(self) -> bytes:
        """Return the shortest bytes which, followed by zeros, decode to the symbols."""
        words = self._coder.get_compressed()
        position, (lower, size) = self._coder.pos()
        count = max(len(words), position + 2)
        point = int.from_bytes(words.astype(">u4").tobytes(), "big") << _WORD * (count - len(words))
        # The words so far may still get a carry, which the sealed ones tell.
        behind = _WORD * (count - position - 2)
        scale = 2 * _WORD + behind
        low = ((point - (lower << behind)) >> scale << scale) + (lower << behind)
        high = low + (size << behind)
        # Bytes that all points of the interval share have to be there, unless they are zeros at the end.
        for length in range((32 * count - (low ^ high - 1).bit_length()) // 8, 4 * count + 1):
            rest = 8 * (4 * count - length)
            rounded = -(-low >> rest)
            if rounded << rest < high:
                return rounded.to_bytes(length, "big").rstrip(b"\0")
        raise AssertionError("an interval that holds no point")


class Decoder:
    """Symbols out of a block, in order."""

    def __init__(self, block: bytes) -> None:
        """Begin to read a block that `Encoder.finish` gave."""
        import constriction

        words = np.frombuffer(block + bytes(-len(block) % 4 + _AHEAD), dtype=">u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)
        self._model = constriction.stream.model.Categorical(perfect=False)

    def take(self, weights: Weights) -> NDArray[np.int32]:
        """Return as many symbols as weights [n, alphabet] has rows."""
        if not len(weights):
            return np.zeros(0, dtype=np.int32)
        return self._read(lambda: self._coder.decode(self._model, weights.astype(np.float32, copy=False)))

    def take_one(self, weights: Weights) -> int:
        """Return the next symbol under weights float32 [1, alphabet]."""
        try:
            return int(self._coder.decode(self._model, weights)[0])
        except (ValueError, AssertionError) as error:
            raise CorruptFileError("the file is damaged: a packet holds no codes") from error

    @staticmethod
    def _read(decode: Callable[[], NDArray[np.int32]]) -> NDArray[np.int32]:
        try:
            return decode()
        except (ValueError, AssertionError) as error:
            raise CorruptFileError("the file is damaged: a packet holds no codes") from error
