"""Items without a check, as Ogg, Matroska and RTP carry them, and what makes items of a .grit file of them again."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from gritcodec.bitstream import Header, coding_for, varint
from gritcodec.bitstream.crc import crc32c, extend
from gritcodec.bitstream.header import CHAINED, CRC_BYTES, parse_header
from gritcodec.bitstream.items import (
    END,
    FULL,
    HEAD_BYTES,
    PAUSE,
    SHORT,
    SPLICE,
    layout_of,
    read_splice,
)
from gritcodec.errors import CorruptFileError, FormatError

# Above any item: a body of 1 MiB and a byte for each of 63 stages, or a chunk of 65,535 bytes, and what stands before.
MAX_BYTES = (1 << 20) + 256
_STAGES = 0x3F


class Placed(NamedTuple):
    """A bare item and where it belongs; a jump from the end of one to the start of the next is what was lost.

    Attributes:
        start: its first frame, counted from the beginning of the stream; for a chunk, of what follows it.
        frames: frames in it; 0 for chunks.
        data: its bytes, without a check.
    """

    start: int
    frames: int
    data: bytes

    @property
    def end(self) -> int:
        """The frame after it."""
        return self.start + self.frames


def is_packet(data: bytes) -> bool:
    """Whether a bare item holds codes."""
    return bool(data[0] & FULL)


def is_end(data: bytes) -> bool:
    """Whether a bare item is the end."""
    return data[:1] == bytes([END])


def is_chunk(data: bytes) -> bool:
    """Whether a bare item takes no time."""
    return not data[0] & FULL and data[0] not in (END, PAUSE)


def stages_of(data: bytes) -> int:
    """Return the stages of a bare packet."""
    return data[0] & _STAGES


def frames_of(data: bytes, header: Header) -> int:
    """Return the frames of a bare item, by its mark.

    Raises:
        CorruptFileError: it is none.
    """
    if not data or not data[0]:
        raise CorruptFileError("the file is damaged: an item is empty or has no mark")
    mark = data[0]
    if mark & FULL:
        frames, _ = varint.read(data, 1) if mark & SHORT == SHORT else (header.packet_frames, 1)
        if 1 <= frames <= header.packet_frames and 1 <= stages_of(data) <= header.stages:
            return frames
        raise CorruptFileError("the file is damaged: a packet claims stages or frames that the header excludes")
    return varint.read(data, 1)[0] if mark == PAUSE else 0


def head_bytes(data: bytes) -> int:
    """Return where the body of a bare packet begins."""
    return varint.read(data, 1)[1] if data[0] & SHORT == SHORT else 1


def in_place(items: Iterable[bytes | Placed], header: Header) -> Iterator[Placed]:
    """Yield items with their places; those that come without follow each other from frame 0 on.

    Raises:
        CorruptFileError: one is no item.
    """
    at = 0
    for item in items:
        placed = item if isinstance(item, Placed) else Placed(at, frames_of(item, header), item)
        yield placed
        at = placed.end


def strip(item: bytes, header: Header) -> bytes:
    """Return an item of a .grit file without its check; in coding 2 without its length as well.

    Args:
        item: a whole packet, pause or chunk.
        header: of the file.
    """
    data = item[:-CRC_BYTES]
    if not is_packet(data) or header.coding != CHAINED:
        return data
    at = head_bytes(data)
    _, body = varint.read(data, at)
    return data[:at] + data[body:]


def seal(data: bytes, start: int, header: Header) -> bytes:
    """Return the item of a .grit file that a bare item stands for, at frame `start`.

    Raises:
        CorruptFileError: it is none, or its length is not what its first bytes say.
    """
    frames_of(data, header)
    if is_packet(data) and header.coding == CHAINED:
        at = head_bytes(data)
        data = data[:at] + varint.write(len(data) - at) + data[at:]
    layout = layout_of(data[: max(HEAD_BYTES, 256)], as_file(header), coding_for(header).length)
    if layout is None or layout.at + layout.length != len(data):
        raise CorruptFileError("the file is damaged: an item does not have the length that it claims")
    position = (start & 0xFFFFFFFF).to_bytes(4, "little")
    return data + extend(crc32c(data), position).to_bytes(CRC_BYTES, "little")


def as_bare(header: Header) -> Header:
    """Return the header of a stream whose items are bare."""
    return replace(header, bare=True)


def as_file(header: Header) -> Header:
    """Return the header of a file whose items have checks."""
    return replace(header, bare=False)


def end_item(header: Header) -> bytes:
    """Return the bare end of a stream: its mark, and the header once more, with the number of samples."""
    return bytes([END]) + as_bare(header).to_bytes()


def read_end(data: bytes, header: Header) -> Header | None:
    """Return the header in a bare end that belongs to a stream's header, or None."""
    if not is_end(data):
        return None
    try:
        found, end = parse_header(data, 1)
    except FormatError:
        return None
    return found if end == len(data) and found.num_samples is not None and found.fits(header) else None


class KeyFrames:
    """Tells of each item in turn whether decoding can begin there: all can, but in coding 2 with key frames."""

    def __init__(self, header: Header) -> None:
        """Begin a stream."""
        self._every = header.key_frames if header.coding == CHAINED else None
        self._segment = 0
        self._fresh = True

    def next(self, item: Placed) -> bool:
        """Take the next item; return whether it uses no frames before it."""
        if is_chunk(item.data):
            if item.data[0] == SPLICE:
                self._segment, self._fresh = item.start, True
            return True
        if not is_packet(item.data):
            self._fresh = True
            return True
        key = self._fresh or self._every is None or (item.start - self._segment) % self._every == 0
        self._fresh = False
        return key


def splice_of(data: bytes) -> tuple[int, int] | None:
    """Return samples and start trim of the segment that a bare splice begins, or None for any other item."""
    if data[0] != SPLICE:
        return None
    try:
        _, at = varint.read(data, 1)
        return read_splice(data[at:])
    except CorruptFileError:
        return None
