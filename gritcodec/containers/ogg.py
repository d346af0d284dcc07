"""Ogg: bare items of a .grit stream in pages, and back. docs/ogg.md has the mapping."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from gritcodec.bitstream import Header, parse_header
from gritcodec.bitstream.header import MAGIC
from gritcodec.containers import bare, comments
from gritcodec.containers.bare import Placed
from gritcodec.containers.pages import CAPTURE, CONTINUED, FIRST, LAST, Page, PageReader, Paginator
from gritcodec.errors import CorruptFileError, FormatError

__all__ = ["CAPTURE", "PAGE_FRAMES", "Reader", "links", "read", "write"]

# A page in a file ends when it holds so many frames: 2.56 s at 50 a second, for 3 % of overhead at 3 kbps.
PAGE_FRAMES = 128
_MOST_FRAMES = 1 << 42
_WRAP = 1 << 32


def write(
    items: Iterable[bytes | Placed], header: Header, link: int = 0, page_frames: int = PAGE_FRAMES
) -> Iterator[bytes]:
    """Put a stream into Ogg, page by page.

    Args:
        items: bare items in order; those that are not `Placed` follow each other from frame 0 on. The last may be the
            end (`bare.end_item`), which tells the number of samples; without it that of the header is written, if it
            has one.
        header: of the stream.
        link: number of the stream in a chain, whose serial numbers must differ.
        page_frames: a page is given out when it holds so many frames; 1 for live streams.

    Yields:
        The pages' bytes.

    Raises:
        CorruptFileError: an item is none.
    """
    tags, header = header.tags, replace(header, bare=True, tags=())
    head = header.to_bytes()
    pages = Paginator(zlib.crc32(head) + link & 0xFFFFFFFF)
    yield from pages.add(head, 0)
    yield pages.flush(FIRST)
    yield from pages.add(comments.build(tags), 0)
    yield pages.flush()
    frames = waiting = 0
    end = None if header.num_samples is None else bare.end_item(header)
    for start, more, item in bare.in_place(items, header):
        if start > frames and waiting:
            # The first item of a page is placed by what is on the page: a gap can only stand before it.
            yield pages.flush()
            waiting = 0
        frames = start + more
        if bare.is_end(item):
            final, _ = parse_header(item, 1)
            end = bare.end_item(replace(final, tags=()))
            break
        waiting += more
        yield from pages.add(item, frames)
        if waiting >= page_frames:
            yield pages.flush()
            waiting = 0
    if end is not None:
        yield from pages.add(end, frames)
    yield pages.flush(LAST)


class Reader:
    """The items of the first .grit stream in Ogg, a file or a pipe; other streams beside it are passed over.

    Attributes:
        header: of the stream, with its tags; its number of samples is None until the end tells it where the header
            does not know it.
        ended: whether the end was read.
    """

    def __init__(self, stream: Any) -> None:
        """Read the header and the tags.

        Args:
            stream: a readable binary file object, or the pages of one.

        Raises:
            FormatError: not Ogg, or no .grit stream in it.
        """
        self.ended = self._begun = False
        self._pages = stream if isinstance(stream, PageReader) else PageReader(stream)
        if not self._pages.begins():
            raise FormatError("not an Ogg file: it does not begin as one")
        first = self._find_first()
        self._serial, self._sequence = first.serial, first.sequence
        packet = self._whole(first)
        self._plain, end = parse_header(packet)
        if end != len(packet) or not self._plain.bare:
            raise FormatError("this Ogg stream is not as docs/ogg.md says: its packets are not bare")
        self._next = 0
        self._waiting = self._next_page()
        self.header = replace(self._plain, tags=self._tags())

    def __iter__(self) -> Iterator[Placed]:
        """Yield every item that is whole, with its place."""
        part: bytes | None = None
        while not self.ended and (page := self._take()) is not None:
            ahead = (page.sequence - self._sequence) % _WRAP
            if not 0 < ahead < _WRAP // 2:
                # One that was there before.
                continue
            self._sequence = page.sequence
            packets, part = _packets(page, part if ahead == 1 else None)
            yield from self._placed(packets, page.granule)
            if page.flags & LAST:
                break

    def follow(self) -> "Reader":
        """Return a reader of the next link of a chained file, once this one was read; errors as in `Reader`."""
        while self._pages.next(stop_at_first=True) is not None:
            pass
        return Reader(self._pages)

    def _placed(self, packets: list[bytes | None], granule: int | None) -> Iterator[Placed]:
        """Place the packets that end on a page: the last of them ends at the granule."""
        frames = [self._frames(packet) for packet in packets]
        if granule is not None and granule <= _MOST_FRAMES:
            self._next = max(self._next, granule - sum(frames))
        for packet, count in zip(packets, frames, strict=True):
            if packet is not None and bare.is_end(packet):
                found = bare.read_end(packet, self._plain)
                if found is not None:
                    self.header, self.ended = replace(found, tags=self.header.tags), True
                    return
            elif packet and (count or bare.is_chunk(packet)):
                yield Placed(self._next, count, packet)
            self._next += count

    def _frames(self, packet: bytes | None) -> int:
        """Return the frames that a packet stands for; 0 for one that is none."""
        try:
            return bare.frames_of(packet or b"", self._plain)
        except CorruptFileError:
            return 0

    def _find_first(self) -> Page:
        """Return the page that begins a .grit stream: such pages stand at the beginning, before all others."""
        while (page := self._pages.next()) is not None and page.flags & FIRST:
            if page.pieces and page.pieces[0].startswith(MAGIC):
                return page
        raise FormatError("there is no .grit stream in this Ogg file")

    def _next_page(self) -> Page | None:
        """Return the next page of the stream; None where the file is over or another link of a chain begins."""
        # All streams of a link begin before any of them goes on: what begins later is another link's.
        while (page := self._pages.next(stop_at_first=self._begun)) is not None:
            self._begun = self._begun or not page.flags & FIRST
            if page.serial == self._serial:
                return page
        return None

    def _take(self) -> Page | None:
        page, self._waiting = self._waiting, None
        return page or self._next_page()

    def _whole(self, page: Page) -> bytes:
        """Return the packet that begins on a page and has it and the following ones for itself."""
        packet = page.pieces[0]
        while page.open:
            more = self._next_page()
            follows = more is not None and more.sequence == page.sequence + 1 and more.flags & CONTINUED
            if more is None or not follows or len(packet) > bare.MAX_BYTES:
                raise CorruptFileError("the file is damaged: its first packets are not whole")
            page = more
            self._sequence = page.sequence
            packet += page.pieces[0]
        return packet

    def _tags(self) -> tuple[tuple[str, str], ...]:
        """Take the second packet, if it is there: without it there are no tags, and the sound is as good."""
        page = self._waiting
        if page is None or not page.pieces or not page.pieces[0].startswith(comments.MAGIC):
            return ()
        self._waiting, self._sequence = None, page.sequence
        return comments.parse(self._whole(page))


def read(stream: Any) -> Reader:
    """Begin to read the first stream in Ogg; see `Reader`."""
    return Reader(stream)


def links(stream: Any) -> Iterator[Reader]:
    """Yield a reader for each .grit stream of a chain; each is to be read before the next is asked for.

    Raises:
        FormatError: the first one is none; a later one that is none ends the chain.
    """
    reader = Reader(stream)
    while True:
        yield reader
        try:
            reader = reader.follow()
        except FormatError:
            return


def _packets(page: Page, part: bytes | None) -> tuple[list[bytes | None], bytes | None]:
    """Return the packets that end on a page, and what of the next one is on it.

    Args:
        page: of the stream.
        part: what earlier pages hold of the packet that is open; None where that is not known.

    Returns:
        The packets, None for one whose beginning is lost, and the beginning of the one that is open, or None.
    """
    pieces: list[bytes | None] = list(page.pieces)
    if page.flags & CONTINUED and pieces:
        whole = part is not None and len(part) + len(page.pieces[0]) <= bare.MAX_BYTES
        pieces[0] = (part or b"") + page.pieces[0] if whole else None
    rest = pieces.pop() if page.open and pieces else None
    return pieces, rest
