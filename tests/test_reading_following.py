"""Files that follow each other in one, of formats whose readers play the first alone: all, or a word about the rest."""

import struct
import subprocess

import numpy as np
import pytest
from sounds import RATE, ffmpeg, read_both, speech, wav_of
from tools import tool

pytest.importorskip("av")
SECONDS = 2.5
WHOLE = {
    "a.tta": "-c:a tta",
    "a.wv": "-c:a wavpack",
    "a.flv": "-c:a aac -ar 44100",
    "a.spx": "-c:a libspeex",
    "a.wma": "-c:a wmav2",
    "a.voc": "-c:a pcm_s16le",
    "a.webm": "-c:a libopus -ar 48000",
    "a.avi": "-c:a pcm_s16le",
    "a.ra": "-c:a real_144 -ar 8000",
    "a.rm": "-c:a ac3 -ar 44100",
}
BY_SOX = ["b.voc", "a.sph", "ulaw.sph", "a.sf", "a.avr", "a.pvf", "a.fap", "a.sox"]
ALONE = {
    "fragments.mp4": "-c:a aac -movflags frag_keyframe+empty_moov",
    "a.mp4": "-c:a aac",
    "alac.caf": "-c:a alac",
    "ima.caf": "-c:a adpcm_ima_qt",
    "ima.aifc": "-c:a adpcm_ima_qt -f aiff",
    "g722.au": "-c:a adpcm_g722",
}
OTHERS = {
    "plain.mp3": "-c:a libmp3lame -write_xing 0 -id3v2_version 0",
    "tagged.mp3": "-c:a libmp3lame",
    "a.aac": "-c:a aac",
    "a.ac3": "-c:a ac3 -ar 48000",
    "a.ts": "-c:a aac -f mpegts",
    "a.ogg": "-c:a libvorbis",
    "a.opus": "-c:a libopus",
    "a.flac": "",
    "a.wav": "",
}
TAG = b"ID3\4\0\0\0\0\0\12" + bytes(10)


class Made(dict):
    """The clip's beginning in many formats, by their names, each made when it is asked for."""

    def __init__(self, folder):
        self.folder, self.clip = folder, wav_of(folder, SECONDS)

    def __missing__(self, name):
        path = self.folder / name
        if name in BY_SOX:
            coding = ["-e", "u-law"] if name == "ulaw.sph" else []
            subprocess.run([tool("sox"), "-D", self.clip, *coding, path], check=True)
        elif name == "a.amr":
            subprocess.run([tool("sox"), "-V1", "-D", self.clip, "-r", "8000", "-t", "amr-nb", path], check=True)
        else:
            ffmpeg(self.clip, path, *{**WHOLE, **ALONE, **OTHERS}[name].split())
        self[name] = path.read_bytes()
        return self[name]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Made(tmp_path_factory.mktemp("made"))


def written(folder, name, *pieces):
    path = folder / name
    path.write_bytes(b"".join(pieces))
    return path


@pytest.mark.parametrize("name", [*WHOLE, *BY_SOX, "a.amr"])
def test_all_are_read(made, tmp_path, name):
    """Each as it is by itself."""
    data = made[name]
    alone, reader = read_both(written(tmp_path, name, data))
    assert reader.damage == []
    found, reader = read_both(written(tmp_path, f"all-{name}", data, data, data))
    assert reader.damage == [] and np.array_equal(found, np.concatenate(3 * [alone], axis=1))


@pytest.mark.parametrize("name", ["a.tta", "a.wv", "a.amr"])
def test_tags_between_them(made, tmp_path, name):
    data, tag = made[name], b"TAG" + bytes(125)
    alone, _ = read_both(written(tmp_path, name, data))
    found, reader = read_both(written(tmp_path, f"all-{name}", data, tag if name != "a.amr" else b"", data))
    assert reader.damage == [] and np.array_equal(found, np.concatenate(2 * [alone], axis=1))


def test_the_rate_of_the_first_is_kept(made, tmp_path):
    high = ffmpeg(wav_of(tmp_path, SECONDS), tmp_path / "high.tta", "-ar", "44100", "-ac", "2").read_bytes()
    found, reader = read_both(written(tmp_path, "b.tta", made["a.tta"], high))
    assert reader.sample_rate == RATE and reader.damage == [] and found.shape == (1, 2 * SECONDS * RATE)


