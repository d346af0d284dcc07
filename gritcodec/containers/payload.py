"""What an RTP packet carries: a bare item, and with it the coarse stages of an earlier packet. docs/rtp.md has it."""

from typing import NamedTuple

from gritcodec.bitstream import Header, coding_for, varint
from gritcodec.bitstream.header import CHAINED, PLAIN
from gritcodec.bitstream.items import FULL
from gritcodec.containers import bare
from gritcodec.errors import CorruptFileError, UsageError

MOST_OFFSET = 4
MOST_COPIED = 4
# The first byte of a payload with copied stages. Long form: 1001, offset - 1, stages - 1 (two bits each), and the item
# follows with its mark. Short form, where it has room for everything: 101, stages - 1 (one bit), the item's stages
# (four bits) in place of its mark.
_LONG, _LONG_MASK = 0x90, 0xF0
_SHORT, _SHORT_MASK = 0xA0, 0xE0
_SHORT_COPIED, _SHORT_STAGES = 2, 15
_KIND = 0xC0


class Copy(NamedTuple):
    """The coarse stages of an earlier packet.

    Attributes:
        offset: how many ordinary packets it is earlier, 1 to 4.
        packet: bare, with `packet_frames` frames and 1 to 4 stages.
    """

    offset: int
    packet: bytes


def pack(item: bytes, header: Header, copy: Copy | None = None) -> bytes:
    """Return the payload for an item.

    Args:
        item: bare packet, pause or chunk.
        header: of the stream.
        copy: what goes with a packet or pause.

    Raises:
        UsageError: the stream's coding does not allow copies.
    """
    if copy is None:
        return item
    if header.coding == CHAINED:
        raise UsageError("chained packets cannot be sent again in part")
    stages = bare.stages_of(copy.packet)
    if item[0] & _KIND == FULL and item[0] <= FULL + _SHORT_STAGES and copy.offset == 1 and stages <= _SHORT_COPIED:
        return bytes([_SHORT | stages - 1 << 4 | item[0] - FULL]) + _with_copy(item, copy, header)[1:]
    return bytes([_LONG | copy.offset - 1 << 2 | stages - 1]) + _with_copy(item, copy, header)


def _with_copy(item: bytes, copy: Copy, header: Header) -> bytes:
    """Return an item and what is behind it: the codes of a copy."""
    body, stages = copy.packet[1:], bare.stages_of(copy.packet)
    if header.coding != PLAIN:
        return item + body
    # Plain codes are bits: the copy begins where the last code ends, in what would be filled up with zeros.
    used, size = _used_bits(item, header), _copied_bits(stages, header)
    bits = int.from_bytes(item, "big") >> 8 * len(item) - used << size
    bits |= int.from_bytes(body, "big") >> 8 * len(body) - size
    whole = -(-(used + size) // 8)
    return (bits << 8 * whole - used - size).to_bytes(whole, "big")


def unpack(payload: bytes, header: Header) -> tuple[bytes, Copy | None]:
    """Return the item and the copy in a payload.

    Raises:
        CorruptFileError: there is no item in it.
    """
    first = payload[0] if payload else 0
    if first & _SHORT_MASK != _SHORT and first & _LONG_MASK != _LONG:
        item, copy = payload, None
    else:
        if first & _SHORT_MASK == _SHORT:
            offset, stages = 1, (first >> 4 & 1) + 1
            rest = bytes([FULL | first & _SHORT_STAGES]) + payload[1:]
        else:
            offset, stages = (first >> 2 & 3) + 1, (first & 3) + 1
            rest = payload[1:]
        bare.frames_of(rest, header)
        if header.coding == PLAIN:
            item, body = _split_bits(rest, header, stages)
        else:
            end = _item_bytes(rest, header)
            item, body = rest[:end], rest[end:]
        copy = Copy(offset, bytes([FULL | stages]) + body)
        if not _is_item(copy.packet, header):
            copy = None
    if not _is_item(item, header):
        raise CorruptFileError("this payload is none of a .grit stream")
    return item, copy


def thin(payload: bytes, header: Header, stages: int, copies: bool = True) -> bytes:
    """Return a payload with fewer stages: what a relay sends on to a receiver with a slower line.

    Args:
        payload: of a stream in coding 0 or 1.
        header: of the stream.
        stages: how many a packet may keep, 1 or more.
        copies: whether stages of earlier packets stay, as many of them.

    Raises:
        CorruptFileError: there is no item in it.
        UsageError: leaving out stages of the stream's coding needs the model.
    """
    if header.coding == CHAINED:
        raise UsageError("leaving out stages of chained packets needs the model")
    item, copy = unpack(payload, header)
    kept = None if copy is None or not copies else Copy(copy.offset, first_stages(copy.packet, header, stages))
    return pack(first_stages(item, header, stages), header, kept)


def first_stages(item: bytes, header: Header, stages: int) -> bytes:
    """Return a packet with so many stages, or fewer where it has not that many; other items as they are."""
    have = bare.stages_of(item)
    if not bare.is_packet(item) or have <= stages:
        return item
    at = bare.head_bytes(item)
    body = coding_for(header).cut(item[at:], have, bare.frames_of(item, header), stages)
    return bytes([item[0] - have + stages]) + item[1:at] + body


def ordinary(packet: bytes) -> bytes:
    """Return a packet of `packet_frames` frames with the mark that says so."""
    return bytes([FULL | bare.stages_of(packet)]) + packet[bare.head_bytes(packet) :]


def _is_item(data: bytes, header: Header) -> bool:
    """Whether bytes are one bare item, no less and no more."""
    try:
        bare.seal(data, 0, header)
    except CorruptFileError:
        return False
    return True


def _copied_bits(stages: int, header: Header) -> int:
    return stages * header.channels * header.packet_frames * header.code_bits


def _used_bits(item: bytes, header: Header) -> int:
    """Return the bits of a plain item without what fills up its last byte."""
    if not bare.is_packet(item):
        return 8 * _item_bytes(item, header)
    codes = bare.stages_of(item) * header.channels * bare.frames_of(item, header)
    return 8 * bare.head_bytes(item) + codes * header.code_bits


def _item_bytes(data: bytes, header: Header) -> int:
    """Return the bytes of the item that `data` begins with, which is a packet of coding 0 or 1, or a pause."""
    frames = bare.frames_of(data, header)
    if not bare.is_packet(data):
        _, at = varint.read(data, 1)
        size, at = varint.read(data, at)
        return at + size
    at = bare.head_bytes(data)
    length = coding_for(header).length(data[at:], bare.stages_of(data), frames)
    if length is None:
        raise CorruptFileError("this payload is none of a .grit stream")
    return at + length


def _split_bits(data: bytes, header: Header, stages: int) -> tuple[bytes, bytes]:
    """Return a plain item and the body of the copy that follows its last bit."""
    used, size = _used_bits(data, header), _copied_bits(stages, header)
    if used + size > 8 * len(data):
        raise CorruptFileError("this payload is cut short")
    bits = int.from_bytes(data, "big")
    whole, copied = -(-used // 8), -(-size // 8)
    item = (bits >> 8 * len(data) - used) << 8 * whole - used
    body = (bits >> 8 * len(data) - used - size & (1 << size) - 1) << 8 * copied - size
    return item.to_bytes(whole, "big"), body.to_bytes(copied, "big")
