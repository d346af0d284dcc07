"""Items out of a .grit file or pipe, through damage: what is lost is skipped, counted and reported."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gritcodec.bitstream.codings import coding_for
from gritcodec.bitstream.contexts import ContextModel
from gritcodec.bitstream.ending import Ending
from gritcodec.bitstream.header import CRC_BYTES, HEADER_LIMIT, MAGIC, parse_header
from gritcodec.bitstream.items import (
    END,
    FULL,
    HEAD_BYTES,
    MAX_CHUNK_BYTES,
    SPLICE,
    Chunk,
    Item,
    Packet,
    item_of,
    layout_of,
    position_of,
    read_splice,
)
from gritcodec.bitstream.opening import ending_at, last_ending, read_header
from gritcodec.bitstream.packing import CodeArray
from gritcodec.bitstream.unpacking import Unpacker
from gritcodec.bitstream.window import Window
from gritcodec.errors import CorruptFileError, FormatError

# A damaged file may have lost that many frames, and as many again as were read: what a small file can claim
# is bounded. So many packets' frames at once are believed without a second witness.
MAX_MISSING = 65_536
_BELIEVED_JUMP = 16
# Bytes of an item that are looked at for its size, until they tell: a pipe of small packets would wait for several.
_LOOKS = (4, 32, HEAD_BYTES)
# Bytes looked through at once for the next whole item, and how many bytes may be checksummed in doing so.
_SPAN = 4096
_WORK_ALLOWANCE = 1 << 26
_WORK_PER_BYTE = 256
# A chunk that is longer is not looked for behind damage: what it holds is passed over.
_SEARCHED_CHUNK = 255


@dataclass(frozen=True)
class Damage:
    """Something that is wrong with a file and was survived.

    Attributes:
        what: in words, one line.
        start: the first frame lost.
        frames: how many were lost; 0 when all the sound is there, None when the file is cut there.
    """

    what: str
    start: int = 0
    frames: int | None = 0


class Reader:
    """The items of a .grit file, in order.

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
        received: frames of whole items that were read or passed over.
        packets_read: whole packets that were read.
        splices: of the file, where its end told or was read; None: not known.
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
        self._begin(Window(stream), strict)

    def _begin(self, window: Window, strict: bool) -> None:
        self.damage: list[Damage] = []
        self.ended = self._followed = False
        self.ending_bytes = 0
        self.splices: int | None = None
        self._strict = strict
        self._window = window
        self._base = window.position
        self._work = 0
        self.received = self.packets_read = self._missing = 0
        self._next = self._chunks = self._splices = 0
        self._sought = False
        self.header, self.header_bytes, sound = read_header(window)
        if not sound:
            self._report(Damage("the header is damaged, and was repaired"))
        self._window.skip(self.header_bytes)
        if self.header.bare:
            raise FormatError("this is the header of a stream whose packets have no checks: they are not in a file")
        self._unpacker = Unpacker(self.header, None)
        self.coding = self._unpacker.coding

    def use(self, contexts: ContextModel | None) -> None:
        """Take what entropy-coded codes are read with: the contexts of the model that made the file."""
        self._unpacker = Unpacker(self.header, contexts)
        self.coding = self._unpacker.coding

    @property
    def is_strict(self) -> bool:
        """Whether any damage is an error."""
        return self._strict

    @property
    def position(self) -> int:
        """The frame that comes next."""
        return self._next

    def is_followed(self) -> bool | None:
        """Return whether something stands behind this file's end; None in a pipe, which cannot tell yet."""
        return self._own_ending() is None if self._window.seekable() else None

    def following(self) -> "Reader | None":
        """Return a reader of the file that is chained behind this one, once this one has been read to its end.

        Raises:
            FormatError: as when a reader is made.
        """
        if not self._followed:
            return None
        reader = Reader.__new__(Reader)
        reader._begin(self._window, self._strict)
        return reader

    def packets(self) -> Iterator[Packet]:
        """Yield every packet from here on, those that were lost too, without a body; pauses and chunks are left out."""
        return (item for item in self.items() if isinstance(item, Packet))

    def items(self) -> Iterator[Item]:
        """Yield packets, pauses and chunks from here on; packets without a body stand for frames that were lost.

        Raises:
            CorruptFileError: with `strict`, at the first damage.
            UnsupportedVersionError: there is a chunk that a reader must know, and this one does not.
        """
        while not self.ended:
            item = self._item(0, self._next)
            found: Item | Ending | None = item
            if item is not None and item.start == self._next:
                self._window.skip(item.size)
            else:
                found = self._ending(0)
                if found is None or found.frames != self._next:
                    found = self._resynchronise()
                    yield from self._skipped(found)
                if found is None:
                    return
                if isinstance(found, Ending):
                    self._finish(found)
                    return
            assert not isinstance(found, Ending | None)
            self._pass(found)
            if isinstance(found, Chunk):
                found.require_known()
            yield found

    def codes(self, packet: Packet) -> CodeArray | None:
        """Return the codes of a packet, uint16 [channels, stages, frames]; None where it has none and so is lost.

        Raises:
            CorruptFileError: with `strict`, its body holds none, though its checksum is right.
            WrongModelError: the codes are entropy-coded, and `use` was not called with their model's contexts.
        """
        return self.many_codes([packet])[0]

    def many_codes(self, packets: Sequence[Packet]) -> list[CodeArray | None]:
        """Return the codes of several packets as `codes` does, in less time where they are entropy-coded and alike."""
        found = self._unpacker.codes(packets)
        for packet, codes in zip(packets, found, strict=True):
            if codes is None and packet.body is not None:
                self._lose(packet)
        return found

    def _lose(self, packet: Packet) -> None:
        """Report a whole packet as lost, together with one just before it of which the same is to be said."""
        what = "packets hold no codes, or depend on one that is lost"
        last = self.damage[-1] if self.damage else None
        if last is not None and last.what == what and last.frames and last.start + last.frames == packet.start:
            self.damage[-1] = Damage(what, last.start, last.frames + packet.frames)
        else:
            self._report(Damage(what, packet.start, packet.frames))

    def learn_length(self) -> None:
        """Take the number of samples and splices from the end, where the stream can seek and the end is this file's."""
        ending = self._own_ending()
        if ending is not None:
            self.header, self.splices = ending.header, ending.splices

    def seek(self, frame: int, may_begin: Callable[[int], bool] = lambda _: True) -> None:
        """Go towards a frame, by the index at the file's end, or item by item where that is damaged or a pipe's.

        Args:
            frame: `items` is to begin with the item that it is in, or with one before that.
            may_begin: whether it may begin at a frame; items are passed over only as far as such ones.
        """
        ending = self._own_ending()
        if ending is not None:
            place, best = (0, 0), (0, 0)
            for size, frames in ending.steps:
                place = place[0] + size, place[1] + frames
                if place[1] > frame:
                    break
                if may_begin(place[1]):
                    best = place
            if best[1] > self._next:
                self._jump(self._base + self.header_bytes + best[0], best[1])
        while (item := self._item(0, self._next)) is not None:
            end = item.start + item.frames
            if item.start != self._next or end > frame or not may_begin(end):
                break
            if isinstance(item, Chunk) and item.mark == SPLICE and ending is None:
                # Who seeks in a pipe has not seen it coming.
                break
            self._window.skip(item.size)
            self._pass(item)

    def _jump(self, place: int, frame: int) -> None:
        """Go where the index says that a frame is, and stay where it is not."""
        here = self._window.position
        self._window.move(place)
        item = self._item(0, frame)
        if item is None or item.start != frame:
            self._window.move(here)
            return
        # Frames that were skipped count as read: a gap after them is as credible as without seeking.
        self.received += frame - self._next
        self._next, self._sought = frame, True

    def splice_places(self) -> list[tuple[int, int, int]]:
        """Return frame, samples and start trim of every splice ahead, and stay; of a file that can seek."""
        found = []
        place, frame = self._window.position, self._next
        while (item := self._item(0, frame)) is not None and item.start == frame:
            if isinstance(item, Chunk) and item.mark == SPLICE:
                found.append((frame, *read_splice(item.payload)))
            frame += item.frames
            self._window.skip(item.size)
        self._window.move(place)
        return found

    def _pass(self, item: Item) -> None:
        self._unpacker.passed(item)
        self._next = item.start + item.frames
        self.received += item.frames
        self.packets_read += isinstance(item, Packet)
        self._chunks += isinstance(item, Chunk)
        self._splices += isinstance(item, Chunk) and item.mark == SPLICE

    def _own_ending(self) -> Ending | None:
        """Return the end at the end of the stream if it is this file's and stands where it says."""
        ending = last_ending(self._window)
        if ending is None or not self.header_bytes or not ending.header.fits(self.header):
            return None
        _, length = self._window.tail(0)
        return ending if self._base + ending.before + ending.size == length else None

    def _item(self, start: int, expected: int, longest_chunk: int = MAX_CHUNK_BYTES) -> Item | None:
        """Return the item that begins `start` bytes into the view, or None; its place is still to be judged."""
        for seen in _LOOKS:
            layout = layout_of(self._window.view(start, seen), self.header, self.coding.length)
            if layout is not None:
                break
        if layout is None or (not layout.frames and layout.length > longest_chunk):
            return None
        size = layout.at + layout.length + CRC_BYTES
        data = self._window.view(start, size)
        if len(data) < size:
            return None
        self._work += size
        return item_of(data, layout, position_of(data, expected))

    def _ending(self, start: int) -> Ending | None:
        """Return the end of the file if it begins `start` bytes into the view and belongs to this file."""
        if self._window.view(start, 1 + len(MAGIC)) != bytes([END]) + MAGIC:
            return None
        ending, seen = ending_at(self._window, start)
        self._work += seen
        return ending if ending is not None and ending.header.fits(self.header) else None

    def _resynchronise(self) -> Item | Ending | None:
        """Find the next whole item and move behind it, or the end and move to it; None: the file is over."""
        began = self._window.position
        while True:
            block = self._window.view(0, _SPAN)
            for at, mark in enumerate(block):
                if mark == END:
                    ending = self._ending(at)
                    if ending is not None and 0 <= ending.frames - self._next <= self._allowance():
                        self._window.skip(at)
                        return ending
                elif mark == MAGIC[0] and self._another_file(at):
                    self._window.skip(at)
                    self._followed = True
                    return None
                elif mark and (mark & FULL == 0 or 1 <= mark & 0x3F <= self.header.stages):
                    item = self._item(at, self._next, _SEARCHED_CHUNK)
                    if item is not None and self._credible(item, at):
                        self._window.skip(at + item.size)
                        return item
            self._window.skip(len(block))
            scanned = self._window.position - began
            if len(block) < _SPAN or self._work > _WORK_ALLOWANCE + _WORK_PER_BYTE * scanned:
                return None

    def _another_file(self, at: int) -> bool:
        """Whether a chained file begins there: a header that is right, and an item or end of frame 0 behind it."""
        if self._window.view(at, len(MAGIC)) != MAGIC or (at and self._window.view(at - 1, 1)[0] == END):
            return False
        try:
            header, size = parse_header(self._window.view(at, HEADER_LIMIT))
        except FormatError:
            return False
        ours, coding = self.header, self.coding
        self.header, self.coding = header, coding_for(header)
        try:
            item, ending = self._item(at + size, 0), self._ending(at + size)
        finally:
            self.header, self.coding = ours, coding
        return (item is not None and item.start == 0) or (ending is not None and ending.frames == 0)

    def _allowance(self) -> int:
        return MAX_MISSING + self.received - self._missing

    def _credible(self, item: Item, at: int) -> bool:
        """Whether an item found in a search is one: near the expected place, or followed by its successor."""
        jump = item.start - self._next
        if not 0 <= jump <= self._allowance():
            return False
        # A chunk takes no time and may be of any kind: bytes that mean nothing look like one too often.
        if jump < _BELIEVED_JUMP * self.header.packet_frames and not isinstance(item, Chunk):
            return True
        end = item.start + item.frames
        following = self._item(at + item.size, end)
        if following is not None and following.start == end:
            return True
        ending = self._ending(at + item.size)
        return ending is not None and ending.frames == end

    def _skipped(self, found: Item | Ending | None) -> Iterator[Packet]:
        """Report what a search has skipped, and yield packets for the frames missing before what it found."""
        self._unpacker.skipped()
        if found is None:
            self._report(Damage("the file is cut short, or its end is damaged", self._next, None))
            return
        if isinstance(found, Ending):
            # Known from here on: how long the recording is.
            self.header = found.header
        end = found.frames if isinstance(found, Ending) else found.start
        count = end - self._next
        what = "packets are damaged or missing" if count else "bytes were added, or beside the sound, and passed over"
        self._report(Damage(what, self._next, count))
        self._missing += count
        while self._next < end:
            frames = min(end - self._next, self.header.packet_frames)
            yield Packet(self._next, frames, 0, None, 0)
            self._next += frames

    def _finish(self, ending: Ending) -> None:
        self.header, self.ended, self.ending_bytes = ending.header, True, ending.size
        self.splices = ending.splices
        self._window.skip(ending.size)
        counted = ending.packets, ending.chunks, ending.splices, ending.before
        found = self.packets_read, self._chunks, self._splices, self._window.position - ending.size - self._base
        if not (self._sought or self.damage or counted == found):
            self._report(Damage("something beside the sound is missing or was added", ending.frames))
        if not self._window.view(0, 1):
            return
        if self._window.view(0, len(MAGIC)) == MAGIC:
            self._followed = True
        else:
            self._report(Damage("something that is no .grit file follows the end", ending.frames))

    def _report(self, damage: Damage) -> None:
        if self._strict:
            raise CorruptFileError(f"the file is damaged: {damage.what}")
        self.damage.append(damage)
