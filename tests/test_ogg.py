"""Ogg: round trips, pages, damage, chains, and what the Ogg project's own tools say of it."""

import io
import random
import time
import zlib

import pytest
from bare_streams import make, streams
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import run, tool

from gritcodec.bitstream import parse_header
from gritcodec.containers import bare, comments, ogg
from gritcodec.containers.pages import CONTINUED, FIRST, LAST, PageReader, Paginator, checksum, parse_page
from gritcodec.errors import CorruptFileError, FormatError


def pages_of(data):
    reader = PageReader(io.BytesIO(data))
    pages = []
    while (page := reader.next()) is not None:
        pages.append(page)
    assert reader.skipped == 0
    return pages


def by_the_book(data):
    """The CRC of RFC 3533, one bit after the other."""
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = register << 1 ^ (0x04C11DB7 if register & 1 << 31 else 0)
            register &= 0xFFFFFFFF
    return register


@given(st.binary(max_size=300))
def test_checksum_is_that_of_the_rfc(data):
    assert checksum(data) == by_the_book(data)


@settings(max_examples=60, deadline=None)
@given(streams(), st.sampled_from([1, 128, 100_000]), st.booleans())
def test_round_trip(stream, page_frames, live):
    header, items = stream.live if live else (stream.header, stream.items)
    data = b"".join(ogg.write(items, header, page_frames=page_frames))
    reader = ogg.read(io.BytesIO(data))
    assert reader.header == header
    found = list(reader)
    assert [placed.data for placed in found] == stream.items
    assert found == list(bare.in_place(stream.items, stream.header))
    assert reader.ended and reader.header == stream.header


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 140_000) | st.sampled_from([0, 254, 255, 65_025]), max_size=6))
def test_packets_of_all_sizes_come_back(sizes):
    pages = Paginator(7)
    packets = [random.Random(size).randbytes(size) for size in sizes]
    data = b"".join(page for packet in packets for page in pages.add(packet, 5)) + pages.flush(LAST)
    found, part = [], b""
    for number, page in enumerate(pages_of(data)):
        assert page.sequence == number and bool(page.flags & CONTINUED) == bool(part)
        for place, piece in enumerate(page.pieces):
            part += piece
            if not (page.open and place == len(page.pieces) - 1):
                found.append(part)
                part = b""
        assert page.granule == (None if not page.pieces or (page.open and len(page.pieces) == 1) else 5)
    assert found == packets


def test_the_layout_is_as_written():
    stream = make("ppcpsfp", packet_frames=64, tags=(("TITLE", "Emma"),))
    data = b"".join(ogg.write(stream.items, stream.header))
    pages = pages_of(data)
    assert pages[0].flags == FIRST and pages[0].granule == 0 and len(pages[0].pieces) == 1
    header, end = parse_header(pages[0].pieces[0])
    assert header.bare and header.tags == () and end == len(pages[0].pieces[0])
    assert pages[0].serial == zlib.crc32(pages[0].pieces[0])
    assert pages[1].granule == 0 and pages[1].pieces[0] == (
        b"\xf5GRITTags\x09\0\0\0gritcodec\x01\0\0\0\x0a\0\0\0TITLE=Emma"
    )
    assert [page.granule for page in pages[2:4]] == [128, 128 + 64 + bare.frames_of(stream.items[4], header)]
    assert pages[-1].flags == LAST and pages[-1].granule == stream.frames
    assert pages[-1].pieces[-1] == b"\x80" + pages[0].pieces[0]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_damaged_page_costs_its_own_items_only(data_of):
    stream = make("pppcpspfpppnpp", seed=3)
    pages = list(ogg.write(stream.items, stream.header, page_frames=64))
    number = data_of.draw(st.integers(2, len(pages) - 2))
    page = bytearray(pages[number])
    kind = data_of.draw(st.sampled_from(["changed", "gone", "cut", "more", "twice"]))
    if kind == "changed":
        page[data_of.draw(st.integers(0, len(page) - 1))] ^= data_of.draw(st.integers(1, 255))
    elif kind == "gone":
        page = b""
    elif kind == "cut":
        page = page[: data_of.draw(st.integers(1, len(page) - 1))]
    else:
        page += data_of.draw(st.binary(min_size=1, max_size=99)) if kind == "more" else pages[number]
    reader = ogg.read(io.BytesIO(b"".join([*pages[:number], page, *pages[number + 1 :]])))
    found = list(reader)
    whole = list(bare.in_place(stream.items, stream.header))
    assert reader.ended
    if kind in ("more", "twice"):
        assert found == whole
    else:
        lost, _ = parse_page(pages[number])
        assert found == [placed for placed in whole if placed.data not in lost.pieces]


def test_a_page_lost_inside_a_packet_costs_that_packet():
    stream = make("pp" + "p" * 3, stages=12, packet_frames=512, channels=12)
    pages = list(ogg.write(stream.items, stream.header))
    assert len(pages) > len(stream.items) + 3
    for number in range(2, len(pages)):
        reader = ogg.read(io.BytesIO(b"".join(pages[:number] + pages[number + 1 :])))
        found = list(reader)
        whole = list(bare.in_place(stream.items, stream.header))
        assert len(found) >= len(whole) - 2 and all(placed in whole for placed in found)


