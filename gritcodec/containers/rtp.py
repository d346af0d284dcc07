"""RTP (RFC 3550): one bare item in a payload, with the coarse stages of an earlier packet again. docs/rtp.md has it.

A `Sender` makes RTP packets of items; a `Receiver` places what arrives, in order, and tells what is lost. Neither
opens a socket or waits for anything.
"""

import base64
from collections import deque
from dataclasses import dataclass, replace
from typing import NamedTuple

from gritcodec.bitstream import Header, parse_header, varint
from gritcodec.bitstream.header import CHAINED
from gritcodec.bitstream.items import MAX_PAUSE_FRAMES, PAUSE
from gritcodec.containers import bare
from gritcodec.containers.payload import MOST_COPIED, MOST_OFFSET, Copy, first_stages, ordinary, pack, thin, unpack
from gritcodec.errors import CorruptFileError, UsageError

__all__ = [
    "CLOCK",
    "Arrived",
    "Copy",
    "Datagram",
    "Receiver",
    "Sender",
    "describe",
    "header_of",
    "pack",
    "parse",
    "thin",
]

# RTP's clock, whatever the rates of model and recording are: frames are placed by rounding.
CLOCK = 48_000
_HEADER_BYTES = 12
_WRAP = 1 << 32
# A jump of the clock by more is a stream that begins anew.
_MOST_MISSING_SECONDS = 10


class Datagram(NamedTuple):
    """An RTP packet.

    Attributes:
        sequence: 16 bits.
        timestamp: 32 bits, in units of 1/48000 s.
        payload: what follows RTP's header, without padding.
        marker: whether sound begins here after a pause.
        payload_type: 0 to 127.
        source: SSRC.
    """

    sequence: int
    timestamp: int
    payload: bytes
    marker: bool = False
    payload_type: int = 96
    source: int = 0

    def to_bytes(self) -> bytes:
        """Return the packet's bytes."""
        head = bytes([0x80, self.marker << 7 | self.payload_type]) + (self.sequence & 0xFFFF).to_bytes(2, "big")
        return head + (self.timestamp % _WRAP).to_bytes(4, "big") + self.source.to_bytes(4, "big") + self.payload


def parse(data: bytes) -> Datagram:
    """Return an RTP packet; contributing sources and extensions are passed over.

    Raises:
        CorruptFileError: it is none.
    """
    if len(data) < _HEADER_BYTES or data[0] >> 6 != 2:
        raise CorruptFileError("this is not an RTP packet")
    at = _HEADER_BYTES + 4 * (data[0] & 15)
    if data[0] & 0x10:
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    if at > end:
        raise CorruptFileError("this RTP packet is cut short")
    numbers = (int.from_bytes(data[first:last], "big") for first, last in ((2, 4), (4, 8), (8, 12)))
    sequence, timestamp, source = numbers
    return Datagram(sequence, timestamp, data[at:end], bool(data[1] & 0x80), data[1] & 0x7F, source)


