"""Headers with one wrong byte: the CRC tells which one it is, and what it should be."""

from collections.abc import Iterator

from gritcodec.bitstream.crc import Registers, crc32c, only_byte
from gritcodec.bitstream.header import CRC_BYTES, HEADER_LIMIT, MAGIC, VERSION, Header, header_layout, parse_header
from gritcodec.errors import FormatError

_START = MAGIC + bytes([VERSION])
# Fixed bytes, seven varints and the coding end before this: damage here can change where everything else lies.
_LAYOUT_BYTES = 48


def repair_header(data: bytes) -> tuple[Header, int] | None:
    """Find the header of which exactly one byte was changed, lost or added.

    Args:
        data: the beginning of a file, with the whole header.

    Returns:
        The header and the position after it in `data`, or None where there is no or more than one such header.
    """
    data = data[: HEADER_LIMIT + 1]
    found: dict[bytes, tuple[Header, int]] = {}
    _try_in_the_layout(found, data)
    _try_in_the_fields(found, data)
    return next(iter(found.values())) if len(found) == 1 else None


def begins_almost_like_ours(start: bytes) -> bool:
    """Whether the first bytes are magic and version with at most one byte changed, lost or added."""
    size = len(_START)
    changed = sum(a != b for a, b in zip(start, _START, strict=False))
    lost = any(start[: size - 1] == _START[:i] + _START[i + 1 :] for i in range(size))
    added = any(start[:i] + start[i + 1 : size + 1] == _START for i in range(size + 1))
    return changed <= 1 or lost or added


def _collect(found: dict[bytes, tuple[Header, int]], candidate: bytes, shift: int) -> None:
    """Add a candidate that is a header; `shift`: bytes that the damage added."""
    try:
        header, end = parse_header(candidate)
    except FormatError:
        return
    before = found.get(candidate[:end])
    if before is None or end + shift < before[1]:
        found[candidate[:end]] = header, end + shift


def _try_in_the_layout(found: dict[bytes, tuple[Header, int]], data: bytes) -> None:
    """Try a byte among those that say where the others lie: every value of it, in every place."""
    for at in range(min(len(data), _LAYOUT_BYTES)):
        before = data[:at]
        # A last byte that was changed may also be lost: then items begin with what stands in its place.
        for shift, after in ((0, data[at + 1 :]), (-1, data[at:])):
            for byte in _right_bytes(before, after):
                _collect(found, before + bytes([byte]) + after, shift)
        _collect(found, before + data[at + 1 :], 1)


def _right_bytes(before: bytes, after: bytes) -> Iterator[int]:
    """Yield every byte between `before` and `after` with which the header's CRC is right."""
    at = len(before)
    # Not 0x00: as the last byte of a longer number it is refused.
    for base in (0x01, 0x81):
        candidate = before + bytes([base]) + after
        try:
            extra, fields, end = header_layout(candidate)
        except FormatError:
            continue
        body = end - CRC_BYTES
        if extra <= at < fields:
            # This byte says where the header ends: only trying helps.
            yield from range(base & 0x80, (base & 0x80) + 0x80)
        elif at < body:
            # The layout depends on the top bit at most: with it, the rest follows from the CRC.
            stored = int.from_bytes(candidate[body:end], "little")
            error = only_byte(crc32c(candidate[:body]) ^ stored, body - at)
            if error is not None and error < 0x80:
                yield base ^ error


def _try_in_the_fields(found: dict[bytes, tuple[Header, int]], data: bytes) -> None:
    """Try a byte among the fields and the CRC: where they end is known, and two passes find place and value."""
    try:
        # A byte of the header may be lost: one more in its place.
        _, fields, end = header_layout(data + bytes(1))
    except FormatError:
        return
    body = end - CRC_BYTES
    right = crc32c(data[:body]).to_bytes(CRC_BYTES, "little")
    for shift in (0, -1, 1):
        there = data[body : end + shift]
        if _one_wrong(right, there):
            _collect(found, data[:body] + right, shift)
        stop = body + shift
        if len(data) < stop + CRC_BYTES:
            continue
        registers = Registers(data[:stop], fields, int.from_bytes(data[stop : stop + CRC_BYTES], "little"))
        if shift == 0:
            for at, byte in registers.replaced():
                _collect(found, data[:at] + bytes([byte]) + data[at + 1 :], 0)
        elif shift == 1:
            for at in registers.added():
                _collect(found, data[:at] + data[at + 1 :], 1)
        else:
            for at, byte in registers.lost():
                _collect(found, data[:at] + bytes([byte]) + data[at:], -1)


def _one_wrong(right: bytes, there: bytes) -> bool:
    """Whether bytes are the right ones with one changed, lost or added, by their number."""
    if len(there) == len(right):
        return sum(a != b for a, b in zip(right, there, strict=True)) == 1
    short, long = sorted((right, there), key=len)
    return len(long) == len(short) + 1 and any(long[:at] + long[at + 1 :] == short for at in range(len(long)))
