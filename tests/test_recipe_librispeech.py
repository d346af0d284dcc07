"""The librispeech recipe, run as its users run it, on tiny corpora in the real layouts, cut from a real clip."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import yaml

from gritcodec.errors import ConfigError
from gritcodec.train.clips import blocks
from gritcodec.train.config import DataConfig
from gritcodec.train.data import open_corpus

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "librispeech"
CLIP, RATE = soundfile.read(ROOT / "gritcodec" / "clips" / "austen.flac", dtype="float32")


def cut(index: int, seconds: float = 2.5, rate: int = RATE) -> np.ndarray:
    """A piece of the real clip, another one for each index, float32 [samples] at `rate`."""
    start = int((index * 0.37 % (len(CLIP) / RATE - seconds)) * RATE)
    piece = CLIP[start : start + round(seconds * RATE)] * (1 - 0.01 * (index % 30))
    return piece if rate == RATE else soxr.resample(piece, RATE, rate)


def write(path: Path, waveform: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, rate)


def chapter(root: Path, subset: str, speaker: int, first: int, utterances: int = 3) -> None:
    """One chapter as openslr.org packs it: speaker/chapter/speaker-chapter-utterance.flac and one .trans.txt."""
    folder = root / "LibriSpeech" / subset / str(speaker) / "100"
    lines = []
    for number in range(utterances):
        name = f"{speaker}-100-{number:04d}"
        write(folder / f"{name}.flac", cut(first + number))
        lines.append(f"{name} WHAT UTTERANCE {number} SAYS")
    (folder / f"{speaker}-100.trans.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def librispeech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds LibriSpeech: three voices to train on, one each to evaluate on."""
    root = tmp_path_factory.mktemp("libri")
    for index, speaker in enumerate((19, 1034, 26)):
        chapter(root, "train-clean-100", speaker, 10 * index)
    chapter(root, "dev-clean", 84, 40, utterances=2)
    chapter(root, "test-clean", 61, 50, utterances=2)
    (root / "LibriSpeech" / "SPEAKERS.TXT").write_text("19 | F | train-clean-100 | 25.19 | Kara Shallenberg\n")
    return root


