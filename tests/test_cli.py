"""The command line: every verb, what it prints, its exit codes; the installed command comes last."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone

import gritcodec
from gritcodec import model_store
from gritcodec.cli import app as cli
from gritcodec.cli import coding

HANDLED = (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))


@pytest.fixture(autouse=True)
def _keep_signal_handlers():
    before = [(number, signal.getsignal(number)) for number in HANDLED]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(2, 44100, 44100).T, 44100)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_error(result, code, *words):
    assert result[0] == code, result
    assert result[1] == ""
    assert result[2].startswith("gritcodec: error: ") and result[2].count("\n") == 1
    for word in words:
        assert word in result[2]


def test_parts_of_a_file_that_is_cut_off(command, tmp_path, tiny_model):
    soundfile.write(tmp_path / "long.wav", tone(1, 160_000, 16_000)[0], 16_000)
    assert command("compress", tmp_path / "long.wav")[0] == 0
    data = (tmp_path / "long.grit").read_bytes()
    (tmp_path / "cut.grit").write_bytes(data[: len(data) // 2])
    here = tmp_path / "cut.grit"
    # Whether the end is looked at depends on how far ahead packets are read.
    code, _, err = command("decompress", here, tmp_path / "part.wav", "--start", "1", "--duration", "2.5")
    assert (code, err) == (0, "") or (code == 3 and "the part that is asked for is whole" in err)
    assert soundfile.info(tmp_path / "part.wav").frames == 40_000
    code, _, err = command("decompress", here, tmp_path / "none.wav", "--start", "9")
    assert code == 1 and "nothing of what is asked for is there: cut off at" in err and err.count("\n") == 1
    assert not (tmp_path / "none.wav").exists()
    # Nobody but the model knows how long the rest is, and this one is not among those that are found.
    code, _, err = command("join", here, tmp_path / "long.grit", tmp_path / "out.grit")
    assert code == 1 and err.count("\n") == 1 and f"{here}: the file is cut short, and only its model" in err
    joined = tmp_path / "joined.grit"
    code, _, err = command("join", here, tmp_path / "long.grit", joined, "--model", tiny_model)
    assert code == 3 and err.count("\n") == 1 and "cut short" in err
    assert command("decompress", joined, tmp_path / "joined.wav")[0] == 0
    (tmp_path / "head.grit").write_bytes(data[:60])
    code, _, err = command("remux", tmp_path / "head.grit", tmp_path / "out.mka")
    assert code == 1 and err.count("\n") == 1 and "damaged beyond use" in err
    assert not list(tmp_path.glob("out.*"))


def test_what_is_said_of_a_few_samples(command, tmp_path):
    soundfile.write(tmp_path / "few.wav", np.full(16, 0.1), 16_000, subtype="PCM_16")
    code, out, err = command("compress", tmp_path / "few.wav")
    size = (tmp_path / "few.grit").stat().st_size
    assert code == 0 and err == "" and f" {size / 32:.2g} times larger than 16-bit PCM, " in out
    code, out, _ = command("info", tmp_path / "few.grit", "--json")
    assert code == 0 and json.loads(out)["ratio"] == float(f"{32 / size:.2g}")
    code, out, _ = command("compress", tmp_path / "few.wav", "--tag", f"comment={4000 * 'x'}", "--force")
    assert code == 0 and " 260 times larger than 16-bit PCM, " in out


def test_there_and_back(command, clip, tmp_path):
    code, out, err = command("compress", clip, "--bitrate", "1.5")
    packed = tmp_path / "clip.grit"
    size = packed.stat().st_size
    assert code == 0 and err == "" and out.count("\n") == 1
    assert out.startswith(
        f"{packed}: {size:,} bytes, {size * 8 / 1000:.2f} kbps for 2 channels, "
        f"{round(176400 / size, 1):g} times smaller"
    )
    assert "1.00 s of audio" in out and "times real time" in out
    for name in ("back.wav", "back.flac"):
        code, out, err = command("decompress", packed, tmp_path / name)
        assert code == 0 and err == "" and out.count("\n") == 1
        found = soundfile.info(tmp_path / name)
        assert (found.frames, found.channels, found.samplerate, found.subtype) == (44100, 2, 44100, "PCM_16")


def test_default_names_never_overwrite(command, clip, tmp_path):
    before = clip.read_bytes()
    assert command("compress", clip)[0] == 0
    assert_error(command("compress", clip), 2, "clip.grit exists already", "--force")
    assert_error(command("decompress", tmp_path / "clip.grit"), 2, "clip.wav exists already")
    assert clip.read_bytes() == before
    for flag in ("--force", "--overwrite", "-f"):
        assert command("compress", clip, flag)[0] == 0
    assert_error(command("compress", clip, clip, "--force"), 2, "same file")
    assert names(tmp_path) == ["clip.grit", "clip.wav"]


def test_the_wrong_verb_is_told_the_right_one(command, clip, tmp_path):
    packed = tmp_path / "clip.grit"
    assert command("compress", clip, packed)[0] == 0
    for target in ((), (tmp_path / "other.grit",), (tmp_path / "other.oga",)):
        assert_error(command("compress", packed, *target), 1, "compressed already", "decompress")
    assert_error(command("decompress", clip), 1, "clip.wav is no .grit file", "compress")
    assert names(tmp_path) == ["clip.grit", "clip.wav"]


def test_info(command, clip, tmp_path, tiny_model):
    command("compress", clip, "-b", "2")
    packed = tmp_path / "clip.grit"
    size = packed.stat().st_size
    code, out, _ = command("info", packed, "--json")
    facts = json.loads(out)
    assert code == 0 and facts["bytes"] == size and facts["format_version"] == 1
    assert facts["fingerprint"] == gritcodec.load(tiny_model).fingerprint and facts["model"] is None
    assert (facts["sample_rate"], facts["channels"], facts["samples"]) == (44100, 2, 44100)
    assert (facts["stages"], facts["code_bits"], facts["frames"], facts["packets"]) == (4, 10, 51, 1)
    assert facts["mean_stages"] == 4 and facts["coding"] == "plain" and facts["damage"] == []
    parts = [facts[f"{part}_bytes"] for part in ("payload", "header", "check", "end")]
    assert sum(parts) == size == parts[0] + facts["overhead_bytes"]
    assert facts["kbps"] == pytest.approx(size * 8 / 1000) and facts["seconds"] == 1.0
    code, out, _ = command("info", packed)
    assert code == 0 and f"{'bytes':<30}{size:,}" in out


def test_info_knows_shipped_models(command, clip, tmp_path, tiny_model, monkeypatch, capsys):
    monkeypatch.setattr(model_store, "SHIPPED", tiny_model.parent)
    command("compress", clip)
    assert json.loads(command("info", tmp_path / "clip.grit", "--json")[1])["model"] == "tiny"
    assert cli.main(["decompress", str(tmp_path / "clip.grit"), str(tmp_path / "b.wav")]) == 0
    capsys.readouterr()
    code, out, _ = command("models")
    assert code == 0 and out.startswith("tiny") and "0.5 to 6 kbps" in out and "35 ms" in out


def test_no_models(command, tmp_path, monkeypatch):
    monkeypatch.setattr(model_store, "SHIPPED", tmp_path / "none")
    assert command("models")[:2] == (0, "no models come with this installation: give --model a folder\n")


def test_roundtrip(command, clip, tmp_path):
    code, out, err = command("roundtrip", clip, tmp_path / "back.wav", "--bitrate", "6")
    assert code == 0 and err == ""
    labels = [line.split()[0] for line in out.splitlines()]
    assert labels[:5] == ["input", "compressed", "encode", "decode", "output"] and "PESQ-WB" in out and "STOI" in out
    assert soundfile.info(tmp_path / "back.wav").frames == 44100
    assert_error(command("roundtrip", clip, tmp_path / "back.wav"), 2, "--force")
    assert names(tmp_path) == ["back.wav", "clip.wav"]


def test_roundtrip_without_the_metrics(command, clip, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, out, _ = command("roundtrip", clip)
    assert code == 0 and "pip install 'gritcodec[evaluate]'" in out


def test_roundtrip_of_silence(command, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000), 16000)
    code, out, _ = command("roundtrip", tmp_path / "silence.wav")
    assert code == 0 and "PESQ-WB    - (" in out


def test_train_calls_the_trainer(command, tmp_path, monkeypatch):
    from gritcodec.train import run

    calls = []

    def trainer(config, **options):
        calls.append((config, options))

    monkeypatch.setattr(run, "main", trainer)
    assert command("train", "a.yaml", "--smoke", "--no-resume", "--minutes", "5")[:2] == (0, "")
    assert calls == [(Path("a.yaml"), {"smoke": True, "resume": False, "minutes": 5.0, "cpu": False})]

    def without_accelerate(config, **options):
        raise ModuleNotFoundError("No module named 'accelerate'", name="accelerate")

    monkeypatch.setattr(run, "main", without_accelerate)
    assert_error(command("train", "a.yaml"), 2, "accelerate", "gritcodec[train]")


def test_bad_use(command, clip, tmp_path, capsys):
    assert_error(command("compress", tmp_path / "none.wav"), 2, "there is no file", "none.wav")
    assert_error(command("info", tmp_path), 2, "there are no .grit files in")
    assert_error(command("roundtrip", tmp_path), 2, "is a folder")
    assert_error(command("compress", clip, tmp_path / "no" / "x.grit"), 2, "there is no folder")
    assert_error(command("compress", clip, "--bitrate", "0.1"), 2, "it has 0.5, 1, 1.5")
    assert_error(command("compress", clip, "--bitrate", "much"), 2, "--bitrate: 'much' is not a bitrate")
    assert_error(command("compress", clip, "--effort", "much"), 2, "--effort", "compress --help")
    assert_error(command("compress", clip, "--nonsense"), 2, "--nonsense")
    assert_error(command("compress"), 2, "Missing argument")
    assert_error(command("nonsense"), 2, "nonsense")
    code = cli.main(["compress", str(clip), "--model", "nonsense"])
    assert_error((code, *capsys.readouterr()), 2, "no model 'nonsense'")
    command("compress", clip)
    assert_error(command("decompress", tmp_path / "clip.grit", tmp_path / "x.aac"), 2, ".wav or .flac")
    assert names(tmp_path) == ["clip.grit", "clip.wav"]


def test_debug_shows_where(clip, tmp_path, capsys):
    assert cli.main(["info", str(clip), "--debug"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and err.endswith("does not begin as one\n")
    assert cli.main(["info", str(clip)]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_one_line_too(command, clip, monkeypatch):
    def broken(*_):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(coding, "_load", broken)
    assert_error(command("compress", clip), 1, "this is a bug: RuntimeError: two lines", "--debug")


def test_odd_file_names(command, tmp_path):
    source = tmp_path / "na\nme \udcff é.wav"
    soundfile.write(str(tmp_path / "x.wav"), tone(1, 100, 16000).T, 16000)
    (tmp_path / "x.wav").rename(source)
    code, out, _ = command("compress", source)
    assert code == 0 and source.with_suffix(".grit").exists() and "bytes" in out
    assert_error(command("compress", source), 2, "exists already")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from gritcodec.cli.app import main; main(['compress', '--help']); "
        "heavy = {'torch', 'numpy', 'soundfile', 'rich', 'yaml'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--bitrate" in done.stdout


def test_installed_command(clip, tmp_path, tiny_model):
    """The script beside this Python, or the module where the package is not installed."""
    script = Path(sys.executable).with_name("gritcodec")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "gritcodec"]

    def run(*arguments):
        return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=60)

    assert run("--version").stdout == f"gritcodec {gritcodec.__version__}\n"
    assert run("--help").stdout == run().stdout != ""
    done = run("compress", clip, "--model", tiny_model)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    done = run("decompress", clip.with_suffix(".grit"), tmp_path / "back.flac", "--model", tiny_model)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert soundfile.info(tmp_path / "back.flac").frames == 44100
    done = run("info", clip)
    assert done.returncode == 1 and "not a .grit file" in done.stderr
