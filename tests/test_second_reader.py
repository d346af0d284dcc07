"""The second reader (tests/second-reader, in JavaScript by other authors) against this package: items, codes, damage.

It knows docs/bitstream.md, docs/entropy-coding.md and docs/speech-16k.md alone. Only public calls are used here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import gritcodec
from gritcodec import bitstream
from tests.conftest import tone
from tests.second_reader import NODE, PROGRAM, compare, differences, from_second, library_views, run_node, second_views

GOLDEN = Path(__file__).parent / "golden"
DAMAGED = 240
pytestmark = pytest.mark.skipif(
    NODE is None and os.environ.get("GRITCODEC_PEERS") != "required", reason="Node is not installed"
)


def random_tables(stages: int, codes: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return tables of entropy coding that are valid and mean nothing."""
    rng = np.random.default_rng(5)
    groups = 1 << (codes.bit_length() - 1) // 2
    places, wide, narrow, hidden, middle = codes // groups, 6, 4, 12, 7
    tables: dict[str, np.ndarray[Any, Any]] = {
        "order": np.stack([rng.permutation(codes) for _ in range(stages)]).astype("u2")
    }
    for name, shape in {
        "vectors": (codes, wide),
        "narrow": (codes, narrow),
        "hidden": (3 * wide + 6 * narrow + 9, hidden),
        "group": (hidden, groups),
        "middle": (hidden, middle),
        "place": (groups, places, middle),
    }.items():
        tables[name] = rng.integers(-128, 128, (stages, *shape)).astype("i1")
    for name, shape, low in (
        ("hidden", (hidden,), 9),
        ("group", (groups,), 8),
        ("middle", (middle,), 7),
        ("place", (groups, places), 8),
    ):
        tables[f"{name}_bias"] = rng.integers(-100_000, 100_000, (stages, *shape)).astype("i4")
        tables[f"{name}_shift"] = rng.integers(low, low + 3, stages).astype("u1")
    for name in ("vector", "narrow"):
        tables[f"{name}_shift"] = rng.integers(0, 4, stages).astype("u1")
    return {f"contexts.{name}": table for name, table in tables.items()}


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny model with tables for entropy coding."""
    folder = tmp_path_factory.mktemp("second") / "tiny"
    shutil.copytree(tiny_model, folder)
    tensors = load_file(folder / "weights.safetensors")
    stages, codes, _ = tensors["quantizer.base"].shape
    save_file(tensors | random_tables(stages, codes), folder / "weights.safetensors")
    return folder


@pytest.fixture(scope="module")
def codec(model: Path) -> gritcodec.Codec:
    return gritcodec.load(model)


def live(codec: gritcodec.Codec, sound: np.ndarray[Any, Any], rate: int, **more: Any) -> bytes:
    encoder = codec.stream_encoder(rate, channels=len(sound), **more)
    half = sound.shape[1] // 2
    pieces = [*encoder.push(sound[:, :half]), encoder.mark("the middle"), *encoder.push(sound[:, half:])]
    return b"".join(pieces + encoder.flush())


@pytest.fixture(scope="module")
def recordings(codec: gritcodec.Codec) -> dict[str, bytes]:
    """Files of every kind, sound ones."""
    rate, top = codec.sample_rate, codec.bitrates[-1]
    mono, stereo = tone(1, 3 * rate, rate), tone(2, 2 * rate, rate)
    quiet = mono.copy()
    quiet[:, rate // 2 : 2 * rate] = 0
    tags = [("TITLE", "one"), ("artist", "zw\u00f6lf = 12"), ("artist", "")]
    files = {
        "mono": codec.compress(mono, rate, bitrate=top, tags=tags),
        "low": codec.compress(mono, rate, bitrate=codec.bitrates[0]),
        "stereo": codec.compress(stereo, rate, bitrate=top),
        "other-rate": codec.compress(tone(1, 50_001, 44_100), 44_100),
        "pauses": codec.compress(quiet, rate, bitrate=top),
        "noise": codec.compress(quiet + np.float32(0.001) * mono[:, ::-1], rate, bitrate=top, dtx=True),
        "one-sample": codec.compress(mono[:, :1], rate),
        "empty": codec.compress(mono[:, :0], rate),
    }
    for frames in (1, 4, 64, 512):
        files[f"live-{frames}"] = live(
            codec, quiet[:, : 2 * rate + 7], rate, bitrate=top, packet_frames=frames, tags=tags
        )
    for frames, sound in ((1, quiet), (4, stereo), (13, quiet)):
        files[f"chained-{frames}"] = live(codec, sound, rate, bitrate=top, packet_frames=frames, chain=True)
    files["joined"] = bitstream.join([files["mono"], files["pauses"], files["low"], files["empty"], files["mono"]])
    files["joined-chained"] = bitstream.join([files["chained-1"], files["chained-1"]])
    files["cut"] = bitstream.cut(files["mono"], 30_000, 9_999, codec.clock)
    files["cut-joined"] = bitstream.cut(files["joined"], 40_000, 70_000, codec.clock)
    files["lower"] = bitstream.truncate(files["mono"], limit=len(files["mono"]) * 2 // 3)
    files["behind-each-other"] = files["mono"] + files["live-4"] + files["empty"] + files["cut"]
    files["another-behind"] = files["mono"] + files["stereo"]
    files["junk-behind"] = files["mono"] + b"ID3 and so on"
    files["stopped"] = files["live-4"][: len(files["live-4"]) * 2 // 3]
    return files


@pytest.fixture(scope="module")
def weights(model: Path) -> Path:
    return model / "weights.safetensors"


def model_options(codec: gritcodec.Codec, weights: Path) -> list[object]:
    clock = codec.clock
    return ["--weights", weights, "--model-dims", f"{clock.sample_rate},{clock.hop_length},{clock.delay}"]


def test_sound_files(codec: gritcodec.Codec, recordings: dict[str, bytes], weights: Path, tmp_path: Path) -> None:
    assert codec.contexts is not None
    seen = second_views(tmp_path, recordings, *model_options(codec, weights))
    wrong = {}
    for name, data in recordings.items():
        assert not [view["refused"] for view in seen[name] if "refused" in view], name
        assert {view["model"] for view in seen[name]} == {codec.fingerprint}
        known = library_views(data, codec.contexts)
        if lines := differences([from_second(view) for view in seen[name]], known):
            wrong[name] = lines
    assert not wrong
    assert {item["kind"] for views in seen.values() for view in views for item in view["items"]} == {
        "packet",
        "pause",
        "chunk",
    }
    assert {view["header"]["coding"] for views in seen.values() for view in views} == {0, 1, 2}


def damage_once(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(data)))
    size = int(rng.choice([1, 1, 1, 2, 5, 30, 400]))
    noise = rng.bytes(size)
    match int(rng.integers(7)):
        case 0 | 1:
            return data[:at] + bytes([data[at] ^ int(rng.integers(1, 256))]) + data[at + 1 :]
        case 2:
            return data[:at] + data[at + size :]
        case 3:
            return data[:at] + noise + data[at:]
        case 4:
            return data[:at] + noise + data[at + size :]
        case 5:
            return data[:at] + bytes(size) + data[at + size :]
        case _:
            return data[:at]


def test_damaged_files(codec: gritcodec.Codec, recordings: dict[str, bytes], weights: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(int(os.environ.get("GRITCODEC_SEED", "1")))
    names = sorted(set(recordings) - {"junk-behind", "another-behind"})
    files = {}
    for number in range(int(os.environ.get("GRITCODEC_DAMAGED", DAMAGED))):
        data = recordings[names[number % len(names)]]
        for _ in range(int(rng.choice([1, 1, 2, 3]))):
            data = damage_once(data, rng) if data else data
        files[f"{number}-{names[number % len(names)]}"] = data
    wrong = compare(files, codec.contexts, tmp_path, "--tables", weights)
    assert not wrong, wrong


def test_files_that_no_encoder_makes(codec: gritcodec.Codec, weights: Path, tmp_path: Path) -> None:
    subprocess.run([str(NODE), str(PROGRAM.with_name("cases.mjs")), str(tmp_path / "made")], check=True)
    files = {path.name: path.read_bytes() for path in sorted((tmp_path / "made").iterdir())}
    wrong = compare(files, codec.contexts, tmp_path, "--tables", weights)
    assert len(files) > 100 and not wrong, wrong


def test_a_packet_lost_behind_a_pause(
    codec: gritcodec.Codec, recordings: dict[str, bytes], weights: Path, tmp_path: Path
) -> None:
    """In coding 2 what follows it is lost as well: the next packet is not the first after the pause."""
    files = {}
    for name in ("chained-1", "chained-13", "live-1"):
        data = recordings[name]
        contents = bitstream.read_contents(data)
        places = np.cumsum([contents.header_bytes, *(item.size for item in contents.items)])
        for before, item, at in zip(contents.items, contents.items[1:], places[1:], strict=False):
            if isinstance(before, bitstream.Pause) and isinstance(item, bitstream.Packet):
                files[name] = data[:at] + data[at + item.size :]
    assert len(files) == 3
    wrong = compare(files, codec.contexts, tmp_path, "--tables", weights)
    assert not wrong, wrong


def sealed(start: bytes) -> bytes:
    """Return a header with its checksum."""
    return start + bitstream.crc.crc32c(start).to_bytes(4, "little")


def test_refusals(codec: gritcodec.Codec, recordings: dict[str, bytes], weights: Path, tmp_path: Path) -> None:
    whole = recordings["mono"]
    contents = bitstream.read_contents(whole)
    start = whole[: contents.header_bytes - 4]
    rest = whole[contents.header_bytes : len(whole) - contents.ending_bytes]

    def change(at: int, value: int) -> bytes:
        return sealed(start[:at] + bytes([value]) + start[at + 1 :]) + rest

    files = {
        "version": change(7, 2),
        "model": change(8, start[8] ^ 1),
        "coding": sealed(start[:21] + bytes([start[21] | 0xF0]) + start[22:]) + rest,
        "old": b"GRIT" + whole[4:],
        "older": b"grit\x01" + whole[5:40],
        "text": b"hello",
        "nothing": b"",
        "riff": b"RIFF\x10\x00\x00\x00WAVEfmt ",
        "short": whole[:20],
    }
    seen = second_views(tmp_path, files, *model_options(codec, weights))
    for name, data in files.items():
        try:
            codec.decompress(data, strict=False)
        except gritcodec.GritcodecError:
            assert seen[name][0].get("refused"), name
        else:
            assert not seen[name][0].get("refused") and name == "old", name  # its header comes from its end


def test_its_own_tests() -> None:
    tests = sorted(str(path) for path in PROGRAM.parent.glob("*.test.mjs"))
    result = subprocess.run([str(NODE), "--test", *tests], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-5000:]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.grit")), ids=lambda path: path.stem)
def test_golden_files(path: Path, tmp_path: Path) -> None:
    tables = np.load(GOLDEN / "v1-contexts.npz")
    save_file({f"contexts.{name}": np.ascontiguousarray(tables[name]) for name in tables}, tmp_path / "tables")
    coded = bitstream.parse_header(path.read_bytes())[0].coding != bitstream.PLAIN
    options = ["--tables", tmp_path / "tables"] if coded else []  # plain files have other codes than the tables
    view = json.loads(run_node(path, *options, "--codes", tmp_path / "codes").stdout)
    assert not view.get("refused") and not view["damage"]
    stored = np.load(path.with_suffix(".npz"))
    known = [stored[f"arr_{number}"].astype("<u2") for number in range(len(stored.files))]
    assert (tmp_path / "codes").read_bytes() == b"".join(codes.tobytes() for codes in known)
    packets = [item for item in view["items"] if item["kind"] == "packet"]
    assert [(item["stages"], item["frames"]) for item in packets] == [codes.shape[1:] for codes in known]


def test_shipped_model_from_file_to_samples(tmp_path: Path) -> None:
    codec = gritcodec.load()
    rate = codec.sample_rate
    sound = tone(1, 16_000, rate)
    sound[:, 5_000:14_000] = 0
    with wave.open(str(tmp_path / "in.wav"), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes((sound[0] * 32767).astype("<i2").tobytes())
    command = Path(sys.executable).with_name("gritcodec")
    made = tmp_path / "in.grit"
    subprocess.run([command, "compress", tmp_path / "in.wav", made, "--bitrate", "3"], check=True, capture_output=True)
    first = made.read_bytes()
    part = bitstream.cut(first, 1_003, 14_000, codec.clock)
    spoken = live(codec, tone(1, 12_001, rate), rate, bitrate=3, packet_frames=4, chain=True)
    weights = Path(gritcodec.__file__).parent / "models" / "speech-16k" / "weights.safetensors"
    for name, data in {
        "whole": bitstream.join([first, part]) + part,
        "live": spoken,
        "cut short": spoken[:-120],
    }.items():
        (tmp_path / "x.grit").write_bytes(data)
        lines = run_node(tmp_path / "x.grit", "--weights", weights, "--samples", tmp_path / "x.f32").stdout.splitlines()
        assert not differences([from_second(json.loads(line)) for line in lines], library_views(data, codec.contexts))
        heard = np.fromfile(tmp_path / "x.f32", dtype="<f4")
        known = codec.decompress(data, strict=False)[0][0]
        assert heard.shape == known.shape, name
        assert np.abs(heard - known).max() < 2e-5, name