def prepare(root: Path, out: Path, *more: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    code = [str(RECIPE / "prepare.py")] if script is None else ["-c", script]
    command = [sys.executable, *code, "--root", str(root), "--out", str(out), "--jobs", "2", *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def packed(root: Path, out: Path, *more: str) -> list[dict[str, Any]]:
    done = prepare(root, out, *more)
    assert done.returncode == 0, done.stderr
    return entries(out / "manifest.jsonl")


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("prepare.py: ")
    return last


@pytest.mark.slow
def test_the_whole_recipe_from_corpus_to_scores(librispeech, tmp_path):
    lines = packed(librispeech, tmp_path / "packed")
    assert len(lines) == 9 and {line["source"] for line in lines} == {"librispeech/train-clean-100"}
    assert lines[0]["text"] == "WHAT UTTERANCE 0 SAYS"
    held = {line["speaker"] for line in lines if line["split"] == "valid"}
    assert len(held) == 1 and {line["speaker"] for line in lines if line["split"] == "train"}.isdisjoint(held)

    config = yaml.safe_load((RECIPE / "libri-16k.yaml").read_text())
    config |= {"runs": str(tmp_path / "runs"), "steps": 6, "quantize_after": 3, "draw_vectors": 2048}
    config |= {"log_every": 3, "checkpoint_every": 6, "audio_every": 6}
    config["data"] |= {"corpus": str(tmp_path / "packed"), "batch": 4}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "gritcodec", "train", str(tmp_path / "run.yaml"), "--cpu"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    folders = [str(librispeech / "LibriSpeech" / subset) for subset in ("test-clean", "dev-clean")]
    command = [sys.executable, "-m", "gritcodec.evaluate.protocol", *folders, "--bitrate", "3", "--limit", "1"]
    command += ["--model", str(tmp_path / "runs" / "libri-16k" / "model"), "--json", str(tmp_path / "scores.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert [score["folder"] for score in scores] == ["test-clean", "dev-clean"]
    assert scores[0]["clip"].startswith("61/100/61-100-") and 3.0 < scores[0]["true_kbps"] < 3.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["libritts-24k", "music-44k"])
def test_configs_pass_the_smoke_run(name, tmp_path):
    config = yaml.safe_load((RECIPE / f"{name}.yaml").read_text())
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**config, "runs": str(tmp_path)}))
    command = [sys.executable, "-m", "gritcodec", "train", str(tmp_path / "run.yaml"), "--smoke", "--cpu"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / f"{name}-smoke" / "model"
    rate = yaml.safe_load((folder / "config.yaml").read_text())["sample_rate"]
    stereo = np.stack([cut(1, rate=rate), cut(2, rate=rate)], axis=1)
    write(tmp_path / "clips" / "a.wav", stereo, rate)
    command = [sys.executable, "-m", "gritcodec.evaluate.protocol", str(tmp_path / "clips"), "--bitrate", "6"]
    command += ["--model", str(folder), "--in-process", "--json", str(tmp_path / "scores.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (score,) = json.loads((tmp_path / "scores.json").read_text())
    assert 12.0 < score["true_kbps"] < 13.0, "6 kbps for each of two channels"
    assert 1.0 <= score["pesq_wb"] < 4.65


def test_clips_that_teach_nothing_are_refused_with_their_reason(librispeech, tmp_path):
    shutil.copytree(librispeech, tmp_path / "root")
    folder = tmp_path / "root" / "LibriSpeech" / "train-clean-100" / "19" / "100"
    write(folder / "19-100-1001.flac", np.clip(20 * cut(1), -1, 1))
    write(folder / "19-100-1002.flac", 1e-3 * cut(2))
    write(folder / "19-100-1003.flac", cut(3, seconds=0.2))
    write(folder / "19-100-1004.flac", cut(4, rate=8000), 8000)
    write(folder / "19-100-1005.flac", np.zeros(0, np.float32))
    (folder / "19-100-1006.flac").write_bytes((folder / "19-100-0000.flac").read_bytes()[:30])
    shutil.copy(folder / "19-100-0000.flac", folder.parents[1] / "26" / "100" / "26-100-1000.flac")
    lines = packed(tmp_path / "root", tmp_path / "out")
    assert len(lines) == 9
    refused = {Path(line["file"]).stem: line for line in entries(tmp_path / "out" / "refused.jsonl")}
    assert {name: line["reason"] for name, line in refused.items()} == {
        "19-100-1001": "clipped",
        "19-100-1002": "silent",
        "19-100-1003": "short",
        "19-100-1004": "narrowband",
        "19-100-1005": "undecodable",
        "19-100-1006": "undecodable",
        "26-100-1000": "duplicate",
    }
    assert all(line["detail"] for line in refused.values())
    assert sum(json.loads((tmp_path / "out" / "summary.json").read_text())["refused"].values()) == 7


def libritts(root: Path) -> None:
    """Two voices of one utterance each, speaker/chapter/speaker_chapter_paragraph_utterance.wav and two texts."""
    for number, speaker in enumerate((103, 40)):
        stem = root / "LibriTTS" / "train-clean-100" / str(speaker) / "1241" / f"{speaker}_1241_000000_000001"
        write(stem.with_suffix(".wav"), cut(number, rate=24000), 24000)
        stem.with_suffix(".normalized.txt").write_text("What it says.\n")
        stem.with_suffix(".original.txt").write_text("What it says.\n")


def test_libritts_is_recognised_and_resampled(tmp_path):
    libritts(tmp_path)
    lines = packed(tmp_path, tmp_path / "out", "--rate", "24000")
    assert [(line["source"], line["speaker"]) for line in lines] == [
        ("libritts/train-clean-100", "103"),
        ("libritts/train-clean-100", "40"),
    ]
    assert lines[0]["text"] == "What it says."
    assert 2.0 < lines[0]["samples"] / 24000 <= 2.5
    config = DataConfig(corpus=str(tmp_path / "out"), batch=2)
    assert open_corpus(config, 24000).batch(config, 0, 0).shape == (2, 1, 24000)
    with pytest.raises(ConfigError, match="packed at 24000 Hz"):
        open_corpus(config, 16000)


def test_vctk_is_recognised_and_one_microphone_taken(tmp_path):
    base = tmp_path / "VCTK-Corpus-0.92"
    for number, speaker in enumerate(("p225", "s5")):
        for microphone in (1, 2):
            name = f"{speaker}_001_mic{microphone}.flac"
            write(base / "wav48_silence_trimmed" / speaker / name, cut(number, rate=48000), 48000)
        (base / "txt" / speaker).mkdir(parents=True)
        (base / "txt" / speaker / f"{speaker}_001.txt").write_text("Please call Stella.\n")
    lines = packed(tmp_path, tmp_path / "out")
    assert [(line["source"], line["speaker"], line["text"]) for line in lines] == [
        ("vctk", "p225", "Please call Stella."),
        ("vctk", "s5", "Please call Stella."),
    ]


def test_any_folder_of_audio_is_taken_and_long_files_are_cut(tmp_path):
    write(tmp_path / "in" / "anna" / "deep" / "down" / "a.flac", cut(1))
    write(tmp_path / "in" / "bert" / "b.wav", np.tile(cut(2), 52))  # 130 s
    write(tmp_path / "in" / "alone.ogg", cut(3, rate=44100), 44100)
    write(tmp_path / "in" / ".hidden" / "h.wav", cut(4))
    (tmp_path / "in" / "notes.txt").write_text("no audio")
    lines = packed(tmp_path / "in", tmp_path / "out")
    assert [line["speaker"] for line in lines] == ["alone", "anna", "bert", "bert", "bert"]
    assert all(43.0 < line["samples"] / RATE < 43.5 for line in lines[2:])
    assert "valid" in {line["split"] for line in lines}


def test_parts_of_an_mp3_are_what_it_holds(tmp_path):
    """Sought between them, the first frames of each part would be other sound (findings/soundfile-mp3-in-blocks.sh)."""
    soundfile.write(tmp_path / "long.mp3", CLIP, RATE, compression_level=0.9, bitrate_mode="VARIABLE")
    whole = soundfile.read(tmp_path / "long.mp3", dtype="float32")[0]
    parts = [part for part, rate in blocks(tmp_path / "long.mp3", 0.5) if rate == RATE]
    assert len(parts) > 10 and np.abs(np.concatenate(parts, axis=1)[0] - whole).max() < 1e-6


def test_music_keeps_channels_levels_and_ends(tmp_path):
    left, right = cut(1, rate=44100), 0.2 * cut(2, rate=44100)
    sound = np.pad(np.stack([left, right], axis=1), ((22050, 0), (0, 0)))
    for album in ("one", "two"):
        write(tmp_path / "in" / album / "song.wav", sound if album == "one" else sound[::-1], 44100)
    lines = packed(tmp_path / "in", tmp_path / "out", "--rate", "44100", "--music")
    assert len(lines) == 4
    audio = np.memmap(tmp_path / "out" / "audio.int16", dtype="<i2", mode="r")
    for line, channel in zip(lines[:2], sound.T, strict=True):
        piece = audio[line["offset"] : line["offset"] + line["samples"]] / 32767
        assert np.abs(piece - channel).max() < 1e-4


SMALL_PARTS = f"""
import os, sys, time
sys.path.insert(0, {str(RECIPE)!r})
import parts, prepare
parts.PART_FILES = 4
process = parts.process
def slow(*arguments):
    time.sleep(float(os.environ.get("SLOW", 0)))
    return process(*arguments)
parts.process = slow
sys.exit(prepare.main())
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    for speaker in range(1, 5):
        chapter(tmp_path, "train-clean-100", speaker, 10 * speaker, utterances=6)
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert prepare(tmp_path, whole, script=SMALL_PARTS).returncode == 0
    command = [sys.executable, "-c", SMALL_PARTS, "--root", str(tmp_path), "--out", str(out), "--jobs", "2"]
    # So slow that a busy machine stops it in the middle too.
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "SLOW": "0.5"})
    deadline = time.monotonic() + 60
    while not list(out.glob("parts/*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("parts/*.jsonl")}
    assert 0 < len(kept) < 6 and not (out / "manifest.jsonl").exists()
    done = prepare(tmp_path, out, script=SMALL_PARTS)
    while "another run is at work" in done.stderr and time.monotonic() < deadline:
        time.sleep(0.2)  # orphaned workers hold the lock until they notice that their parent is gone
        done = prepare(tmp_path, out, script=SMALL_PARTS)
    assert done.returncode == 0, done.stderr
    assert "files were done before" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    names = sorted(path.name for path in whole.iterdir() if path.is_file() and path.name != "lock")
    assert names == sorted(path.name for path in out.iterdir() if path.is_file() and path.name != "lock")
    assert names[:2] == ["audio-train-clean-100-00000.int16", "audio-train-clean-100-00001.int16"]
    for name in names:
        assert (whole / name).read_bytes() == (out / name).read_bytes(), name
    config = DataConfig(corpus=str(out), batch=64, segment=0.5, gain_db=0.0)
    corpus = open_corpus(config, RATE)
    assert len(corpus.shards) > 1 and float(corpus.batch(config, 0, 0).abs().amax((1, 2)).min()) > 0.01
    (out / names[0]).write_bytes(b"")
    with pytest.raises(ConfigError, match="pack the corpus again"):
        open_corpus(config, RATE)


def test_a_second_run_does_nothing_and_a_new_seed_only_splits_anew(librispeech, tmp_path):
    lines = packed(librispeech, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != "lock"}
    done = prepare(librispeech, tmp_path)
    assert "up to date" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    others = packed(librispeech, tmp_path, "--valid-voices", "2", "--seed", "7")
    assert (tmp_path / "audio.int16").stat().st_mtime_ns == before[tmp_path / "audio.int16"]
    assert len({line["speaker"] for line in others if line["split"] == "valid"}) == 2
    assert [line["offset"] for line in others] == [line["offset"] for line in lines]


def test_evaluation_subsets_are_never_trained_on(librispeech, tmp_path):
    told = "reserved for evaluation"
    assert told in error_of(prepare(librispeech, tmp_path / "out", "--train", "test-clean"))
    assert told in error_of(prepare(librispeech / "LibriSpeech" / "dev-clean", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--train", "train-clean-360"], "no subset train-clean-360 in"),
        (["--layout", "vctk"], "does not look like vctk"),
        (["--rate", "24000"], "every file was refused (narrowband 9)"),
    ],
)
def test_mistakes_end_in_one_line(more, message, librispeech, tmp_path):
    assert message in error_of(prepare(librispeech, tmp_path / "out", *more))


def test_the_corpus_of_another_recipe_is_left_alone(librispeech, tmp_path):
    (tmp_path / "manifest.jsonl").write_text("")
    assert "another recipe" in error_of(prepare(librispeech, tmp_path))
    assert (tmp_path / "manifest.jsonl").exists()
