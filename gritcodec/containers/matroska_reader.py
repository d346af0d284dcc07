"""Matroska back into the items of a .grit stream, also after other tools have rewritten it."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from gritcodec.bitstream import Header, parse_header
from gritcodec.bitstream.window import Window
from gritcodec.containers import bare, blocks, ebml
from gritcodec.containers.bare import Placed
from gritcodec.containers.matroska_names import Name
from gritcodec.errors import CorruptFileError, FormatError

START = ebml.identifier(Name.EBML)
CODEC_ID = "A_GRIT"
_NANOSECONDS = 1_000_000_000
_CLUSTER_START = ebml.identifier(Name.CLUSTER)
# What stands in a file, a segment or a cluster. Anything else is passed over if it is no longer than this and one of
# these follows; else it is taken for damage.
_EXPECTED = frozenset(
    {
        Name.EBML,
        Name.SEGMENT,
        Name.SEEK_HEAD,
        Name.INFO,
        Name.TRACKS,
        Name.CUES,
        Name.TAGS,
        Name.CHAPTERS,
        Name.ATTACHMENTS,
        Name.CLUSTER,
        Name.TIMESTAMP,
        Name.SIMPLE_BLOCK,
        Name.BLOCK_GROUP,
    }
)
_MOST_OTHER_BYTES = 1 << 20
# Those of one byte that may follow each other: Void, CRC-32, Position, PrevSize.
_SMALL = frozenset({ebml.VOID, ebml.CRC32, 0xA7, 0xAB})
# What is held at once: the description of tracks, a block, a cluster with a checksum.
_MOST_BYTES = 1 << 22
_SPAN = 4096
# How many bytes may be checksummed in vain.
_WORK_ALLOWANCE = 1 << 26
_WORK_PER_BYTE = 256
_HEAD_BYTES = 12
_CRC_ELEMENT = bytes([ebml.CRC32, 0x84])
_CRC_ELEMENT_BYTES = 6
_HELD = frozenset({Name.INFO, Name.TRACKS, Name.SIMPLE_BLOCK, Name.BLOCK_GROUP, Name.TIMESTAMP})
# Masters that are walked into; all others are taken or passed over as a whole.
_OPENED = frozenset({Name.SEGMENT, Name.CLUSTER})


@dataclass(frozen=True)
class _Track:
    """The track of the stream.

    Attributes:
        number: in its blocks.
        header: of the stream.
        delay: CodecDelay, ns.
        compression: algorithm and settings of what was done to its blocks, or None.
    """

    number: int
    header: Header
    delay: int
    compression: tuple[int, bytes] | None


class _Head(NamedTuple):
    """Name and size of an element, and the bytes that these take."""

    name: int
    length: int | None
    size: int


class Reader:
    """The items of the first A_GRIT track in Matroska, a file or a pipe; other tracks are passed over.

    Attributes:
        header: of the stream; its number of samples is None until the last block tells it where the header does not.
        ended: whether the number of samples is known.
        tracks: how many there are, those passed over included.
    """

    def __init__(self, stream: Any) -> None:
        """Read up to the track.

        Args:
            stream: a readable binary file object; pipes will do.

        Raises:
            FormatError: not Matroska, or no A_GRIT track in it.
        """
        self._window = Window(stream)
        if self._window.view(0, len(START)) != START:
            raise FormatError("not a Matroska file: it does not begin as one")
        self._scale = 1_000_000
        self._cluster = 0
        self._next = self._work = self.tracks = 0
        self._zero: int | None = None
        self._damaged = self._spliced = False
        self._track = self._find_track()
        self.header = replace(self._track.header)

    @property
    def ended(self) -> bool:
        """Whether the number of samples is known."""
        return self.header.num_samples is not None

    def __iter__(self) -> Iterator[Placed]:
        """Yield every item that is whole, with its place."""
        while (head := self._head()) is not None:
            if head.name == Name.CLUSTER:
                self._open_cluster(head)
            elif head.name == Name.TIMESTAMP:
                self._cluster = ebml.integer(self._take(head))
            elif head.name == Name.SIMPLE_BLOCK:
                yield from self._items(self._take(head), None)
            elif head.name == Name.BLOCK_GROUP:
                yield from self._group(self._take(head))
            else:
                self._pass(head)

    def _find_track(self) -> _Track:
        while (head := self._head()) is not None and head.name != Name.CLUSTER:
            if head.name == Name.INFO:
                scales = [child.data for child in ebml.children(self._take(head)) if child.name == Name.TIMESTAMP_SCALE]
                self._scale = ebml.integer(scales[0]) if scales else self._scale
            elif head.name == Name.TRACKS:
                tracks = self._take(head)
                self.tracks = sum(child.name == Name.TRACK_ENTRY for child in ebml.children(tracks))
                track = _track_in(tracks)
                if track is not None:
                    return track
            else:
                self._pass(head)
        raise FormatError(f"there is no {CODEC_ID} track in this Matroska file")

    def _pass(self, head: _Head) -> None:
        """Go into an element, or over it."""
        inside = head.name in _OPENED or head.length is None
        self._window.skip(head.size + (0 if inside else head.length or 0))

    def _open_cluster(self, head: _Head) -> None:
        """Go into a cluster; over one whose CRC-32 is there and wrong."""
        self._window.skip(head.size)
        start = self._window.view(0, _CRC_ELEMENT_BYTES)
        if head.length is None or head.length > _MOST_BYTES or not start.startswith(_CRC_ELEMENT):
            return
        data = self._window.view(0, head.length)
        if zlib.crc32(data[_CRC_ELEMENT_BYTES:]) != int.from_bytes(start[2:], "little"):
            # Its size may be what is wrong: the next cluster begins at the next place that looks like one.
            self._resynchronise()
            self._work += len(data)

    def _head(self) -> _Head | None:
        """Return the head of the next element, whatever was damaged before it; None at the end."""
        while data := self._window.view(0, _HEAD_BYTES):
            if self._work > _WORK_ALLOWANCE + _WORK_PER_BYTE * self._window.position:
                return None
            try:
                name, at = ebml.name_at(data, 0)
                length, at = ebml.number(data, at)
            except CorruptFileError:
                self._resynchronise()
                continue
            head = _Head(name, length, at)
            if name in _EXPECTED if name not in _HELD else length is not None and length <= _MOST_BYTES:
                return head
            if name not in _EXPECTED and self._is_passable(head):
                # All elements with names of four bytes are expected: this may have been one of them, a cluster.
                self._damaged = self._damaged or name > 0xFFFFFF
                return head
            self._resynchronise()
        return None

    def _is_passable(self, head: _Head) -> bool:
        """Whether an element that was not expected is one: something that was, or nothing, follows it."""
        if head.length is None or head.length > _MOST_OTHER_BYTES:
            return False
        end = head.size + head.length
        data = self._window.view(0, end + _HEAD_BYTES)
        self._work += len(data)
        try:
            return len(data) == end or ebml.name_at(data, end)[0] in _EXPECTED or data[end] in _SMALL
        except CorruptFileError:
            return False

    def _resynchronise(self) -> None:
        """Go to the next place that looks like a cluster, or to the end."""
        self._damaged = True
        self._window.skip(1)
        while block := self._window.view(0, _SPAN):
            found = block.find(_CLUSTER_START)
            if found >= 0:
                self._window.skip(found)
                return
            self._window.skip(max(len(block) - len(_CLUSTER_START) + 1, 1))

    def _take(self, head: _Head) -> bytes:
        """Return the content of an element that is held at once."""
        self._window.skip(head.size)
        data = self._window.view(0, head.length or 0)
        self._window.skip(len(data))
        return data

    def _group(self, data: bytes) -> Iterator[Placed]:
        block, padding = b"", None
        try:
            for child in ebml.children(data):
                if child.name == Name.BLOCK:
                    block = child.data
                elif child.name == Name.DISCARD_PADDING:
                    padding = ebml.signed_integer(child.data)
        except CorruptFileError:
            return
        yield from self._items(block, padding)

    def _items(self, data: bytes, padding: int | None) -> Iterator[Placed]:
        """Yield the items of a block; a jump of its time says what is missing before it."""
        try:
            block = blocks.parse(data)
        except CorruptFileError:
            return
        if block.track != self._track.number:
            return
        time = (self._cluster + block.time) * self._scale
        if self._zero is None:
            # A stream may begin later than the others in the file; where clusters were lost before it, nobody knows.
            self._zero = 0 if self._damaged else time
        frame = round((time - self._zero) * self.header.frame_rate / (100 * _NANOSECONDS))
        self._next = max(self._next, frame)
        for packed in block.frames:
            try:
                item = blocks.expand(packed, self._track.compression)
                frames = bare.frames_of(item, self.header)
            except CorruptFileError:
                continue
            if frames or bare.is_chunk(item):
                yield Placed(self._next, frames, item)
                self._next += frames
                self._spliced = self._spliced or bare.splice_of(item) is not None
        if padding is not None and self.header.num_samples is None and not self._spliced:
            self.header = replace(self.header, num_samples=self._samples(padding))

    def _samples(self, padding: int) -> int:
        """Return the samples of a recording that ends `padding` ns before the end of its frames."""
        header, rate = self.header, self.header.sample_rate
        lead = self._track.delay - header.start_trim * _NANOSECONDS // rate
        played = self._next * 100 * _NANOSECONDS // header.frame_rate - lead - padding
        # Nanoseconds were rounded down, and a sample is longer than one.
        return max(-(-played * rate // _NANOSECONDS) - header.start_trim, 0)


def _track_in(data: bytes) -> _Track | None:
    """Return the first track of a .grit stream.

    Raises:
        FormatError: its header is none, or its blocks were changed in a way that is not known.
    """
    for entry in ebml.children(data):
        if entry.name != Name.TRACK_ENTRY:
            continue
        fields = {child.name: child.data for child in ebml.children(entry.data)}
        if fields.get(Name.CODEC_ID, b"").rstrip(b"\0") != CODEC_ID.encode():
            continue
        header, _ = parse_header(fields.get(Name.CODEC_PRIVATE, b""))
        if not header.bare:
            raise FormatError("this Matroska track is not as docs/matroska.md says: its packets are not bare")
        number = ebml.integer(fields.get(Name.TRACK_NUMBER, b""))
        delay = ebml.integer(fields.get(Name.CODEC_DELAY, b""))
        return _Track(number, header, delay, _compression(fields.get(Name.CONTENT_ENCODINGS, b"")))
    return None


def _compression(data: bytes) -> tuple[int, bytes] | None:
    encodings = [child.data for child in ebml.children(data) if child.name == Name.CONTENT_ENCODING]
    if not encodings:
        return None
    inside = {child.name: child.data for child in ebml.children(encodings[0])}
    if len(encodings) == 1 and Name.CONTENT_COMPRESSION in inside:
        settings = {child.name: child.data for child in ebml.children(inside[Name.CONTENT_COMPRESSION])}
        algorithm = ebml.integer(settings.get(Name.CONTENT_COMP_ALGO, b""))
        if algorithm in (blocks.ZLIB, blocks.HEADER_STRIPPING):
            return algorithm, settings.get(Name.CONTENT_COMP_SETTINGS, b"")
    raise FormatError("the blocks of this Matroska track are encrypted, or compressed in a way that is not known")


def read(stream: Any) -> Reader:
    """Begin to read the first .grit stream in Matroska; see `Reader`."""
    return Reader(stream)
