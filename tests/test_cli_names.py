"""Names as people type them: empty ones, patterns through links; and Ctrl-C before anything has begun."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import soundfile
from conftest import heed_interrupts, tone

ROOT = Path(__file__).parents[1]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Two recordings, one in a folder below the other's, whose links lead round and round."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/a", "in/deep/b"):
        soundfile.write(f"{name}.wav", tone(1, 8_000, 16_000).T, 16_000)
    return tmp_path


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "arguments",
    [
        ("compress", ""),
        ("compress", "in/a.wav", ""),
        ("compress", "", "out"),
        ("compress", "in/a.wav", "x.grit", "--model", ""),
        ("decompress", ""),
        ("decompress", "in/a.wav", ""),
        ("roundtrip", ""),
        ("roundtrip", "in/a.wav", ""),
        ("info", ""),
        ("info", "in", ""),
        ("truncate", "", "t.grit", "-b", "1"),
        ("cut", "in", ""),
        ("join", "", "t.grit"),
        ("join", "in", ""),
        ("remux", "in", ""),
        ("remux", "", "t.oga"),
        ("tokenize", "", "out"),
        ("tokenize", "in", ""),
        ("tokenize", "in", "out", "--model", ""),
        ("detokenize", "", "out"),
        ("detokenize", "in", ""),
        ("evaluate", ""),
        ("evaluate", "in", "--out", ""),
        ("evaluate", "in", "--publish", ""),
        ("evaluate", "in", "--sounds", ""),
        ("evaluate", "in", "--model", ""),
        ("train", ""),
        ("export", ""),
        ("export", "in", ""),
        ("page", ""),
        ("page", "", "--force"),
        ("page", "out", "--model", ""),
        ("demo", "--model", ""),
    ],
)
def test_an_empty_name_is_not_the_current_folder(capsys, here, arguments):
    from gritcodec.cli import app

    before = tree(here)
    code = app.main(list(arguments))
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and err.count("\n") == 1, (code, out, err)
    assert err.startswith("gritcodec: error: ") and err.endswith("a name is empty; the current folder is called .\n")
    assert tree(here) == before and [path.name for path in here.iterdir()] == ["in"]


def links(here):
    """Links back, from below and to each other: names of 2, 4, 8 ... links in a row."""
    (here / "in" / "loop").symlink_to("..")
    (here / "in" / "deep" / "up").symlink_to("..")
    (here / "in" / "deep" / "round").symlink_to("../../in")
    (here / "in" / "again").symlink_to("deep")


def test_a_pattern_takes_each_real_folder_once(command, here):
    links(here)
    code, _, err = command("compress", "in", "whole/")
    assert code == 0 and tree(here / "whole") == ["a.grit", "deep/b.grit"], err
    for number, pattern in enumerate(
        ("in/**/*.wav", "in/**/**/*.wav", f"{here}/in/**/*.wav", "in/**", "./in/**/[ab].*")
    ):
        code, _, err = command("compress", pattern, f"new{number}/")
        assert code == 0 and tree(here / f"new{number}") == ["a.grit", "deep/b.grit"], err
    # What a wildcard names is taken as it is named; behind ** each real folder is, once.
    assert command("compress", "in/**/*/*.wav", "below/")[0] == 0
    assert sorted(Path(name).name for name in tree(here / "below")) == ["a.grit", "b.grit"]
    assert command("compress", "in/*/*.wav", "one/")[0] == 0
    assert tree(here / "one") == ["again/b.grit", "deep/b.grit"]
    for verb, *options in (("decompress",), ("truncate", "-b", "0.5"), ("remux", "--container", "ogg")):
        code, _, err = command(verb, "whole/**/*.grit", f"{verb}/", *options)
        assert code == 0 and len(tree(here / verb)) == 2


def test_patterns_are_as_those_of_the_shell(command, here):
    """Hidden files and folders are left out, and names with brackets in them found."""
    for name in ("in/.hidden/c", "in/.d", "in/[x]/e"):
        (here / name).parent.mkdir(exist_ok=True)
        os.link("in/a.wav", f"{name}.wav")
    assert command("compress", "in/**/*.wav", "out/")[0] == 0
    assert tree(here / "out") == ["[x]/e.grit", "a.grit", "deep/b.grit"]
    (here / "in").rename(here / "below")
    os.chdir("below")
    assert command("compress", "**/*.wav", "../top/")[0] == 0
    assert tree(here / "top") == ["[x]/e.grit", "a.grit", "deep/b.grit"]
    code, _, err = command("compress", "**/*.mp3", "../none/")
    assert code == 2 and "there are no audio files in **/*.mp3" in err


def test_patterns_of_tokenize_too(here, tiny_model, capsys):
    from gritcodec.cli import app

    links(here)
    code = app.main(["tokenize", "in/**/*.wav", "out", "--format", "npz", "--model", str(tiny_model)])
    out, err = capsys.readouterr()
    assert code == 0 and "2 " in out, (out, err)


@pytest.mark.parametrize("entry", ["module", "script", "demo"])
def test_ctrl_c_while_the_command_is_still_imported(tmp_path, entry):
    """A package that it imports sends the signal; what it does then is not told, nor is it done."""
    (tmp_path / "typer").mkdir()
    (tmp_path / "typer" / "__init__.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\nprint('on')\n"
    )
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["gritcodec"]
    module, function = script.split(":")
    command = {
        "module": ["-m", "gritcodec", "models"],
        "script": ["-c", f"import sys; from {module} import {function}; sys.exit({function}())", "models"],
        "demo": [str(ROOT / "demo" / "app.py")],
    }[entry]
    paths = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": paths},
        preexec_fn=heed_interrupts,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "gritcodec: interrupted\n")
