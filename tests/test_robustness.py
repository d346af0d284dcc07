"""What goes wrong on real machines: one clear line, the right exit code, nothing half-written."""

import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import heed_interrupts, tone

import gritcodec
from gritcodec.cli import app as cli

resource = pytest.importorskip("resource", reason="needs a Unix")


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(1, 32000, 16000).T, 16000)
    return path


@pytest.fixture
def packed(tmp_path, tiny_model):
    path = tmp_path / "packed.grit"
    path.write_bytes(gritcodec.load(tiny_model).compress(tone(1, 16000, 16000), 16000, 0.5))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def run(*arguments, **options):
    command = [sys.executable, "-m", "gritcodec", *(a if isinstance(a, bytes) else str(a) for a in arguments)]
    return subprocess.run(command, **{"capture_output": True, "text": True, "timeout": 60, **options})


def assert_error(done, code, *words):
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("gritcodec: error: ") and done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr, done.stderr


def limit_file_size(size):
    # Python ignores SIGXFSZ, so that a write beyond the limit fails as one on a full disk does.
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("keep", [0, 1, 4, 5, 12, 20, 30, 60])
def test_nothing_left(packed, tmp_path, tiny_model, capsys, keep):
    packed.write_bytes(packed.read_bytes()[:keep])
    assert cli.main(["decompress", str(packed), "--model", str(tiny_model)]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert any(word in captured.err for word in ("cut short", "empty", "none of its packets"))
    assert names(tmp_path) == ["packed.grit"]


def test_cut_and_flipped_files_give_what_is_there(tmp_path, tiny_model, capsys):
    """Three packets of a second: whatever happens to a byte, the others come through, and the exit code tells."""
    codec = gritcodec.load(tiny_model)
    data = codec.compress(tone(1, 45_000, 16000), 16000, 0.5)
    whole = codec.decompress(data)[0]
    source, target = tmp_path / "x.grit", tmp_path / "x.wav"
    arguments = ["decompress", str(source), "--model", str(tiny_model), "--force"]
    for keep in (130, 220, len(data) - 60, len(data) - 1):
        source.write_bytes(data[:keep])
        assert cli.main(arguments) == 3 and "gritcodec: " in capsys.readouterr().err
        found = soundfile.read(target, dtype="float32")[0]
        assert 20_000 < len(found) <= 45_000 and np.abs(found - whole[0, : len(found)].clip(-1, 1)).max() < 1e-4
        assert cli.main([*arguments, "--strict"]) == 1
        capsys.readouterr()
    for position in (*range(0, len(data), 7), len(data) - 1):
        source.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        target.unlink()
        assert cli.main(arguments) == 3, position
        captured = capsys.readouterr()
        assert captured.err.startswith(f"gritcodec: {source}: ") and captured.err.count("\n") == 1
        assert soundfile.info(target).frames == 45_000
        target.unlink()
        assert cli.main([*arguments, "--strict"]) == 1 and not target.exists()
        assert capsys.readouterr().err.startswith("gritcodec: error: ")
        target.touch()
    assert names(tmp_path) == ["x.grit", "x.wav"]


def test_stale_temporary_files_go(clip, tmp_path, tiny_model):
    """What a killed process has left is removed, what another one is writing is not."""
    stale, fresh = tmp_path / ".gritcodec-0.part", tmp_path / ".gritcodec-1.part"
    stale.touch()
    fresh.touch()
    os.utime(stale, (1, 1))
    assert cli.main(["compress", str(clip), "--model", str(tiny_model)]) == 0
    assert not stale.exists() and fresh.exists()


def test_wrong_model(packed, tmp_path, tiny_model, other_model):
    fingerprint = gritcodec.load(tiny_model).fingerprint
    done = run("decompress", packed, tmp_path / "out.wav", "--model", other_model)
    assert_error(done, 1, fingerprint, "other")
    assert_error(run("decompress", packed, tmp_path / "out.wav"), 1, fingerprint, "--model")
    assert names(tmp_path) == ["packed.grit"]


def test_damaged_model(clip, tmp_path, tiny_model):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.yaml").write_bytes((tiny_model / "config.yaml").read_bytes())
    (folder / "weights.safetensors").write_bytes((tiny_model / "weights.safetensors").read_bytes()[:-1000])
    assert_error(run("compress", clip, "--model", folder), 2, "weights.safetensors")
    assert names(tmp_path) == ["clip.wav", "model"]


def test_not_ours(clip, tmp_path):
    assert_error(run("decompress", clip, tmp_path / "out.wav"), 1, "not a .grit file")
    assert_error(run("info", clip), 1, f"{clip}: not a .grit file")
    (tmp_path / "empty.grit").touch()
    for arguments in (("info",), ("decompress",), ("truncate", "-b", "1"), ("cut", "--duration", "1"), ("remux",)):
        verb, *options = arguments
        out = [] if verb in ("info", "decompress") else [tmp_path / "x.grit"]
        done = run(verb, tmp_path / "empty.grit", *out, *options)
        assert_error(done, 1, f"{tmp_path / 'empty.grit'}: not a .grit file: it is empty")
    (tmp_path / "empty.grit").unlink()
    assert names(tmp_path) == ["clip.wav"]


@pytest.mark.parametrize(
    ("rate", "channels", "samples"),
    [
        (16000, 1, 0),
        (44100, 2, 0),
        (16000, 1, 1),
        (192000, 1, 1),
        (16000, 1, 800),
        (192000, 1, 9600),
        (192000, 8, 20000),
        (8000, 8, 8001),
    ],
)
@pytest.mark.parametrize("level", [0.0, 0.3])
def test_odd_audio_goes_through(tmp_path, tiny_model, capsys, rate, channels, samples, level):
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, tone(channels, samples, rate, level).T, rate)
    for arguments in (
        ["compress", source, "--model"],
        ["decompress", tmp_path / "in.grit", target, "--model"],
    ):
        assert cli.main([*map(str, arguments), str(tiny_model)]) == 0
    assert cli.main(["info", str(tmp_path / "in.grit")]) == 0
    assert cli.main(["roundtrip", str(source), "--model", str(tiny_model)]) == 0
    assert capsys.readouterr().err == ""
    found = soundfile.info(target)
    assert (found.frames, found.channels, found.samplerate) == (samples, channels, rate)


