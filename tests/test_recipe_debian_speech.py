"""The debian-speech recipe, run as its users run it, on small packages built here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV is needed to make G.722 test files")
sf = pytest.importorskip("soundfile")
yaml = pytest.importorskip("yaml")
pytest.importorskip("soxr")

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not on this machine (not Debian)")

SCRIPT = Path(__file__).parents[1] / "recipes" / "debian-speech" / "prepare.py"
RATE = 16000
BASE = "usr/share/talk"


def speech(seconds: float, seed: int, rate: int = RATE, peak: float = 0.5) -> np.ndarray:
    """Return noise in syllables, [samples], with the given peak: loud and quiet frames, as in speech."""
    time = np.arange(round(seconds * rate)) / rate
    sound = np.random.default_rng(seed).standard_normal(len(time)) * (0.2 + np.sin(2 * np.pi * 2 * time) ** 2)
    scaled: np.ndarray = (peak * sound / np.abs(sound).max()).astype(np.float32)
    return scaled


def write_g722(path: Path, waveform: np.ndarray) -> None:
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=RATE)
        stream.layout = "mono"
        pcm = np.round(waveform * 32767).astype(np.int16)[None]
        for start in range(0, pcm.shape[1] // 320 * 320, 320):
            frame = av.AudioFrame.from_ndarray(pcm[:, start : start + 320], format="s16", layout="mono")
            frame.sample_rate = RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def build_deb(tree: Path, package: str, folder: Path) -> Path:
    """Pack `tree` as package_1.0_all.deb in `folder`."""
    (tree / "DEBIAN").mkdir()
    control = f"Package: {package}\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@localhost>\n"
    (tree / "DEBIAN" / "control").write_text(control + "Description: speech for a test\n")
    deb = folder / f"{package}_1.0_all.deb"
    command = ["dpkg-deb", "-Znone", "--root-owner-group", "--build", str(tree), str(deb)]
    subprocess.run(command, check=True, capture_output=True)
    return deb


def source(name: str, package: str, pattern: str, **more: Any) -> dict[str, Any]:
    rule = {"match": f"{BASE}/(?P<voice>[a-z]+)", "voice": "{voice}", "language": "en"}
    entry = {"name": name, "package": package, "licence": "CC0", "include": [pattern], "voices": [rule]}
    return {**entry, **more}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packages: wav and ogg of three voices with all that can be wrong, and G.722."""
    work = tmp_path_factory.mktemp("packages")
    root = work / "talk" / BASE
    for voice in ("anna", "bert", "carl"):
        (root / voice).mkdir(parents=True)
    sf.write(root / "anna" / "long.wav", speech(3.5, 1), RATE)
    for number in range(6):
        stereo = np.stack([speech(1.0, 10 + number, 44100)] * 2, axis=1)
        sf.write(root / "anna" / f"word{number}.ogg", stereo, 44100)
    shutil.copy(root / "anna" / "word0.ogg", root / "bert" / "again.ogg")
    sf.write(root / "bert" / "late.wav", np.pad(speech(4.0, 2, 22050), (22050, 22050)), 22050)
    sf.write(root / "carl" / "held.wav", speech(3.2, 3), RATE)
    flat = np.clip(speech(1.0, 4, peak=4.0), -1, 1)
    sf.write(root / "bert" / "bad-clipped.wav", flat, RATE, subtype="FLOAT")
    sf.write(root / "bert" / "bad-short.wav", speech(0.2, 5), RATE)
    sf.write(root / "bert" / "bad-click.wav", np.pad(speech(0.1, 5), (RATE, RATE)), RATE)
    sf.write(root / "bert" / "bad-silent.wav", speech(1.0, 6, peak=0.001), RATE)
    sf.write(root / "bert" / "bad-narrow.wav", speech(1.0, 7, 8000), 8000)
    sf.write(root / "bert" / "bad-nan.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    (root / "bert" / "bad-text.wav").write_text("this is no audio")
    (root / "bert" / "skipped.wav").write_text("excluded, so never looked at")
    phone = work / "phone" / BASE / "dora"
    phone.mkdir(parents=True)
    write_g722(phone / "prompt.g722", speech(3.4, 8))
    debs = work / "debs"
    debs.mkdir()
    build_deb(work / "talk", "talk-data", debs)
    build_deb(work / "phone", "phone-g722", debs)
    return debs


SPEC: dict[str, Any] = {
    "valid": {"carl": None},
    "sources": [
        source("talk", "talk-data", f"{BASE}/*.*", exclude=["*/skipped.wav"]),
        source("phone", "phone-g722", "*.g722", bandwidth_hz=7000, weight=0.5),
    ],
}


def recipe(
    folder: Path, debs: Path | None, spec: Any = None, *more: str, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run prepare.py below `folder`; the corpus goes to folder/out."""
    (folder / "sources.yaml").write_text(yaml.safe_dump(spec or SPEC))
    command = [sys.executable, str(SCRIPT), "--out", "out", "--cache", "cache", "--sources", "sources.yaml"]
    command += ["--jobs", "1", *(["--packages-dir", str(debs)] if debs else []), *more]
    environment = {**os.environ, **({} if path is None else {"PATH": path})}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=60)
    assert "Traceback" not in done.stderr
    return done


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def built(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    done = recipe(folder, packages)
    assert done.returncode == 0, done.stderr
    return folder


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a failed run ends with."""
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("prepare.py: ")
    return last


def test_manifest_describes_the_audio(built: Path) -> None:
    audio = np.fromfile(built / "out" / "audio.int16", "<i2")
    entries = read_lines(built / "out" / "manifest.jsonl")
    end = 0
    for entry in entries:
        assert entry["offset"] == end
        end += entry["samples"]
    assert end == len(audio)
    by_speaker = {entry["speaker"]: entry for entry in entries}
    assert {name: entry["split"] for name, entry in by_speaker.items()} == {
        "anna": "train",
        "bert": "train",
        "carl": "valid",
        "dora": "train",
    }
    dora = by_speaker["dora"]
    assert (dora["source"], dora["licence"], dora["language"]) == ("phone", "CC0", "en")
    assert (dora["weight"], dora["bandwidth_hz"]) == (0.5, 7000)
    assert by_speaker["anna"]["bandwidth_hz"] is None
    summary = json.loads((built / "out" / "summary.json").read_text())
    assert (summary["samples"], summary["pieces"]) == (len(audio), len(entries))
    told = sum(sum(kinds["speaker"].values()) for kinds in summary["minutes"].values())
    assert told == pytest.approx(len(audio) / RATE / 60, abs=0.02)
    assert "| talk |" in (built / "out" / "summary.md").read_text()


def test_level_is_normalised(built: Path) -> None:
    audio = np.fromfile(built / "out" / "audio.int16", "<i2").astype(np.float64) / 32768
    for entry in read_lines(built / "out" / "manifest.jsonl"):
        piece = audio[entry["offset"] : entry["offset"] + entry["samples"]]
        assert np.abs(piece).max() <= 0.951
        assert -28 < 10 * np.log10(np.mean(piece**2)) < -24.5


def test_g722_keeps_the_waveform(built: Path) -> None:
    audio = np.fromfile(built / "out" / "audio.int16", "<i2").astype(np.float64)
    (entry,) = [e for e in read_lines(built / "out" / "manifest.jsonl") if e["speaker"] == "dora"]
    piece = audio[entry["offset"] : entry["offset"] + entry["samples"]]
    original = speech(3.4, 8)[: len(piece)].astype(np.float64)
    # White noise is hard on G.722, and its filter delays by 22 samples or so; a wrong decoder gives no peak.
    spectrum = np.fft.rfft(piece, 2 * len(piece)) * np.fft.rfft(original, 2 * len(piece)).conj()
    peak = np.fft.irfft(spectrum).max()
    assert peak / (np.linalg.norm(piece) * np.linalg.norm(original)) > 0.8


def test_short_clips_are_joined_and_ends_trimmed(built: Path) -> None:
    entries = read_lines(built / "out" / "manifest.jsonl")
    joined = [entry for entry in entries if len(entry["files"]) > 1]
    assert sum(len(entry["files"]) for entry in joined) == 6
    assert {entry["speaker"] for entry in joined} == {"anna"}
    for entry in joined:
        count = len(entry["files"])
        extra = entry["samples"] / RATE - 1.0 * count  # the clips last a second each, less what trim took
        assert -0.1 * count < extra < 0.15 * (count - 1) + 0.01
    (late,) = [entry for entry in entries if entry["files"] == [f"{BASE}/bert/late.wav"]]
    assert 3.9 * RATE < late["samples"] < 4.3 * RATE


def test_refused_clips_have_their_reason(built: Path) -> None:
    refused = {Path(e["file"]).name: e for e in read_lines(built / "out" / "refused.jsonl")}
    assert {name: entry["reason"] for name, entry in refused.items()} == {
        "again.ogg": "duplicate",
        "bad-clipped.wav": "clipped",
        "bad-short.wav": "short",
        "bad-click.wav": "short",
        "bad-silent.wav": "silent",
        "bad-narrow.wav": "narrowband",
        "bad-nan.wav": "not-finite",
        "bad-text.wav": "undecodable",
    }
    assert all(entry["detail"] for entry in refused.values())
    summary = json.loads((built / "out" / "summary.json").read_text())
    assert summary["refused"]["talk"]["short"] == 2


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "lock"]
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in files}