def test_cut_files_give_what_is_there():
    stream = make("pfscp", tags=(("TITLE", "Emma"),))
    data = b"".join(ogg.write(stream.items, stream.header, page_frames=1))
    whole = list(bare.in_place(stream.items, stream.header))
    for size in range(len(data)):
        try:
            reader = ogg.read(io.BytesIO(data[:size]))
        except (FormatError, CorruptFileError):
            assert size < 300
            continue
        found = list(reader)
        assert found == whole[: len(found)] and not reader.ended


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 10**6), st.binary(max_size=40))
def test_garbage_raises_nothing_else(start, place, inside):
    data = b"".join(ogg.write(make("ppsp").items, make("ppsp").header))
    place %= len(data)
    for junk in (start, b"OggS" + start, data[:place] + inside + data[place + len(inside) :]):
        try:
            reader = ogg.read(io.BytesIO(junk))
        except FormatError:
            continue
        for placed in reader:
            assert placed.start >= 0


def test_a_file_made_to_be_searched_for_long_is_given_up():
    """Every few bytes what looks like a page of 65 kB: its sum would be taken for each."""
    data = next(ogg.write([], make("").header)) + (b"OggS" + bytes(22) + b"\xff") * 80_000
    began = time.process_time()
    assert list(ogg.read(io.BytesIO(data))) == []
    assert time.process_time() - began < 20


def test_a_chain_is_read_link_by_link():
    first, second = make("pps", seed=1), make("fp", seed=2)
    data = b"".join([*ogg.write(first.items, first.header), *ogg.write(second.items, second.header, link=1)])
    found = [(reader.header, [placed.data for placed in reader]) for reader in ogg.links(io.BytesIO(data))]
    assert found == [(first.header, first.items), (second.header, second.items)]
    assert list(ogg.read(io.BytesIO(data))) == list(bare.in_place(first.items, first.header))


def test_a_stream_beside_others_is_found():
    stream = make("pspp")
    others = [Paginator(serial) for serial in (1, 2)]
    began = [b"".join(pages.add(b"\x01video", 0)) + pages.flush(FIRST) for pages in others]
    mine = list(ogg.write(stream.items, stream.header))
    data = [began[0], mine[0], began[1]]
    for page in mine[1:]:
        data += [page, b"".join(others[0].add(b"frame" * 99, 5)) + others[0].flush()]
    assert [placed.data for placed in ogg.read(io.BytesIO(b"".join(data)))] == stream.items
    with pytest.raises(FormatError, match=r"no \.grit stream"):
        ogg.read(io.BytesIO(began[0] + began[1]))


class Slow:
    """A pipe that gives as much as was written so far, and fails where it would have to wait."""

    def __init__(self):
        self.data = b""

    def read1(self, size):
        assert self.data, "a live stream was asked for more than it had"
        found, self.data = self.data[:size], self.data[size:]
        return found

    read = read1


def test_a_live_stream_is_read_as_it_comes():
    stream = make("pnp")
    header, items = stream.live
    pages = ogg.write(iter(items), header, page_frames=1)
    pipe = Slow()
    pipe.data = next(pages) + next(pages)
    pipe.data += next(pages)
    reader = ogg.read(pipe)
    found = iter(reader)
    assert next(found).data == items[0]
    for item in items[1:-1]:
        pipe.data += next(pages)
        assert next(found).data == item
    pipe.data += next(pages)
    assert next(found, None) is None and reader.header == stream.header


def test_comments_that_cannot_be_tags_are_passed_over():
    packet = comments.build((("TITLE", "a=b"),))
    assert comments.parse(packet) == (("TITLE", "a=b"),)
    assert comments.parse(comments.build((("ARTIST", "x" * 70_000), ("TITLE", "y")))) == (("TITLE", "y"),)
    bad = packet.replace(b"\x09\0\0\0TITLE=a=b", b"\x09\0\0\0TI\nLE=a=b")
    assert bad != packet and comments.parse(bad) == ()
    for size in range(len(packet)):
        assert comments.parse(packet[:size] if size > 9 else packet[:9]) == ()


@pytest.mark.parametrize("page_frames", [1, 128])
def test_the_tools_of_ogg_find_nothing_wrong(tmp_path, page_frames):
    validate, ogginfo = tool("oggz-validate"), tool("ogginfo")
    for number, stream in enumerate(
        [make("ppcpsfpn", tags=(("TITLE", "Emma"),)), make(""), make("pp", stages=12, packet_frames=512, channels=9)]
    ):
        path = tmp_path / f"{number}.oga"
        path.write_bytes(b"".join(ogg.write(stream.items, stream.header, page_frames=page_frames)))
        result = run(validate, path)
        assert result.returncode == 0 and not result.stdout + result.stderr, result
        result = run(ogginfo, path)
        assert result.returncode == 0 and "WARNING" not in result.stdout and "unknown" in result.stdout
        assert "Logical stream 1 ended" in result.stdout
    chain = tmp_path / "chain.oga"
    chain.write_bytes(b"".join((tmp_path / f"{number}.oga").read_bytes() for number in range(2)))
    assert run(validate, chain).returncode == 0


def test_a_tool_that_writes_pages_anew_keeps_all(tmp_path):
    """Every page passes through liboggz."""
    oggz = tool("oggz")
    stream = make("ppcpsfpn" * 3, tags=(("TITLE", "Emma"),))
    source, target = tmp_path / "in.oga", tmp_path / "out.oga"
    source.write_bytes(b"".join(ogg.write(stream.items, stream.header, page_frames=64)))
    result = run(oggz, "merge", "-o", target, source)
    assert result.returncode == 0, result
    reader = ogg.read(io.BytesIO(target.read_bytes()))
    assert list(reader) == list(bare.in_place(stream.items, stream.header)) and reader.header == stream.header
