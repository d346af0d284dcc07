"""What people type, through the installed command with the shipped model: taken, or refused in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from conftest import tone

import gritcodec

_SCRIPT = Path(sys.executable).with_name("gritcodec")
# The script beside this Python, or the module where the package is not installed.
COMMAND = [str(_SCRIPT)] if _SCRIPT.exists() else [sys.executable, "-m", "gritcodec"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Recordings of 2 and of 11 seconds, one of each as .grit, and a folder of two."""
    folder = tmp_path_factory.mktemp("place")
    for name, seconds in (("short", 2), ("long", 11), ("in/one", 1), ("in/two", 1)):
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / f"{name}.wav", tone(1, 16_000 * seconds, 16_000).T, 16_000)
    for name in ("short", "long"):
        assert run("compress", folder / f"{name}.wav", "--bitrate", "6").code == 0
    return folder


class Run:
    """A finished process: exit code, stdout, stderr."""

    def __init__(self, done: "subprocess.CompletedProcess[bytes]"):
        self.code, self.bytes = done.returncode, done.stdout
        self.out, self.err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def assert_refused(self, *words, code=2):
        assert (self.code, self.out) == (code, ""), (self.code, self.out, self.err)
        assert self.err.startswith("gritcodec: error: ") and self.err.count("\n") == 1, self.err
        assert "this is a bug" not in self.err
        for word in words:
            assert word in self.err, self.err


def run(*arguments, data=b"", **options):
    command = [*COMMAND, *map(str, arguments)]
    return Run(subprocess.run(command, input=data, capture_output=True, timeout=300, **options))


@pytest.mark.parametrize("text", ["3", "3k", "3K", "3kbps", "3 kbit/s", "3000bps", "3.0"])
def test_three_kilobits_however_they_are_written(place, tmp_path, text):
    done = run("compress", place / "short.wav", tmp_path / "a.grit", "--bitrate", text)
    assert (done.code, done.err) == (0, "")
    assert run("compress", place / "short.wav", tmp_path / "b.grit").code == 0
    assert (tmp_path / "a.grit").read_bytes() == (tmp_path / "b.grit").read_bytes()


@pytest.mark.parametrize(("text", "taken"), [("1.3", "1"), ("6.3", "6")])
def test_what_lies_between_steps_is_told(place, tmp_path, text, taken):
    source = place / "short.wav"
    for arguments in (
        ("compress", source, tmp_path / "a.grit"),
        ("roundtrip", source),
    ):
        done = run(*arguments, "--bitrate", text)
        assert done.code == 0 and done.err.count("\n") == 1
        assert f"{source}: " in done.err and f"{taken} kbps is used in place of {text}" in done.err


@pytest.mark.parametrize(
    "text", ["7.4", *(pytest.param(text, marks=pytest.mark.slow) for text in ("100", "12", "0", "0.4", "6000"))]
)
def test_a_bitrate_that_the_model_lacks_is_refused_everywhere(place, tmp_path, text):
    source, out = place / "short.wav", tmp_path / "out"
    for arguments in (
        ("compress", source, tmp_path / "a.grit"),
        ("compress", source, "-"),
        ("compress", place / "in", f"{out}/"),
        ("roundtrip", source),
        ("tokenize", place / "in", out, "--format", "npz"),
    ):
        run(*arguments, "--bitrate", text).assert_refused(f"no bitrate {float(text):g} kbps; it has 0.5, 1, 1.5")
    run("evaluate", place / "in", "--codec", f"speech-16k:{text}", "--out", out).assert_refused("no bitrate")
    run("truncate", place / "short.grit", tmp_path / "b.grit", "--bitrate", text).assert_refused(
        f"{place / 'short.grit'}: the file can be cut to 0.5 ... "
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["inf", "nan", "-1", "3x", "3kB", "", "1,5", "much"])
def test_what_is_no_bitrate_is_refused(place, tmp_path, text):
    for arguments in (
        ("compress", place / "short.wav", tmp_path / "a.grit"),
        ("truncate", place / "short.grit", tmp_path / "a.grit"),
        ("detokenize", place / "in", tmp_path / "out"),
    ):
        run(*arguments, f"--bitrate={text}").assert_refused(f"--bitrate: '{text}' is not a bitrate", "as in 3")


@pytest.mark.parametrize(
    ("text", "size"), [("3k", 3000), ("3kB", 3000), ("0.003MB", 3000), ("3KiB", 3072), ("3000", 3000)]
)
def test_sizes(place, tmp_path, text, size):
    for verb, source in (("compress", "long.wav"), ("truncate", "long.grit")):
        done = run(verb, place / source, tmp_path / f"{verb}.grit", "--target-size", text)
        assert (done.code, done.err) == (0, "")
        assert size - 100 <= (tmp_path / f"{verb}.grit").stat().st_size <= size


