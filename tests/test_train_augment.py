"""What happens to training speech on its way to the encoder: other voices, rooms, microphones, too much gain."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_train import CLIPS

from gritcodec.train import augment
from gritcodec.train.config import DataConfig
from gritcodec.train.data import open_corpus

RATE = 16_000
CHANGES = {
    "room": lambda item, rng: augment.add_room(item, rng, RATE),
    "colour": lambda item, rng: augment.colour(item, rng, RATE),
    "overdrive": augment.overdrive,
    "noise": augment.add_noise,
    "second_voice": lambda item, rng: augment.add_voice(item, item[::-1].copy(), rng),
}


def sine(hertz: float, seconds: float = 1.0, size: float = 0.3) -> np.ndarray:
    return (size * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize("name", ["voice", "room", "colour", "overdrive", "second_voice", "noise"])
def test_a_share_of_the_items_is_changed_and_no_other(name):
    clean = DataConfig(str(CLIPS), batch=64)
    changed = dataclasses.replace(clean, **{f"{name}_share": 0.5})
    corpus = open_corpus(clean, RATE)
    before, after = corpus.batch(clean, 0, 3), corpus.batch(changed, 0, 3)
    assert torch.equal(after, corpus.batch(changed, 0, 3))
    assert after.shape == before.shape and after.dtype == torch.float32
    assert torch.isfinite(after).all() and after.abs().max() <= 0.9901
    different = int((before != after).flatten(1).any(-1).sum())
    assert 20 <= different <= 44


@pytest.mark.parametrize("name", CHANGES)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.0, 1e-6, 0.01, 0.9]))
def test_any_level_stays_finite_and_within_full_scale(name, seed, size):
    item = (size * np.random.default_rng(seed).uniform(-1, 1, 4000)).astype(np.float32)
    changed = CHANGES[name](item, np.random.default_rng(seed))
    assert changed.shape == item.shape and changed.dtype == np.float32
    assert np.isfinite(changed).all() and np.abs(changed).max() <= 0.9901


@pytest.mark.parametrize("name", ["room", "colour", "overdrive"])
def test_the_level_stays_as_it_was(name):
    speech = open_corpus(DataConfig(str(CLIPS)), RATE).batch(DataConfig(str(CLIPS), gain_db=0.0), 0, 0)[0, 0].numpy()
    speech *= 0.1  # far from where it would have to be turned down
    for seed in range(20):
        changed = CHANGES[name](speech, np.random.default_rng(seed))
        assert rms(changed) == pytest.approx(rms(speech), rel=0.01)


@pytest.mark.parametrize("scale", [0.85, 1.1, 1.2])
def test_another_voice_has_all_frequencies_higher_or_lower(scale):
    changed = augment.change_voice(sine(1000, 1.3), scale, RATE)
    assert changed.shape == (RATE,)
    assert np.argmax(np.abs(np.fft.rfft(changed))) == pytest.approx(1000 * scale, abs=2)
    scales = [augment.draw_scale(np.random.default_rng(seed)) for seed in range(200)]
    assert augment.SMALLEST <= min(scales) < 0.9 and 1.15 < max(scales) <= augment.LARGEST


def test_a_room_answers_a_click_and_falls_silent():
    click = np.zeros(2 * RATE, dtype=np.float32)
    click[0] = 0.01
    tails = []
    for seed in range(40):
        power = np.square(CHANGES["room"](click, np.random.default_rng(seed)))
        assert power[0] > 0  # nothing is delayed
        assert power[round(0.95 * RATE) :].sum() < 1e-5 * power.sum()
        tails.append(10 * np.log10(power[1:].sum() / power[0]))
        fall = [10 * np.log10(power[a : a + 800].sum() + 1e-20) for a in (240, 2000)]
        assert fall[1] < fall[0] - 5
    assert min(tails) < -10 and max(tails) > 2


def test_a_microphone_colours_and_adds_nothing():
    colours = []
    for seed in range(20):
        low, high = (CHANGES["colour"](sine(hertz), np.random.default_rng(seed)) for hertz in (300, 3000))
        # Alone, a tone keeps its level and stays a tone.
        for tone, hertz in ((low, 300), (high, 3000)):
            spectrum = np.abs(np.fft.rfft(tone))
            assert np.argmax(spectrum) == hertz
            assert np.delete(spectrum, hertz).max() < 0.01 * spectrum.max()
        both = np.abs(np.fft.rfft(CHANGES["colour"](sine(300) + sine(3000), np.random.default_rng(seed))))
        colours.append(20 * np.log10(both[300] / both[3000]))
    assert min(colours) < -3 and max(colours) > 3


def test_too_much_gain_gives_harmonics():
    for seed in range(20):
        spectrum = np.abs(np.fft.rfft(CHANGES["overdrive"](sine(500), np.random.default_rng(seed))))
        assert np.argmax(spectrum) == 500
        assert spectrum[1500] > 0.01 * spectrum[500]
        assert spectrum[1000] < 1e-3 * spectrum[500]  # both half waves are cut alike


def test_somebody_else_is_at_most_as_loud():
    speech, other = sine(500), sine(2000, size=0.01)
    ratios = []
    for seed in range(100):
        both = np.abs(np.fft.rfft(augment.add_voice(speech, other, np.random.default_rng(seed))))
        ratios.append(20 * np.log10(both[500] / both[2000]))
    assert -0.1 <= min(ratios) < 1 and 11 < max(ratios) <= 12.1