def test_second_run_does_nothing(built: Path, packages: Path) -> None:
    before = snapshot(built / "out") | snapshot(built / "cache")
    done = recipe(built, packages)
    assert done.returncode == 0
    assert "up to date" in done.stderr
    assert snapshot(built / "out") | snapshot(built / "cache") == before
    assert not list(built.rglob("*.partial*"))


def test_interrupted_run_is_taken_up(built: Path, packages: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "run")
    folder = tmp_path / "run"
    whole = (folder / "out" / "audio.int16").read_bytes()
    stores = {store.name.rsplit("-", 1)[0]: store for store in (folder / "cache/debian-speech/clips").iterdir()}
    # As if killed while converting the second source, the corpus not yet written.
    stores["phone"].rename(stores["phone"].with_name(stores["phone"].name + ".partial"))
    shutil.rmtree(folder / "out")
    (folder / "out").mkdir()
    (folder / "out" / "audio.int16.partial").write_bytes(b"half")
    kept = snapshot(stores["talk"])
    done = recipe(folder, packages)
    assert done.returncode == 0, done.stderr
    assert snapshot(stores["talk"]) == kept
    assert (folder / "out" / "audio.int16").read_bytes() == whole
    assert not list(folder.rglob("*.partial*"))


def test_failed_run_leaves_the_old_corpus(built: Path, packages: Path, tmp_path: Path) -> None:
    shutil.copytree(built / "out", tmp_path / "out")
    before = snapshot(tmp_path / "out")
    done = recipe(tmp_path, packages, {**SPEC, "valid": {"nobody": None}})
    assert "held-out voice 'nobody' does not occur" in error_of(done)
    assert snapshot(tmp_path / "out") == before


