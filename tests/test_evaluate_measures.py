"""Measures of the bench: each on real speech, on damage it must notice, and on clips it has no answer for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import gritcodec
from gritcodec.errors import AudioError, UsageError
from gritcodec.evaluate import measures, recogniser, sets, statistics
from gritcodec.evaluate.measures import MEASURES, Pair

CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"
# The models behind some of them take seconds to load: all tests of this file in one process.
pytestmark = pytest.mark.xdist_group("measures")


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return sets.load(sets.Source("austen.flac", CLIP)).astype(np.float64)[: 4 * 16000]


@pytest.fixture(scope="module")
def noisy(speech: np.ndarray) -> np.ndarray:
    return speech + 0.02 * np.random.default_rng(0).standard_normal(len(speech))


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow if name == "visqol" else ()) for name in MEASURES if name != "wer"
    ]
)
def measure(request: pytest.FixtureRequest) -> measures.Measure:
    found = MEASURES[request.param]
    why = found.missing()
    if why and os.environ.get("GRITCODEC_PEERS") != "required":
        pytest.skip(why)
    assert why is None
    return found


def test_a_measure_prefers_the_original_to_noise_and_has_no_answer_for_silence(measure, speech, noisy):
    best = measure.take(Pair(speech, speech, "en"))
    worse = measure.take(Pair(speech, noisy, "en"))
    assert np.isfinite(best) and (best > worse if measure.better == "higher" else best < worse)
    assert measure.version()
    silence = np.zeros(len(speech))
    with pytest.raises(AudioError):
        measure.take(Pair(silence, silence, "en"))
    with pytest.raises(AudioError):
        measure.take(Pair(speech, silence, "en"))
    if measure.name not in ("dnsmos", "distillmos"):
        with pytest.raises(AudioError):
            measure.take(Pair(silence, speech, "en"))


def test_wer_counts_words_against_what_is_said(speech):
    if MEASURES["wer"].missing() and os.environ.get("GRITCODEC_PEERS") != "required":
        pytest.skip("no recogniser")
    heard = recogniser.transcribe(speech)
    wrong = " ".join(["nonsense", *heard.split()[1:]])
    assert len(heard.split()) > 5
    assert MEASURES["wer"].version() and recogniser.word_error_rate(wrong, speech) == pytest.approx(
        1 / len(heard.split())
    )
    with pytest.raises(AudioError, match="nothing is recognised"):
        recogniser.word_error_rate("...", speech)


def test_wer_is_for_english_sentences():
    short, long = np.ones(16000), np.ones(5 * 16000)
    applies = MEASURES["wer"].applies
    assert applies(Pair(long, long, "en")) and applies(Pair(long, long, "", "words that are known"))
    assert not applies(Pair(short, short, "en")) and not applies(Pair(long, long, "it"))


def test_words_are_normalised_as_whisper_s_authors_do():
    pytest.importorskip("whisper_normalizer")
    assert recogniser.words(" Mr. Smith's -- OK! ") == recogniser.words("mister smith is ok") == "mister smith is ok"
    assert recogniser.words("eight of clubs; colour") == "8 of clubs color"
    assert recogniser.word_count("...") == 0 and recogniser.word_count("ill-disposed man") == 3


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("gritcodec.evaluate.measures.find_spec", lambda name: None)
    assert MEASURES["pesq"].missing() == "pesq is not installed: pip install 'gritcodec[evaluate]'"
    assert "visqol-python[lattice] is not installed: pip install 'gritcodec[evaluate-all]'" in str(
        MEASURES["visqol"].missing()
    )
    assert "pip install --no-deps resemblyzer" in str(MEASURES["speaker"].missing())
    assert MEASURES["lsd"].missing() is None


def test_measures_come_in_the_order_of_the_tables():
    assert [each.name for each in measures.choose(["wer", "pesq"])] == ["pesq", "wer"]
    with pytest.raises(UsageError, match="no measure 'peaq': there are pesq, estoi"):
        measures.choose(["peaq"])


def test_an_interval_holds_the_mean_and_narrows_with_clips():
    few, many = ([1.0, 2.0, 3.0] * count for count in (1, 30))
    first, second = statistics.estimate(few), statistics.estimate(many)
    assert first == statistics.estimate(few) and first.mean == second.mean == pytest.approx(2.0)
    assert first.low < 2 < first.high and second.high - second.low < first.high - first.low
    assert statistics.estimate([2.5], 3).wanted == 3
    weighted = statistics.estimate([0.0, 1.0], None, [9.0, 1.0])
    assert weighted.mean == pytest.approx(0.1) and (weighted.low, weighted.high) == (0.0, 1.0)
    assert statistics.sign_test(5, 5) == pytest.approx(1 / 32) and statistics.sign_test(0, 5) == 1.0
