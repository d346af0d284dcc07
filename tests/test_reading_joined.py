"""Files that follow each other in one, as after `cat a b > c`: all of them, or a word about what is left out."""

import numpy as np
import pytest
import soundfile
import soxr
from sounds import RATE, ffmpeg, lag, read_both, speech, wav_of

SECONDS = 2.0
ID3V1 = b"TAG" + bytes(125)
ID3V2 = b"ID3\4\0\0\0\0\0\12" + bytes(10)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The clip as files of several formats and rates, by their names."""
    folder = tmp_path_factory.mktemp("parts")
    clip = wav_of(folder, SECONDS)
    high = np.stack(2 * [soxr.resample(speech(SECONDS), RATE, 44_100)], axis=1)
    soundfile.write(folder / "low.flac", speech(SECONDS), RATE)
    soundfile.write(folder / "high.flac", high, 44_100)
    ffmpeg(clip, folder / "low.mp3", "-c:a", "libmp3lame")
    ffmpeg(clip, folder / "high.mp3", "-c:a", "libmp3lame", "-ar", "44100", "-ac", "2")
    ffmpeg(clip, folder / "plain.mp3", "-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0", "-b:a", "64k")
    ffmpeg(clip, folder / "piped.flac", "-f", "flac", pipe=True)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def joined(folder, name, *pieces):
    path = folder / name
    path.write_bytes(b"".join(pieces))
    return path


@pytest.mark.parametrize("between", [b"", ID3V1, ID3V2, bytes(1000)], ids=["", "ID3v1", "ID3v2", "zeros"])
@pytest.mark.parametrize("name", ["low.flac", "high.flac", "low.mp3", "high.mp3"])
def test_all_of_what_follows(parts, tmp_path, name, between):
    """Each exactly as it is by itself."""
    ending = name[-5:]
    alone, _ = read_both(joined(tmp_path, f"a{ending}", parts[name]))
    found, reader = read_both(joined(tmp_path, f"b{ending}", parts[name], between, parts[name], between, parts[name]))
    assert reader.damage == [] and np.array_equal(found, np.concatenate(3 * [alone], axis=1))


@pytest.mark.parametrize(("first", "second"), [("low", "high"), ("high", "low")])
@pytest.mark.parametrize("ending", ["flac", "mp3"])
def test_the_rate_of_the_first_is_kept(parts, tmp_path, first, second, ending):
    pieces = [parts[f"{name}.{ending}"] for name in (first, second, first)]
    found, reader = read_both(joined(tmp_path, f"a.{ending}", *pieces))
    rate = reader.sample_rate
    assert reader.damage == [] and rate == (RATE if first == "low" else 44_100)
    assert found.shape == (1 if first == "low" else 2, 3 * SECONDS * rate)
    for number in range(3):
        span = slice(int(number * SECONDS * rate), int((number + 1) * SECONDS * rate))
        assert abs(lag(found[0, span], rate, SECONDS)) <= 1


def test_flac_of_unknown_length_first(parts, tmp_path):
    found, reader = read_both(joined(tmp_path, "a.flac", parts["piped.flac"], parts["low.flac"]))
    assert reader.damage == [] and np.array_equal(found[0], np.tile(speech(SECONDS), 2))


def test_one_flac_is_one(parts, tmp_path):
    """Whatever stands in its pictures, and behind it."""
    data = parts["low.flac"]
    picture = bytes([6]) + len(data).to_bytes(3, "big") + data
    at = 4 + 4 + 34
    path = joined(tmp_path, "a.flac", ID3V2, data[:at], picture, data[at:], bytes(500), ID3V1)
    found, reader = read_both(path)
    assert reader.damage == [] and np.array_equal(found[0], speech(SECONDS))


@pytest.mark.parametrize("name", ["low.flac", "low.mp3"])
def test_damage_names_the_file(parts, tmp_path, name, command):
    data = parts[name]
    path = joined(tmp_path, f"a{name[-5:]}", data, data[: len(data) // 2])
    found, reader = read_both(path)
    assert SECONDS < found.shape[1] / RATE < 2 * SECONDS
    assert len(reader.damage) == 1 and reader.damage[0].startswith("file 2 of the 2 in it: cut off")
    assert command("compress", path, tmp_path / "a.grit")[0] == 3
    # Of one that is no more than a beginning the others are there.
    if name == "low.flac":
        found, reader = read_both(joined(tmp_path, "b.flac", data, data[:20]))
        assert np.array_equal(found[0], speech(SECONDS)) and len(reader.damage) == 1


def test_segments_of_a_broadcast(parts, tmp_path):
    """They have tags before each of them, and go on in the middle of a sound; two files have an end between them."""
    data = parts["plain.mp3"]
    alone, _ = read_both(joined(tmp_path, "a.mp3", data))
    # Frames of 64 kbps at 16 kHz.
    cut = 288 * (len(data) // 576)
    found, reader = read_both(joined(tmp_path, "b.mp3", ID3V2, data[:cut], ID3V2, data[cut:]))
    assert reader.damage == [] and np.array_equal(found, alone)
    found, reader = read_both(joined(tmp_path, "c.mp3", data, ID3V1, data))
    assert reader.damage == [] and np.array_equal(found, np.concatenate([alone, alone], axis=1))


KINDS = {"wav": "WAV", "rf64": "RF64", "au": "AU", "aiff": "AIFF", "caf": "CAF", "w64": "W64"}


@pytest.mark.parametrize("ending", KINDS)
def test_what_is_left_out_is_said(tmp_path, ending, command):
    """Also behind an odd number of bytes, and where another format follows."""
    path, subtype = tmp_path / f"a.{ending}", "PCM_24" if ending in ("wav", "aiff") else "PCM_16"
    soundfile.write(path, speech(1)[:-1], RATE, format=KINDS[ending], subtype=subtype)
    data = path.read_bytes()
    other = wav_of(tmp_path, 1.0).read_bytes()
    for second in (data, other):
        found, reader = read_both(joined(tmp_path, f"b.{ending}", data, second))
        assert np.array_equal(found[0], speech(1)[:-1])
        assert reader.damage == [f"behind its sound another file of {len(second):,} bytes begins, which is left out"]
    assert command("compress", tmp_path / f"b.{ending}", tmp_path / "b.grit")[0] == 3
    assert command("compress", tmp_path / f"b.{ending}", tmp_path / "c.grit", "--strict")[0] == 1
    assert not (tmp_path / "c.grit").exists()


@pytest.mark.parametrize("coding", ["adpcm_ms", "gsm_ms", "libmp3lame"])
def test_behind_wav_of_other_codings(tmp_path, coding):
    clip = wav_of(tmp_path, 1.0)
    path = ffmpeg(clip, tmp_path / "a.wav", "-c:a", coding, *(["-ar", "8000"] if coding == "gsm_ms" else []))
    alone, reader = read_both(path)
    assert reader.damage == []
    data = path.read_bytes()
    found, reader = read_both(joined(tmp_path, "b.wav", data, data))
    assert np.array_equal(found, alone)
    assert reader.damage == [f"behind its sound another file of {len(data):,} bytes begins, which is left out"]


@pytest.mark.parametrize("name", ["low.flac", "low.mp3"])
def test_another_format_behind_frames(parts, tmp_path, name):
    other = wav_of(tmp_path, 1.0).read_bytes()
    found, reader = read_both(joined(tmp_path, f"a{name[-5:]}", parts[name], other))
    assert found.shape[1] == SECONDS * RATE
    assert reader.damage == [f"behind its sound another file of {len(other):,} bytes begins, which is left out"]


def test_two_of_mp4(tmp_path):
    pytest.importorskip("av")
    data = ffmpeg(wav_of(tmp_path, SECONDS), tmp_path / "a.m4a", "-c:a", "aac").read_bytes()
    alone, reader = read_both(tmp_path / "a.m4a")
    assert reader.damage == []
    found, reader = read_both(joined(tmp_path, "b.m4a", data, data))
    assert np.array_equal(found, alone) and len(reader.damage) == 1 and "left out" in reader.damage[0]


def test_amr(tmp_path):
    """Of each its encoder's delay is taken off."""
    av = pytest.importorskip("av")
    clip, path = wav_of(tmp_path, SECONDS), tmp_path / "a.amr"
    with av.open(str(path), "w", format="amr") as target, av.open(str(clip)) as source:
        stream = target.add_stream("libopencore_amrnb", rate=8000, layout="mono", bit_rate=12_200)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    data = path.read_bytes()
    alone, _ = read_both(path)
    found, reader = read_both(joined(tmp_path, "b.amr", data, data))
    assert reader.damage == [] and found.shape[1] == 2 * alone.shape[1]
    assert abs(lag(found[0, alone.shape[1] :], 8000, SECONDS)) <= 2
    _, reader = read_both(joined(tmp_path, "c.amr", data, data[:-5]))
    assert len(reader.damage) == 1 and reader.damage[0].startswith("file 2 of the 2 in it: cut off")