def test_cap_on_a_held_out_voice(packages: Path, tmp_path: Path) -> None:
    done = recipe(tmp_path, packages, {**SPEC, "valid": {"anna": 0.01}}, "--shards", "parts")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert 0 < summary["minutes"]["valid"]["speaker"]["anna"] < 0.12
    assert summary["held_out_unused_minutes"]["anna"] > 0
    entries = read_lines(tmp_path / "out" / "manifest.jsonl")
    assert {entry["split"] for entry in entries if entry["speaker"] == "anna"} == {"valid"}
    parts = json.loads((tmp_path / "parts" / "parts.json").read_text())["parts"]
    split = b"".join((tmp_path / "parts" / part["file"]).read_bytes() for part in parts)
    assert split == (tmp_path / "out" / "audio.int16").read_bytes()


@pytest.mark.parametrize(
    "package",
    [
        "asterisk-core-sounds-it-g722",
        "nexuiz-data",
        "0ad-data",
        "pocketsphinx-testdata",
        "unknown-horizons",
        "planetblupi-music-ogg",
    ],
)
def test_reserved_packages_are_refused(package: str, sources_module: Any) -> None:
    with pytest.raises(sources_module.RecipeError, match="reserved for evaluation"):
        sources_module.refuse_reserved_package(package)


@pytest.fixture
def sources_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The recipe's module `sources`, gone again after the test: the name is no package's own."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import importlib

    module = importlib.import_module("sources")
    monkeypatch.delitem(sys.modules, "sources")
    return module


