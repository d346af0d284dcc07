"""Golden files: bytes that must be read as the same codes for as long as version 1 is read; and the damage campaign."""

import sys
from pathlib import Path

import numpy as np
import pytest

from gritcodec import bitstream

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "benchmarks"), str(HERE / "golden")]

from make import golden_contexts  # noqa: E402

GOLDEN = sorted((HERE / "golden").glob("*.grit"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_files_are_read_as_ever(path):
    contents = bitstream.read_contents(path.read_bytes(), strict=True)
    coding = bitstream.coding_for(contents.header, golden_contexts() if contents.header.coding else None)
    with np.load(path.with_suffix(".npz")) as archive:
        expected = [archive[name] for name in archive.files]
    found = [coding.unpack(body.data, body.stages, body.frames) for body in contents.bodies]
    assert len(found) == len(expected)
    assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_golden_headers():
    headers = {path.stem: bitstream.read_contents(path.read_bytes()).header for path in GOLDEN}
    assert len(headers) == 5
    stereo = headers["v1-stereo"]
    assert (stereo.sample_rate, stereo.channels, stereo.num_samples, stereo.code_bits) == (44100, 2, 100_000, 7)
    assert (stereo.packet_frames, stereo.frame_rate, stereo.stages) == (50, 7500, 4)
    assert stereo.tags == (("title", "Emma"), ("Ä", "")) and stereo.fingerprint.hex() == "0123456789abcdef"
    assert {headers[f"v1-{name}"].num_samples for name in ("mono", "live")} == {12 * 16000}
    assert headers["v1-empty"].num_samples == 0


def test_writing_is_as_ever():
    """The writer gives the same bytes as when the golden files were made, entropy coding included."""
    data = (HERE / "golden" / "v1-mono.grit").read_bytes()
    contents = bitstream.read_contents(data, strict=True)
    assert bitstream.assemble(contents.header, contents.bodies) == data
    entropy = bitstream.read_contents((HERE / "golden" / "v1-entropy.grit").read_bytes(), strict=True)
    coding = bitstream.coding_for(entropy.header, golden_contexts())
    for body in entropy.bodies:
        assert coding.pack(coding.unpack(body.data, body.stages, body.frames)) == body.data


def test_a_slice_of_the_damage_campaign(tmp_path, monkeypatch):
    """benchmarks/fuzz_container.py over 300 files; run by hand it takes 20,000 and more."""
    import fuzz_container

    monkeypatch.chdir(tmp_path)
    counts = fuzz_container.campaign(300, seed=7, originals=30)
    assert sum(counts.values()) == 300 and counts["part"] > 150 and counts["refused"] < 60


def test_every_byte_of_a_golden_file_costs_one_packet():
    """Each byte changed, lost or added in turn: at most one packet is lost, the others are what they were."""
    data = (HERE / "golden" / "v1-mono.grit").read_bytes()
    sound = bitstream.read_contents(data).bodies
    for at in range(len(data)):
        for broken in (
            data[:at] + bytes([data[at] ^ 0x24]) + data[at + 1 :],
            data[:at] + data[at + 1 :],
            data[:at] + b"\x42" + data[at:],
        ):
            contents = bitstream.read_contents(broken)
            lost = [number for number, body in enumerate(contents.bodies) if body != sound[number]]
            assert len(contents.bodies) == len(sound) and len(lost) <= 1 and (contents.damage or broken == data)
            assert all(contents.bodies[number] is None for number in lost)


def test_a_golden_file_cut_anywhere_gives_what_is_before_the_cut():
    data = (HERE / "golden" / "v1-mono.grit").read_bytes()
    whole = bitstream.read_contents(data)
    size = whole.header_bytes
    for cut in range(size, len(data)):
        contents = bitstream.read_contents(data[:cut])
        assert contents.damage and contents.bodies == whole.bodies[: len(contents.bodies)]
        assert sum(len(body.data) for body in contents.bodies) >= min(cut - size, 2300) - 300
