"""Packets out of a .grit file or pipe, through damage: what is lost is skipped, counted and reported."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gritcodec.bitstream import varint
from gritcodec.bitstream.codings import coding_for
from gritcodec.bitstream.contexts import ContextModel
from gritcodec.bitstream.ending import INDEX_STEP, Ending, ending_length, parse_ending
from gritcodec.bitstream.header import CRC_BYTES, HEADER_LIMIT, MAGIC, Header, parse_header
from gritcodec.bitstream.packet import END, FULL, KIND, Packet, number_of, parse_head
from gritcodec.bitstream.packing import CodeArray
from gritcodec.bitstream.repair import begins_almost_like_ours, repair_header
from gritcodec.bitstream.window import Window
from gritcodec.errors import CorruptFileError, FormatError

# A damaged file may have lost that many packets, and as many again as were read: what a small file can claim
# is bounded. So many at once are believed without a second witness.
MAX_MISSING = 1024
_BELIEVED_JUMP = 16
# Bytes looked through at once for the next whole packet, and how many bytes may be checksummed in doing so.
_SPAN = 4096
_WORK_ALLOWANCE = 1 << 26
_WORK_PER_BYTE = 256


@dataclass(frozen=True)
class Damage:
    """Something that is wrong with a file and was survived.

    Attributes:
        what: in words, one line.
        packet: number of the first packet lost.
        packets: how many were lost; 0 when all the sound is there, None when the file is cut there.
    """

    what: str
    packet: int = 0
    packets: int | None = 0


class Reader:
    """The packets of a .grit file, in order.

    Memory is bounded by the largest packet the header allows (1 MiB), not by the file, except for the index
    when `seek` is used.

    Attributes:
        header: what the file says before its packets; its number of samples is None in a live stream until
            the end has been read.
        coding: how the packets hold codes.
        header_bytes: size of the header as it stands in the file; 0 when only the one at the end is left.
        damage: what was wrong so far.
        ended: whether the end of the file was read; False to the last in a file that is cut.
        ending_bytes: size of the end, once it was read.
        received: whole packets that were read or passed over.
    """

    def __init__(self, stream: Any, strict: bool = False) -> None:
        """Read the header.

        Args:
            stream: a readable binary file object at the beginning of a .grit file; pipes will do.
            strict: whether any damage is an error.

        Raises:
            FormatError: not a .grit file, of a later version, or one whose header is beyond repair.
            CorruptFileError: with `strict`, the header is damaged.
        """
        self.damage: list[Damage] = []
        self.ended = False
        self.ending_bytes = 0
        self._strict = strict
        self._window = Window(stream)
        self._work = 0
        self.received = self._missing = 0
        self._next = 0
        self.header, self.header_bytes = self._read_header()
        self._window.skip(self.header_bytes)
        self.coding = coding_for(self.header)
        # No coding takes more than plain packing and a byte for each stage: that bounds what must be held.
        self._body_limit = self.header.stages * (self.header.block_bytes(self.header.packet_frames) + 1)

    def use(self, contexts: ContextModel | None) -> None:
        """Take what entropy-coded codes are read with: the contexts of the model that made the file."""
        self.coding = coding_for(self.header, contexts)

    def packets(self) -> Iterator[Packet]:
        """Yield every packet from here on; those that were lost have no body.

        Raises:
            CorruptFileError: with `strict`, at the first damage.
        """
        short = False
        while not self.ended:
            found: Packet | Ending | None = None if short else self._packet(0, self._next)
            if isinstance(found, Packet) and found.number == self._next:
                self._window.skip(found.size)
            else:
                found = self._ending(0)
                if found is None or found.packets != self._next:
                    found = self._resynchronise()
                    yield from self._skipped(found)
                if found is None:
                    return
                if isinstance(found, Ending):
                    self._finish(found)
                    return
            self._next = found.number + 1
            self.received += 1
            short = found.frames < self.header.packet_frames
            yield found

    def codes(self, packet: Packet) -> CodeArray:
        """Return the codes of a packet with a body, uint16 [channels, stages, frames].

        Raises:
            CorruptFileError: its body holds none, though its checksum is right.
            WrongModelError: the codes are entropy-coded, and `use` was not called with their model's contexts.
        """
        if packet.body is None:
            raise ValueError("a lost packet has no codes")
        return self.coding.unpack(packet.body, packet.stages, packet.frames)

    def learn_length(self) -> None:
        """Take the number of samples from the end where the header does not know it and the stream can seek."""
        if self.header.num_samples is None and (ending := self._ending_at_the_end()) is not None:
            self.header = ending.header if ending.header.fits(self.header) else self.header

    def seek(self, number: int) -> None:
        """Go to a packet, by the index at the file's end, or packet by packet where that is damaged.

        Args:
            number: of the packet that `packets` is to begin with; the end of the file where there are fewer.
        """
        ending = self._ending_at_the_end()
        if ending is not None and ending.header.fits(self.header) and self.header_bytes:
            step = min(number // INDEX_STEP, len(ending.steps))
            self._window.move(self.header_bytes + sum(ending.steps[:step]))
            self._next = step * INDEX_STEP
            # Packets that were skipped count as read: a gap after them is as credible as without seeking.
            self.received += self._next
        while self._next < number and (packet := self._packet(0, self._next)) is not None:
            if packet.number != self._next:
                break
            self._window.skip(packet.size)
            self._next += 1
            self.received += 1
            if packet.frames < self.header.packet_frames:
                break

    def _read_header(self) -> tuple[Header, int]:
        size = 64
        while True:
            try:
                return parse_header(self._window.view(0, size))
            except varint.EndsTooSoonError as error:
                if size < HEADER_LIMIT and len(self._window.view(0, size)) == size:
                    size *= 4
                    continue
                return self._rescue_header(error)
            except FormatError as error:
                return self._rescue_header(error)

    def _rescue_header(self, error: FormatError) -> tuple[Header, int]:
        """Return the header from the file's end, or with one byte repaired; raise `error` where neither works."""
        start = self._window.view(0, 512)
        repaired = repair_header(start) if begins_almost_like_ours(start) else None
        ending = self._ending_at_the_end() if repaired is None else None
        if repaired is None and ending is None:
            raise error
        self._report(Damage("the header is damaged, and was repaired"))
        if repaired is not None:
            return repaired
        assert ending is not None
        return ending.header, 0

    def _ending_at_the_end(self) -> Ending | None:
        if not self._window.seekable():
            return None
        tail, file_size = self._window.tail(8)
        length = ending_length(tail, file_size)
        if length is None:
            return None
        try:
            return parse_ending(self._window.tail(length)[0])
        except FormatError:
            return None

    def _packet(self, start: int, expected: int) -> Packet | None:
        """Return the packet that begins `start` bytes into the view, or None; its number is still to be judged."""
        head = parse_head(self._window.view(start, 3), self.header)
        if head is None:
            return None
        stages, frames, at = head
        # A coding may tell a block's length in three bytes.
        length = self.coding.length(self._window.view(start + at, 3 * stages), stages, frames)
        if length is None or length > self._body_limit:
            return None
        size = at + length + CRC_BYTES
        data = self._window.view(start, size)
        if len(data) < size:
            return None
        self._work += size
        return Packet(number_of(data, expected), frames, stages, data[at:-CRC_BYTES], size)

    def _ending(self, start: int) -> Ending | None:
        """Return the end of the file if it begins `start` bytes into the view and belongs to this file."""
        if self._window.view(start, 5) != bytes([END]) + MAGIC:
            return None
        size = 256
        while True:
            data = self._window.view(start, size)
            self._work += len(data)
            try:
                ending = parse_ending(data)
            except varint.EndsTooSoonError:
                if len(data) < size:
                    return None
                size *= 4
            except FormatError:
                return None
            else:
                return ending if ending.header.fits(self.header) else None

    def _resynchronise(self) -> Packet | Ending | None:
        """Find the next whole packet and move behind it, or the end and move to it; None: the file is over."""
        began = self._window.position
        while True:
            block = self._window.view(0, _SPAN)
            for at, mark in enumerate(block):
                if mark & FULL and mark & ~KIND <= self.header.stages:
                    packet = self._packet(at, self._next)
                    if packet is not None and self._credible(packet, at):
                        self._window.skip(at + packet.size)
                        return packet
                elif mark == END:
                    ending = self._ending(at)
                    if ending is not None and 0 <= ending.packets - self._next <= self._allowance():
                        self._window.skip(at)
                        return ending
            self._window.skip(len(block))
            scanned = self._window.position - began
            if len(block) < _SPAN or self._work > _WORK_ALLOWANCE + _WORK_PER_BYTE * scanned:
                return None

    def _allowance(self) -> int:
        return MAX_MISSING + self.received - self._missing

    def _credible(self, packet: Packet, at: int) -> bool:
        """Whether a packet found in a search is one: near the expected place, or followed by its successor."""
        jump = packet.number - self._next
        if not 0 <= jump <= self._allowance():
            return False
        if jump < _BELIEVED_JUMP:
            return True
        following = self._packet(at + packet.size, packet.number + 1)
        if following is not None and following.number == packet.number + 1:
            return True
        ending = self._ending(at + packet.size)
        return ending is not None and ending.packets == packet.number + 1

    def _skipped(self, found: Packet | Ending | None) -> Iterator[Packet]:
        """Report what a search has skipped, and yield the packets that are missing before what it found."""
        if found is None:
            self._report(Damage("the file is cut short, or its end is damaged", self._next, None))
            return
        if isinstance(found, Ending):
            # Known from here on: how long the missing packets are.
            self.header = found.header
        end = found.packets if isinstance(found, Ending) else found.number
        count = end - self._next
        what = "packets are damaged or missing" if count else "bytes were added, and passed over"
        self._report(Damage(what, self._next, count))
        self._missing += count
        for number in range(self._next, end):
            yield Packet(number, self.header.packet_frames, 0, None, 0)

    def _finish(self, ending: Ending) -> None:
        self.header, self.ended, self.ending_bytes = ending.header, True, ending.size
        self._window.skip(ending.size)
        if self._window.view(0, 1):
            self._report(Damage("the file goes on after its end", ending.packets))

    def _report(self, damage: Damage) -> None:
        if self._strict:
            raise CorruptFileError(f"the file is damaged: {damage.what}")
        self.damage.append(damage)
