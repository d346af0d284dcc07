"""Files that end too early, or go on behind their sound, in containers that say nothing of their length."""

import subprocess

import numpy as np
import pytest
from sounds import RATE, ffmpeg, lag, read_both, speech, wav_of
from tools import tool

from gritcodec.errors import AudioError
from gritcodec.sound import audio

pytest.importorskip("av")
SECONDS = 5.0
# What is made, and whether it says how long it was to be.
CUT = [
    ("a.m4a", "-c:a aac -movflags +faststart", True),
    ("fragmented.mp4", "-c:a aac -movflags frag_keyframe+empty_moov", True),
    ("a.mka", "-c:a libopus -ar 48000", True),
    ("a.flv", "-c:a aac -ar 44100", True),
    ("mp3.flv", "-c:a libmp3lame -ar 44100", True),
    ("a.tta", "-c:a tta", True),
    ("mp3.wav", "-c:a libmp3lame", True),
    ("a.aac", "-c:a aac", False),
    ("a.ac3", "-c:a ac3 -ar 48000", False),
    ("a.eac3", "-c:a eac3 -ar 44100", False),
    ("a.mp2", "-c:a mp2 -ar 48000", False),
    ("low.mp2", "-c:a mp2", False),
    ("a.gsm", "-c:a libgsm -ar 8000", False),
    ("a.ts", "-c:a aac -f mpegts", False),
    ("mp2.ts", "-c:a mp2 -f mpegts", False),
    ("a.mpg", "-c:a mp2 -ar 48000", False),
    ("a.avi", "-c:a libmp3lame", False),
    ("a.wma", "-c:a wmav2", False),
    ("a.spx", "-c:a libspeex", False),
    ("a.voc", "-c:a pcm_s16le", False),
    ("g722.wav", "-c:a g722", False),
    ("a.amr", "", False),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return wav_of(tmp_path_factory.mktemp("clip"), SECONDS)


def made(clip, path, options):
    if options:
        return ffmpeg(clip, path, *options.split())
    import av

    with av.open(str(path), "w", format="amr") as target, av.open(str(clip)) as source:
        stream = target.add_stream("libopencore_amrnb", rate=8000, layout="mono", bit_rate=12_200)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("name", "options", "tells"), CUT, ids=[each[0] for each in CUT])
def test_a_cut_is_said(clip, tmp_path, name, options, tells):
    """Even where the last piece is all that tells; what stands before it is there."""
    path = made(clip, tmp_path / name, options)
    whole, reader = read_both(path)
    assert reader.damage == []
    data = path.read_bytes()
    # An odd place, a thousandth behind the middle: inside a frame of every kind.
    cut = len(data) * 501 // 1000 | 1
    path.write_bytes(data[: cut + (cut % 188 == 0)])
    found, reader = read_both(path)
    assert len(reader.damage) >= 1 and ("of 5.0" in reader.damage[-1]) == tells, reader.damage
    assert reader.damage[-1].startswith("cut off")
    count = found.shape[1]
    assert 1.4 < count / reader.sample_rate < 3.5
    same = count - reader.sample_rate // 4
    assert np.abs(found[:, :same] - whole[:, :same]).max() < 1e-3


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.wmv", "a.flv"])
def test_pictures_that_go_on_are_no_cut(clip, tmp_path, name):
    """The container's length is then that of the pictures."""
    film = tmp_path / name
    pictures = ["-f", "lavfi", "-i", "testsrc=s=64x64:d=8", "-i", clip, "-ar", "44100"]
    subprocess.run([tool("ffmpeg"), "-v", "error", *pictures, film], check=True)
    found, reader = read_both(film)
    assert reader.damage == [] and 5 <= found.shape[1] / reader.sample_rate < 5.2


def test_a_film_of_which_the_end_is_missing(clip, tmp_path):
    """Where its index stood: nothing can be read, and why is said."""
    path = ffmpeg(clip, tmp_path / "a.m4a", "-c:a", "aac")
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(AudioError, match=r"moov.* is missing"):
        audio.read(path)


def test_voc_of_several_blocks(clip, tmp_path):
    """FFmpeg writes a block for each packet, SoX all as one; old blocks have a rate of their own."""
    found, reader = read_both(ffmpeg(clip, tmp_path / "a.voc", "-c:a", "pcm_s16le"))
    assert np.array_equal(found[0], speech(SECONDS)) and reader.damage == []
    for options in ([], ["-r", "8000", "-b", "8", "-e", "unsigned"], ["-c", "2"]):
        path = tmp_path / "b.voc"
        subprocess.run([tool("sox"), "-D", clip, *options, path], check=True)
        found, reader = read_both(path)
        assert reader.damage == [] and found.shape[1] == SECONDS * reader.sample_rate
        assert lag(found[0], reader.sample_rate) == 0 and reader.channels == (2 if "-c" in options else 1)