def test_empty_file(tmp_path, tiny_model):
    (tmp_path / "empty.wav").write_bytes(b"")
    assert_error(run("compress", tmp_path / "empty.wav", "--model", tiny_model), 1, "empty (0 bytes)")
    assert names(tmp_path) == ["empty.wav"]


def test_not_a_number(tmp_path, tiny_model):
    waveform = tone(1, 70000, 16000)[0]
    waveform[[40000, 65000]] = np.nan
    soundfile.write(tmp_path / "nan.wav", waveform, 16000, subtype="FLOAT")
    for verb in ("compress", "roundtrip"):
        done = run(verb, tmp_path / "nan.wav", "--model", tiny_model)
        assert_error(done, 1, "2 samples are NaN or infinite, the first at position 40,000 (2.500 s)")
    assert names(tmp_path) == ["nan.wav"]


def test_input_that_breaks_off(tmp_path, tiny_model):
    """A flac file cut in the middle: what is there is coded, and what is missing is said."""
    path = tmp_path / "cut.flac"
    soundfile.write(path, tone(1, 160000, 16000).T, 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = run("compress", path, "--model", tiny_model)
    assert done.returncode == 3 and "of 10.00 s are there" in done.stderr and done.stderr.count("\n") == 1
    assert names(tmp_path) == ["cut.flac", "cut.grit"]
    assert_error(run("compress", path, "--strict", "--force", "--model", tiny_model), 1, "are missing")


def test_missing_output_folder(clip, packed, tmp_path, tiny_model):
    missing = tmp_path / "no" / "such"
    assert_error(run("compress", clip, missing / "x.grit", "--model", tiny_model), 2, "there is no folder")
    assert_error(run("decompress", packed, missing / "x.wav", "--model", tiny_model), 2, "there is no folder")
    assert names(tmp_path) == ["clip.wav", "packed.grit"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_output_folder(clip, tmp_path, tiny_model):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    assert_error(run("compress", clip, folder / "x.grit", "--model", tiny_model), 1, "Permission denied")


@pytest.mark.parametrize("size", [0, 20, 300])
def test_disk_full_when_compressing(clip, tmp_path, tiny_model, size):
    done = run("compress", clip, "--model", tiny_model, preexec_fn=limit_file_size(size))
    assert_error(done, 1, "cannot write", "clip.grit", "File too large")
    assert names(tmp_path) == ["clip.wav"]


@pytest.mark.parametrize(("name", "size"), [("o.wav", 0), ("o.wav", 20), ("o.wav", 9000), ("o.flac", 9000)])
def test_disk_full_when_decompressing(packed, tmp_path, tiny_model, name, size):
    target = tmp_path / name
    done = run("decompress", packed, target, "--model", tiny_model, preexec_fn=limit_file_size(size))
    assert_error(done, 1, "cannot write", name, "File too large")
    assert names(tmp_path) == ["packed.grit"]


def test_disk_full_keeps_the_old_file(clip, tmp_path, tiny_model):
    old = tmp_path / "clip.grit"
    old.write_bytes(b"precious")
    done = run("compress", clip, "--force", "--model", tiny_model, preexec_fn=limit_file_size(100))
    assert_error(done, 1, "cannot write")
    assert old.read_bytes() == b"precious" and names(tmp_path) == ["clip.grit", "clip.wav"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_devices_are_not_replaced(clip, tiny_model):
    for device in ("/dev/full", "/dev/null"):
        assert_error(run("compress", clip, device, "--force", "--model", tiny_model), 2, "not a regular file")
        assert not Path(device).is_file()


def test_closed_pipe_is_quiet(packed):
    reader, writer = os.pipe()
    os.close(reader)
    done = run("info", packed, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == 141 and done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_full_standard_output(packed):
    with open("/dev/full", "w") as full:
        for arguments in (("info", packed), ("models",), ("--help",), ("truncate", packed, "-", "-b", "0.5")):
            done = run(*arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
            assert done.returncode == 1
            assert done.stderr == "gritcodec: error: standard output: No space left on device\n"


def test_closed_standard_streams(clip, tmp_path, tiny_model):
    """With 0, 1 and 2 closed the files that are opened must not become stdout."""
    expected = gritcodec.load(tiny_model).compress(soundfile.read(clip, dtype="float32")[0][None], 16000)
    shell = 'exec "$@" <&- >&- 2>&-'
    command = [sys.executable, "-m", "gritcodec", "compress", str(clip), "--model", str(tiny_model)]
    assert subprocess.run(["sh", "-c", shell, "sh", *command], timeout=60).returncode == 0
    assert (tmp_path / "clip.grit").read_bytes() == expected


@pytest.mark.parametrize(
    "name", ["/dev/stdout", *(pytest.param(f"{of}/fd/1", marks=pytest.mark.slow) for of in ("/dev", "/proc/self"))]
)
def test_standard_output_by_its_name_is_the_pipe(clip, packed, tmp_path, tiny_model, name):
    """Redirected to a file or a pipe: never opened anew, replaced, or taken for one more input."""
    model = ("--model", tiny_model)
    for arguments in (
        ("compress", clip, "{}", *model),
        ("decompress", packed, "{}", *model),
        ("truncate", packed, "{}", "-b", "0.5"),
        ("join", packed, packed, "{}"),
        ("remux", packed, "{}", "--container", "ogg"),
    ):
        found = []
        for out in ("-", name):
            command = [out if each == "{}" else each for each in arguments]
            piped = run(*command, text=False)
            with open(tmp_path / "redirected", "wb") as file:
                done = run(*command, capture_output=False, stdout=file, stderr=subprocess.PIPE)
            assert done.returncode == piped.returncode == 0, done.stderr
            found += [piped.stdout, (tmp_path / "redirected").read_bytes()]
        # What knows nothing of time is in none of them: all four are the same.
        assert found[0] and found[0] == found[2] and found[1] == found[3], arguments
    assert names(tmp_path) == ["clip.wav", "packed.grit", "redirected"]


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0"])
def test_standard_input_by_its_name(clip, tmp_path, tiny_model, name):
    done = run("compress", name, tmp_path / "a.grit", "--model", tiny_model, input=clip.read_bytes(), text=False)
    assert done.returncode == 0, done.stderr
    done = run("info", name, input=(tmp_path / "a.grit").read_bytes(), text=False)
    assert done.returncode == 0 and b"sample rate" in done.stdout


def test_a_result_for_a_closed_standard_output(clip, packed, tiny_model):
    model = ("--model", tiny_model)
    for arguments in (
        ("compress", clip, "-", *model),
        ("decompress", packed, "-", *model),
        ("truncate", packed, "-", "-b", "0.5"),
    ):
        shell = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "gritcodec", *map(str, arguments)]
        done = subprocess.run(shell, capture_output=True, text=True, timeout=60)
        assert_error(done, 1, "standard output is closed")


def test_closed_standard_input(clip, tmp_path, tiny_model):
    done = run("compress", clip, "--model", tiny_model, stdin=subprocess.DEVNULL, preexec_fn=lambda: os.close(0))
    assert done.returncode == 0 and done.stderr == ""
    assert names(tmp_path) == ["clip.grit", "clip.wav"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(tmp_path, tiny_model, number, code):
    """Hours of silence in a sparse file: long enough to be stopped in the middle."""
    source = tmp_path / "long.wav"
    samples = 10 * 3600 * 16000
    with wave.open(str(source), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.setnframes(samples)
        file.writeframes(b"")
    header = bytearray(source.read_bytes()[:44])
    header[4:8], header[40:44] = (2 * samples + 36).to_bytes(4, "little"), (2 * samples).to_bytes(4, "little")
    source.write_bytes(header)
    os.truncate(source, 44 + 2 * samples)
    command = [sys.executable, "-m", "gritcodec", "compress", str(source), "--model", str(tiny_model)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    deadline = time.monotonic() + 30
    while len(names(tmp_path)) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None and len(names(tmp_path)) == 2
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code and out == ""
    assert err == ("gritcodec: interrupted\n" if number == signal.SIGINT else "")
    assert names(tmp_path) == ["long.wav"]


def bare_locale(**more):
    """The environment of a process whose locale knows nothing but ASCII, and where Python leaves it so."""
    return {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", **more}


def test_text_beyond_ascii_where_the_locale_has_none(clip, tmp_path, tiny_model):
    tags = ["--tag", "TITLE=Émma 语", "--mark", "1=Überblick"]
    for name, environment in (("a", None), ("b", bare_locale()), ("c", {**os.environ, "LC_ALL": "C"})):
        done = run("compress", clip, tmp_path / f"{name}.grit", *tags, "--model", tiny_model, env=environment)
        assert done.returncode == 0 and done.stderr == ""
    assert len({(tmp_path / f"{name}.grit").read_bytes() for name in "abc"}) == 1
    done = run("info", tmp_path / "a.grit", "--json", env=bare_locale())
    assert done.returncode == 0 and json.loads(done.stdout)["tags"] == {"TITLE": "Émma 语"}
    assert run("info", tmp_path / "a.grit", env=bare_locale()).returncode == 0
    done = run("compress", clip, tmp_path / "d.grit", "--tag", b"TITLE=\xe9", "--model", tiny_model)
    assert_error(done, 2, "--tag: 'TITLE=\\udce9' is not UTF-8 text")


def test_names_that_are_no_text(clip, tmp_path, tiny_model):
    odd = os.fsencode(tmp_path) + b"/\xff\xe9"
    (tmp_path / "clip.wav").rename(os.fsdecode(odd + b".wav"))
    model = ("--model", tiny_model)
    for environment in (None, bare_locale()):
        for arguments in (
            ("compress", odd + b".wav", odd + b".grit", "-f", *model),
            ("decompress", odd + b".grit", odd + b".flac", "-f", *model),
            ("info", odd + b".grit"),
            ("truncate", odd + b".grit", odd + b"2.grit", "-b", "1", "-f"),
            ("join", odd + b".grit", odd + b"2.grit", odd + b"3.grit", "-f"),
            ("remux", odd + b".grit", odd + b".oga", "-f"),
            ("roundtrip", odd + b".wav", odd + b"2.wav", "-f", *model),
        ):
            done = run(*arguments, env=environment)
            assert done.returncode == 0 and done.stderr == "", done.stderr
        for arguments in (("info", odd), ("compress", odd + b".flac", odd + b".grit"), ("decompress", odd + b".wav")):
            done = run(*arguments, env=environment)
            assert_error(done, done.returncode, "\\udcff")
            assert done.returncode in (1, 2) and "this is a bug" not in done.stderr