@dataclass
class Sender:
    """Items into RTP packets.

    Attributes:
        header: of the stream.
        copied: stages of an earlier packet that each packet carries again, 0 to 4; coding 2 has none.
        offset: how many packets earlier it is, 1 to 4.
        payload_type, source: as in `Datagram`.
        sequence, timestamp: of the next packet; RFC 3550 wants both to begin at random.
    """

    header: Header
    copied: int = 0
    offset: int = 1
    payload_type: int = 96
    source: int = 0
    sequence: int = 0
    timestamp: int = 0

    def __post_init__(self) -> None:
        """Check what was asked for."""
        if not 0 <= self.copied <= MOST_COPIED or not 1 <= self.offset <= MOST_OFFSET:
            raise UsageError(f"a packet carries up to {MOST_COPIED} stages of one up to {MOST_OFFSET} earlier")
        if self.header.coding == CHAINED and (self.copied or self.header.key_frames is not None):
            raise UsageError("over RTP chained packets are all key packets, and cannot be sent again in part")
        self._position = 0
        self._sent: deque[tuple[int, bytes]] = deque(maxlen=self.offset)
        self._silent = True

    def push(self, item: bytes) -> bytes | None:
        """Return the RTP packet for a bare item; None for the end, which RTCP's BYE tells.

        Raises:
            CorruptFileError: it is none.
        """
        if bare.is_end(item):
            return None
        frames = bare.frames_of(item, self.header)
        copy = None if bare.is_chunk(item) else self._copy()
        ticks = self._position * CLOCK * 100 // self.header.frame_rate
        marker = self._silent and bare.is_packet(item)
        payload = pack(item, self.header, copy)
        data = Datagram(
            self.sequence, self.timestamp + ticks, payload, marker, self.payload_type, self.source
        ).to_bytes()
        self.sequence = self.sequence + 1 & 0xFFFF
        if frames:
            self._sent.append((self._position, item))
            self._silent = not bare.is_packet(item)
        self._position += frames
        return data

    def skip(self, frames: int) -> None:
        """Let time go by for which nothing is sent: after a pause, it goes on."""
        self._position += frames

    def _copy(self) -> Copy | None:
        """Return the stages to send again, where there is an ordinary packet at the place that a copy stands for."""
        if not self.copied or len(self._sent) < self.offset:
            return None
        start, item = self._sent[0]
        usual = bare.is_packet(item) and bare.frames_of(item, self.header) == self.header.packet_frames
        if not usual or start != self._position - self.offset * self.header.packet_frames:
            return None
        return Copy(self.offset, ordinary(first_stages(item, self.header, self.copied)))


class Arrived(NamedTuple):
    """What a receiver has for some frames.

    Attributes:
        start: the first of them, counted from the first packet that came.
        frames: how many.
        item: bare; None where it is lost.
        is_copy: whether it has only the stages that were sent again.
    """

    start: int
    frames: int
    item: bytes | None
    is_copy: bool = False