@pytest.mark.parametrize(
    ("option", "text"),
    [("--target-size", "3x"), ("--target-size", "-1"), ("--rate", "16x"), ("--rate", "1.5"), ("--gain", "loud")],
)
def test_what_is_no_number_names_its_option(place, tmp_path, option, text):
    run("compress", place / "short.wav", tmp_path / "a.grit", f"{option}={text}").assert_refused(f"{option}: '{text}'")


def test_units_of_other_options(place, tmp_path):
    raw = bytes(2 * 8000)
    for text, rate in (("16k", 16_000), ("44.1kHz", 44_100), ("8000 Hz", 8000)):
        done = run("compress", "-", tmp_path / "raw.grit", "--force", "--raw", "s16le", "--rate", text, data=raw)
        assert done.code == 0
        assert json.loads(run("info", tmp_path / "raw.grit", "--json").out)["sample_rate"] == rate
    for text, samples in (("1.5", 24_000), ("1500ms", 24_000), ("0:01.5", 24_000), ("1s500ms", 24_000)):
        assert run("cut", place / "long.grit", tmp_path / "cut.grit", "-f", "--duration", text).code == 0
        assert json.loads(run("info", tmp_path / "cut.grit", "--json").out)["samples"] == samples
    done = run("decompress", place / "long.grit", tmp_path / "a.wav", "--start", "0m3s", "--duration", "500ms")
    assert done.code == 0 and soundfile.info(tmp_path / "a.wav").frames == 8000
    assert run("compress", place / "short.wav", tmp_path / "g.grit", "--gain", "-1.5dB").code == 0
    assert json.loads(run("info", tmp_path / "g.grit", "--json").out)["gain_db"] == -1.5
    run("demo", "--max-upload", "3x").assert_refused("--max-upload: '3x' is not a size")
    run("demo", "--max-minutes", "x").assert_refused("--max-minutes: 'x' is not a time")
    run("train", "none.yaml", "--minutes", "1:30").assert_refused("--minutes: '1:30' may be hours or minutes")
    run("tokenize", place / "in", tmp_path / "t", "--shard-size", "3x").assert_refused("--shard-size: '3x'")


