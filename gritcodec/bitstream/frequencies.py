"""Logits -> how often each of a few symbols is to be expected, in integers of 32 bits.

docs/entropy-coding.md holds the definition.
"""

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream.rangecoder import PRECISION, Weights

# Frequencies of a symbol's alternatives have this sum, and each is 1 or more.
FREQUENCY_BITS = 16
# Logits count in parts of an octave; so many octaves below the likeliest a share is nothing.
_PARTS, _OCTAVES = 64, 16
# 2^15 times what is below 2^16 is below 2^31.
_PEAK_BITS = 15
_TABLE = [round((1 << _PEAK_BITS) * 2 ** (-i / _PARTS)) for i in range(_PARTS * _OCTAVES)]
SHARES = np.array([*_TABLE, 0], dtype=np.int32)
# The range coder's units in one of frequency are 2^8, and a weight is one less than a frequency's units.
_UNIT_BITS = PRECISION - FREQUENCY_BITS
_BELOW = (1 << _UNIT_BITS) - 1


def weights(logits: NDArray[np.floating]) -> Weights:
    """Return the weights that the range coder takes, [n, k] float32.

    Args:
        logits: [n, k], 64ths of an octave, multiples of some 2^-s and exact, as are the differences of a row. They
            are overwritten.
    """
    count = logits.shape[1]
    rows = np.arange(len(logits))
    best = logits.argmax(axis=1)
    below = np.subtract(logits[rows, best][:, None], logits, out=logits).astype(np.intp)
    shares = SHARES.take(below, mode="clip")
    # The likeliest has a share of 2^15: no factor is above 2^16 - k.
    shares *= (_rest(count) << _PEAK_BITS) // np.add.reduce(shares, axis=1, dtype=np.int32, keepdims=True)
    # What is below the fraction's point gives way to the units of the 1 that every frequency has on top.
    shares >>= _PEAK_BITS - _UNIT_BITS
    shares |= _BELOW
    shares[rows, best] += (1 << PRECISION) - count - np.add.reduce(shares, axis=1, dtype=np.int32)
    return shares.astype(np.float32)


def weights_of_one(logits: NDArray[np.floating]) -> Weights:
    """Return `weights` of a single row [k], as [1, k]: the same with fewer calls, for it runs for every frame."""
    count = len(logits)
    best = logits.argmax()
    shares = SHARES.take((logits[best] - logits).astype(np.intp), mode="clip")
    shares *= (_rest(count) << _PEAK_BITS) // int(np.add.reduce(shares))
    shares >>= _PEAK_BITS - _UNIT_BITS
    shares |= _BELOW
    found = shares.astype(np.float32)
    found[best] += (1 << PRECISION) - count - np.add.reduce(found)
    return found[None]


def _rest(count: int) -> int:
    return (1 << FREQUENCY_BITS) - count
