"""Alignment: how late each clip comes back is measured on that clip, and what a codec loses of the end is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_evaluate_peers import CLIP, RATE, code, there

from gritcodec.evaluate import align, bench, metrics, page, results, sets
from gritcodec.evaluate.contenders.base import Original, read_pcm, write_pcm


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return sets.load(sets.Source("austen.flac", CLIP))


def cut(speech: np.ndarray, seconds: float, folder: Path) -> sets.Clip:
    source = sets.Source(f"austen-{seconds:g}.flac", CLIP, "en")
    return sets.write_clip(speech[: round(seconds * RATE)], source, sets.CLEAN, folder)


@pytest.mark.parametrize("lag", [0, 1, 95, 1105, -40])
def test_a_delay_is_found_to_the_sample(lag, speech):
    delayed = align.shift(speech, -lag, len(speech)) if lag >= 0 else speech[-lag:]
    decoded = 0.7 * delayed + 0.01 * np.random.default_rng(0).standard_normal(len(delayed))
    assert align.delay(speech, decoded) == lag
    back = align.shift(decoded, lag, len(speech))
    assert len(back) == len(speech) and metrics.si_sdr(speech, back, RATE) > 5


@pytest.mark.parametrize("lag", [0, 222, 900])
def test_a_delay_is_found_without_a_common_waveform(lag, speech):
    """Noise with the speech's spectrogram, as a vocoder makes it: nothing but the course of the level is left."""
    rng = np.random.default_rng(0)
    window = np.hanning(512)
    padded = np.pad(speech, (512 + lag, 512))
    decoded = np.zeros(len(padded))
    for start in range(0, len(padded) - 512, 128):
        spectrum = np.fft.rfft(padded[start : start + 512] * window)
        turned = np.abs(spectrum) * np.exp(2j * np.pi * rng.random(len(spectrum)))
        decoded[start : start + 512] += np.fft.irfft(turned) * window
    decoded = decoded[512:]
    assert abs(metrics.si_sdr(speech, decoded[lag : lag + len(speech)], RATE)) > 10
    assert align.delay(speech, decoded) == pytest.approx(lag, abs=32)


def test_where_a_clip_tells_nothing_the_usual_delay_counts():
    first, second = (0.001 * np.random.default_rng(seed).standard_normal(2 * RATE) for seed in (1, 2))
    assert align.delay(first, second, 95) == 95
    assert align.delay(first, np.zeros(2 * RATE), 95) == 95


def test_speex_is_late_by_its_delay_where_a_clip_fits_one_page_and_nowhere_else(speech, tmp_path):
    contender = there("speex:2")
    lags = {}
    for seconds in (2.0, 7.0):
        clip = cut(speech, seconds, tmp_path)
        work = tmp_path / f"{seconds:g}"
        work.mkdir()
        _, decoded = code(contender, clip, work)
        reference = read_pcm(clip.path)[0] / 32768
        lags[seconds] = lag = align.delay(reference, decoded)
        assert len(decoded) >= len(reference) + lag
        there_is = metrics.stoi(reference, align.shift(decoded, lag, len(reference)), RATE)
        trusted = metrics.stoi(reference, align.shift(decoded, 0, len(reference)), RATE)
        assert there_is > 0.9 and (trusted < 0.8) == (seconds == 2.0)
    assert 220 <= lags[2.0] <= 224 and abs(lags[7.0]) <= 1


class Late(Original):
    """A codec that gives short clips back later than long ones."""

    family = "late"
    keeps_time = False

    def version(self) -> str:
        return "late"

    def decode(self, packed: Path, decoded: Path) -> None:
        samples, rate = read_pcm(packed)
        write_pcm(decoded, np.pad(samples, (300 if len(samples) < 4 * rate else 20, 0)), rate)


class Punctual(Late):
    """The same, but its files are said to keep time."""

    family = "punctual"
    keeps_time = True


def test_the_bench_measures_the_lag_of_every_clip_and_removes_it_where_it_may(speech, tmp_path):
    clips = [cut(speech, seconds, tmp_path) for seconds in (2.0, 3.0, 6.0)]
    found = []
    for contender in (Late(), Punctual()):
        entry = bench.describe(contender, tmp_path / "cache", None)
        tasks = [bench.Task(clip, contender, entry, ("sisdr",), tmp_path / "cache", False) for clip in clips]
        scores = bench.run(tasks, 1, print)
        assert scores == bench.run(tasks, 1, print), "kept with the scores"
        assert [score.lag for score in scores] == [300, 300, 20]
        assert all((score.values["sisdr"] > 60) == (contender.family == "late") for score in scores)
        facts = [results.ClipFacts(c.name, c.condition, c.language, c.seconds, c.level_db) for c in clips]
        found.append(results.Results("set", "tiny", facts, [entry], {"sisdr": "1", "pesq": "1"}, scores))
    assert found[0].lags("late") == [20, 300, 300] and found[1].entries[0].delay == 0
    assert "| 300 (20 to 300) |" in page.markdown(found[0], "command")
