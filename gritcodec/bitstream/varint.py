"""Unsigned integers in groups of seven bits, lowest group first, the top bit set in every byte but the last."""

from gritcodec.errors import CorruptFileError

_MOST_BYTES = 7


class EndsTooSoonError(CorruptFileError):
    """The bytes end inside what is being read: more of them may help."""


def write(value: int) -> bytes:
    """Return the bytes of `value`, 0 to 2**49 - 1."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read(data: bytes, position: int) -> tuple[int, int]:
    """Return the value at `position` and the position after it.

    Raises:
        EndsTooSoonError: the bytes end inside the number.
        CorruptFileError: the number does not end within 7 bytes, or is longer than it need be.
    """
    value = 0
    for shift in range(0, 7 * _MOST_BYTES, 7):
        if position >= len(data):
            raise EndsTooSoonError("the file is cut short: it ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if not byte and shift:
                raise CorruptFileError("the file is damaged: a number has needless digits")
            return value, position
    raise CorruptFileError("the file is damaged: a number does not end")
