"""Losses that model hearing, and noise in training data."""

import numpy as np
import pytest
import soundfile
import torch
from test_train import CLIPS, settings

from gritcodec import config as configuration
from gritcodec.nn.hearing import AudibleDisturbance, EnvelopeDistance, PhaseDerivativeDistance
from gritcodec.train.augment import add_noise
from gritcodec.train.config import DataConfig, LossConfig, TrainConfig
from gritcodec.train.data import open_corpus
from gritcodec.train.trainer import Trainer

LOSSES = [AudibleDisturbance(16_000, 512), EnvelopeDistance(16_000, 400), PhaseDerivativeDistance()]


@pytest.fixture(scope="module")
def speech():
    samples, rate = soundfile.read(CLIPS / "austen.flac", dtype="float32")
    assert rate == 16_000
    return torch.from_numpy(samples[: 2 * rate])[None]


def noise_like(speech: torch.Tensor, decibels: float) -> torch.Tensor:
    noise = torch.randn(speech.shape, generator=torch.Generator().manual_seed(0))
    return noise * speech.std() * 10 ** (decibels / 20)


@pytest.mark.parametrize("loss", LOSSES)
def test_more_noise_is_a_greater_distance_and_none_is_none(loss, speech):
    found = [float(loss(speech + noise_like(speech, decibels), speech)) for decibels in (-40, -25, -10, 5)]
    assert found == sorted(found) and found[0] > 0
    assert float(loss(speech, speech)) < 0.05 * found[-1]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("silent", ["output", "target", "both"])
def test_silence_has_a_gradient_that_is_a_number(loss, silent, speech):
    nothing = torch.zeros_like(speech)
    output = (nothing if silent != "target" else speech).clone().requires_grad_(True)
    loss(output, nothing if silent != "output" else speech).backward()
    assert torch.isfinite(output.grad).all()


def test_additions_disturb_more_than_losses():
    loss = AudibleDisturbance(16_000, 512)
    time = torch.arange(16_000) / 16_000
    tone = 0.05 * torch.sin(2 * torch.pi * 500 * time)[None]
    both = tone + 0.05 * torch.sin(2 * torch.pi * 3000 * time)
    assert float(loss(both, tone)) > 1.3 * float(loss(tone, both)) > 0


def test_what_nobody_hears_is_no_disturbance():
    loss = AudibleDisturbance(16_000, 512)
    faint = 10 ** (-130 / 20) * torch.randn(1, 16_000)
    assert float(loss(faint, torch.zeros(1, 16_000))) == pytest.approx(
        float(loss(torch.zeros(1, 16_000), torch.zeros(1, 16_000)))
    )


def test_phase_derivatives_forgive_phase_and_level_and_neither_pitch_nor_smearing(speech):
    loss = PhaseDerivativeDistance()
    time = torch.arange(16_000) / 16_000

    def harmonics(pitch, phase=0.0):
        numbers = torch.arange(1, 21)[:, None]
        return 0.02 * torch.sin(2 * torch.pi * pitch * numbers * time + phase).sum(0, keepdim=True)

    voice = harmonics(130.0)
    assert float(loss(voice, voice)) < 1e-4
    assert float(loss(0.3 * voice, voice)) < 1e-4
    apart = float(loss(harmonics(137.0), voice))
    assert float(loss(harmonics(130.0, 1.5), voice)) < 0.05 * apart
    # Magnitudes as they were, phases of every frame and bin at random.
    window = torch.hann_window(512)
    parts = torch.stft(speech, 512, 128, window=window, return_complex=True)
    turned = parts * torch.exp(2j * torch.pi * torch.rand(parts.shape, generator=torch.Generator().manual_seed(0)))
    smeared = torch.istft(turned, 512, 128, window=window, length=speech.shape[-1])
    assert float(loss(smeared, speech)) > 10 * float(loss(-speech, speech))
    # Nothing is gained by less sound.
    assert float(loss(0.5 * smeared, speech)) >= float(loss(smeared, speech))


def test_envelopes_forgive_level_and_not_rhythm(speech):
    loss = EnvelopeDistance(16_000, 400)
    assert float(loss(0.5 * speech, speech)) < 0.02
    assert float(loss(speech.flip(-1), speech)) > 0.5
    assert float(loss(torch.randn_like(speech), speech)) > 0.5
    assert float(loss(speech[:, :4000], speech[:, :4000])) == 0.0  # shorter than a stretch


def test_pauses_do_not_count_as_envelopes(speech):
    loss = EnvelopeDistance(16_000, 400)
    paused = torch.cat([speech, torch.zeros(1, 16_000)], -1)
    hissing = paused + 1e-4 * torch.cat([torch.zeros_like(speech), torch.randn(1, 16_000)], -1)
    assert float(loss(hissing, paused)) < 0.1


def test_a_run_with_models_of_hearing_balanced(tmp_path):
    loss = {"disturbance": 0.15, "envelope": 0.15, "phase": 0.65, "phase_derivatives": 5.0, "balance": True}
    config = configuration.from_dict(TrainConfig, settings(tmp_path, loss=loss), "test")
    values = Trainer(config, cpu=True).train_step()
    names = {"phase_derivatives", "disturbance", "envelope"}
    assert names | {f"norm/{name}" for name in names} <= set(values)
    assert all(torch.isfinite(value).all() for value in values.values())


@pytest.mark.parametrize(
    "wrong", [{"phase": 1.2}, {"phase_derivatives": -1.0}, {"disturbance": -1.0}, {"envelope": -0.1}]
)
def test_wrong_losses_are_refused(wrong):
    with pytest.raises(ValueError, match="loss"):
        LossConfig(**wrong)


def test_noise_comes_at_every_level_and_leaves_the_other_items_alone():
    clean, noisy = DataConfig(str(CLIPS), batch=64), DataConfig(str(CLIPS), batch=64, noise_share=0.5)
    corpus = open_corpus(clean, 16_000)
    without, with_noise = corpus.batch(clean, 0, 3), corpus.batch(noisy, 0, 3)
    assert torch.equal(with_noise, corpus.batch(noisy, 0, 3))
    changed = (without != with_noise).flatten(1).any(-1)
    assert 20 <= int(changed.sum()) <= 44
    assert with_noise.abs().max() <= 0.9901 and with_noise.dtype == torch.float32
    item, ratios, levels = without[0, 0].numpy(), [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        added = add_noise(item, rng)
        ratios.append(np.corrcoef(added, item)[0, 1])
        levels.append(10 * np.log10(np.mean(np.square(added)) / np.mean(np.square(item))))
    # Correlation r of speech in noise is a ratio of r^2 / (1 - r^2): 5 to 45 dB, and noise alone.
    alone = np.abs(ratios) < 0.5
    assert 30 <= alone.sum() <= 70
    assert -20.5 < np.array(levels)[alone].min() < -15 and -5 < np.array(levels)[alone].max() < 0.5
    decibels = 10 * np.log10(np.square(ratios) / (1 - np.square(ratios)))[~alone]
    assert decibels.min() < 10 and decibels.max() > 40
