"""From one container into another: the codes stay as they are, the checks are right, damage stays where it was."""

import io
from dataclasses import replace

import pytest
from bare_streams import make, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from gritcodec import bitstream
from gritcodec.bitstream import Body, Chunk, Pause, Reader, varint
from gritcodec.bitstream.clock import Clock
from gritcodec.bitstream.items import PAUSE, SPLICE, splice_payload
from gritcodec.bitstream.writer import Writer
from gritcodec.containers import bare, matroska, ogg, remux
from gritcodec.errors import FormatError, UsageError

CLOCK = Clock(16_000, 320, 240, 64)
OTHERS = (remux.OGG, remux.MATROSKA)


def file_of(stream, live=False):
    """The .grit file of a stream, by the library's own writer; pieces of it."""
    header = bare.as_file(stream.header)
    writer = Writer(replace(header, num_samples=None) if live else header)
    pieces = [writer.begin()]
    for item in stream.items:
        frames = bare.frames_of(item, header)
        if bare.is_packet(item):
            body = item[bare.head_bytes(item) :]
            body = varint.write(len(body)) + body if header.coding == bitstream.CHAINED else body
            pieces.append(writer.add(Body(bare.stages_of(item), frames, body)))
        elif item[0] == PAUSE:
            _, at = varint.read(item, 1)
            pieces.append(writer.add(Pause(0, frames, item[at + 1 :], 0)))
        else:
            pieces.append(writer.add(Chunk(0, item[0], item[varint.read(item, 1)[1] :], 0)))
    return [*pieces, writer.finish(header.num_samples)]


def drained(pipe):
    """Everything that comes out of a pipe."""
    return b"".join(iter(lambda: pipe.read1(1000), b""))


def converted(data, container):
    return remux.remuxed(io.BytesIO(data), container, lambda _: CLOCK)


@settings(max_examples=60, deadline=None)
@given(streams(), st.booleans())
def test_there_and_back(stream, live):
    pieces = file_of(stream, live)
    data = b"".join(pieces)
    assert converted(data, remux.GRIT) == data or live
    for container in OTHERS:
        # The header of a file knows the number of samples, that of a live stream need not.
        assert converted(converted(data, container), remux.GRIT) == (data if not live else b"".join(file_of(stream)))
    first = converted(data, remux.OGG)
    assert converted(converted(first, remux.MATROSKA), remux.OGG) == first


@settings(max_examples=40, deadline=None)
@given(streams(), st.sampled_from(OTHERS))
def test_streams_come_through_piece_by_piece(stream, container):
    pieces = file_of(stream, live=True)
    taken = []

    def told():
        for piece in pieces:
            taken.append(piece)
            yield piece

    given_out = []
    for piece in remux.streamed(told(), container, lambda _: CLOCK):
        given_out.append(piece)
    back = remux.opened(Pipe(b"".join(given_out)))
    assert back.seekable() is False
    found = drained(back)
    # Where no item takes time, Matroska has nowhere to say how long the recording is.
    if stream.frames or container == remux.OGG:
        assert found == b"".join(pieces)
    assert b"".join(remux.streamed(iter(pieces), remux.GRIT)) == b"".join(pieces)


@pytest.mark.parametrize("container", OTHERS)
def test_live_streams_are_not_held_back(container):
    """After an item went in, all before it has come out."""
    pieces = file_of(make("pnppp"), live=True)
    went_in = 0

    def told():
        nonlocal went_in
        for piece in pieces:
            went_in += 1
            yield piece

    came_out = b""
    for piece in remux.streamed(told(), container):
        came_out += piece
        # What went in is the header and items; what came out can be counted by reading it.
        read = ogg.read if container == remux.OGG else matroska.read
        try:
            items = len(list(read(io.BytesIO(came_out))))
        except FormatError:
            continue
        assert items >= went_in - 1 - (2 if container == remux.MATROSKA else 1)


class Pipe:
    """A stream that cannot seek, and gives a few bytes at a time."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)

    def read1(self, size=-1):
        return self._stream.read(min(size, 7) if size >= 0 else 7)

    read = read1

    def seekable(self):
        return False


@pytest.mark.parametrize("container", remux.CONTAINERS)
def test_any_container_is_opened(container):
    stream = make("pcpspf", tags=(("TITLE", "Emma"),))
    data = converted(b"".join(file_of(stream)), container)
    for source in (io.BytesIO(data), Pipe(data)):
        reader = Reader(remux.opened(source), strict=True)
        assert reader.header == bare.as_file(stream.header)
        assert sum(item.frames for item in reader.items()) == stream.frames and reader.ended
        assert reader.is_followed() is (False if isinstance(source, io.BytesIO) else None)


def test_splices_and_unknown_chunks_pass():
    stream = make("pp")
    splice = splice_payload(40_000, 7)
    chunks = [bytes([SPLICE, len(splice)]) + splice, bytes([0x05, 3]) + b"abc"]
    stream = replace(stream, items=[stream.items[0], *chunks, stream.items[1]])
    stream = replace(stream, header=replace(stream.header, start_trim=11, gain=-5, encoder="x", unknown=((32, b"?"),)))
    data = b"".join(file_of(stream))
    for container in OTHERS:
        assert converted(converted(data, container), remux.GRIT) == data


@pytest.mark.parametrize("container", OTHERS)
def test_what_is_lost_stays_lost(container):
    """A packet that is damaged in the .grit file is a gap in the other, and a gap again on the way back."""
    stream = make("ppppp", seed=4)
    pieces = file_of(stream)
    pieces[3] = pieces[3][:-1] + bytes([pieces[3][-1] ^ 1])
    back = converted(converted(b"".join(pieces), container), remux.GRIT)
    contents = bitstream.read_contents(back)
    wanted = bitstream.read_contents(b"".join(pieces))
    assert contents.items == wanted.items and contents.damage == wanted.damage
    assert contents.header == wanted.header


@pytest.mark.parametrize("container", OTHERS)
def test_cut_files_have_no_end(container):
    stream = make("ppppp")
    data = converted(b"".join(file_of(stream)), container)
    back = drained(remux.opened(Pipe(data[: 2 * len(data) // 3])))
    whole = b"".join(file_of(stream))
    assert len(back) > len(whole) // 3 and whole.startswith(back)


def test_chains():
    streams_ = [make("pps", seed=1), make("fp", seed=2), make("pps", seed=1)]
    data = b"".join(piece for stream in streams_ for piece in file_of(stream))
    chained = converted(data, remux.OGG)
    assert len({reader._serial for reader in ogg.links(io.BytesIO(chained)) if list(reader) or True}) == 3
    assert converted(chained, remux.GRIT) == data
    with pytest.raises(UsageError, match="join them first"):
        converted(data, remux.MATROSKA)


def test_what_is_no_stream_is_refused():
    with pytest.raises(FormatError, match=r"no \.grit stream"):
        remux.opened(io.BytesIO(b"OggS" + bytes(100)))
    with pytest.raises(FormatError, match="no A_GRIT track"):
        remux.opened(io.BytesIO(matroska.START + bytes(100)))
    for data in (b"", b"x", b"RIFF...."):
        assert remux.opened(io.BytesIO(data)).read() == data
        assert drained(remux.opened(Pipe(data))) == data


def test_endings_name_containers():
    assert [remux.container_for(name) for name in ("a.grit", "A.OGA", "b.ogg", "c.mka", "d.mkv", "-", "x")] == [
        "grit",
        "ogg",
        "ogg",
        "matroska",
        "matroska",
        "grit",
        "grit",
    ]
