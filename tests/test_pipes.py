"""Pipes, raw samples, folders: through the installed command, as a shell would use it."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import heed_interrupts, tone

import gritcodec
from gritcodec import bitstream, units
from gritcodec.cli import app as cli
from gritcodec.cli import naming
from gritcodec.errors import UsageError

COMMAND = [sys.executable, "-m", "gritcodec"]


@pytest.fixture(autouse=True)
def _keep_signal_handlers():
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGHUP)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def run(*arguments, data=b"", model=None):
    options = ["--model", str(model)] if model else []
    command = [*COMMAND, *map(str, arguments), *options]
    done = subprocess.run(command, input=data, capture_output=True, timeout=120)
    # Not of workers either, on their way out.
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr.decode()


def pcm(waveform):
    return np.clip(np.rint(waveform.T * 32768), -32768, 32767).astype("<i2")


def test_raw_through_pipes(tiny_model):
    waveform = tone(2, 30_001, 44100)
    sound = pcm(waveform)
    code, packed, err = run(
        "compress", "-", "-", "--raw", "s16le", "--rate", 44100, "--channels", 2, data=sound.tobytes(), model=tiny_model
    )
    assert code == 0, err
    assert err.startswith("standard output: ") and err.count("\n") == 1
    header = bitstream.whole_header(packed)
    assert (header.sample_rate, header.channels, header.num_samples) == (44100, 2, 30_001)
    code, raw, err = run("decompress", "-", "-", "--raw", "s16le", data=packed, model=tiny_model)
    assert code == 0 and len(raw) == sound.nbytes, err
    decoded, _ = gritcodec.load(tiny_model).decompress(packed)
    assert np.array_equal(np.frombuffer(raw, "<i2").reshape(-1, 2), pcm(decoded))
    code, wav, err = run("decompress", "-", data=packed, model=tiny_model)
    found, rate = soundfile.read(io.BytesIO(wav), dtype="int16", always_2d=True)
    assert code == 0 and rate == 44100 and np.array_equal(found[:30_001].tobytes(), raw)


@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "PCM_24"), ("FLAC", "PCM_16")]
)
def test_audio_formats_through_a_pipe(tmp_path, tiny_model, kind, subtype):
    sound = io.BytesIO()
    soundfile.write(sound, tone(1, 12_345, 16000).T, 16000, format=kind, subtype=subtype)
    (tmp_path / "in").write_bytes(sound.getvalue())
    expected = gritcodec.load(tiny_model)
    code, out, err = run("compress", "-", tmp_path / "a.grit", data=sound.getvalue(), model=tiny_model)
    assert code == 0 and out.startswith(str(tmp_path / "a.grit").encode()), err
    expected.compress_file(tmp_path / "in", tmp_path / "b.grit")
    assert (tmp_path / "a.grit").read_bytes() == (tmp_path / "b.grit").read_bytes()


def test_bad_pipes(tmp_path, tiny_model):
    for arguments, data, code, words in (
        (("compress", "-", "-"), b"", 1, "standard input"),
        (("compress", "-", "-"), b"RIFF\0\0\0\0WAVE", 1, "no samples"),
        (("compress", "-", "-", "--raw", "s16le"), b"", 2, "--rate"),
        (("compress", "-", "-", "--raw", "mp3", "--rate", 8000), b"", 2, "no raw format"),
        (("compress", "-", "-", "--rate", 8000), b"", 2, "--raw"),
        (("compress", "-", "-", "--raw", "f32le", "--rate", 8000), b"\0\0\xc0\x7f", 1, "NaN"),
        (("decompress", "-", "-"), b"", 1, "empty"),
        (("decompress", "-", "-"), b"RIFF" * 100, 1, "not a .grit file"),
    ):
        found = run(*arguments, data=data, model=tiny_model)
        assert found[0] == code and words in found[2] and found[2].count("\n") == 1, (arguments, found[2])


def test_first_bytes_come_before_the_input_ends(tiny_model):
    """Two processes, as in a live call: sound comes out at the far end while the near end is still open."""
    raw = ["--raw", "s16le", "--model", str(tiny_model)]
    pipe = subprocess.PIPE
    near = subprocess.Popen([*COMMAND, "compress", "-", "-", "--rate", "16000", *raw], stdin=pipe, stdout=pipe)
    far = subprocess.Popen([*COMMAND, "decompress", "-", "-", *raw], stdin=near.stdout, stdout=pipe)
    near.stdout.close()
    sound = pcm(tone(1, 80_000, 16000)).tobytes()
    near.stdin.write(sound)
    near.stdin.flush()
    # Five seconds went in: three packets are whole, and two hops are held back.
    heard = far.stdout.read(2 * (3 * 20480 - 1000))
    assert near.poll() is None and far.poll() is None
    near.stdin.close()
    heard += far.stdout.read()
    assert near.wait(60) == far.wait(60) == 0 and len(heard) == len(sound)


def test_damage_in_a_pipe(tiny_model):
    data = b"".join(gritcodec.load(tiny_model).compress_live(iter([tone(1, 100_000, 16000)]), 16000, 1, 1.0))
    code, out, err = run("decompress", "-", "-", "--raw", "s16le", data=data[:200] + data[201:], model=tiny_model)
    assert code == 3 and len(out) == 200_000 and "lost 1.28 s to 2.56 s" in err
    code, out, err = run("decompress", "-", "-", "--raw", "s16le", data=data[:-60], model=tiny_model)
    assert code == 3 and 160_000 < len(out) <= 200_000 and "cut off" in err
    code, _, err = run("decompress", "-", "-", "--strict", data=data[:-60], model=tiny_model)
    assert code == 1 and "error" in err


def test_interrupted_reader(tiny_model, tmp_path):
    """Whoever reads has left: no message, as with any Unix tool."""
    (tmp_path / "a.grit").write_bytes(gritcodec.load(tiny_model).compress(tone(1, 900_000, 16000), 16000))
    done = subprocess.Popen(
        [*COMMAND, "decompress", str(tmp_path / "a.grit"), "-", "--model", str(tiny_model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    done.stdout.read(100)
    done.stdout.close()
    assert done.wait(60) == 141 and done.stderr.read() == b""


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.wav", "b.flac", "deep/c.wav"):
        soundfile.write(folder / name, tone(1, 8000, 16000).T, 16000)
    (folder / "notes.txt").write_text("no audio")
    return folder


@pytest.mark.parametrize("jobs", [1, 2])
def test_folders(recordings, tmp_path, tiny_model, jobs):
    out, back = tmp_path / "out", tmp_path / "back"
    code, stdout, err = run("compress", recordings, out, "--jobs", jobs, model=tiny_model)
    assert code == 0 and stdout == b"", err
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))
    assert made == ["a.grit", "b.grit", "deep/c.grit"]
    assert "3 files in" in err and "3 done" in err and "notes" not in err
    (out / "a.grit").unlink()
    kept = (out / "b.grit").stat().st_mtime_ns
    code, _, err = run("compress", recordings, out, model=tiny_model)
    assert code == 0 and "1 done" in err and "2 skipped" in err and (out / "b.grit").stat().st_mtime_ns == kept
    data = (out / "b.grit").read_bytes()
    (out / "b.grit").write_bytes(data[:-1])
    (out / "a.grit").write_bytes(b"nonsense")
    code, _, err = run("decompress", out, back, "--jobs", jobs, model=tiny_model)
    assert code == 1 and "1 failed" in err and "1 damaged" in err and "1 done" in err and "not a .grit file" in err
    assert sorted(path.name for path in back.rglob("*.wav")) == ["b.wav", "c.wav"]
    (out / "a.grit").unlink()
    code, _, err = run("decompress", f"{out}/**/*.grit", "--force", model=tiny_model)
    assert code == 3 and (out / "deep" / "c.wav").exists()


def test_what_folders_refuse(recordings, tmp_path):
    with pytest.raises(UsageError, match=r"no \.grit files"):
        naming.plan([recordings], None, naming.grit_to_audio(True), ".wav")
    with pytest.raises(UsageError, match="is a file"):
        naming.plan([recordings], recordings / "a.wav", naming.audio_to_grit(".grit"), ".grit")
    assert cli.main(["compress", str(recordings / "b.flac"), str(recordings), "--jobs", "0"]) == 2


def test_truncate_and_join_need_no_torch(tmp_path, tiny_model):
    data = gritcodec.load(tiny_model).compress(tone(1, 200_000, 16000), 16000, 6.0)
    (tmp_path / "a.grit").write_bytes(data)
    code = (
        "import sys; from gritcodec.cli.app import main; "
        "assert main(['truncate', 'a.grit', 'b.grit', '--bitrate', '1.5']) == 0; "
        "assert main(['truncate', 'a.grit', 'c.grit', '--target-size', '3kB']) == 0; "
        "assert main(['join', 'b.grit', 'c.grit', 'a.grit', 'd.grit']) == 0; "
        "assert main(['info', 'd.grit']) == 0; "
        "heavy = {'torch', 'soundfile', 'soxr'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b.grit").read_bytes() == bitstream.truncate(data, 1.5)
    assert 2900 < (tmp_path / "c.grit").stat().st_size <= 3000
    code, _, err = run("truncate", tmp_path / "b.grit", tmp_path / "e.grit", "--bitrate", 3)
    assert code == 2 and "not to 3" in err
    assert cli.main(["truncate", str(tmp_path / "a.grit"), str(tmp_path / "e.grit")]) == 2
    assert cli.main(["join", str(tmp_path / "a.grit")]) == 2


def test_size_tags_and_parts(tmp_path, tiny_model, capsys):
    soundfile.write(tmp_path / "a.wav", tone(1, 320_000, 16000).T, 16000)
    options = ["--model", str(tiny_model)]
    path = str(tmp_path / "a.grit")
    assert cli.main(["compress", str(tmp_path / "a.wav"), "--target-size", "5kB", "--tag", "who=Ä=b", *options]) == 0
    assert 4900 < Path(path).stat().st_size <= 5000
    assert cli.main(["compress", str(tmp_path / "a.wav"), "--target-size", "1kB", "--force", *options]) == 2
    assert cli.main(["compress", str(tmp_path / "a.wav"), "--target-size", "1kB", "-b", "3", *options]) == 2
    assert cli.main(["compress", str(tmp_path / "a.wav"), "--tag", "nonsense", "--force", *options]) == 2
    capsys.readouterr()
    assert cli.main(["info", path]) == 0
    assert "who=Ä=b" in capsys.readouterr().out
    part = str(tmp_path / "part.wav")
    assert cli.main(["decompress", path, part, "--start", "0:12.5", "--duration", "2", *options]) == 0
    assert soundfile.info(part).frames == 32_000
    assert cli.main(["decompress", path, part, "--start", "20", "--force", *options]) == 2
    assert cli.main(["decompress", path, part, "--start", "soon", "--force", *options]) == 2


def test_sizes_and_times():
    assert [units.parse_size(text) for text in ("100kB", "1.5 MB", "64KiB", "12345", "7b")] == [
        100_000,
        1_500_000,
        65_536,
        12_345,
        7,
    ]
    assert [units.parse_time(text) for text in ("5", "1:00", "1:02:03.5", ".5")] == [5, 60, 3723.5, 0.5]
    for text in ("", "kB", "-1", "1:2:3:4", "1e3"):
        with pytest.raises(UsageError):
            units.parse_size(text + "x")
        with pytest.raises(UsageError):
            units.parse_time(text)


def test_killed_batch_leaves_nothing(recordings, tmp_path, tiny_model):
    for number in range(30):
        soundfile.write(recordings / f"n{number}.wav", tone(1, 300_000, 16000).T, 16000)
    command = [*COMMAND, "compress", str(recordings), str(tmp_path / "out"), "--jobs", "2", "--model", str(tiny_model)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=heed_interrupts)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*.grit")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert not list((tmp_path / "out").glob(".*.part"))
