"""Matroska: round trips, lacing, damage, and what mkvtoolnix and FFmpeg make of it."""

import io
import itertools
import json
import random
import time
import zlib
from dataclasses import replace

import pytest
from bare_streams import make, packet, streams
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import run, tool

from gritcodec.bitstream import CHAINED, PLAIN
from gritcodec.bitstream.clock import Clock
from gritcodec.containers import bare, blocks, ebml, matroska
from gritcodec.containers.matroska_names import Name
from gritcodec.errors import CorruptFileError, FormatError

CLOCK = Clock(16_000, 320, 240, 64)


def read(data):
    reader = matroska.read(io.BytesIO(data))
    return reader, list(reader)


def placed(stream):
    return list(bare.in_place(stream.items, stream.header))


@given(st.integers(0, (1 << 56) - 2), st.integers(-(1 << 60), 1 << 60))
def test_numbers_come_back(value, difference):
    data = ebml.size(value)
    assert ebml.number(data, 0) == (value, len(data))
    assert value < (1 << 7 * len(data)) - 1 and (len(data) == 1 or value >= (1 << 7 * (len(data) - 1)) - 1)
    assert ebml.number(ebml.size(value, 8), 0) == (value, 8)
    assert ebml.integer(next(ebml.children(ebml.unsigned(Name.TIMESTAMP, value))).data) == value
    assert ebml.signed_integer(next(ebml.children(ebml.signed(Name.DISCARD_PADDING, difference))).data) == difference


def test_known_encodings():
    """Examples of RFC 8794, section 4.4."""
    assert ebml.size(2) == b"\x82" and ebml.size(2, 2) == b"\x40\x02" and ebml.size(127) == b"\x40\x7f"
    assert ebml.number(ebml.UNKNOWN_SIZE, 0) == (None, 8) and ebml.number(b"\xff", 0) == (None, 1)
    assert ebml.signed(0xFB, -1) == b"\xfb\x81\xff" and ebml.signed(0xFB, 128) == b"\xfb\x82\x00\x80"


@settings(max_examples=60, deadline=None)
@given(streams())
def test_round_trip_of_files(stream):
    reader, found = read(matroska.build(stream.items, stream.header, CLOCK))
    assert found == placed(stream) and reader.header == stream.header


@settings(max_examples=60, deadline=None)
@given(
    streams(), st.sampled_from([1, 128]), st.sampled_from([None, CLOCK]), st.integers(1, 768_000), st.integers(0, 500)
)
def test_round_trip_of_live_streams(stream, cluster_frames, clock, rate, trim):
    """The number of samples, which only the end knows, comes back from the padding to be dropped, at any rate."""
    seconds = stream.frames / 50 - (CLOCK.delay / CLOCK.sample_rate if clock else 0)
    samples = max(int(seconds * rate) - trim, 0)
    stream = replace(stream, header=replace(stream.header, sample_rate=rate, num_samples=samples, start_trim=trim))
    header, items = stream.live
    reader, found = read(b"".join(matroska.write(items, header, clock, cluster_frames)))
    assert found == placed(stream)
    assert reader.header == (stream.header if stream.frames else header)


def test_gaps_are_kept():
    stream = make("ppsppfp")
    whole = placed(stream)
    for lost in range(1, len(whole)):
        kept = whole[:lost] + whole[lost + 1 :]
        assert read(matroska.build(kept, stream.header))[1] == kept
        assert read(b"".join(matroska.write(kept, stream.header)))[1] == kept


