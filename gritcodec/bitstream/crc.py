"""CRC32C (Castagnoli), and its last four bytes run backwards."""

import google_crc32c

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF


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
    for _ in range(count):
        index = _BY_TOP_BYTE[register >> 24]
        register = (register ^ _TABLE[index]) << 8 & _ONES | index
    return register
