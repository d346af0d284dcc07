"""What the command says is so: sizes, bitrates, marks, folders; and what it cannot do it refuses, before the work."""

import json
import subprocess
import sys

import pytest
import soundfile
from conftest import tone

import gritcodec
from gritcodec import bitstream


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Recordings of 2 and of 11 seconds."""
    folder = tmp_path_factory.mktemp("clips")
    for name, seconds in (("short", 2), ("long", 11)):
        soundfile.write(folder / f"{name}.wav", tone(1, 16_000 * seconds, 16_000).T, 16_000)
    return folder


def piped(*arguments, data=b""):
    """Run the installed command in a process of its own; return exit code, stdout and stderr."""
    command = [sys.executable, "-m", "gritcodec", *map(str, arguments)]
    done = subprocess.run(command, input=data, capture_output=True, timeout=120)
    return done.returncode, done.stdout, done.stderr.decode()


def assert_refused(result, *words):
    code, out, err = result
    assert code == 2 and out == "" and err.startswith("gritcodec: error: ") and err.count("\n") == 1, result
    for word in words:
        assert word in err


def marks_of(command, path):
    return json.loads(command("info", path, "--json")[1]).get("marks", [])


def test_a_mark_behind_the_end_is_refused(command, clips, tmp_path):
    target = tmp_path / "a.grit"
    assert_refused(
        command("compress", clips / "short.wav", target, "--mark", "1=ok", "--mark", "0:30=Question"),
        "2.00 s long",
        "'Question' at 30 s",
    )
    assert not target.exists()
    assert command("compress", clips / "short.wav", target, "--mark", "2=end", "--mark", "0:01=Question")[0] == 0
    assert marks_of(command, target) == [[1.0, "Question"], [2.0, "end"]]


def test_a_mark_behind_the_end_of_a_pipe_is_told(command, clips, tiny_model, tmp_path):
    """Whoever recorded something keeps it."""
    target, sound = tmp_path / "a.grit", (clips / "short.wav").read_bytes()
    options = ["--mark", "1=ok", "--mark", "30=late", "--model", tiny_model]
    code, _, err = piped("compress", "-", target, *options, data=sound)
    assert code == 0 and err.count("\n") == 1 and "'late' at 30 s" in err
    assert marks_of(command, target) == [[1.0, "ok"]]
    code, out, err = piped("compress", "-", "-", *options, data=sound)
    assert code == 0 and "'late' at 30 s" in err
    (tmp_path / "b.grit").write_bytes(out)
    assert marks_of(command, tmp_path / "b.grit") == [[1.0, "ok"]]


def test_a_slash_at_the_end_makes_a_folder(command, clips, tmp_path):
    out, back = tmp_path / "new" / "deep", tmp_path / "back"
    code, _, err = command("compress", clips / "short.wav", f"{out}/")
    assert code == 0 and "1 done" in err and [path.name for path in out.iterdir()] == ["short.grit"]
    assert command("decompress", out / "short.grit", f"{back}/.")[0] == 0
    assert [path.name for path in back.iterdir()] == ["short.wav"]
    assert_refused(command("compress", "-", f"{tmp_path}/other/"), "pipe", "name the file")
    assert not (tmp_path / "other").exists()


def test_a_slash_at_the_end_where_a_file_is_needed(command, clips, tmp_path):
    source, new = tmp_path / "a.grit", f"{tmp_path}/new/"
    assert command("compress", clips / "short.wav", source)[0] == 0
    for verb in (("join", source, source, new), ("roundtrip", clips / "short.wav", new)):
        assert_refused(command(*verb), f"'{new}' names a folder")
    assert [path.name for path in tmp_path.iterdir()] == ["a.grit"]


def test_a_bitrate_between_steps_is_used_or_told(command, clips, tiny_model, tmp_path):
    def size(clip, bitrate):
        code, _, err = command("compress", clips / clip, tmp_path / "a.grit", "--bitrate", bitrate, "--force")
        assert code == 0
        return (tmp_path / "a.grit").stat().st_size, err

    assert size("short.wav", 3)[1] == size("long.wav", 3)[1] == size("long.wav", 3.3)[1] == ""
    assert size("long.wav", 3)[0] < size("long.wav", 3.3)[0] <= 3300 * 11 / 8
    assert size("short.wav", 3.3)[0] == size("short.wav", 3)[0]
    words = "a recording of less than 10 s has a whole number of stages: 3 kbps is used in place of 3.3\n"
    assert size("short.wav", 3.3)[1] == f"gritcodec: {clips / 'short.wav'}: {words}"
    assert_refused(command("compress", clips / "long.wav", tmp_path / "c.grit", "--bitrate", 9), "no bitrate 9 kbps")
    code, _, err = command("roundtrip", clips / "short.wav", "--bitrate", "3.3")
    assert code == 0 and err.endswith(words)
    # Of many files each that is another than it was asked for.
    code, _, err = command("compress", clips, tmp_path / "out", "--bitrate", "3.3")
    assert code == 0 and err.count(words) == 1 and "short.wav: done: a recording" in err
    options = ["--model", tiny_model, "--bitrate"]
    code, live, err = piped("compress", clips / "long.wav", "-", *options, "3.3")
    assert code == 0 and "a live stream has a whole number of stages: 3 kbps is used in place of 3.3" in err
    code, same, err = piped("compress", clips / "long.wav", "-", *options, "3")
    assert code == 0 and same == live and err.count("\n") == 1


def test_truncating_between_steps_is_told_too(command, clips, tiny_model, tmp_path):
    codec = gritcodec.load(tiny_model)
    sounds = [tone(1, samples, 16_000) for samples in (32_000, 200_000)]
    live = b"".join(codec.compress_live(iter([sounds[1]]), 16_000, 1, 4))
    target = tmp_path / "b.grit"
    for data, words in (
        (codec.compress(sounds[0], 16_000, 4), "a recording of less than 10 s"),
        (codec.compress(sounds[1], 16_000, 4), ""),
        (live, "a live stream"),
    ):
        (tmp_path / "a.grit").write_bytes(data)
        code, _, err = command("truncate", tmp_path / "a.grit", target, "--bitrate", "1.7", "--force")
        assert code == 0 and target.read_bytes() == bitstream.truncate(data, 1.7)
        assert words in err and bool(words) == ("1.5 kbps is used in place of 1.7" in err) and err.count("\n") <= 1


@pytest.mark.parametrize(
    ("name", "options"),
    [("b.wav", []), ("b.flac", []), ("b.raw", ["--raw", "f32le"]), ("c.raw", ["--raw", "s16le"]), ("-", [])],
)
def test_the_size_of_what_was_decompressed(command, clips, tiny_model, tmp_path, name, options):
    assert command("compress", clips / "short.wav", tmp_path / "a.grit")[0] == 0
    if name == "-":
        code, out, said = piped("decompress", tmp_path / "a.grit", "-", "--model", tiny_model)
        size = len(out)
    else:
        code, said, _ = command("decompress", tmp_path / "a.grit", tmp_path / name, *options)
        size = (tmp_path / name).stat().st_size
    assert code == 0 and f": {size:,} bytes, 2.00 s" in said


def test_gains(command, clips, tmp_path):
    for gain in ("127.999", "128", "-128.001", "nan", "1e300"):
        result = command("compress", clips / "short.wav", tmp_path / "a.grit", f"--gain={gain}")
        assert_refused(result, "from -128 to 127.996 dB", f"not {float(gain)} dB")
    for gain in ("127.996", "-128", "0"):
        assert command("compress", clips / "short.wav", tmp_path / "a.grit", f"--gain={gain}", "--force")[0] == 0
        assert json.loads(command("info", tmp_path / "a.grit", "--json")[1])["gain_db"] == float(gain)


def test_remux_of_chained_files_speaks_of_all(command, clips, tmp_path):
    assert command("compress", clips / "short.wav", tmp_path / "a.grit")[0] == 0
    (tmp_path / "b.grit").write_bytes(3 * (tmp_path / "a.grit").read_bytes())
    code, out, err = command("remux", tmp_path / "b.grit", tmp_path / "b.oga")
    assert code == 0 and err == "" and ", 6.00 s of audio" in out
    code, out, err = command("remux", tmp_path / "b.oga", tmp_path / "c.grit")
    assert code == 0 and (tmp_path / "c.grit").read_bytes() == (tmp_path / "b.grit").read_bytes()


def test_a_cut_differs_from_the_whole_only_where_the_resampler_hears_its_end(command, tiny_model, tmp_path):
    """As docs/bitstream.md says: at the model's rate nowhere, at others in the last five milliseconds."""
    for rate in (16_000, 44_100, 8_000):
        clip, part = tmp_path / f"{rate}.wav", rate + rate // 3
        soundfile.write(clip, tone(1, 3 * rate, rate).T, rate)
        assert command("compress", clip, tmp_path / "a.grit", "--force")[0] == 0
        options = ["--duration", part / rate, "--model", tiny_model, "--force"]
        assert command("cut", tmp_path / "a.grit", tmp_path / "b.grit", *options)[0] == 0
        for name in ("a", "b"):
            assert command("decompress", tmp_path / f"{name}.grit", tmp_path / f"{name}.wav", "--force")[0] == 0
        whole, found = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("a", "b"))
        end = part if rate == 16_000 else part - rate // 200
        assert len(found) == part and abs(whole[:end] - found[:end]).max() < 4e-5
