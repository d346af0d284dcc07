"""Ogg and Matroska at the command line: written, read from files and pipes, turned into each other and back."""

import io
import json
import subprocess
import sys

import pytest
import soundfile
from conftest import tone

import gritcodec
from gritcodec import bitstream
from gritcodec.containers import matroska, ogg


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(1, 50_000, 16_000).T, 16_000)
    return path


def test_every_container_gives_the_same_sound(command, clip, tmp_path):
    for name in ("a.grit", "a.oga", "a.mka"):
        assert command("compress", clip, tmp_path / name, "--tag", "TITLE=Emma", "--mark", "1=there")[0] == 0
        assert command("decompress", tmp_path / name, tmp_path / f"{name}.wav")[0] == 0
    sounds = [(tmp_path / f"{name}.wav").read_bytes() for name in ("a.grit", "a.oga", "a.mka")]
    assert sounds[0] == sounds[1] == sounds[2]
    reader = ogg.read(io.BytesIO((tmp_path / "a.oga").read_bytes()))
    assert ("TITLE", "Emma") in reader.header.tags and len(list(reader)) == 4
    assert len(list(matroska.read(io.BytesIO((tmp_path / "a.mka").read_bytes())))) == 4
    # The codec's delay, which only the model knows, is said to players.
    assert b"\x56\xaa\x83\xe4\xe1\xc0" in (tmp_path / "a.mka").read_bytes()
    for name in ("a.oga", "a.mka"):
        assert command("decompress", tmp_path / name, tmp_path / "part.wav", "--start", "1", "--force")[0] == 0
        assert soundfile.info(tmp_path / "part.wav").frames == 34_000


def test_remux(command, clip, tmp_path):
    source = tmp_path / "a.grit"
    assert command("compress", clip, source)[0] == 0
    for first, second in (("oga", "mka"), ("mka", "ogg")):
        code, out, err = command("remux", source, tmp_path / f"b.{first}", "--force")
        assert code == 0 and f"b.{first}" in out and "3.12 s" in out and not err
        assert command("remux", tmp_path / f"b.{first}", tmp_path / f"c.{second}")[0] == 0
        assert command("remux", tmp_path / f"c.{second}", tmp_path / "d.grit", "--force")[0] == 0
        assert (tmp_path / "d.grit").read_bytes() == source.read_bytes()
    assert command("remux", source, tmp_path / "e.bin", "--container", "ogg")[0] == 0
    assert (tmp_path / "e.bin").read_bytes() == (tmp_path / "b.oga").read_bytes()
    facts = json.loads(command("info", "--json", tmp_path / "b.mka")[1])
    assert facts["samples"] == 50_000 and not facts["damage"]
    # As remux says it: of the file as it is, container included.
    assert facts["bytes"] == (tmp_path / "b.mka").stat().st_size
    assert facts["kbps"] == pytest.approx(8 * facts["bytes"] / facts["seconds"] / 1000, abs=0.001)
    assert facts["payload_bytes"] + facts["overhead_bytes"] == facts["bytes"]


def test_what_cannot_be_is_said(command, clip, tmp_path):
    for arguments in (
        ("compress", clip, tmp_path / "x", "--container", "mp4"),
        ("remux", clip, tmp_path / "x.oga"),
        ("remux", tmp_path / "none.grit", tmp_path / "x.oga"),
    ):
        code, out, err = command(*arguments)
        assert code in (1, 2) and not out and err.startswith("gritcodec: error: ") and err.count("\n") == 1
    video = tmp_path / "video.mka"
    video.write_bytes(matroska.START + bytes(20))
    code, _, err = command("decompress", video, tmp_path / "x.wav")
    assert code == 1 and "A_GRIT" in err and not (tmp_path / "x.wav").exists()
    assert command("compress", clip, tmp_path / "two.grit")[0] == 0
    chain = tmp_path / "chain.grit"
    chain.write_bytes(2 * (tmp_path / "two.grit").read_bytes())
    assert command("remux", chain, tmp_path / "chain.oga")[0] == 0
    code, _, err = command("remux", chain, tmp_path / "chain.mka")
    assert code == 2 and "join them first" in err
    assert command("decompress", tmp_path / "chain.oga", tmp_path / "chain.wav")[0] == 0
    assert soundfile.info(tmp_path / "chain.wav").frames == 100_000


@pytest.mark.parametrize(("container", "fits"), [("grit", ".grit"), ("ogg", ".oga.ogg"), ("matroska", ".mka.mkv")])
def test_a_name_says_which_container_is_in_it(command, clip, tmp_path, container, fits):
    endings = [f".{ending}" for ending in fits.split(".")[1:]]
    for ending in (".grit", ".oga", ".ogg", ".mka", ".mkv", ".wav", ".txt", ""):
        target = tmp_path / f"x{ending}"
        code, out, err = command("compress", clip, target, "--container", container)
        if ending in endings:
            assert (code, err) == (0, "") and f"x{ending}: " in out and target.is_file()
        else:
            assert (code, out) == (2, "") and not target.exists()
            assert err.startswith(f"gritcodec: error: cannot write {target}: the name must end in one of {endings[0]}")


def test_a_batch_has_the_ending_of_its_container(command, clip, tmp_path):
    out = tmp_path / "out"
    assert command("compress", clip, clip, out, "--container", "ogg")[0] in (0, 2)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.wav").write_bytes(clip.read_bytes())
    assert command("compress", folder, out, "--container", "ogg")[0] == 0
    assert {path.suffix for path in out.iterdir()} == {".oga"}


@pytest.mark.parametrize("container", ["ogg", "matroska"])
def test_through_pipes(clip, tiny_model, container):
    """compress - - | decompress - -: sound in, sound out, nothing that can seek."""
    base = [sys.executable, "-m", "gritcodec"]
    rest = ["--model", str(tiny_model), "--raw", "s16le"]
    samples = soundfile.read(clip, dtype="int16")[0].astype("<i2").tobytes()
    packed = subprocess.run(
        [*base, "compress", "-", "-", "--rate", "16000", "--container", container, *rest],
        input=samples,
        capture_output=True,
        check=True,
    ).stdout
    assert packed.startswith(b"OggS" if container == "ogg" else matroska.START)
    sound = subprocess.run([*base, "decompress", "-", "-", *rest], input=packed, capture_output=True, check=True).stdout
    assert len(sound) == len(samples)
    plain = subprocess.run(
        [*base, "compress", "-", "-", "--rate", "16000", *rest], input=samples, capture_output=True, check=True
    ).stdout
    assert (
        sound
        == subprocess.run([*base, "decompress", "-", "-", *rest], input=plain, capture_output=True, check=True).stdout
    )
    header, _ = bitstream.parse_header(plain)
    assert header.num_samples is None


def test_remux_tells_what_is_lost_and_writes_what_there_is(tmp_path, tiny_model):
    codec = gritcodec.load(tiny_model)
    data = codec.compress(tone(1, 80_000, 16_000), 16_000, 3)
    header = bytearray(data)
    header[20] ^= 1
    middle = bytearray(data)
    middle[900] ^= 1
    for name, content, words in (("header", header, "header is damaged"), ("middle", middle, "packets are damaged")):
        source, target = tmp_path / f"{name}.grit", tmp_path / f"{name}.oga"
        source.write_bytes(content)
        command = [sys.executable, "-m", "gritcodec", "remux", str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 3 and words in done.stderr and target.exists(), done.stderr
