"""What a recording says of itself goes into the .grit file and back; outputs of every kind, exact in length."""

import json
import subprocess

import numpy as np
import pytest
import soundfile
from sounds import RATE, ffmpeg, lag, read_both, speech, wav_of
from tools import tool

from gritcodec.errors import UsageError
from gritcodec.sound import audio, id3, writing
from gritcodec.sound.tags import affordable, cleaned

TAGS = {"title": "Größe & Co", "artist": "Jane", "date": "1813", "comment": "read aloud", "language": "eng"}
# Not in the second half of a second: there FFmpeg writes them into Ogg a second late.
CHAPTERS = [(0.0, "One"), (2.25, "Zwei ü")]
_METADATA = (
    ";FFMETADATA1\n"
    + "".join(f"{name}={value}\n" for name, value in TAGS.items())
    + "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={round(1000 * start)}\nEND={round(1000 * end)}\ntitle={name}\n"
        for (start, name), end in zip(CHAPTERS, (2.25, 5), strict=True)
    )
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return wav_of(tmp_path_factory.mktemp("clip"))


def tagged(clip, target, *options):
    words = target.with_suffix(".txt")
    words.write_text(_METADATA)
    inputs = ["-i", clip, "-f", "ffmetadata", "-i", words, "-map_metadata", "1", "-map_chapters", "1"]
    subprocess.run([tool("ffmpeg"), "-v", "error", "-y", *inputs, *options, target], check=True)
    return target


def facts(command, path):
    found = json.loads(command("info", path, "--json")[1])
    return dict(found["tags"]), [(seconds, name) for seconds, name in found.get("marks", [])]


@pytest.mark.parametrize(
    ("name", "options", "lacking"),
    [
        ("a.wav", "", {"marks"}),
        ("a.flac", "", {"marks"}),
        ("a.mp3", "-c:a libmp3lame -id3v2_version 3", set()),
        ("b.mp3", "-c:a libmp3lame -id3v2_version 4", set()),
        ("a.ogg", "-c:a libvorbis", {"marks"}),
        ("a.opus", "-c:a libopus", set()),
        ("a.m4a", "-c:a aac", {"language"}),
        ("a.mka", "-c:a flac", set()),
        ("a.aiff", "-write_id3v2 0", {"date", "language", "marks", "artist"}),
    ],
)
def test_words_go_along(clip, tmp_path, command, name, options, lacking):
    source = tagged(clip, tmp_path / name, *options.split())
    read_both(source)
    assert command("compress", source, tmp_path / "a.grit")[0] == 0
    tags, marks = facts(command, tmp_path / "a.grit")
    assert {key: tags.get(key) for key in TAGS if key not in lacking} == {
        key: value for key, value in TAGS.items() if key not in lacking
    }
    assert not any(key.startswith(("encod", "major", "handler")) for key in tags)
    assert "marks" in lacking or marks == CHAPTERS
    # Given by hand comes first, and instead.
    given = ["--tag", "title=Mine", "--mark", "1=here", "--force"]
    assert command("compress", source, tmp_path / "a.grit", *given)[0] == 0
    tags, marks = facts(command, tmp_path / "a.grit")
    assert tags["title"] == "Mine" and marks == [(1.0, "here")]
    assert command("compress", source, tmp_path / "a.grit", "--no-tags", "--force")[0] == 0
    assert facts(command, tmp_path / "a.grit") == ({}, [])


