"""Streams from one container into another: codes stay as they are, checks are computed anew."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gritcodec.bitstream import Chunk, Header, Packet, Pause, Reader, parse_header
from gritcodec.bitstream.clock import Clock
from gritcodec.bitstream.ending import Index
from gritcodec.bitstream.header import MAGIC
from gritcodec.bitstream.items import END, SPLICE, build_chunk, build_packet, build_pause
from gritcodec.containers import bare, matroska, ogg
from gritcodec.containers.bare import Placed
from gritcodec.containers.pages import FIRST, PageReader
from gritcodec.errors import CorruptFileError, FormatError, UsageError

GRIT, OGG, MATROSKA = "grit", "ogg", "matroska"
CONTAINERS = (GRIT, OGG, MATROSKA)
ENDINGS = {".grit": GRIT, ".ogg": OGG, ".oga": OGG, ".mka": MATROSKA, ".mkv": MATROSKA}
_START_BYTES = 4
_ClockOf = Callable[[Header], Clock | None]


def container_for(name: str) -> str:
    """Return the container that the ending of a file's name asks for: .grit where it asks for none."""
    return next((kind for ending, kind in ENDINGS.items() if name.lower().endswith(ending)), GRIT)


def opened(stream: Any) -> Any:
    """Return a stream of .grit files for one of any container; a .grit stream is returned as it is, from its start.

    What can seek is turned around at once, so that the result can seek; a pipe is turned around as it comes.

    Args:
        stream: a readable binary file object.

    Raises:
        FormatError: Ogg or Matroska without a .grit stream.
    """
    if stream.seekable():
        here = stream.tell()
        start = stream.read(_START_BYTES)
        stream.seek(here)
        pieces = _grit_pieces(start, stream)
        return stream if pieces is None else io.BytesIO(b"".join(pieces))
    start = b""
    while len(start) < _START_BYTES and (more := stream.read(_START_BYTES - len(start))):
        start += more
    whole = Pieces(start, stream)
    pieces = _grit_pieces(start, whole)
    return whole if pieces is None else Pieces(b"", pieces)


def holds_others(stream: Any) -> bool:
    """Whether a file that can seek is Ogg or Matroska with sound or pictures in it that are no .grit stream."""
    here = stream.tell()
    start = stream.read(_START_BYTES)
    stream.seek(here)
    try:
        if start == ogg.CAPTURE:
            return _other_in_ogg(stream)
        # Not opened() alone: it passes over what is beside the stream.
        return start == matroska.START and matroska.Reader(stream).tracks > 1
    except FormatError:
        return True
    finally:
        stream.seek(here)


def _other_in_ogg(stream: Any) -> bool:
    """Whether a stream in Ogg is none of ours, of any link of a chain, or none begins where it should."""
    pages, begun = PageReader(stream), False
    while (page := pages.next()) is not None:
        if page.flags & FIRST:
            begun = True
            if not (page.pieces and page.pieces[0].startswith(MAGIC)):
                return True
    return not begun


def _grit_pieces(start: bytes, stream: Any) -> Iterator[bytes] | None:
    """Return the pieces of the .grit files for a stream that begins so; None where it is none of Ogg or Matroska."""
    if start == ogg.CAPTURE:
        return (piece for link in ogg.links(stream) for piece in to_grit(link))
    return to_grit(matroska.read(stream)) if start == matroska.START else None


class Pieces:
    """A readable stream of bytes that come in pieces, and no sooner than they must."""

    def __init__(self, start: bytes, rest: Any) -> None:
        """Begin with `start`, then what a stream that cannot seek or an iterator of bytes gives."""
        self._data, self._at = start, 0
        self._more = getattr(rest, "read1", getattr(rest, "read", None)) or (lambda _: next(rest, b""))

    def read1(self, size: int) -> bytes:
        """Return up to `size` bytes, what there is; none at the end."""
        if self._at == len(self._data):
            self._data, self._at = self._more(size), 0
        found = self._data[self._at : self._at + size]
        self._at += len(found)
        return found

    # Whoever asks for a number of bytes gets what there is here too; `Window` asks again.
    read = read1

    def seekable(self) -> bool:
        """It is not."""
        return False


def to_grit(source: Any) -> Iterator[bytes]:
    """Yield the pieces of the .grit file for a stream in another container: header, items, end.

    Args:
        source: an `ogg.Reader` or `matroska.Reader`; items that are none are left out, as lost ones are.
    """
    header = bare.as_file(source.header)
    head = header.to_bytes()
    yield head
    index = Index()
    for placed in source:
        try:
            item = bare.seal(placed.data, placed.start, header)
        except CorruptFileError:
            continue
        # Frames that are missing before it take no bytes.
        index.other(0, placed.start - index.frames)
        if bare.is_packet(placed.data):
            index.packet(len(item), placed.frames)
        elif placed.frames:
            index.other(len(item), placed.frames)
        else:
            index.chunk(len(item), placed.data[0] == SPLICE)
        yield item
    final = bare.as_file(source.header)
    if final.num_samples is not None and index.frames >= _least_frames(final):
        yield index.ending(final, len(head))


