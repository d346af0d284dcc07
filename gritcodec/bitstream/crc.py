"""CRC32C (Castagnoli), forwards and backwards."""

from collections.abc import Iterator

import google_crc32c

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
# So few steps are quicker one by one.
_FEW = 64


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()
_BY_TOP_BYTE = {entry >> 24: index for index, entry in enumerate(_TABLE)}


def crc32c(data: bytes) -> int:
    """Return the CRC32C of bytes, an unsigned 32-bit integer."""
    return int(google_crc32c.value(data))


def extend(crc: int, data: bytes) -> int:
    """Return the CRC32C of what `crc` is of, followed by `data`."""
    return int(google_crc32c.extend(crc, data))


def last_word(before: int, after: int) -> int:
    """Return the only 32-bit word that leads from one CRC32C to another.

    Args:
        before: CRC32C of some bytes.
        after: CRC32C of the same bytes and four more.

    Returns:
        Those four bytes, as an integer stored lowest byte first.
    """
    return _back(after ^ _ONES, 4) ^ before ^ _ONES


def only_byte(difference: int, distance: int) -> int | None:
    """Return the change of a single byte that changes a CRC32C in a known way, or None where there is none.

    Args:
        difference: what the CRC is XORed with.
        distance: from the byte to the end of the bytes the CRC is of; 1 for the last of them.
    """
    register = _back(difference, distance)
    return register if register < 256 else None


def _back(register: int, count: int) -> int:
    """Return the register before `count` zero bytes were taken in."""
    if count < _FEW:
        for _ in range(count):
            register = _step_back(register)
        return register
    # A step is linear in the register's bits, and so are 2, 4, 8 ... steps: long ways take few products.
    power = 0
    while count >> power:
        if power == len(_BACK):
            _BACK.append([_product(_BACK[-1], column) for column in _BACK[-1]])
        if count >> power & 1:
            register = _product(_BACK[power], register)
        power += 1
    return register


def _product(columns: list[int], register: int) -> int:
    """Return what a linear step makes of a register; `columns`: what it makes of each of its bits alone."""
    found = 0
    for column in columns:
        if register & 1:
            found ^= column
        register >>= 1
    return found


class Registers:
    """The CRC register of bytes from the front, and what it must be from the back, at every place.

    A single byte that is wrong is found by comparing the two: work grows with the number of bytes, not its square.
    """

    def __init__(self, data: bytes, first: int, crc: int) -> None:
        """Prepare to look for a byte from `first` on in `data`, whose CRC32C ought to be `crc`."""
        self._data, self._first = data, first
        register = crc32c(data[:first]) ^ _ONES
        self._before = [register]
        for byte in data[first:]:
            register = register >> 8 ^ _TABLE[(register ^ byte) & 255]
            self._before.append(register)
        register = crc ^ _ONES
        after = [register]
        for byte in reversed(data[first:]):
            register = _step_back(register) ^ byte
            after.append(register)
        # What the register must be before each byte, and at the end.
        self._wanted = after[::-1]

    def replaced(self) -> Iterator[tuple[int, int]]:
        """Yield place and value of every single byte that, put in place of the one there, makes the CRC right."""
        for offset, old in enumerate(self._data[self._first :]):
            byte = self._between(self._before[offset], self._wanted[offset + 1])
            if byte is not None and byte != old:
                yield self._first + offset, byte

    def added(self) -> Iterator[int]:
        """Yield the place of every byte without which the CRC is right."""
        for offset in range(len(self._data) - self._first):
            if self._before[offset] == self._wanted[offset + 1]:
                yield self._first + offset

    def lost(self) -> Iterator[tuple[int, int]]:
        """Yield place and value of every single byte that makes the CRC right when it is put in."""
        for offset in range(len(self._before)):
            byte = self._between(self._before[offset], self._wanted[offset])
            if byte is not None:
                yield self._first + offset, byte

    @staticmethod
    def _between(before: int, after: int) -> int | None:
        byte = _step_back(after) ^ before
        return byte if byte < 256 else None


def _step_back(register: int) -> int:
    """Return the register before a zero byte was taken in."""
    index = _BY_TOP_BYTE[register >> 24]
    return (register ^ _TABLE[index]) << 8 & _ONES | index


# What 1, 2, 4 ... steps back make of each bit.
_BACK = [[_step_back(1 << bit) for bit in range(32)]]