class Receiver:
    """RTP packets into items in order; what is missing comes as such, or from the copy in a later packet.

    Nothing waits here: a packet that comes settles everything before it, but for as many packets as `hold` says.
    """

    def __init__(self, header: Header, hold: int = 0) -> None:
        """Wait for a stream.

        Args:
            header: of the stream, from its description.
            hold: ordinary packets by which what comes is given later, so that those in the wrong order find their
                place; copies of packets further back than the last one need their offset less one.
        """
        self._header = header
        self._hold = hold * header.packet_frames
        self._waiting: dict[int, tuple[Arrived, int]] = {}
        self._zero: int | None = None
        self._latest = self._ticks = 0
        self._next = 0
        self._before: tuple[int, bytes] | None = None

    def push(self, data: bytes) -> list[Arrived]:
        """Take an RTP packet; return what is settled by it, in order.

        One that is damaged, comes twice or too late is as good as lost.
        """
        try:
            datagram = parse(data)
            item, copy = unpack(datagram.payload, self._header)
        except CorruptFileError:
            return []
        start = self._position(datagram.timestamp)
        missing = start - max((held.start + held.frames for held, _ in self._waiting.values()), default=self._next)
        if missing > _MOST_MISSING_SECONDS * self._header.frame_rate // 100 and not self._is_paused(datagram.sequence):
            settled = self.flush()
            self._next, self._before = start, None
        else:
            settled = []
        frames = bare.frames_of(item, self._header)
        if start >= self._next:
            if not frames:
                if self._before is not None and datagram.sequence == self._before[0] + 1 & 0xFFFF:
                    self._before = datagram.sequence, self._before[1]
                return [*settled, Arrived(start, 0, item)]
            self._waiting[start] = Arrived(start, frames, item), datagram.sequence
        if copy is not None:
            self._keep_copy(start - copy.offset * self._header.packet_frames, copy.packet)
        self._latest = max(self._latest, start)
        return settled + self._settle(self._latest - self._hold)

    def flush(self) -> list[Arrived]:
        """Return what is held back."""
        return self._settle(self._latest)

    def _position(self, timestamp: int) -> int:
        """Return the frame that a timestamp stands for; it may be before the first one that came."""
        if self._zero is None:
            self._zero = self._ticks = timestamp
        # The nearest of the times that have these 32 bits.
        self._ticks += (timestamp - self._ticks + _WRAP // 2) % _WRAP - _WRAP // 2
        return round((self._ticks - self._zero) * self._header.frame_rate / (100 * CLOCK))

    def _keep_copy(self, start: int, packet: bytes) -> None:
        frames = self._header.packet_frames
        taken = any(
            start < other.start + other.frames and other.start < start + frames for other, _ in self._waiting.values()
        )
        if start >= self._next and not taken:
            self._waiting[start] = Arrived(start, frames, packet, True), -1

    def _settle(self, limit: int) -> list[Arrived]:
        """Return everything up to what begins at `limit`."""
        settled: list[Arrived] = []
        for start in sorted(self._waiting):
            if start > limit:
                break
            arrived, sequence = self._waiting.pop(start)
            assert arrived.item is not None
            if start < self._next:
                continue
            if start > self._next:
                settled += self._gap(start, sequence)
            settled.append(arrived)
            self._next = start + arrived.frames
            self._before = sequence, arrived.item
        return settled

    def _is_paused(self, sequence: int) -> bool:
        """Whether what was settled last is a pause, and a packet with this number the next one sent."""
        before = self._before
        return before is not None and before[1][0] == PAUSE and sequence == before[0] + 1 & 0xFFFF

    def _gap(self, end: int, sequence: int) -> list[Arrived]:
        """Return what stands for frames without a packet: a pause that goes on, or a loss."""
        if self._before is not None and self._is_paused(sequence):
            _, at = varint.read(self._before[1], 1)
            noise = self._before[1][at:]
            parts = []
            while self._next < end:
                frames = min(end - self._next, MAX_PAUSE_FRAMES)
                parts.append(Arrived(self._next, frames, bytes([PAUSE]) + varint.write(frames) + noise))
                self._next += frames
            return parts
        return [Arrived(self._next, end - self._next, None)]


def describe(header: Header, payload_type: int = 96, port: int = 5004, copied: int = 0) -> str:
    """Return the media lines of a session description (RFC 8866).

    Args:
        header: of the stream.
        payload_type: 96 to 127.
        port: where packets go.
        copied: stages that the receiver of the description would like to get again, 0 to 4.
    """
    encoded = base64.b64encode(replace(header, bare=True, num_samples=None).to_bytes()).decode()
    channels = f"/{header.channels}" if header.channels > 1 else ""
    time = header.packet_frames * 100_000 / header.frame_rate
    return (
        f"m=audio {port} RTP/AVP {payload_type}\r\n"
        f"a=rtpmap:{payload_type} vnd.gritcodec/{CLOCK}{channels}\r\n"
        f"a=fmtp:{payload_type} header={encoded}; copied={copied}\r\n"
        f"a=ptime:{time:g}\r\n"
    )


def header_of(format_parameters: str) -> Header:
    """Return the stream's header from the parameters of a session description's fmtp line.

    Args:
        format_parameters: `name=value` pairs with semicolons between; what stands before a blank is passed over.

    Raises:
        FormatError: it is damaged, or of a version that is not known.
        UsageError: there is none.
    """
    for pair in format_parameters.split(" ", 1)[-1].split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "header":
            try:
                return parse_header(base64.b64decode(value, validate=True))[0]
            except ValueError as error:
                raise CorruptFileError("the header in this session description is not Base64") from error
    raise UsageError("this session description has no header: without it nothing can be decoded")