def block(items, lacing, time=0):
    """A block of several items, laced by the book."""
    sizes = [len(item) for item in items]
    if lacing == 1:
        head = b"".join(b"\xff" * (size // 255) + bytes([size % 255]) for size in sizes[:-1])
    elif lacing == 3:
        head = ebml.size(sizes[0], 2)
        for before, size in itertools.pairwise(sizes[:-1]):
            head += ebml.size(size - before + (1 << 13) - 1, 2)
    else:
        head = b""
    return b"\x81" + time.to_bytes(2, "big") + bytes([0x80 | lacing << 1, len(items) - 1]) + head + b"".join(items)


@pytest.mark.parametrize("lacing", [1, 2, 3])
def test_laced_blocks_are_read(lacing):
    header = make("").header
    draw = random.Random(1)
    stages = [4, 4, 4, 4] if lacing == 2 else [6, 1, 5, 2]
    items = [packet(header, count, 64, draw) for count in stages]
    assert blocks.parse(block(items, lacing)).frames == items
    for size in range(4, 8):
        with pytest.raises(CorruptFileError):
            blocks.parse(block(items, lacing)[: size if lacing != 2 else 4])
    data = b"".join(matroska.write([], header))
    data += ebml.master(
        Name.CLUSTER, ebml.unsigned(Name.TIMESTAMP, 0), ebml.element(Name.SIMPLE_BLOCK, block(items, lacing))
    )
    assert [item.data for item in read(data)[1]] == items


@pytest.mark.parametrize("algorithm", [0, 3])
def test_compressed_tracks_are_read(algorithm):
    stream = make("ppsp")
    data = b"".join(matroska.write(stream.items, stream.header))
    settings_ = ebml.element(Name.CONTENT_COMP_SETTINGS, b"\x46") if algorithm == 3 else b""
    encodings = ebml.master(
        Name.CONTENT_ENCODINGS,
        ebml.master(
            Name.CONTENT_ENCODING,
            ebml.master(Name.CONTENT_COMPRESSION, ebml.unsigned(Name.CONTENT_COMP_ALGO, algorithm), settings_),
        ),
    )
    tracks = next(child for child in ebml.children(data[data.index(ebml.identifier(Name.TRACKS)) :]))
    entry = list(ebml.children(tracks.data))[1]
    changed = ebml.master(Name.TRACKS, ebml.element(Name.TRACK_ENTRY, entry.data + encodings))
    head = data[: data.index(ebml.identifier(Name.TRACKS))] + changed
    item = packet(stream.header, 6, 64, random.Random(1))
    packed = zlib.compress(item) if algorithm == 0 else item[1:]
    data = head + ebml.master(
        Name.CLUSTER, ebml.unsigned(Name.TIMESTAMP, 0), ebml.element(Name.SIMPLE_BLOCK, b"\x81\0\0\x80" + packed)
    )
    assert [found.data for found in read(data)[1]] == [item]
    with pytest.raises(FormatError, match="encrypted"):
        read(data.replace(ebml.unsigned(Name.CONTENT_COMP_ALGO, algorithm), ebml.unsigned(Name.CONTENT_COMP_ALGO, 2)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_costs_one_cluster(data_of):
    stream = make("pppcpspfpppnpp" * 2, seed=3, coding=PLAIN)
    data = bytearray(matroska.build(stream.items, stream.header, CLOCK))
    whole = placed(stream)
    starts = [at for at in range(len(data)) if data.startswith(ebml.identifier(Name.CLUSTER), at)]
    end = data.index(ebml.identifier(Name.CUES), starts[-1])
    at = data_of.draw(st.integers(starts[0], end - 1))
    kind = data_of.draw(st.sampled_from(["changed", "gone", "more"]))
    if kind == "changed":
        data[at] ^= data_of.draw(st.integers(1, 255))
    elif kind == "gone":
        del data[at]
    else:
        data.insert(at, data_of.draw(st.integers(0, 255)))
    _, found = read(bytes(data))
    # Of the clusters, which hold 127 frames and one pause of 300 at most, a change touches two.
    assert all(item in whole for item in found)
    assert sum(item.frames for item in found) >= stream.frames - 2 * (127 + 300)


def test_cut_files_give_what_is_there():
    stream = make("pfscp")
    for data in (matroska.build(stream.items, stream.header), b"".join(matroska.write(stream.items, stream.header))):
        for size in range(len(data)):
            try:
                _, found = read(data[:size])
            except FormatError:
                assert size < 600
                continue
            assert found == placed(stream)[: len(found)]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 10**6), st.binary(max_size=40))
def test_garbage_raises_nothing_else(start, place, inside):
    stream = make("ppsp")
    data = matroska.build(stream.items, stream.header)
    place %= len(data)
    for junk in (start, matroska.START + start, data[:place] + inside + data[place + len(inside) :]):
        try:
            _, found = read(junk)
        except FormatError:
            continue
        assert all(item.start >= 0 for item in found)


def test_a_file_made_to_be_searched_for_long_is_given_up():
    """Every few bytes what looks like a cluster of 4 MB with a wrong sum."""
    stream = make("p")
    cluster = ebml.identifier(Name.CLUSTER) + ebml.size(1 << 22, 4) + b"\xbf\x84\0\0\0\0"
    data = b"".join(matroska.write(stream.items, stream.header)) + cluster * 300_000
    began = time.process_time()
    assert read(data)[1] == placed(stream)
    assert time.process_time() - began < 20


def test_other_tracks_are_passed_over():
    stream = make("pspp")
    data = b"".join(matroska.write(stream.items, stream.header))
    video = ebml.master(
        Name.CLUSTER, ebml.unsigned(Name.TIMESTAMP, 0), ebml.element(Name.SIMPLE_BLOCK, b"\x82\0\0\x80video")
    )
    at = data.index(ebml.identifier(Name.CLUSTER))
    assert read(data[:at] + video + data[at:])[1] == placed(stream)
    with pytest.raises(FormatError, match="no A_GRIT track"):
        read(data.replace(b"A_GRIT", b"A_GRID"))
    with pytest.raises(FormatError, match="not a Matroska file"):
        read(b"OggS" + data)


def test_key_frames_are_marked():
    """In coding 2 those packets that begin at a multiple of key frames, or behind a pause; elsewhere all items."""

    def keys(stream):
        data = matroska.build(stream.items, stream.header)
        _, start = ebml.number(data, data.index(ebml.identifier(Name.SEGMENT)) + 4)
        found = []
        for cluster in (child for child in ebml.children(data[start:]) if child.name == Name.CLUSTER):
            for child in ebml.children(cluster.data):
                if child.name == Name.SIMPLE_BLOCK:
                    found.append(bool(child.data[3] & 0x80))
                elif child.name == Name.BLOCK_GROUP:
                    found.append(Name.REFERENCE_BLOCK not in dict(ebml.children(child.data)))
        return found

    chained = {"coding": CHAINED, "key_frames": 192}
    assert keys(make("pppppscpp", **chained)) == [True, False, False, True, False, True, True, True, False]
    assert all(keys(make("ppppscpp", coding=CHAINED))) and all(keys(make("ppppscpp")))


@pytest.mark.parametrize("fields", [{}, {"coding": CHAINED, "key_frames": 192}])
def test_mkvmerge_keeps_all(tmp_path, fields):
    """Whatever mkvmerge makes of it (other clusters, another clock, its own index), the items come back."""
    mkvmerge = tool("mkvmerge")
    tags = (("TITLE", "Emma"), ("artist", "Ä"))
    stream = make("ppcpsfpnc" * 4, tags=tags, start_time=1_764_358_200_123_456, **fields)
    header, items = stream.live
    for name, data in {
        "file": matroska.build(stream.items, stream.header, CLOCK),
        "live": b"".join(matroska.write(items, header, CLOCK)),
    }.items():
        source, target = tmp_path / f"{name}.mka", tmp_path / f"{name}-2.mka"
        source.write_bytes(data)
        result = run(mkvmerge, "-o", target, source)
        assert result.returncode == 0 and "Warning" not in result.stdout, result
        reader, found = read(target.read_bytes())
        assert found == placed(stream) and reader.header == stream.header
        again = tmp_path / f"{name}-3.mka"
        assert run(mkvmerge, "--compression", "0:zlib", "-o", again, target).returncode == 0
        assert read(again.read_bytes())[1] == found


def test_a_part_that_mkvmerge_split_off_is_read(tmp_path):
    stream = make("p" * 60)
    source = tmp_path / "in.mka"
    source.write_bytes(matroska.build(stream.items, stream.header, CLOCK))
    assert run(tool("mkvmerge"), "-o", tmp_path / "out.mka", "--split", "30s", source).returncode == 0
    parts = [[item.data for item in read(path.read_bytes())[1]] for path in sorted(tmp_path.glob("out-*.mka"))]
    assert len(parts) == 3 and [data for part in parts for data in part] == stream.items


def test_mkvinfo_reads_what_is_written(tmp_path):
    stream = make("ppcpsfp", tags=(("title", "Emma"),), start_time=1_764_358_200_000_000)
    path = tmp_path / "in.mka"
    path.write_bytes(matroska.build(stream.items, stream.header, CLOCK))
    result = run(tool("mkvinfo"), "-v", path)
    assert result.returncode == 0
    for line in (
        "Codec ID: A_GRIT",
        "Codec-inherent delay: 00:00:00.015000000",
        "Seek pre-roll: 00:00:01.280000000",
        "Sampling frequency: 16000",
        "Discard padding:",
        "Chapter string: Kapitel 2",
        "Date: 2025-11-28 19:30:00 UTC",
        "String: Emma",
    ):
        assert line in result.stdout, line
    assert "unknown element" not in result.stdout.lower() and "(invalid)" not in result.stdout
    facts = json.loads(run(tool("mkvmerge"), "-J", path).stdout)
    assert facts["tracks"][0]["codec"] == "A_GRIT" and facts["tracks"][0]["properties"]["audio_channels"] == 1
    assert not facts["errors"] and not facts["warnings"]


def test_ffmpeg_copies_no_unknown_codec_but_reads_the_rest(tmp_path):
    stream = make("ppcpsfp", tags=(("title", "Emma"),))
    path = tmp_path / "in.mka"
    path.write_bytes(matroska.build(stream.items, stream.header, CLOCK))
    result = run(tool("ffprobe"), "-v", "error", "-show_format", "-show_streams", "-show_chapters", "-of", "json", path)
    facts = json.loads(result.stdout)
    assert facts["streams"][0]["codec_type"] == "audio" and facts["streams"][0]["sample_rate"] == "16000"
    assert float(facts["format"]["duration"]) == pytest.approx(stream.header.seconds, abs=0.02)
    assert facts["chapters"][0]["tags"]["title"] == "Kapitel 2"
    assert facts["streams"][0]["tags"]["TITLE"] == "Emma"


def test_the_index_points_at_clusters(tmp_path):
    stream = make("p" * 9)
    data = matroska.build(stream.items, stream.header)
    segment = data.index(ebml.identifier(Name.SEGMENT))
    _, start = ebml.number(data, segment + 4)
    children = list(ebml.children(data[start:]))
    heads = [child for child in children if child.name == Name.SEEK_HEAD]
    wanted = {Name.INFO, Name.TRACKS, Name.CUES}
    for seek in list(ebml.children(heads[0].data))[1:]:
        name, place = (child.data for child in ebml.children(seek.data))
        at = start + ebml.integer(place)
        assert data[at : at + 4] == name
        wanted -= {int.from_bytes(name, "big")}
    assert not wanted
    cues = next(child for child in children if child.name == Name.CUES)
    times = []
    for point in list(ebml.children(cues.data))[1:]:
        time, positions = (child.data for child in ebml.children(point.data))
        place = dict(ebml.children(positions))[Name.CUE_CLUSTER_POSITION]
        at = start + ebml.integer(place)
        assert data[at : at + 4] == ebml.identifier(Name.CLUSTER)
        times.append(ebml.integer(time))
    assert times == [0, 2560, 5120, 7680, 10240]
