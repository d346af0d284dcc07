"""What stands between header and end: packets, pauses and chunks, each with a check that binds it to its place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gritcodec.bitstream import varint
from gritcodec.bitstream.crc import crc32c, extend, last_word
from gritcodec.bitstream.header import CRC_BYTES, MAX_SAMPLES, Header
from gritcodec.errors import CorruptFileError, UnsupportedVersionError, UsageError

FULL = 0x40
SHORT = 0xC0
END = 0x80
PAUSE = 0x81
# Marks from here to below SHORT are chunks that a reader must know.
REQUIRED_CHUNK = 0x82
# Chunks with this bit in their mark speak of these very samples: an editor that does not know them drops them.
UNSAFE_CHUNK = 0x20
MARK = 0x21
SPLICE = 0x22
KNOWN_CHUNKS = frozenset({MARK, SPLICE})
MAX_PAUSE_FRAMES = 4096
MAX_NOISE_BYTES = 32
MAX_CHUNK_BYTES = 65_535
# Longer chunks are not looked for behind damage.
MAX_MARK_BYTES = 255
# Enough bytes to tell an item's size: mark, frames, and eight half bytes for each of 63 stages.
HEAD_BYTES = 3 + 4 * 63
_STAGES = 0x3F
_HALF = 1 << 31
_KIND = 0xC0


@dataclass(frozen=True)
class Packet:
    """Codes of some frames.

    Attributes:
        start: its first frame, counted through the file.
        frames: frames in it.
        stages: quantizer stages in it; 0 when it was lost.
        body: its codes, see `packing`; None when it was lost.
        size: bytes that it takes in the file.
    """

    start: int
    frames: int
    stages: int
    body: bytes | None
    size: int


@dataclass(frozen=True)
class Pause:
    """Silence or noise without codes.

    Attributes:
        start: its first frame.
        frames: frames in it, 1 to 4096.
        noise: comfort noise as in RFC 3389; empty for digital silence.
        size: bytes that it takes in the file.
    """

    start: int
    frames: int
    noise: bytes
    size: int


@dataclass(frozen=True)
class Chunk:
    """Something beside the codes.

    Attributes:
        start: the frame before which it stands.
        mark: what it is.
        payload: up to 65,535 bytes.
        size: bytes that it takes in the file.
    """

    start: int
    mark: int
    payload: bytes
    size: int

    @property
    def frames(self) -> int:
        """It takes no time."""
        return 0

    @property
    def is_safe(self) -> bool:
        """Whether it may be copied into what is made from the file by one that does not know it."""
        return not self.mark & UNSAFE_CHUNK

    def require_known(self) -> None:
        """Raise UnsupportedVersionError where a reader must know it, and this one does not."""
        if self.mark >= REQUIRED_CHUNK and self.mark not in KNOWN_CHUNKS:
            raise UnsupportedVersionError(
                f"this .grit file has a part of kind {self.mark}, which a newer gritcodec may know"
            )


Item = Packet | Pause | Chunk
# `Coding.length`: first bytes of a body, stages, frames -> its bytes, or None.
BodyLength = Callable[[bytes, int, int], int | None]


class Layout(NamedTuple):
    """How the bytes of an item lie: `at` is where its body, noise or payload begins, `length` its size."""

    mark: int
    stages: int
    frames: int
    at: int
    length: int


def build_packet(start: int, stages: int, frames: int, header: Header, body: bytes) -> bytes:
    """Return the bytes of a packet.

    Args:
        start: its first frame.
        stages: 1 to 63.
        frames: 1 to the header's `packet_frames`.
        header: of the file.
        body: what the coding made of the codes.
    """
    full = frames == header.packet_frames
    head = bytes([FULL | stages]) if full else bytes([SHORT | stages]) + varint.write(frames)
    return _sealed(head + body, start, header)


def packet_overhead(frames: int, header: Header) -> int:
    """Return the bytes of a packet beside its body."""
    length = 0 if frames == header.packet_frames else len(varint.write(frames))
    return 1 + length + (0 if header.bare else CRC_BYTES)


def build_pause(start: int, frames: int, noise: bytes, header: Header) -> bytes:
    """Return the bytes of a pause of 1 to 4096 frames."""
    data = bytes([PAUSE]) + varint.write(frames) + varint.write(len(noise)) + noise
    return _sealed(data, start, header)


def build_chunk(start: int, mark: int, payload: bytes, header: Header) -> bytes:
    """Return the bytes of a chunk before frame `start`."""
    return _sealed(bytes([mark]) + varint.write(len(payload)) + payload, start, header)


def mark_payload(sample: int, name: str) -> bytes:
    """Return what a mark (chapter) at a sample of the recording holds.

    Raises:
        UsageError: its name is too long to be found again behind damage, or no text.
    """
    try:
        payload = varint.write(sample) + name.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the name of a mark is not valid text") from error
    if len(payload) > MAX_MARK_BYTES:
        raise UsageError(
            f"the name of a mark takes {len(name.encode())} bytes, and may take about {MAX_MARK_BYTES - 7}"
        )
    return payload


def moved_mark(payload: bytes, sample: int) -> bytes:
    """Return what a mark that was read holds at another sample, its name as it is."""
    _, at = varint.read(payload, 0)
    return varint.write(sample) + payload[at:]


def read_mark(payload: bytes) -> tuple[int, str] | None:
    """Return sample and name of a mark, or None where it is none."""
    try:
        sample, at = varint.read(payload, 0)
    except CorruptFileError:
        return None
    return sample, payload[at:].decode("utf-8", "replace")


def splice_payload(samples: int, start_trim: int) -> bytes:
    """Return what a splice holds: the samples and the start trim of the segment that begins."""
    return varint.write(samples) + varint.write(start_trim)


def read_splice(payload: bytes) -> tuple[int, int]:
    """Return samples and start trim of the segment that a splice begins.

    Raises:
        CorruptFileError: it holds none.
    """
    samples, at = varint.read(payload, 0)
    trim, _ = varint.read(payload, at)
    if max(samples, trim) > MAX_SAMPLES:
        raise CorruptFileError("the file is damaged: a splice is none")
    return samples, trim


def layout_of(data: bytes, header: Header, body_length: BodyLength) -> Layout | None:
    """Return how an item's bytes lie, or None where none begins.

    Args:
        data: the first `HEAD_BYTES` bytes of it, or more; fewer at the end of a file.
        header: of the file.
        body_length: `Coding.length`.
    """
    if not data or not data[0] or data[0] == END:
        return None
    try:
        return _layout(data, header, body_length)
    except CorruptFileError:
        return None


def _layout(data: bytes, header: Header, body_length: BodyLength) -> Layout | None:
    mark = data[0]
    if mark & FULL:
        stages, frames, at = mark & _STAGES, header.packet_frames, 1
        if not 1 <= stages <= header.stages:
            return None
        if mark & _KIND == SHORT:
            frames, at = varint.read(data, 1)
            if not 1 <= frames <= header.packet_frames:
                return None
        length = body_length(data[at:], stages, frames)
        # No coding takes more than plain packing and a byte for each stage: that bounds what must be held.
        most = stages * (header.block_bytes(frames) + 1) + 3
        return None if length is None or length > most else Layout(mark, stages, frames, at, length)
    if mark == PAUSE:
        frames, at = varint.read(data, 1)
        size, at = varint.read(data, at)
        sensible = 1 <= frames <= MAX_PAUSE_FRAMES and size <= MAX_NOISE_BYTES
        return Layout(mark, 0, frames, at, size) if sensible else None
    size, at = varint.read(data, 1)
    return Layout(mark, 0, 0, at, size) if size <= MAX_CHUNK_BYTES else None


def item_of(data: bytes, layout: Layout, start: int) -> Item:
    """Return the item whose bytes are `data`, its check (where it has one) included."""
    inner = data[layout.at : layout.at + layout.length]
    if layout.stages:
        return Packet(start, layout.frames, layout.stages, inner, len(data))
    if layout.mark == PAUSE:
        return Pause(start, layout.frames, inner, len(data))
    return Chunk(start, layout.mark, inner, len(data))


def position_of(data: bytes, expected: int) -> int:
    """Return the frame that makes the check of an item right: of those that do, the one nearest to the expected.

    Positions count modulo 2^32. Every item has one, a damaged one a random one: the caller judges it.

    Args:
        data: a whole item, its check last.
        expected: the frame that ought to be it; tried first.
    """
    crc = crc32c(data[:-CRC_BYTES])
    check = int.from_bytes(data[-CRC_BYTES:], "little")
    if extend(crc, (expected & 0xFFFFFFFF).to_bytes(4, "little")) == check:
        return expected
    return expected + (last_word(crc, check) - expected + _HALF) % (2 * _HALF) - _HALF


def _sealed(data: bytes, start: int, header: Header) -> bytes:
    if header.bare:
        return data
    position = (start & 0xFFFFFFFF).to_bytes(4, "little")
    return data + extend(crc32c(data), position).to_bytes(CRC_BYTES, "little")