def test_reserved_package_in_the_sources_is_refused(packages: Path, tmp_path: Path) -> None:
    spec = {"sources": [source("it", "asterisk-core-sounds-it-g722", "*.g722")]}
    assert "asterisk-core-sounds-it-g722 is reserved for evaluation" in error_of(recipe(tmp_path, packages, spec))
    assert not (tmp_path / "out").exists()


def test_reserved_package_under_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    build_deb(tmp_path / "tree", "nexuiz-data", tmp_path).rename(tmp_path / "talk-data_1.0_all.deb")
    spec = {"sources": [source("talk", "talk-data", "*")]}
    assert "nexuiz-data is reserved for evaluation" in error_of(recipe(tmp_path, tmp_path, spec))


@pytest.mark.parametrize(
    ("package", "file"),
    [
        ("tuxpaint-stamps-default", "usr/stamps/dog_desc_be.ogg"),
        ("tuxpaint-stamps-default", "usr/stamps/dog_desc_da.ogg"),
        ("hedgewars-data", "usr/share/games/hedgewars/Data/Music/City.ogg"),
    ],
)
def test_reserved_files_are_refused(package: str, file: str, tmp_path: Path) -> None:
    path = tmp_path / "tree" / file
    path.parent.mkdir(parents=True)
    sf.write(path, speech(1.0, 1), RATE)
    (tmp_path / "tree" / "usr" / "innocent.ogg").symlink_to(path.relative_to(tmp_path / "tree" / "usr"))
    build_deb(tmp_path / "tree", package, tmp_path)
    for glob in ("*.ogg", "*innocent.ogg"):
        done = recipe(tmp_path, tmp_path, {"sources": [source("s", package, glob)]})
        assert "reserved for evaluation" in error_of(done)
        assert not (tmp_path / "out").exists()


def test_missing_package_is_named(packages: Path, tmp_path: Path) -> None:
    spec = {**SPEC, "sources": [*SPEC["sources"], source("gone", "gone-data", "*.wav")]}
    assert "package gone-data is not in" in error_of(recipe(tmp_path, packages, spec))
    done = recipe(tmp_path, packages, spec, "--allow-missing")
    assert done.returncode == 0, done.stderr
    assert "gone-data" in done.stderr
    assert (tmp_path / "out" / "summary.json").is_file()


def test_missing_programs_are_named(packages: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "dpkg-deb is not on this machine" in error_of(recipe(tmp_path, packages, path=str(empty)))
    assert "apt-get is not on this machine" in error_of(recipe(tmp_path, None, path=str(empty)))


def test_package_that_apt_does_not_know(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "apt-get").write_text("#!/bin/sh\necho 'E: Unable to locate package talk-data' >&2\nexit 100\n")
    (programs / "apt-get").chmod(0o755)
    done = recipe(tmp_path, None, path=f"{programs}:/usr/bin:/bin")
    assert "package talk-data is not to be had: E: Unable to locate package talk-data" in error_of(done)
    assert not list((tmp_path / "cache").rglob("*.partial*"))


def test_apt_fetches_each_package_once(packages: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    # Stands in for the real program: no network in tests.
    (programs / "apt-get").write_text(f'#!/bin/sh\necho "$3" >> {tmp_path}/asked\ncp {packages}/"$3"_*.deb .\n')
    (programs / "apt-get").chmod(0o755)
    for _ in range(2):
        done = recipe(tmp_path, None, path=f"{programs}:/usr/bin:/bin")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text().split() == ["talk-data", "phone-g722"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sorces": []}, "unknown key 'sorces', did you mean 'sources'?"),
        ({"checks": {"min_seconds": "long"}}, "'min_seconds' must be a number"),
        ({"sources": []}, "expected a list under 'sources'"),
        ({"sources": [source("s", "talk-data", "*.mp3")]}, "no file of talk-data_1.0_all.deb matches *.mp3"),
        ({"sources": [{"name": "s"}]}, "'package' is missing"),
    ],
)
def test_bad_sources_get_one_line(change: dict[str, Any], told: str, packages: Path, tmp_path: Path) -> None:
    assert told in error_of(recipe(tmp_path, packages, {**SPEC, **change}))


def test_shipped_sources_are_valid(sources_module: Any) -> None:
    spec = sources_module.read_spec(SCRIPT.parent / "sources.yaml")
    assert len(spec.packages) == 11
    assert spec.valid
