"""recipes/debian-speech/synthesize.py: English sentences by a synthesizer, added to a corpus."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gritcodec.train.config import DataConfig
from gritcodec.train.data import open_corpus

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "debian-speech"
TEXT = """It is not enough to have a good mind. The main thing is to use it well.
		-- Rene Descartes, "Discours de la Methode"
%
Rule 17: NEVER do THIS at home, e.g. with 12 volts.
%
Every journey of a thousand miles begins with a single step,
and most of them end with sore feet.
"""
SENTENCES = [
    "It is not enough to have a good mind.",
    "The main thing is to use it well.",
    "Every journey of a thousand miles begins with a single step, and most of them end with sore feet.",
]


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RECIPE / "synthesize.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    samples = (3000 * np.sin(np.arange(32_000) / 9)).astype("<i2")
    samples.tofile(folder / "audio.int16")
    entry = {"offset": 0, "samples": 32_000, "source": "tone", "split": "train", "weight": 1.0}
    (folder / "manifest.jsonl").write_text(json.dumps(entry) + "\n")
    (folder / "summary.json").write_text(json.dumps({"rate": 16_000, "samples": 32_000}))
    text = tmp_path / "text"
    text.write_text(TEXT)
    return folder, text, tmp_path / "cache"


def test_prose_is_taken_and_nothing_else(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPE))
    from synthesize import sentences

    assert sentences(TEXT) == SENTENCES
    assert sentences(TEXT + "%\n" + TEXT) == SENTENCES


@pytest.mark.slow
def test_sentences_are_spoken_and_trained_on(corpus):
    folder, text, cache = corpus
    for _ in range(2):  # a second run takes the place of the first
        done = run(folder, "--text", text, "--cache", cache, "--minutes", 5)
        assert done.returncode == 0, done.stderr
        assert "minutes of synthetic English" in done.stderr and "all the text" in done.stderr
        entries = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
        assert [entry["source"] for entry in entries] == ["tone"] + ["english-synthetic"] * len(SENTENCES)
    audio = np.fromfile(folder / "audio-english.int16", "<i2")
    assert len(audio) == sum(entry["samples"] for entry in entries[1:])
    for entry in entries[1:]:
        spoken = audio[entry["offset"] : entry["offset"] + entry["samples"]] / 32768
        assert 1.0 < len(spoken) / 16_000 < 12.0
        assert 0.01 < np.sqrt(np.mean(np.square(spoken))) < 0.2 and np.abs(spoken).max() < 0.96
    data = DataConfig(str(folder), segment=1.0)
    assert open_corpus(data, 16_000).batch(data, 0, 0).abs().amax(-1).min() > 0.01
    assert not list(folder.glob("*.partial"))


def test_a_run_stops_at_the_minutes_asked_for(corpus):
    folder, text, cache = corpus
    done = run(folder, "--text", text, "--cache", cache, "--minutes", 0.01)
    assert done.returncode == 0 and "all the text" not in done.stderr
    assert len((folder / "manifest.jsonl").read_text().splitlines()) == 2


def test_what_is_wrong_is_one_line(corpus, tmp_path):
    folder, _, cache = corpus
    before = (folder / "manifest.jsonl").read_text()
    empty = tmp_path / "empty"
    empty.write_text("1 + 1 = 2\n")
    for arguments, message in (
        ((tmp_path / "nowhere",), "no corpus"),
        ((folder, "--text", empty, "--cache", cache), "no English sentences"),
        ((folder, "--text", tmp_path / "missing", "--cache", cache), "No such file"),
    ):
        done = run(*arguments)
        assert done.returncode == 1 and message in done.stderr
        assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert run(folder, "--minutes", 0).returncode == 2
    assert (folder / "manifest.jsonl").read_text() == before


def test_a_synthesizer_that_is_not_installed_is_one_line(corpus, tmp_path):
    folder, text, cache = corpus
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "piper.py").write_text("raise ImportError('No module named piper')\n")
    done = run(folder, "--text", text, "--cache", cache, PYTHONPATH=str(tmp_path / "hidden"))
    assert done.returncode == 1 and "pip install piper-tts" in done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert not list(folder.glob("audio-english*"))