def test_voc_block_by_block(tmp_path):
    """Sound, more of it, silence, a text, stereo in an extended block, and the end of a block that is not there."""

    def block(kind: int, body: bytes) -> bytes:
        return bytes([kind]) + len(body).to_bytes(3, "little") + body

    tone = (128 + 100 * np.sin(np.arange(800) / 5)).astype(np.uint8).tobytes()
    start = b"Creative Voice File\x1a" + bytes([26, 0, 10, 1, 0x29, 0x11])
    blocks = [block(1, bytes([131, 0]) + tone), block(2, tone), block(3, (399).to_bytes(2, "little") + bytes([131]))]
    blocks += [block(5, b"a note\0"), block(8, (49536).to_bytes(2, "little") + bytes([0, 1]))]
    blocks += [block(1, bytes([0, 0]) + tone), bytes(1)]
    path = tmp_path / "a.voc"
    path.write_bytes(start + b"".join(blocks))
    found, reader = read_both(path)
    assert (reader.sample_rate, reader.channels, reader.damage) == (8000, 1, [])
    assert found.shape == (1, 800 + 800 + 400 + 400) and reader.tags == [("comment", "a note")]
    assert not found[0, 1600:2000].any() and np.array_equal(found[0, :800], found[0, 800:1600])
    path.write_bytes(start + blocks[0][:-100])
    found, reader = read_both(path)
    assert found.shape == (1, 700) and reader.damage == ["cut off: 0.09 of 0.10 s are there, 0.01 s are missing"]


def test_damaged_mp2(clip, tmp_path, capfd):
    """Silence in place of what is lost, as in MP3."""
    path = ffmpeg(clip, tmp_path / "a.mp2", "-c:a", "mp2")
    whole, _ = read_both(path)
    data = bytearray(path.read_bytes())
    data[30_000:31_500] = bytes(1500)
    path.write_bytes(data)
    found, reader = read_both(path)
    assert found.shape == whole.shape and len(reader.damage) == 1 and "are lost" in reader.damage[0]
    assert lag(found[0], RATE) == 0 and capfd.readouterr().err == ""


def test_mp2_of_changing_bitrate(clip, tmp_path):
    """libmpg123 guesses the length from the first frames: here they are twice as large as the later ones."""
    high, low = (ffmpeg(clip, tmp_path / f"{kbps}.mp2", "-c:a", "mp2", "-b:a", f"{kbps}k") for kbps in (160, 32))
    path = tmp_path / "a.mp2"
    path.write_bytes(high.read_bytes() + 3 * low.read_bytes())
    found, reader = read_both(path)
    assert reader.damage == [] and abs(found.shape[1] - 4 * (80_159 + 481) + 481) <= 1


@pytest.mark.parametrize("name", ["a.webm", "a.mka", "a.wma", "a.spx"])
def test_damage_is_told_and_keeps_the_time(clip, tmp_path, name):
    """FFmpeg goes on behind it without a word: the times of packets, or what is no page of Ogg, tell."""
    cluster = "-cluster_time_limit 500"
    options = {
        "a.webm": f"-c:a libopus -ar 48000 {cluster}",
        "a.mka": f"-c:a aac {cluster}",
        "a.wma": "-c:a wmav2",
        "a.spx": "-c:a libspeex",
    }
    path = ffmpeg(clip, tmp_path / name, *options[name].split())
    whole, _ = read_both(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 20] = bytes(len(data) // 20)
    path.write_bytes(data)
    found, reader = read_both(path)
    assert len(reader.damage) >= 1 and "damaged" in reader.damage[0], reader.damage
    if name in ("a.webm", "a.wma"):
        assert found.shape == whole.shape and "silence is in their place" in reader.damage[0]
        behind = slice(-reader.sample_rate // 2, None)
        found, whole = found[0, behind], whole[0, behind]
        # A decoder needs some time to come back.
        assert np.dot(found, whole) > 0.9 * np.dot(whole, whole)


@pytest.mark.parametrize(("name", "options"), [("a.aac", "-c:a aac"), ("a.ac3", "-c:a ac3 -ar 48000")])
def test_damage_between_frames(clip, tmp_path, name, options):
    """A decoder looks for the next frame; what stands before the first and behind the last one is no damage."""
    path = ffmpeg(clip, tmp_path / name, *options.split())
    whole = path.read_bytes()
    if name == "a.aac":
        path.write_bytes(b"ID3\4\0\0\0\0\0\12" + bytes(10) + whole + b"TAG" + bytes(125))
    assert read_both(path)[1].damage == []
    data = bytearray(whole)
    data[20_000:21_000] = bytes(1000)
    path.write_bytes(data)
    found, reader = read_both(path)
    assert "bytes of it are damaged" in reader.damage[0] and 4.5 < found.shape[1] / reader.sample_rate < 5.1


def test_the_last_page_alone_behind_a_gap(clip, tmp_path):
    """It need not be enough for a decoder to begin with: that is silence too."""
    path = ffmpeg(clip, tmp_path / "a.opus", "-c:a", "libopus")
    data = bytearray(path.read_bytes())
    last = data.rindex(b"OggS")
    data[last - 2000 : last - 1900] = bytes(100)
    path.write_bytes(data)
    found, reader = read_both(path)
    assert found.shape[1] == SECONDS * reader.sample_rate and "are lost" in reader.damage[0]
