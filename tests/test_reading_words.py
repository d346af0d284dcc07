"""What is said of files that are not read, and of outputs that cannot be had: in words, and with what helps."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from sounds import RATE, ffmpeg, read_both, speech, wav_of

from gritcodec.errors import AudioError
from gritcodec.sound import audio, frames, lossy, mpeg
from gritcodec.tokens import summary

NOISE = np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8).tobytes()


@pytest.fixture(scope="module")
def without_av(tmp_path_factory):
    """A command on a machine whose PyAV cannot be loaded."""
    stub = tmp_path_factory.mktemp("stub")
    (stub / "av.py").write_text("raise ImportError('no libavcodec.so')\n")
    paths = os.pathsep.join(filter(None, [str(stub), os.environ.get("PYTHONPATH", "")]))

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "gritcodec", *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        return done.returncode, done.stdout, done.stderr

    return run


def one_line(done, code, *words):
    assert done[0] == code and done[2].count("\n") == 1, done
    assert all(word in done[2] for word in words), done[2]


def test_no_mp3(tmp_path, command, without_av):
    (tmp_path / "a.mp3").write_text("hi\n")
    for run in (command, without_av):
        done = run("compress", tmp_path / "a.mp3")
        one_line(done, 1, "no frames of MPEG audio")
        assert "does not exist" not in done[2] and "gritcodec[av]" not in done[2]


def test_what_needs_av(tmp_path, without_av):
    """Known by its name, by its beginning, or by the word of libsndfile."""
    pytest.importorskip("av")
    clip = wav_of(tmp_path, 1.0)
    alac = ffmpeg(clip, tmp_path / "a.caf", "-c:a", "alac")
    m4a = ffmpeg(clip, tmp_path / "a.m4a", "-c:a", "aac")
    (tmp_path / "named.mp3").write_bytes(m4a.read_bytes())
    for path in (alac, m4a, tmp_path / "named.mp3"):
        one_line(without_av("compress", path), 1, "pip install 'gritcodec[av]'")
    assert without_av("compress", clip, "-q")[0] == 0
    one_line(without_av("decompress", tmp_path / "clip.grit", tmp_path / "b.mp3"), 2, "gritcodec[av]")


def test_a_film_called_grit_is_not_replaced(tmp_path, without_av):
    """Though nothing here can read it."""
    clip = wav_of(tmp_path, 1.0)
    phone = ffmpeg(clip, tmp_path / "a.m4a", "-c:a", "aac").rename(tmp_path / "a.grit")
    before = phone.read_bytes()
    one_line(without_av("compress", clip, phone, "--force"), 2, "is film or other audio: it is not replaced")
    one_line(without_av("compress", phone, tmp_path / "b.grit"), 1, "pip install 'gritcodec[av]'")
    one_line(without_av("decompress", phone), 1, "not a .grit file")
    assert phone.read_bytes() == before and not (tmp_path / "b.grit").exists()


@pytest.mark.parametrize("name", ["a.ogg", "a.aac", "a.kux"])
def test_no_sound_of_the_kind_it_is_named(tmp_path, command, name):
    for data in (NOISE, NOISE[:700], bytes(3000)):
        (tmp_path / name).write_bytes(data)
        code, _, err = command("compress", tmp_path / name)
        assert code == 1 and err.count("\n") == 1 and "End of file" not in err and "cannot read" in err, err


HEADERLESS = [("ul", "mulaw"), ("al", "alaw"), ("sb", "s8"), ("ub", "u8"), ("sw", "s16le"), ("uw", "FORMAT")]
HEADERLESS += [("raw", "FORMAT"), ("pcm", "FORMAT"), ("s16le", "s16le"), ("f32le", "f32le"), ("au", "FORMAT")]


@pytest.mark.parametrize(("ending", "kind"), [*HEADERLESS, ("snd", "FORMAT")])
def test_samples_whose_rate_nobody_tells(tmp_path, command, without_av, ending, kind):
    (tmp_path / f"a.{ending}").write_bytes(NOISE)
    for run in (command, without_av) if ending in ("ul", "raw", "au") else (command,):
        one_line(run("compress", tmp_path / f"a.{ending}"), 1, "no header", f"--raw {kind} --rate HZ")
    # What has one is read whatever its name is.
    soundfile.write(tmp_path / "a.flac", speech(1), RATE)
    (tmp_path / f"b.{ending}").write_bytes((tmp_path / "a.flac").read_bytes())
    if ending not in ("raw",):
        assert np.array_equal(read_both(tmp_path / f"b.{ending}")[0][0], speech(1))


@pytest.mark.parametrize(
    ("ending", "codec"), [("mulaw", "pcm_mulaw"), ("alaw", "pcm_alaw"), ("u8", "pcm_u8"), ("s8", "pcm_s8")]
)
def test_telephone_samples(tmp_path, command, ending, codec):
    """The same codes as from a file with a header."""
    clip = wav_of(tmp_path, 2.0)
    raw = ffmpeg(clip, tmp_path / f"a.{ending}", "-c:a", codec, "-ar", "8000", "-f", ending)
    code, _, err = command("compress", raw, tmp_path / "a.grit", "--raw", ending, "--rate", "8000")
    assert code == 0, err
    wave = ffmpeg(clip, tmp_path / "a.mov", "-c:a", codec, "-ar", "8000") if ending == "s8" else None
    wave = wave or ffmpeg(clip, tmp_path / "a.wav", "-c:a", codec, "-ar", "8000")
    assert command("compress", wave, tmp_path / "b.grit", "--no-tags")[0] == 0
    assert (tmp_path / "a.grit").read_bytes() == (tmp_path / "b.grit").read_bytes()
    one_line(command("decompress", tmp_path / "a.grit", "-", "--raw", ending), 2, "no raw output")


def test_what_is_assumed_is_said(tmp_path, command):
    soundfile.write(tmp_path / "a.vox", speech(1), 8000, format="RAW", subtype="VOX_ADPCM")
    code, _, err = command("compress", tmp_path / "a.vox")
    assert code == 0 and "taken for Dialogic's ADPCM at 8,000 Hz" in err


def test_gsm_out_of_a_pipe(tmp_path):
    """PyAV knows its frames."""
    pytest.importorskip("av")
    path = ffmpeg(wav_of(tmp_path, 2.0), tmp_path / "a.gsm", "-c:a", "libgsm", "-ar", "8000")
    done = [
        subprocess.run([sys.executable, "-m", "gritcodec", "compress", "-", "-"], input=data, capture_output=True)
        for data in (path.read_bytes(), ffmpeg(wav_of(tmp_path, 2.0), tmp_path / "a.g722").read_bytes())
    ]
    assert [each.returncode for each in done] == [0, 1]
    assert (
        subprocess.run([sys.executable, "-m", "gritcodec", "compress", path, "-"], capture_output=True).stdout
        == done[0].stdout
    )


def test_bitrates_that_an_encoder_lacks(tmp_path, command):
    """Refused with its range, and nothing is written."""
    pytest.importorskip("av")
    assert command("compress", wav_of(tmp_path, 1.0), tmp_path / "a.grit")[0] == 0
    for name, kbps, span in (
        ("a.opus", 300, "from 4 to 256 kbps"),
        ("a.mp3", 500, "from 8 to 160 kbps"),
        ("a.mp3", 7, "from 8 to 160 kbps"),
        ("a.m4a", 300, "from 8 to 96 kbps"),
        ("a.m4a", 4, "from 8 to 96 kbps"),
    ):
        one_line(command("decompress", tmp_path / "a.grit", tmp_path / name, "--out-bitrate", kbps), 2, span, f"{kbps}")
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("ending", [".mp3", ".opus", ".m4a"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_ends_of_the_ranges_are_taken(tmp_path, ending, rate, channels):
    """And are what comes: of noise, which needs them; AAC takes less of its most."""
    pytest.importorskip("av")
    noise = (np.random.default_rng(0).standard_normal((channels, 3 * rate)) / 5).astype(np.float32)
    for kbps in lossy._range(ending, rate, channels):
        path = tmp_path / f"a{kbps}{ending}"
        lossy.check(path, ending, rate, channels, kbps)
        with lossy.open_writer(path, path, ending, rate, channels, kbps, (), ()) as writer:
            writer.write(noise)
        found = path.stat().st_size * 8 / 3000
        assert 0.75 * kbps - 1 < found < 1.35 * kbps + 3


def test_a_cut_of_next_to_nothing(tmp_path):
    """0.00 s says nothing."""
    path = wav_of(tmp_path, 2.0)
    data = path.read_bytes()
    for missing, words in ((2, "1 sample is missing"), (20, "10 samples are missing"), (400, "0.01 s are missing")):
        path.write_bytes(data[:-missing])
        found, reader = read_both(path)
        assert found.shape[1] == 32_000 - missing // 2 and "0.00" not in reader.damage[0]
        assert len(reader.damage) == 1 and reader.damage[0].endswith(words)


def test_a_tag_of_no_end_is_no_tag():
    """Damage may look like one: what follows is not lost with it."""
    frame = bytes([0xFF, 0xF3, 0x48, 0xC4]) + bytes(140)
    size = frames.parse_frame(frame, 0).size
    frame = frame[:4] + bytes(size - 4)
    damaged = b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(100)
    found = mpeg.scan(20 * frame + damaged + 20 * frame)
    assert found.frames == 40 and len(found.gaps) == 1


def test_numbers_inside_words_stay(tmp_path):
    reason = f"cannot read {tmp_path}/a.wav as audio (wav, mp3 ...): 3 of 1,234 bytes at 0.25 s, s16le"
    assert summary._kind({"reason": reason, "source": f"{tmp_path}/a.wav"}) == (
        "cannot read as audio (wav, mp3 ...): N of N bytes at N s, s16le"
    )


def test_read_says_so_too(tmp_path):
    (tmp_path / "a.ul").write_bytes(NOISE)
    with pytest.raises(AudioError, match="--raw mulaw"):
        audio.read(tmp_path / "a.ul")
