"""Matroska (RFC 9559): bare items of a .grit stream as the blocks of an audio track. docs/matroska.md has the mapping.

PyAV writes Matroska, but no codec that FFmpeg does not know; pymkv2 needs mkvmerge.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from gritcodec.bitstream import Header, parse_header, varint
from gritcodec.bitstream.clock import Clock
from gritcodec.bitstream.items import MARK, read_mark
from gritcodec.containers import bare, ebml
from gritcodec.containers.bare import KeyFrames, Placed
from gritcodec.containers.ebml import checked, floating, master, signed, text, unsigned
from gritcodec.containers.matroska_names import Name
from gritcodec.containers.matroska_reader import CODEC_ID, START, Reader, read

__all__ = ["CODEC_ID", "START", "Reader", "build", "read", "write"]

# Frames to decode before those that are wanted.
PRE_ROLL = 64
# A cluster holds so many frames: 2.56 s at 50 a second.
CLUSTER_FRAMES = 128
_NANOSECONDS = 1_000_000_000
# Timestamps count milliseconds, Matroska's custom: frames are found again by rounding.
_SCALE = 1_000_000
_TRACK = 1
# A block counts from its cluster in 16 bits with a sign.
_MOST_BLOCK_TIME = 0x7FFF
# Matroska's dates count from 2001-01-01T00:00:00Z, the header's from 1970.
_EPOCH_SECONDS = 978_307_200
_APPLICATION = "gritcodec"


def write(
    items: Iterable[bytes | Placed], header: Header, clock: Clock | None = None, cluster_frames: int = 1
) -> Iterator[bytes]:
    """Put a live stream into Matroska: its size is open, there is no index, and each piece can be sent at once.

    A block waits for the next one, since the last one of a stream is another kind.

    Args:
        items: bare items in order; those that are not `Placed` follow each other from frame 0 on. The last may be the
            end (`bare.end_item`), which tells the number of samples where the header does not know it.
        header: of the stream.
        clock: of its model, for the delay that players take off; None where the model is not at hand: 0.
        cluster_frames: a cluster is given out when it holds so many frames.

    Yields:
        The bytes: the head, then clusters.

    Raises:
        CorruptFileError: an item is none.
    """
    yield _ebml_header() + ebml.identifier(Name.SEGMENT) + ebml.UNKNOWN_SIZE
    yield _info(header, None) + _tracks(header, clock) + _tags(header)
    for cluster in _clusters(items, header, clock, cluster_frames):
        yield cluster.data


def build(items: Iterable[bytes | Placed], header: Header, clock: Clock | None = None) -> bytes:
    """Return a whole Matroska file, with its duration, chapters and an index; arguments and errors as in `write`."""
    placed = list(bare.in_place(items, header))
    if placed and bare.is_end(placed[-1].data):
        header = replace(parse_header(placed[-1].data, 1)[0], tags=header.tags)
    clusters = list(_clusters(placed, header, clock, CLUSTER_FRAMES))
    frames = clusters[-1].end if clusters else 0
    seconds = frames * 100 / header.frame_rate if header.seconds is None else header.seconds
    head = [
        (Name.INFO, _info(header, seconds)),
        (Name.TRACKS, _tracks(header, clock)),
        (Name.TAGS, _tags(header)),
        (Name.CHAPTERS, _chapters(placed, header)),
    ]
    head = [(name, data) for name, data in head if data]
    # Positions have eight bytes whatever they are, so that the size of this list does not depend on what is in it.
    places = [(name, 0) for name, _ in head] + [(Name.CUES, 0)]
    at = len(_seek_head(places))
    places = []
    for name, data in head:
        places.append((name, at))
        at += len(data)
    starts = []
    for cluster in clusters:
        starts.append(at)
        at += len(cluster.data)
    places.append((Name.CUES, at))
    body = [_seek_head(places), *(data for _, data in head), *(cluster.data for cluster in clusters)]
    body.append(_cues(clusters, starts))
    return _ebml_header() + master(Name.SEGMENT, *body)


@dataclass
class _Cluster:
    """A cluster in the making.

    Attributes:
        start, end: its first frame and the one after its last.
        time: milliseconds of its beginning.
        key: whether decoding can begin at its first block.
        blocks: its blocks.
    """

    start: int
    time: int
    key: bool
    end: int = 0
    blocks: list[bytes] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return checked(Name.CLUSTER, unsigned(Name.TIMESTAMP, self.time), *self.blocks)


def _clusters(
    items: Iterable[bytes | Placed], header: Header, clock: Clock | None, cluster_frames: int
) -> Iterator[_Cluster]:
    """Yield the clusters; the last block that takes time says how much of it is not to be played."""
    keys = KeyFrames(header)
    clusters = _Clusters(header, cluster_frames)
    held: list[tuple[Placed, bool]] = []
    samples: int | None = header.num_samples
    start, trim = 0, header.start_trim
    for placed in bare.in_place(items, header):
        if bare.is_end(placed.data):
            samples = parse_header(placed.data, 1)[0].num_samples if start == 0 else samples
            break
        splice = bare.splice_of(placed.data)
        if splice is not None:
            start, (samples, trim) = placed.start, splice
        key = keys.next(placed)
        if placed.frames:
            for waiting, its_key in held:
                yield from clusters.add(waiting, its_key)
            held = []
        held.append((placed, key))
    for waiting, its_key in held:
        padding = None
        if waiting.frames and samples is not None:
            padding = _padding(waiting.end - start, trim + samples, header, clock)
        yield from clusters.add(waiting, its_key, padding)
    yield from clusters.finish()


class _Clusters:
    """Blocks into clusters."""

    def __init__(self, header: Header, frames: int) -> None:
        self._header, self._frames = header, frames
        self._cluster: _Cluster | None = None

    def add(self, item: Placed, key: bool, padding: int | None = None) -> Iterator[_Cluster]:
        """Put an item into a block; yield the clusters that are full.

        Args:
            item: packet, pause or chunk.
            key: whether decoding can begin there.
            padding: nanoseconds at its end that are not to be played; None where that is not said.
        """
        time = _nanoseconds(item.start, self._header) // _SCALE
        if self._cluster is not None and time - self._cluster.time > _MOST_BLOCK_TIME:
            yield from self.finish()
        cluster = self._cluster = self._cluster or _Cluster(item.start, time, key)
        place = ebml.size(_TRACK) + (time - cluster.time).to_bytes(2, "big")
        if padding is None:
            cluster.blocks.append(ebml.element(Name.SIMPLE_BLOCK, place + bytes([0x80 * key]) + item.data))
        else:
            duration = _nanoseconds(item.end, self._header) // _SCALE - time
            parts = [ebml.element(Name.BLOCK, place + b"\0" + item.data), unsigned(Name.BLOCK_DURATION, duration)]
            # A block of a group is a key frame where it names no other block that it needs.
            if not key:
                parts.append(signed(Name.REFERENCE_BLOCK, -1))
            cluster.blocks.append(master(Name.BLOCK_GROUP, *parts, signed(Name.DISCARD_PADDING, padding)))
        cluster.end = item.end
        if cluster.end - cluster.start >= self._frames:
            yield from self.finish()

    def finish(self) -> Iterator[_Cluster]:
        """Yield the cluster in the making, if there is one."""
        if self._cluster is not None:
            yield self._cluster
        self._cluster = None


def _padding(frames: int, samples: int, header: Header, clock: Clock | None) -> int:
    """Return the nanoseconds at the end of the last segment that do not belong to the recording.

    Args:
        frames: of the segment.
        samples: of it, its start trim included.
        header, clock: of the stream.
    """
    played = samples * _NANOSECONDS // header.sample_rate
    return max(_nanoseconds(frames, header) - _delay(clock) - played, 0)


def _delay(clock: Clock | None) -> int:
    return clock.delay * _NANOSECONDS // clock.sample_rate if clock else 0


def _nanoseconds(frames: int, header: Header) -> int:
    return frames * 100 * _NANOSECONDS // header.frame_rate


def _ebml_header() -> bytes:
    return master(
        Name.EBML,
        unsigned(Name.EBML_VERSION, 1),
        unsigned(Name.EBML_READ_VERSION, 1),
        unsigned(Name.EBML_MAX_ID_LENGTH, 4),
        unsigned(Name.EBML_MAX_SIZE_LENGTH, 8),
        text(Name.DOC_TYPE, "matroska"),
        unsigned(Name.DOC_TYPE_VERSION, 4),
        unsigned(Name.DOC_TYPE_READ_VERSION, 2),
    )


def _info(header: Header, seconds: float | None) -> bytes:
    parts = [unsigned(Name.TIMESTAMP_SCALE, _SCALE)]
    if seconds is not None:
        parts.append(floating(Name.DURATION, seconds * _NANOSECONDS / _SCALE))
    if header.start_time is not None:
        date = (header.start_time - _EPOCH_SECONDS * 1_000_000) * 1000
        parts.append(ebml.element(Name.DATE, date.to_bytes(8, "big", signed=True)))
    parts += [text(Name.MUXING_APP, _APPLICATION), text(Name.WRITING_APP, _APPLICATION)]
    return checked(Name.INFO, *parts)


def _tracks(header: Header, clock: Clock | None) -> bytes:
    delay = _delay(clock) + header.start_trim * _NANOSECONDS // header.sample_rate
    entry = master(
        Name.TRACK_ENTRY,
        unsigned(Name.TRACK_NUMBER, _TRACK),
        unsigned(Name.TRACK_UID, _TRACK),
        unsigned(Name.TRACK_TYPE, 2),
        unsigned(Name.FLAG_LACING, 0),
        text(Name.LANGUAGE, "und"),
        text(Name.CODEC_ID, CODEC_ID),
        ebml.element(Name.CODEC_PRIVATE, bare.as_bare(header).to_bytes()),
        unsigned(Name.CODEC_DELAY, delay),
        unsigned(Name.SEEK_PRE_ROLL, _nanoseconds(max(PRE_ROLL, clock.warmup if clock else 0), header)),
        master(
            Name.AUDIO,
            floating(Name.SAMPLING_FREQUENCY, float(header.sample_rate)),
            unsigned(Name.CHANNELS, header.channels),
        ),
    )
    return checked(Name.TRACKS, entry)


def _tags(header: Header) -> bytes:
    if not header.tags:
        return b""
    simple = (
        master(Name.SIMPLE_TAG, text(Name.TAG_NAME, name.upper()), text(Name.TAG_STRING, value))
        for name, value in header.tags
    )
    targets = master(Name.TARGETS, unsigned(Name.TAG_TRACK_UID, _TRACK))
    return checked(Name.TAGS, master(Name.TAG, targets, *simple))


def _chapters(items: Iterable[Placed], header: Header) -> bytes:
    atoms: list[bytes] = []
    for _, _, item in items:
        if item[0] != MARK:
            continue
        found = read_mark(item[varint.read(item, 1)[1] :])
        if found is not None:
            sample, name = found
            atoms.append(
                master(
                    Name.CHAPTER_ATOM,
                    unsigned(Name.CHAPTER_UID, len(atoms) + 1),
                    unsigned(Name.CHAPTER_TIME_START, sample * _NANOSECONDS // header.sample_rate),
                    master(Name.CHAPTER_DISPLAY, text(Name.CHAP_STRING, name), text(Name.CHAP_LANGUAGE, "und")),
                )
            )
    return checked(Name.CHAPTERS, master(Name.EDITION_ENTRY, *atoms)) if atoms else b""


def _seek_head(places: Iterable[tuple[int, int]]) -> bytes:
    return checked(
        Name.SEEK_HEAD,
        *(
            master(
                Name.SEEK,
                ebml.element(Name.SEEK_ID, ebml.identifier(name)),
                ebml.element(Name.SEEK_POSITION, place.to_bytes(8, "big")),
            )
            for name, place in places
        ),
    )


def _cues(clusters: list[_Cluster], starts: list[int]) -> bytes:
    points = (
        master(
            Name.CUE_POINT,
            unsigned(Name.CUE_TIME, cluster.time),
            master(
                Name.CUE_TRACK_POSITIONS,
                unsigned(Name.CUE_TRACK, _TRACK),
                unsigned(Name.CUE_CLUSTER_POSITION, start),
            ),
        )
        for cluster, start in zip(clusters, starts, strict=True)
        if cluster.key
    )
    return checked(Name.CUES, *points)
