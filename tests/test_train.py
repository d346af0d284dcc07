"""The trainer: smoke run through the command line, exact resume, configuration that refuses mistakes."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from gritcodec import config as configuration
from gritcodec import model_store
from gritcodec.errors import ConfigError, GritcodecError, ModelError
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.nn.config import NetworkConfig
from gritcodec.train.config import DataConfig, LossConfig, TrainConfig
from gritcodec.train.data import open_corpus
from gritcodec.train.losses import ReconstructionLoss
from gritcodec.train.trainer import Trainer, TrainingError, learning_rate

TINY = {
    "encoder_fine": 16,
    "encoder_fine_blocks": 1,
    "encoder_coarse": 24,
    "encoder_coarse_blocks": 1,
    "decoder_coarse": 24,
    "decoder_coarse_blocks": 1,
    "decoder_fine": 16,
    "decoder_fine_blocks": 1,
    "quantizer": {"stages": 3, "codebook_size": 16, "dim": 8},
}
CLIPS = Path(model_store.__file__).parent / "clips"


def settings(tmp_path: Path, **changes) -> dict:
    return {
        "name": "tiny",
        "runs": str(tmp_path / "runs"),
        "steps": 8,
        "quantize_after": 3,
        "draw_vectors": 1000,
        "log_every": 2,
        "audio_every": 4,
        "checkpoint_every": 4,
        "precision": "no",
        "network": TINY,
        "data": {"corpus": str(CLIPS), "batch": 4, "segment": 0.5},
        "optimizer": {"warmup": 2},
        **changes,
    }


def parse(data: dict) -> TrainConfig:
    return configuration.from_dict(TrainConfig, data, "test")


def test_smoke_run_of_the_shipped_recipe_through_the_command_line(tmp_path):
    recipe = Path(__file__).parent.parent / "recipes/debian-speech/speech-16k.yaml"
    data = configuration.read_yaml(recipe)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**data, "runs": str(tmp_path / "runs")}))
    done = subprocess.run(
        [sys.executable, "-m", "gritcodec", "train", str(tmp_path / "run.yaml"), "--smoke"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "speech-16k-smoke"
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert any("codebook" in line for line in steps), "codes were drawn"
    shares = next(line for line in steps if "gradient-share/mel" in line)
    assert sum(value for name, value in shares.items() if name != "step") == pytest.approx(1.0)
    assert list((folder / "tensorboard").iterdir())
    network = model_store.load(folder / "model").network
    codes = network.encode(torch.zeros(1, 1, 640))
    assert codes.shape == (1, 14, 2)


def test_resume_is_exact_to_the_bit(tmp_path):
    whole = Trainer(parse(settings(tmp_path, name="whole")))
    whole.run()
    first = Trainer(parse(settings(tmp_path, name="parts")))
    while first.step < 4:
        if not first.network.quantizer.ready and first.step >= 3:
            first._draw_codes()
        first.train_step()
        first.step += 1
    first._checkpoint()
    second = Trainer(parse(settings(tmp_path, name="parts")))
    assert second.step == 4
    second.run()
    a, b = (load_file(tmp_path / "runs" / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_accumulated_steps_see_the_whole_batch(tmp_path):
    # Parts have their own batch statistics and noise, so steps agree closely but not exactly.
    losses = {}
    for parts in (1, 2):
        trainer = Trainer(parse(settings(tmp_path, accumulate=parts)), resume=False)
        losses[parts] = {name: value.item() for name, value in trainer.train_step().items()}
    assert losses[1] == pytest.approx(losses[2], rel=0.1)


def test_training_starts_from_a_model_folder(tmp_path):
    trainer = Trainer(parse(settings(tmp_path)))
    trainer.run()
    folder = tmp_path / "runs" / "tiny" / "model"
    again = Trainer(parse(settings(tmp_path, name="again", start=str(folder))))
    assert again.network.quantizer.ready
    shipped = model_store.load(folder).network
    waveform = torch.randn(1, 1, 3200)
    assert torch.equal(again.network.eval().encode(waveform), shipped.encode(waveform))
    with pytest.raises(ModelError, match="not the one"):
        Trainer(parse(settings(tmp_path, start=str(folder), network={**TINY, "kernel": 5})))


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path):
    trainer = Trainer(parse(settings(tmp_path)))
    with torch.no_grad():
        trainer.network.decoder.up.linear.weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="not a number"):
        trainer.run()
    assert not (trainer.folder / "model").exists()


def test_minutes_limit_stops_with_a_checkpoint(tmp_path):
    trainer = Trainer(parse(settings(tmp_path, steps=10000, minutes=0.001)))
    trainer.run()
    assert 0 < trainer.step < 10000 and (trainer.folder / "checkpoint.safetensors").is_file()


def test_damaged_checkpoint_is_refused_with_a_way_out(tmp_path):
    trainer = Trainer(parse(settings(tmp_path)))
    trainer.run()
    path = trainer.folder / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="--no-resume"):
        Trainer(parse(settings(tmp_path)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"step": 3}, "unknown key 'step'; did you mean 'steps'"),
        ({"loss": {"mell": 3}}, "did you mean 'mel'"),
        ({"steps": "many"}, "steps must be a int"),
        ({"network": {"head": "wavelet"}}, "head must be"),
        ({"network": {"quantizer": {"codebook_size": 1000}}}, "power of two"),
        ({"precision": "fp8"}, "precision must be"),
        ({"data": 3}, "must be a mapping"),
        ({"data": {"segment": 0.99}, "network": {"hop_length": 640}}, "must be whole frames"),
    ],
)
def test_configuration_names_what_is_wrong(data, message):
    with pytest.raises(ConfigError, match=message):
        parse(data)


def test_configuration_round_trips_through_yaml(tmp_path):
    config = parse({"optimizer": {"rate": "1e-3", "betas": [0.9, 0.99]}, "network": TINY})
    configuration.write_yaml(tmp_path / "a.yaml", config)
    assert configuration.from_dict(TrainConfig, configuration.read_yaml(tmp_path / "a.yaml"), "a") == config
    with pytest.raises(ConfigError, match="cannot read"):
        configuration.read_yaml(tmp_path / "none.yaml")


def test_batches_are_a_function_of_seed_and_step():
    config = DataConfig(corpus=str(CLIPS), batch=3)
    corpus = open_corpus(config, 16000)
    assert torch.equal(corpus.batch(config, 0, 7), corpus.batch(config, 0, 7))
    assert not torch.equal(corpus.batch(config, 0, 7), corpus.batch(config, 0, 8))
    assert float(corpus.batch(config, 0, 7).abs().max()) <= 1.0


def test_items_are_what_they_are_in_the_whole_batch_whoever_asks_for_them(monkeypatch):
    shares = {f"{name}_share": 0.5 for name in ("noise", "voice", "room", "colour", "overdrive", "second_voice")}
    config = DataConfig(corpus=str(CLIPS), batch=12, **shares)
    corpus = open_corpus(config, 16000)
    whole = corpus.batch(config, 0, 7)
    made = []
    item = corpus._item
    monkeypatch.setattr(corpus, "_item", lambda config, key: made.append(key) or item(config, key))
    assert torch.equal(corpus.batch(config, 0, 7, range(4, 9)), whole[4:9])
    assert len(made) == 5, "a rank makes its own items alone"


def test_quiet_items_are_turned_down_and_the_others_left_alone():
    config = DataConfig(corpus=str(CLIPS), batch=200, quiet_share=0.25, quiet_db=60.0)
    corpus = open_corpus(config, 16000)
    levels = corpus.levels(config, 0, 3)
    assert levels.shape == (200, 1, 1) and torch.equal(levels, corpus.levels(config, 0, 3))
    quiet = levels[levels < 1]
    assert 20 < len(quiet) < 80 and float(quiet.min()) >= 1e-3


def test_packed_corpus_gives_only_its_split(tmp_path):
    audio = np.concatenate([np.full(16000, 1000), np.full(16000, 2000)]).astype("<i2")
    audio.tofile(tmp_path / "audio.int16")
    lines = [
        {"offset": 0, "samples": 16000, "split": "train"},
        {"offset": 16000, "samples": 16000, "split": "valid"},
    ]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    config = DataConfig(corpus=str(tmp_path), batch=2, gain_db=0.0)
    assert float(open_corpus(config, 16000).batch(config, 0, 0).mean()) == pytest.approx(1000 / 32768)
    assert float(open_corpus(config, 16000, "valid").batch(config, 0, 0).mean()) == pytest.approx(2000 / 32768)
    with pytest.raises(ConfigError, match="no corpus"):
        open_corpus(DataConfig(corpus=str(tmp_path / "none")), 16000)


def test_losses_are_zero_only_for_equal_waveforms():
    loss = ReconstructionLoss(LossConfig(), 16000)
    waveform = 0.1 * torch.randn(2, 1, 8000)
    same = loss(waveform, waveform)
    other = loss(waveform, 0.1 * torch.randn(2, 1, 8000))
    assert set(same) == {"mel", "stft", "complex"}
    for name in same:
        assert float(same[name]) < 1e-4 < float(other[name])


def test_learning_rate_warms_up_holds_and_decays():
    config = dataclasses.replace(TrainConfig().optimizer, warmup=10, decay=0.5, final=0.1)
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert rates[0] == 0.1 and rates[10] == rates[50] == 1.0
    assert rates[100] == pytest.approx(0.1) and rates[60] > rates[80] > rates[100]


def test_model_folder_round_trip_and_refusals(tmp_path):
    torch.manual_seed(0)
    network = Autoencoder(configuration.from_dict(NetworkConfig, TINY, "tiny")).eval()
    network.quantizer.initialize(torch.randn(200, 8))
    model_store.save(tmp_path / "m", network)
    model_store.save(tmp_path / "m2", network)
    loaded = model_store.load(model_store.resolve(tmp_path / "m"))
    assert loaded.name == "m" and len(loaded.fingerprint) == 8
    assert loaded.fingerprint == model_store.fingerprint(tmp_path / "m2")
    difference = loaded.network.decode(torch.ones(1, 3, 4, dtype=torch.long)) - network.decode(
        torch.ones(1, 3, 4, dtype=torch.long)
    )
    assert difference.abs().max().item() < 1e-2
    with pytest.raises(ModelError, match="no model 'nothing'"):
        model_store.resolve("nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="it needs"):
        model_store.resolve(tmp_path / "empty")
    weights = tmp_path / "m" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(GritcodecError, match="cannot read"):
        model_store.load(tmp_path / "m")
