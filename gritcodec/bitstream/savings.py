"""By how many bytes the blocks of a packet are shorter than plain ones, in half bytes, as docs/bitstream.md says."""

from collections.abc import Sequence

from gritcodec.bitstream.varint import EndsTooSoonError
from gritcodec.errors import CorruptFileError

# A half byte holds a difference of -7 to 7, or says that a longer number follows.
_MOST = 7
_LONGER = 15
_GROUP = 3
# Differences of blocks of 2^20 bytes need so many groups of three bits.
_MOST_GROUPS = 8


def write(savings: Sequence[int], plain: int) -> bytes:
    """Return the bytes that tell savings.

    Args:
        savings: bytes, of each stage.
        plain: bytes of a plain block.
    """
    halves: list[int] = []
    before = plain // 3
    for saving in savings:
        difference = saving - before
        before = saving
        if abs(difference) <= _MOST:
            halves.append(difference + _MOST)
            continue
        halves.append(_LONGER)
        rest = 2 * difference if difference >= 0 else -2 * difference - 1
        while rest > _MOST:
            halves.append(rest & _MOST | 8)
            rest >>= _GROUP
        halves.append(rest)
    halves += [0] * (len(halves) % 2)
    return bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))


def read(data: bytes, stages: int, plain: int) -> tuple[list[int], int]:
    """Return the savings of so many stages, and the position behind them.

    Raises:
        EndsTooSoonError: more bytes are needed.
        CorruptFileError: these are none.
    """
    at = 0

    def half() -> int:
        nonlocal at
        if at >= 2 * len(data):
            raise EndsTooSoonError("the file is cut short: it ends inside a packet")
        at += 1
        return data[at - 1 >> 1] >> 4 if at % 2 else data[at - 1 >> 1] & 15

    savings: list[int] = []
    before = plain // 3
    for _ in range(stages):
        difference = half() - _MOST
        if difference > _MOST:
            rest = shift = 0
            while True:
                group = half()
                rest |= (group & _MOST) << shift
                shift += _GROUP
                if group <= _MOST:
                    break
                if shift == _GROUP * _MOST_GROUPS:
                    raise CorruptFileError("the file is damaged: a number does not end")
            difference = rest // 2 if rest % 2 == 0 else -(rest + 1) // 2
        before += difference
        if not 0 <= before <= plain:
            raise CorruptFileError("the file is damaged: a packet claims blocks of less than nothing")
        savings.append(before)
    return savings, at + 1 >> 1