def test_speex_and_opus_in_one_chain(made, tmp_path):
    for first, second in (("a.spx", "a.opus"), ("a.opus", "a.spx"), ("a.ogg", "a.spx")):
        found, reader = read_both(written(tmp_path, "chain.ogg", made[first], made[second]))
        assert reader.damage == [] and abs(found.shape[1] / reader.sample_rate - 2 * SECONDS) < 0.05


@pytest.mark.parametrize("name", ["a.tta", "a.voc", "a.spx", "a.wma"])
def test_one_that_is_cut_is_named(made, tmp_path, name, command):
    data = made[name]
    path = written(tmp_path, name, data, data[: len(data) // 2])
    found, reader = read_both(path)
    assert 0.95 * SECONDS < found.shape[1] / reader.sample_rate < 2 * SECONDS
    assert any("cut off" in line for line in reader.damage)
    assert command("compress", path, tmp_path / "a.grit")[0] == 3
    assert command("compress", path, tmp_path / "b.grit", "--strict")[0] == 1


@pytest.mark.parametrize("name", ALONE)
def test_the_first_is_read_alone(made, tmp_path, name):
    data = made[name]
    alone, reader = read_both(written(tmp_path, name, data))
    assert reader.damage == []
    found, reader = read_both(written(tmp_path, f"all-{name}", data, data))
    assert np.array_equal(found, alone)
    assert reader.damage == [f"behind its sound another file of {len(data):,} bytes begins, which is left out"]


def test_fragments_that_begin_as_files_do(tmp_path):
    """As a broadcast is written down: all of them are one sound."""
    options = ["-c:a", "aac", "-frag_duration", "300000", "-movflags", "empty_moov+default_base_moof"]
    data = ffmpeg(wav_of(tmp_path, SECONDS), tmp_path / "a.mp4", *options).read_bytes()
    alone, _ = read_both(tmp_path / "a.mp4")
    places = [at for at in range(len(data)) if data[at + 4 : at + 8] == b"moof"]
    assert len(places) > 2
    path = written(tmp_path, "b.mp4", data[: places[1]], data[: places[0]], data[places[1] :])
    found, reader = read_both(path)
    assert reader.damage == [] and found.shape == alone.shape


FIRST = ["a.wav", "a.ogg", "a.voc", "a.tta", "a.wma", "a.flv", "a.webm", "a.avi", "a.mp4", "a.ts", "a.ac3", "a.sph"]


@pytest.mark.parametrize("first", [*FIRST, "a.amr", "a.aac", "a.wv", "a.spx"])
def test_another_format_behind_it_is_said(made, tmp_path, first):
    alone, _ = read_both(written(tmp_path, first, made[first]))
    for name in OTHERS:
        if name == first or (first in ("a.ogg", "a.spx") and name in ("a.ogg", "a.opus")):
            continue
        found, reader = read_both(written(tmp_path, f"all-{first}", made[first], made[name]))
        size = len(made[name])
        assert reader.damage == [f"behind its sound another file of {size:,} bytes begins, which is left out"], name
        assert np.array_equal(found, alone)


@pytest.mark.parametrize(
    "name", ["tagged.mp3", "a.wma", "a.mp4", "a.tta", "a.voc", "a.webm", "a.sph", "a.amr", "a.avi"]
)
def test_behind_flac(made, tmp_path, name):
    """Where it ends nothing tells: beginnings are looked for that are not met by chance."""
    found, reader = read_both(written(tmp_path, "b.flac", made["a.flac"], made[name]))
    size = len(made[name])
    assert reader.damage == [f"behind its sound another file of {size:,} bytes begins, which is left out"]
    assert np.array_equal(found[0], speech(SECONDS))


def test_a_tag_behind_it_is_no_file(made, tmp_path):
    for name in ("a.wav", "a.tta", "a.voc", "a.aac"):
        _, reader = read_both(written(tmp_path, name, made[name], TAG))
        assert reader.damage == []
    _, reader = read_both(written(tmp_path, "a.wv", made["a.wv"], b"TAG" + bytes(125)))
    assert reader.damage == []


def test_a_size_beyond_all_files(made, tmp_path, command):
    """The system knows no place that far."""
    broken = made["a.wma"] + b"x" * 16 + struct.pack("<Q", 1 << 63) + bytes(100)
    found, _ = read_both(written(tmp_path, "b.wma", broken))
    assert found.shape[1] >= SECONDS * RATE
    assert command("compress", tmp_path / "b.wma")[0] in (0, 3)