@pytest.mark.parametrize("ending", ["wav", "flac", "m4a", "mp3", "opus", "ogg"])
def test_and_come_back(clip, tmp_path, command, ending):
    source = tagged(clip, tmp_path / "a.mka", "-c:a", "flac")
    assert command("compress", source, tmp_path / "a.grit")[0] == 0
    target = tmp_path / f"b.{ending}"
    assert command("decompress", tmp_path / "a.grit", target)[0] == 0
    found, reader = read_both(target)
    assert found.shape == (1, 5 * reader.sample_rate) and reader.damage == []
    tags = dict(cleaned(reader.tags))
    # libsndfile's Ogg has ten names and no chapters.
    wanted = {name: value for name, value in TAGS.items() if ending != "ogg" or name != "language"}
    assert {name: tags.get(name) for name in wanted} == wanted
    assert reader.chapters == ([] if ending == "ogg" else CHAPTERS)
    if ending in ("wav", "flac"):
        assert soundfile.info(target).frames == 80_000
        said = json.loads(
            subprocess.run(
                [tool("ffprobe"), "-v", "error", "-show_format", "-of", "json", target], capture_output=True
            ).stdout
        )
        assert {name.lower(): value for name, value in said["format"]["tags"].items()}["artist"] == "Jane"
    assert command("decompress", tmp_path / "a.grit", target, "--no-tags", "--force")[0] == 0
    assert not {"title", "artist"} & dict(cleaned(read_both(target)[1].tags)).keys()
    assert command("decompress", tmp_path / "a.grit", target, "--start", "1", "--force")[0] == 0
    assert read_both(target)[1].chapters == []


