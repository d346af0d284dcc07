"""recipes/evaluation-words: English sentences with what they say, by a real synthesizer."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_evaluate_speed import script

from gritcodec.evaluate import sets
from gritcodec.evaluate.recogniser import word_count

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "evaluation-words" / "prepare.py"
SENTENCES = RECIPE.with_name("sentences.txt").read_text().splitlines()


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RECIPE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


def test_every_sentence_is_said_by_two_voices_and_every_voice_says_as_much():
    recipe = script("recipes/evaluation-words/prepare.py")
    made = recipe.clips(SENTENCES)
    assert len(SENTENCES) == len(set(SENTENCES)) == len(made) == 96
    assert {sum(voice == each for voice, _ in made) for each in recipe.VOICES} == {24}
    for sentence in SENTENCES:
        voices = [voice for voice, text in made if sentence in text]
        assert len(set(voices)) == len(voices) == 2


def test_the_set_is_one_that_the_bench_reads(tmp_path):
    if shutil.which("flite") is None and os.environ.get("GRITCODEC_PEERS") != "required":
        pytest.skip("flite is not installed")
    text = tmp_path / "text"
    text.write_text("\n".join(SENTENCES[:5]) + "\n\n")
    done = run("--out", tmp_path / "words", "--text", text)
    assert done.returncode == 0, done.stderr
    sources = sets.read_set(tmp_path / "words")
    assert len(sources) == 6 and {sets.kind(source.name) for source in sources} == {"awb-", "kal-", "rms-", "slt-"}
    assert sum(word_count(source.text or "") for source in sources) == 2 * sum(len(s.split()) for s in SENTENCES[:5])
    for source in sources:
        samples = sets.load(source)
        assert source.language == "en" and 1.5 < len(samples) / 16_000 < 10
        assert np.abs(samples).max() > 0.05
    assert all("licence" in row for row in json.loads((tmp_path / "words" / "manifest.json").read_text()))
    assert run("--out", tmp_path / "words", "--text", text).stderr.count("\n") == 1  # not written over


def test_what_is_wrong_is_one_line(tmp_path):
    (tmp_path / "flite").write_text("#!/bin/sh\necho no such voice >&2\nexit 1\n")
    (tmp_path / "flite").chmod(0o755)
    (tmp_path / "empty").touch()
    out = tmp_path / "out"
    for arguments, path, message in (
        ((), "", "apt-get install flite"),
        ((), str(tmp_path), "no such voice"),
        (("--text", tmp_path / "empty"), str(tmp_path), "is empty"),
    ):
        done = run("--out", out, *arguments, PATH=path)
        assert done.returncode == 1 and message in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert not out.exists() and not list(tmp_path.glob(".evaluation-words-*"))