def test_tokenize_and_detokenize(place, tmp_path):
    """There and back: the sound of the codes is the one that the codes of a file give."""
    done = run("tokenize", place / "in", tmp_path / "tokens", "--format", "npz", "--bitrate", "3kbps")
    assert (done.code, done.err) == (0, "") and done.out.startswith("2 pieces, ")
    again = run("tokenize", place / "in", tmp_path / "tokens", "--format", "npz", "--bitrate", "3", "--quiet")
    assert (again.code, again.out, again.err) == (0, "", "")
    run("tokenize", place / "in", tmp_path / "tokens", "--format", "npz", "--bitrate", "6").assert_refused("tokens")
    done = run("detokenize", tmp_path / "tokens", tmp_path / "sound")
    assert (done.code, done.err) == (0, "") and done.out == f"{tmp_path / 'sound'}: 2 files, 2.00 s of audio\n"
    found = sorted(path.name for path in (tmp_path / "sound").rglob("*.wav"))
    assert len(found) == 2 and {soundfile.info(path).frames for path in (tmp_path / "sound").rglob("*.wav")} == {16_000}
    done = run("detokenize", tmp_path / "tokens", tmp_path / "sound")
    assert done.code == 0 and "2 were there already" in done.out
    done = run("detokenize", tmp_path / "tokens", tmp_path / "low", "--format", "flac", "--bitrate", "1k", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert {path.suffix for path in (tmp_path / "low").rglob("*.*")} == {".flac"}
    run("detokenize", tmp_path / "tokens").assert_refused("name the shards")
    run("tokenize", place / "in").assert_refused("name the sources")


def test_version_and_models_are_there_at_once():
    assert run("-V").out == run("--version").out == f"gritcodec {gritcodec.__version__}\n"
    done = run("models")
    assert done.code == 0 and done.out.startswith("speech-16k  16,000 Hz  0.5 to 7 kbps  35 ms delay  ")
    assert run("models", "--quiet").out == "speech-16k\n"
    code = "import sys; from gritcodec.cli.app import main; main(['models']); assert 'onnxruntime' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_help_of_every_verb():
    listed = run("--help")
    assert listed.code == 0 and "Exit codes: 0 done" in listed.out and "Examples:" in listed.out
    lines = listed.out.partition("Commands:")[2].partition("Examples:")[0].split("\n")
    verbs = [line.split()[0] for line in lines if line.strip()]
    assert {"compress", "decompress", "info", "tokenize", "train", "models"} <= set(verbs) and len(verbs) == 16
    code = (
        "import sys; from gritcodec.cli.app import main\n"
        f"for verb in {verbs}:\n"
        "    assert main([verb, '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'soundfile', 'rich', 'yaml', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for text in done.stdout.split("Usage: gritcodec ")[1:]:
        verb = text.split()[0]
        assert f"Examples:\n    gritcodec {verb}" in text and "Exit codes: 0 done" in text and "-q, --quiet" in text, (
            verb
        )


def completed(place, line):
    given = {"_GRITCODEC_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = run(cwd=place, env={**os.environ, **given})
    assert done.code == 0 and done.err == ""
    return done.out.split()


def test_shells_complete_verbs_options_bitrates_and_models(place):
    assert completed(place, "gritcodec tr") == ["truncate", "train"]
    assert completed(place, "gritcodec compress --bitrate ")[:3] == ["0.5", "1", "1.5"]
    assert completed(place, "gritcodec truncate -b 6") == ["6", "6.5"]
    assert completed(place, "gritcodec decompress --model sp") == ["speech-16k"]
    assert completed(place, "gritcodec compress --model no --bitrate ") == []
    assert "--target-size" in completed(place, "gritcodec compress --tar")
    # Which shell it is in it asks the system: there is none here.
    named = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = run("--show-completion", "bash", env=named)
    assert done.code == 0 and "complete -o default -F _gritcodec_completion gritcodec" in done.out
    done = run("--install-completion", "bash", env={**named, "HOME": str(place)})
    assert done.code == 0 and (place / ".bash_completions" / "gritcodec.sh").is_file()


@pytest.mark.slow
def test_the_bench_goes_on_past_a_file_that_it_cannot_read(place, tmp_path):
    pytest.importorskip("pesq")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "good.wav").write_bytes((place / "short.wav").read_bytes())
    (tmp_path / "set" / "bad.wav").write_bytes(b"this is no sound")
    options = ("--codec", "speech-16k:3k", "--measure", "estoi", "--condition", "none", "--jobs", "1")
    done = run("evaluate", tmp_path / "set", "--out", tmp_path / "out", *options)
    assert done.code == 3 and "| gritcodec speech-16k 3k |" in done.out
    line = f"bad.wav: cannot read {tmp_path / 'set' / 'bad.wav'} as audio"
    assert f"gritcodec: cannot read: {line}" in done.err and "Traceback" not in done.err
    assert "## Files that cannot be read" in (tmp_path / "out" / "results.md").read_text()
    quiet = run("evaluate", tmp_path / "set", "--out", tmp_path / "out", *options, "-q")
    assert (quiet.code, quiet.out) == (3, "") and quiet.err.count("\n") == 1 and line in quiet.err
    (tmp_path / "set" / "good.wav").unlink()
    run("evaluate", tmp_path / "set", "--out", tmp_path / "out", *options).assert_refused("none of the 1 clips", code=1)


def test_the_protocol_without_its_packages_is_one_line(place):
    lacking = "import sys; sys.modules['pesq'] = None; from gritcodec.evaluate.protocol import run; "
    code = f"{lacking}sys.exit(run(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, str(place / "in")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "gritcodec: error: scoring needs pesq: pip install 'gritcodec[evaluate]'\n"
    command = [sys.executable, "-m", "gritcodec.evaluate.protocol", str(place / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "does not exist" in done.stderr


def test_an_error_names_the_file_it_is_about(place, tmp_path):
    done = run("compress", place / "short.wav", tmp_path / "a.grit", "--target-size", "100")
    done.assert_refused(f"{place / 'short.wav'}: this recording takes ")
    done = run("compress", place / "short.wav", tmp_path / "a.grit", "--mark", "9=late")
    done.assert_refused(f"{place / 'short.wav'}: the recording is 2.00 s long")
    done = run("cut", place / "short.grit", tmp_path / "a.grit", "--start", "1:00")
    done.assert_refused(f"{place / 'short.grit'}: the recording is 2.00 s long: nothing is at 60 s")
    done = run("cut", place / "short.grit", tmp_path / "a.grit", "--duration", "0.00001")
    done.assert_refused(f"{place / 'short.grit'}: --duration is 1e-05 s")
    done = run("decompress", place / "short.grit", tmp_path / "a.wav", "--start", "1:00")
    done.assert_refused(f"{place / 'short.grit'}: ")
    run("info", "-", data=b"nothing").assert_refused("standard input: not a .grit file", code=1)
    run("compress", place / "none*.wav").assert_refused(f"there are no audio files in {place / 'none*.wav'}")