@pytest.mark.parametrize("ending", ["m4a", "mp3", "opus", "ogg"])
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 1), (22_050, 2), (44_100, 2)])
def test_second_codings_keep_time_and_length(tmp_path, ending, rate, channels):
    clip, target = wav_of(tmp_path), tmp_path / f"a.{ending}"
    subprocess.run([tool("sox"), "-D", clip, "-r", str(rate), "-c", str(channels), tmp_path / "b.wav"], check=True)
    waveform, _ = audio.read(tmp_path / "b.wav")
    audio.write(target, waveform, rate)
    found, reader = read_both(target)
    length = -(-waveform.shape[1] * reader.sample_rate // rate)
    assert found.shape == (channels, length) and abs(lag(found[0], reader.sample_rate)) <= 2


def test_bitrates_of_second_codings(clip, tmp_path, command):
    assert command("compress", clip, tmp_path / "a.grit")[0] == 0
    for ending in ("m4a", "mp3", "opus"):
        sizes = []
        for kbps in ("24", "64"):
            path = tmp_path / f"a{kbps}.{ending}"
            assert command("decompress", tmp_path / "a.grit", path, "--out-bitrate", kbps)[0] == 0
            sizes.append(path.stat().st_size)
        assert sizes[1] > 1.6 * sizes[0]
    for arguments in (("x.wav", "--out-bitrate", "32"), ("x.mp3", "--out-bitrate", "1"), ("x.mp3", "--samples", "24")):
        code, _, err = command("decompress", tmp_path / "a.grit", tmp_path / arguments[0], *arguments[1:])
        assert code == 2 and err.count("\n") == 1
    for arguments in (("x.flac", "--samples", "float"), ("x.wav", "--samples", "12")):
        code, _, err = command("decompress", tmp_path / "a.grit", tmp_path / arguments[0], *arguments[1:])
        assert code == 2 and err.count("\n") == 1
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.parametrize(
    ("ending", "samples", "subtype"), [("wav", "24", "PCM_24"), ("flac", "24", "PCM_24"), ("wav", "float", "FLOAT")]
)
def test_wider_samples(tmp_path, ending, samples, subtype):
    loud = 1.5 * speech()[None]
    path = tmp_path / f"a.{ending}"
    with writing.open_writer(path, RATE, 1, 80_000, form=writing.Form(samples, tags=[("title", "t")])) as writer:
        writer.write(loud)
    found = soundfile.info(path)
    assert (found.subtype, found.frames) == (subtype, 80_000)
    expected = loud if samples == "float" else np.rint(loud * 8388608).clip(-8388608, 8388607) / 8388608
    assert np.array_equal(audio.read(path)[0], expected.astype(np.float32))


@pytest.mark.parametrize("ending", ["wav", "flac", "opus", "m4a", "mp3"])
def test_places(tmp_path, ending):
    """In wav cue points with labels, as sound editors write them."""
    path = tmp_path / f"a.{ending}"
    form = writing.Form(marks=[(0, "a"), (40_000, "Müller")])
    with writing.open_writer(path, RATE, 1, 80_000, form=form) as writer:
        writer.write(speech()[None])
    assert read_both(path)[1].chapters == [(0.0, "a"), (2.5, "Müller")]


def test_id3_of_any_make(tmp_path):
    def frame(name, body, version):
        size = len(body).to_bytes(4 if version > 2 else 3, "big")
        return name + size + (bytes(2) if version > 2 else b"") + body

    def tag(version, body):
        sizes = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
        return b"ID3" + bytes([version, 0, 0]) + sizes + body

    old = tag(2, frame(b"TT2", b"\0Gr\xf6\xdfe", 2) + frame(b"COM", b"\0eng\0words", 2) + bytes(20))
    assert id3.read(old) == ([("title", "Größe"), ("comment", "words")], [])
    wide = tag(3, frame(b"TIT2", b"\1" + "Ü".encode("utf-16") + b"\0\0", 3) + frame(b"TLAN", b"\0deu", 3))
    assert id3.read(wide)[0] == [("title", "Ü"), ("language", "deu")]
    for cut in range(len(wide)):
        id3.read(wide[:cut])
    rng = np.random.default_rng(0)
    for _ in range(300):
        id3.read(tag(int(rng.integers(2, 5)), rng.bytes(40)))


def test_tags_that_cannot_be_kept():
    pairs = [("a=b", "x"), ("", "y"), ("TITLE", " t "), ("title", "t"), ("encoder", "Lavf"), ("n\t1", "z")]
    assert cleaned(pairs) == [("title", "t")]
    assert cleaned([("lyrics", "x" * 100_000), ("artist", "a")]) == [("artist", "a")]


def test_what_cannot_be_written(tmp_path):
    for name in ("x.aac", "x", "x.webm"):
        with pytest.raises(UsageError, match="must end in"):
            audio.write(tmp_path / name, speech()[None], RATE)
    ffmpeg(wav_of(tmp_path), tmp_path / "y.wav", "-ac", "6")
    waveform, _ = audio.read(tmp_path / "y.wav")
    for name in ("x.mp3", "x.opus"):
        with pytest.raises(Exception, match=r"does not hold 6 channels; name it \.wav"):
            audio.write(tmp_path / name, waveform, RATE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.wav", "y.wav"]


def test_long_texts_do_not_take_the_sound_s_place(tmp_path, command):
    """Shortest first, a twentieth of the file at most; what is left out is named, and --tag keeps it."""
    path = ffmpeg(
        wav_of(tmp_path), tmp_path / "a.flac", "-metadata", "title=Talk", "-metadata", f"lyrics={'la ' * 900}"
    )
    code, _, err = command("compress", path, tmp_path / "a.grit")
    assert code == 0 and err.count("\n") == 1 and "left out of its tags" in err and ": lyrics (--tag" in err
    assert facts(command, tmp_path / "a.grit")[0] == {"title": "Talk"}
    code, _, err = command("compress", path, tmp_path / "b.grit", "--tag", f"lyrics={'la ' * 900}")
    assert (code, err) == (0, "") and "lyrics" in facts(command, tmp_path / "b.grit")[0]
    pairs = [(name, size * "x") for name, size in (("b", 300), ("a", 900), ("c", 40), ("d", 600))]
    assert affordable(pairs, 0) == ([pairs[2]], [pairs[0], pairs[1], pairs[3]])
    assert affordable(pairs, 40_000) == ([pairs[0], pairs[2], pairs[3]], [pairs[1]])
    assert affordable(pairs, 1_000_000) == (pairs, [])


def test_the_statistics_of_mkvmerge_stay_behind(tmp_path, command):
    ffmpeg(wav_of(tmp_path), tmp_path / "a.mka", "-c:a", "flac")
    subprocess.run([tool("mkvmerge"), "-q", "-o", tmp_path / "b.mka", tmp_path / "a.mka"], check=True)
    assert command("compress", tmp_path / "b.mka", tmp_path / "b.grit")[0] == 0
    assert set(facts(command, tmp_path / "b.grit")[0]) <= {"date"}
