"""Golden files: bytes that must be read as the same codes for as long as version 1 is read; and the damage campaign."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from grit_files import damaged
from reader_by_the_book import items_by_the_book

from gritcodec import bitstream
from gritcodec.bitstream import Packet

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "benchmarks"), str(HERE / "golden")]

from make import FINGERPRINT, NOISE, codes_of, files, golden_contexts, items_of  # noqa: E402

GOLDEN = sorted((HERE / "golden").glob("*.grit"))


def golden(name):
    return (HERE / "golden" / f"v1-{name}.grit").read_bytes()


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_files_are_read_as_ever(path):
    data = path.read_bytes()
    with np.load(path.with_suffix(".npz")) as archive:
        expected = [archive[name] for name in archive.files]
    found = codes_of(data)
    assert len(found) == len(expected)
    assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert items_of(data) == json.loads(path.with_suffix(".json").read_text())


def test_golden_headers():
    headers = {path.stem.removeprefix("v1-"): bitstream.read_contents(path.read_bytes()).header for path in GOLDEN}
    assert len(headers) == 9 and {header.fingerprint for header in headers.values()} == {FINGERPRINT}
    stereo = headers["stereo"]
    assert (stereo.sample_rate, stereo.channels, stereo.num_samples, stereo.code_bits) == (44100, 2, 100_000, 7)
    assert (stereo.packet_frames, stereo.frame_rate, stereo.stages) == (50, 7500, 4)
    assert stereo.tags == (("title", "Emma"), ("Ä", ""), ("artist", "one"), ("ARTIST", "two"))
    assert (stereo.start_time, stereo.start_trim, stereo.channel_mask, stereo.gain) == (-1_234_567, 77, 3, -900)
    assert stereo.encoder == "Ärger" and stereo.fingerprint.hex() == "0123456789abcdef"
    assert {headers[name].num_samples for name in ("mono", "live")} == {12 * 16000}
    assert headers["empty"].num_samples == 0 and headers["mono"].encoder == "golden"
    chained, joined = headers["chained"], headers["joined"]
    assert (chained.coding, chained.key_frames, chained.packet_frames) == (bitstream.CHAINED, 12, 4)
    assert (joined.first_segment, joined.num_samples, joined.start_trim) == (40_000, 97_000, 0)
    assert joined.tags == stereo.tags
    assert [key for key, _ in headers["unknown"].unknown] == [0x40, 0x42, 0x7FFE]


def test_golden_parts():
    kinds = {path.stem.removeprefix("v1-"): items_of(path.read_bytes()) for path in GOLDEN}
    assert [item[2:] for item in kinds["pauses"] if item[0] == "pause"] == [
        [4096, ""],
        [20, NOISE.hex()],
        [1, NOISE[:1].hex()],
    ]
    segments = bitstream.segments_of(bitstream.read_contents(golden("joined")))
    assert [(segment.num_samples, segment.start_trim) for segment in segments] == [
        (40_000, 0),
        (17_000, 100),
        (40_000, 0),
    ]
    assert [item[2] for item in kinds["unknown"] if item[0] == "chunk"] == [0x01, 0x3F, 0x20, 0x1F]
    assert len({item[3] for item in kinds["chained"] if item[0] == "packet"}) == 2


@pytest.mark.parametrize("name", ["mono", "stereo", "live", "empty", "pauses", "joined", "unknown"])
def test_golden_files_by_the_book(name):
    data = golden(name)
    header, items = items_by_the_book(data)
    contents = bitstream.read_contents(data, strict=True)
    if not contents.live:
        assert header == contents.header
    codes = iter(codes_of(data))
    for item, there in zip(contents.items, items, strict=True):
        assert item.start == there[0]
        if isinstance(item, Packet):
            assert np.array_equal(next(codes), there[2])


def test_writing_is_as_ever():
    """The writers give the same bytes as when the golden files were made, entropy coding included."""
    made, _ = files(np.random.default_rng(20))
    assert {f"v1-{name}" for name in made} == {path.stem for path in GOLDEN}
    for name, data in made.items():
        assert data == golden(name), name
    contents = bitstream.read_contents(golden("entropy"), strict=True)
    coding = bitstream.coding_for(contents.header, golden_contexts())
    for body in contents.bodies:
        assert coding.pack(coding.unpack(body.data, body.stages, body.frames)) == body.data


def test_a_slice_of_the_damage_campaign(tmp_path, monkeypatch):
    """benchmarks/fuzz_container.py over 300 files; run by hand it takes 20,000 and more."""
    import fuzz_container

    monkeypatch.chdir(tmp_path)
    counts = fuzz_container.campaign(300, seed=7, originals=30)
    assert sum(counts.values()) == 300 and counts["part"] > 150 and counts["refused"] < 60


def test_every_byte_of_a_golden_file_costs_one_packet():
    """Each byte changed, lost or added in turn: at most one packet is lost, the others are what they were."""
    data = golden("mono")
    sound = bitstream.read_contents(data).bodies
    for at in range(len(data)):
        for broken in damaged(data, at):
            contents = bitstream.read_contents(broken)
            lost = [number for number, body in enumerate(contents.bodies) if body != sound[number]]
            assert len(contents.bodies) == len(sound) and len(lost) <= 1 and (contents.damage or broken == data)
            assert all(contents.bodies[number] is None for number in lost)


@pytest.mark.parametrize("name", ["pauses", "joined", "chained", "unknown"])
def test_every_byte_of_other_golden_files_costs_one_item(name):
    """Of pauses, splices, marks and unknown chunks too; and what is there stands where it stood."""
    data = golden(name)
    sound = [item for item in bitstream.read_contents(data).items if item.frames]
    places = {item.start: item for item in sound}
    step = 13 if name == "unknown" else 2
    for at in range(0, len(data), step):
        for broken in damaged(data, at):
            contents = bitstream.read_contents(broken)
            found = [item for item in contents.items if item.frames and getattr(item, "body", b"") is not None]
            assert all(places.get(item.start) == item for item in found), at
            assert len(found) >= len(sound) - 1 and (contents.damage or broken == data), at
            assert contents.frames == sum(item.frames for item in sound), at


def test_a_golden_file_cut_anywhere_gives_what_is_before_the_cut():
    data = golden("mono")
    whole = bitstream.read_contents(data)
    size = whole.header_bytes
    for cut in range(size, len(data)):
        contents = bitstream.read_contents(data[:cut])
        assert contents.damage and contents.bodies == whole.bodies[: len(contents.bodies)]
        assert sum(len(body.data) for body in contents.bodies) >= min(cut - size, 2150) - 300


@pytest.mark.parametrize("name", ["pauses", "joined", "chained"])
def test_other_golden_files_cut_anywhere(name):
    data = golden(name)
    whole = bitstream.read_contents(data)
    for cut in range(whole.header_bytes, len(data), 3):
        contents = bitstream.read_contents(data[:cut])
        kept = len(contents.items)
        assert contents.damage and contents.items == whole.items[:kept]
        assert sum(item.size for item in whole.items[: kept + 1]) > cut - whole.header_bytes or kept == len(whole.items)
