"""Telephone sound: what each line leaves of speech, and what it needs."""

from __future__ import annotations

import os

import numpy as np
import pytest
from test_evaluate_peers import CLIP, RATE

from gritcodec.errors import AudioError, UsageError
from gritcodec.evaluate import align, conditions, metrics, sets, telephone


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return sets.load(sets.Source("austen.flac", CLIP))[: 4 * RATE + 77].astype(np.float64)


@pytest.fixture(autouse=True)
def lines() -> None:
    why = telephone.missing()
    if why and os.environ.get("GRITCODEC_PEERS") != "required":
        pytest.skip(why)
    assert why is None


def level(samples: np.ndarray, low: float, high: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(10 * np.log10(power[(hertz >= low) & (hertz < high)].sum()))


# Noise that each codec adds, in dB below the line without one.
NOISE = {"mu-law": (30, 45), "a-law": (30, 45), "gsm": (3, 15), "amr": (5, 25)}


@pytest.mark.parametrize("line", telephone.LINES)
def test_a_line_keeps_the_band_the_length_and_the_words(line, speech):
    heard = telephone.through(speech, line)
    assert len(heard) == len(speech) and np.array_equal(heard, telephone.through(speech, line))
    assert level(heard, 4100, 8000) < level(heard, 300, 3400) - 40
    assert abs(level(heard, 400, 3300) - level(speech, 400, 3300)) < 1
    if line in ("pcm", "mu-law", "a-law"):
        assert level(heard, 0, 150) < level(heard, 300, 3400) - 35
    plain = telephone.through(speech, "pcm")
    lag = align.delay(plain, heard)
    # AMR looks ahead 5 ms; with its whole-sample rounding at 8 kHz.
    assert lag == 0 if line != "amr" else 70 <= lag <= 90
    if line != "pcm":
        sdr = metrics.si_sdr(plain, align.shift(heard, lag, len(heard)), RATE)
        assert NOISE[line][0] < sdr < NOISE[line][1]
        assert metrics.stoi(plain, align.shift(heard, lag, len(heard)), RATE) > 0.9


def test_clips_of_the_condition_take_turns(speech, tmp_path):
    clean = []
    for number in range(6):
        source = sets.Source(f"reader-{number}.flac", CLIP, "en")
        clean.append(sets.write_clip(speech[number * 1000 :], source, sets.CLEAN, tmp_path))
    made = conditions.build("telephone", clean, 6, None, tmp_path, 0)
    assert [clip.condition for clip in made] == ["telephone"] * 6
    for number, clip in enumerate(made):
        expected = telephone.through(sets.load(sets.Source("", clean[number].path)), telephone.LINES[number % 5])
        heard = sets.load(sets.Source("", clip.path))
        assert np.abs(heard - expected).max() < 1 / 16384


def test_without_its_library_it_says_what_to_install(monkeypatch, speech, tmp_path):
    monkeypatch.setattr(telephone, "_AMR", "libnowhere.so.0")
    line = "it needs libnowhere.so.0: apt-get install libopencore-amrnb0"
    assert conditions.missing("telephone", None) == line
    with pytest.raises(UsageError, match=f"telephone: {line}"):
        conditions.build("telephone", [], 1, None, tmp_path, 0)
    with pytest.raises(AudioError, match=f"telephone: {line}"):
        telephone.through(speech, "amr")
    assert len(telephone.through(speech, "gsm")) == len(speech)