def from_grit(reader: Reader) -> tuple[Header, Iterator[Placed]]:
    """Return header and bare items of a .grit file; what is lost in it is a gap, and a file that is cut has no end."""
    reader.learn_length()
    return reader.header, _bare_items(reader)


def from_pieces(pieces: Iterable[bytes]) -> tuple[Header, Iterator[bytes]]:
    """Return header and bare items of the pieces of a live stream, as they come."""
    iterator = iter(pieces)
    header, _ = parse_header(next(iterator))

    def items() -> Iterator[bytes]:
        for piece in iterator:
            if piece[0] == END:
                yield bare.end_item(parse_header(piece, 1)[0])
            else:
                yield bare.strip(piece, header)

    return header, items()


def remuxed(
    stream: Any, container: str, clock_of: _ClockOf = lambda _: None, seen: Callable[[Reader], None] = lambda _: None
) -> bytes:
    """Return the bytes of a file in another container.

    Args:
        stream: a readable binary file object with a .grit file, Ogg or Matroska; chained ones too.
        container: one of `CONTAINERS`.
        clock_of: gives for a header what Matroska's players want to know of the model, or None.
        seen: called with the reader of every file that was read, which knows what was wrong.

    Raises:
        FormatError: there is no .grit stream in it.
        UsageError: there are several chained ones, and the container holds one.
    """
    reader: Reader | None = Reader(opened(stream))
    files: list[bytes] = []
    while reader is not None:
        header, items = from_grit(reader)
        files.append(converted(items, header, container, clock_of(header), len(files)))
        seen(reader)
        reader = reader.following()
    if len(files) > 1 and container == MATROSKA:
        raise UsageError("these are several recordings, one after the other, and Matroska holds one: join them first")
    return b"".join(files)


def converted(
    items: Iterable[bytes | Placed], header: Header, container: str, clock: Clock | None = None, link: int = 0
) -> bytes:
    """Return a whole file in a container.

    Args:
        items: bare items, see `ogg.write`.
        header: of the stream.
        container: one of `CONTAINERS`.
        clock: of the model, for Matroska.
        link: number of the file in a chain: in Ogg links may not have the same serial number.
    """
    if container == OGG:
        return b"".join(ogg.write(items, header, link=link))
    if container == MATROSKA:
        return matroska.build(items, header, clock)
    return b"".join(to_grit(_Stream(header, items)))


class _Stream:
    """Items with a header, as the readers of other containers are."""

    def __init__(self, header: Header, items: Iterable[bytes | Placed]) -> None:
        self.header, self._items = header, items

    def __iter__(self) -> Iterator[Placed]:
        for placed in bare.in_place(self._items, self.header):
            if bare.is_end(placed.data):
                self.header, _ = parse_header(placed.data, 1)
                return
            yield placed


def streamed(pieces: Iterable[bytes], container: str, clock_of: _ClockOf = lambda _: None) -> Iterator[bytes]:
    """Yield the pieces of a live stream in another container, each as soon as it is known.

    Args:
        pieces: of a .grit stream.
        container: one of `CONTAINERS`.
        clock_of: as in `remuxed`.
    """
    if container == GRIT:
        yield from pieces
        return
    header, items = from_pieces(pieces)
    if container == OGG:
        yield from ogg.write(items, header, page_frames=1)
    else:
        yield from matroska.write(items, header, clock_of(header))


def _bare_items(reader: Reader) -> Iterator[Placed]:
    header = reader.header
    for item in reader.items():
        if isinstance(item, Packet):
            if item.body is None:
                continue
            data = build_packet(item.start, item.stages, item.frames, header, item.body)
        elif isinstance(item, Pause):
            data = build_pause(item.start, item.frames, item.noise, header)
        else:
            assert isinstance(item, Chunk)
            data = build_chunk(item.start, item.mark, item.payload, header)
        yield Placed(item.start, item.frames, bare.strip(data, header))
    if reader.ended:
        yield Placed(reader.position, 0, bare.end_item(reader.header))


def _least_frames(header: Header) -> int:
    """Return frames without which the recording is not all there, the model's delay not counted."""
    samples = header.start_trim + (header.num_samples or 0)
    return samples * header.frame_rate // (100 * header.sample_rate) if header.num_samples else 0
