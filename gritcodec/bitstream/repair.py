"""Headers with one wrong byte: the CRC tells which one it is, and what it should be."""

from collections.abc import Iterator

from gritcodec.bitstream.crc import crc32c, only_byte
from gritcodec.bitstream.header import CRC_BYTES, MAGIC, VERSION, Header, header_layout, parse_header
from gritcodec.errors import FormatError

_START = MAGIC + bytes([VERSION])
# A byte further behind than this is not repaired: only long tags make such headers.
_REACH = 128


def repair_header(data: bytes) -> tuple[Header, int] | None:
    """Find the header of which exactly one byte was changed, lost or added.

    Args:
        data: the beginning of a file; a few hundred bytes are looked at.

    Returns:
        The header and the position after it in `data`, or None where there is no or more than one such header.
    """
    data = data[: 4 * _REACH]
    found: dict[bytes, tuple[Header, int]] = {}
    for at in range(min(len(data), _REACH)):
        before = data[:at]
        # A change of the last byte is also a byte lost and another added: the change is the likelier.
        for shift, after in ((0, data[at + 1 :]), (-1, data[at:])):
            for byte in _right_bytes(before, after):
                _collect(found, before + bytes([byte]) + after, shift)
        _collect(found, before + data[at + 1 :], 1)
    return next(iter(found.values())) if len(found) == 1 else None


def begins_almost_like_ours(start: bytes) -> bool:
    """Whether the first bytes are magic and version with at most one byte changed, lost or added."""
    changed = sum(a != b for a, b in zip(start, _START, strict=False))
    lost = any(start[:4] == _START[:i] + _START[i + 1 :] for i in range(5))
    added = any(start[:i] + start[i + 1 : 6] == _START for i in range(6))
    return changed <= 1 or lost or added


def _collect(found: dict[bytes, tuple[Header, int]], candidate: bytes, shift: int) -> None:
    """Add a candidate that is a header; `shift`: bytes that the damage added."""
    try:
        header, end = parse_header(candidate)
    except FormatError:
        return
    found.setdefault(candidate[:end], (header, end + shift))


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
        elif at < end:
            yield crc32c(candidate[:body]).to_bytes(CRC_BYTES, "little")[at - body]
