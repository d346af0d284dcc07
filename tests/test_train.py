"""The trainer: smoke run through the command line, exact resume, configuration that refuses mistakes."""

import dataclasses
import json
import re
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
from gritcodec.engine import store
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


@pytest.mark.slow
def test_smoke_run_of_the_shipped_recipe_through_the_command_line(tmp_path):
    recipe = Path(__file__).parent.parent / "recipes/debian-speech/speech-16k.yaml"
    data = configuration.read_yaml(recipe)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**data, "runs": str(tmp_path / "runs")}))
    done = command("train", tmp_path / "run.yaml", "--smoke")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "speech-16k-smoke"
    first, *lines = done.stderr.splitlines()
    assert first.startswith("training speech-16k-smoke, 11.3 M parameters, on the bundled clip: 4 x 2 s a step, ")
    assert all(line.startswith("step ") for line in lines), "nobody else's warnings"
    assert any(line.startswith("step 8 of 12: loss ") for line in lines)
    assert re.search(r"^step 12: PESQ-WB .* at 1.5 / 3 / 6 kbps, the best so far$", done.stderr, re.MULTILINE)
    assert done.stdout.splitlines()[0].startswith(f"{folder}: done: step 12 of 12, after ")
    assert done.stdout.splitlines()[1].startswith("quality: PESQ-WB ")
    assert done.stdout.splitlines()[-1] == f"next: gritcodec train {tmp_path / 'run.yaml'}"
    assert done.stdout.count(str(folder)) == 1 and str(folder) not in done.stderr
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert any("codebook" in line for line in steps), "codes were drawn"
    shares = next(line for line in steps if "gradient-share/mel" in line)
    assert sum(value for name, value in shares.items() if name != "step") == pytest.approx(1.0)
    assert list((folder / "tensorboard").iterdir())
    network = store.load(folder / "model")
    codes = network.encode(torch.zeros(1, 1, 640))
    assert codes.shape == (1, 14, 2)


def command(*arguments, **options):
    """Run the installed command."""
    line = [sys.executable, "-m", "gritcodec", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, **options)


@pytest.mark.parametrize("codes", [True, False])
@pytest.mark.slow
def test_a_run_that_is_stopped_says_where_it_stands_and_is_exported(tmp_path, codes):
    """Before the first validation, and before there are codes too: then some are drawn to listen to."""
    changes = {"steps": 10**6, "quantize_after": 2 if codes else 10**6, "log_every": 10**6, "checkpoint_every": 10**6}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings(tmp_path, **changes)))
    done = command("train", tmp_path / "run.yaml", "--minutes", "11s" if codes else "1s")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "tiny"
    # A line every ten seconds: loss, pace, and what is left of the time.
    assert not codes or re.search(
        r"^step [\d,]+ of 1,000,000: loss [\d.e+]+, [\d.e-]+ s a step, stops in \d+ s$", done.stderr, re.M
    )
    stopped = re.match(rf"{folder}: stopped at step ([\d,]+) of 1,000,000, after \d+ s\n", done.stdout)
    assert stopped, done.stdout
    assert f"next: gritcodec train {tmp_path / 'run.yaml'}    # goes on from step {stopped[1]}\n" in done.stdout
    assert done.stdout.endswith(f"or: gritcodec export {folder}\n")
    assert ("quality: PESQ-WB " in done.stdout) == codes
    assert codes or "quality: not measured, there are no codes before step 1,000,000\n" in done.stdout
    done = command("export", folder)
    assert done.returncode == 0 and done.stdout == f"{folder / 'export' / 'tiny'}\n", done.stderr
    assert ("has no codes yet: they are drawn now, from 1,000 latents" in done.stderr) == (not codes)
    assert f"step {stopped[1].replace(',', '')} of 1000000" in (folder / "export" / "tiny" / "README.md").read_text()
    sound = tmp_path / "heard.wav"
    done = command("roundtrip", CLIPS / "austen.flac", sound, "-b", "0.5", "--model", folder / "export" / "tiny", "-q")
    assert done.returncode == 0 and sound.stat().st_size > 200_000, done.stderr


@pytest.mark.slow
def test_a_quiet_run_says_nothing(tmp_path):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings(tmp_path)))
    done = command("train", tmp_path / "run.yaml", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "runs" / "tiny" / "model").is_dir()


@pytest.mark.parametrize("size", [500, 20_000, 60_000])
@pytest.mark.slow
def test_a_full_disk_is_no_bug(tmp_path, size):
    """Whichever file it is that has no room; the checkpoint that was there before stays as it was."""
    resource = pytest.importorskip("resource", reason="needs a Unix")

    def limit(most=size):
        # Python ignores SIGXFSZ, so that a write beyond the limit fails as one on a full disk does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings(tmp_path, steps=4)))
    assert command("train", tmp_path / "run.yaml", "-q").returncode == 0
    checkpoint = tmp_path / "runs" / "tiny" / "checkpoint.safetensors"
    before = checkpoint.read_bytes()
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings(tmp_path, steps=8)))
    done = command("train", tmp_path / "run.yaml", "-q", preexec_fn=limit)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("gritcodec: error: cannot write ") and done.stderr.count("\n") == 1, done.stderr
    assert "File too large" in done.stderr and str(tmp_path / "runs" / "tiny") in done.stderr
    assert checkpoint.read_bytes() == before and not list(checkpoint.parent.rglob("*.part"))
    out = tmp_path / "new" / "deep" / "model"
    done = command("export", checkpoint.parent, out, preexec_fn=lambda: limit(min(size, 20_000)))
    assert done.returncode == 1 and done.stderr.startswith("gritcodec: error: cannot write "), done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_export_replaces_nothing_but_models(tmp_path):
    """A folder goes as a whole: one of recordings, or the run itself, is none to replace."""
    run, sounds = tmp_path / "run", tmp_path / "sounds"
    for folder, name in ((run, "log.txt"), (sounds, "a.wav")):
        folder.mkdir()
        (folder / name).write_text("mine")
    (run / "config.yaml").write_text("name: tiny\n")
    for out in (sounds, run, sounds / "a.wav"):
        done = command("export", run, out, "--force")
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "with --force either" in done.stderr
    assert (run / "log.txt").read_text() == (sounds / "a.wav").read_text() == "mine"


def test_export_says_what_it_lacks(tmp_path):
    done = command("export", tmp_path)
    assert done.returncode == 2 and "no run in" in done.stderr
    configuration.write_yaml(tmp_path / "config.yaml", parse(settings(tmp_path)))
    done = command("export", tmp_path)
    assert done.returncode == 2 and "has no weights yet: they come every 4 steps (checkpoint_every)" in done.stderr


def test_the_next_network_keeps_to_its_limits():
    recipes = Path(__file__).parent.parent / "recipes/debian-speech"
    config, codes = (
        configuration.from_dict(TrainConfig, configuration.read_yaml(recipe), str(recipe))
        for recipe in (recipes / "speech-16k-next.yaml", recipes / "speech-16k-codes.yaml")
    )
    assert codes.network == config.network and codes.start == config.start
    network = Autoencoder(config.network)
    assert 2 * sum(p.numel() for p in network.parameters()) < 40e6  # bytes in fp16
    assert (network.config.hop_length + network.delay) / network.config.sample_rate < 0.040
    assert learning_rate(config.optimizer, config.steps - 1, config.steps) == 1.0


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
    shipped = store.load(folder)
    waveform = torch.randn(1, 1, 3200)
    assert torch.equal(again.network.eval().encode(waveform), shipped.encode(waveform))
    with pytest.raises(ModelError, match="not the one"):
        Trainer(parse(settings(tmp_path, start=str(folder), network={**TINY, "kernel": 5})))


@pytest.mark.slow
def test_another_run_begins_with_the_weights_of_one_without_codes(tmp_path):
    first = Trainer(parse(settings(tmp_path, quantize_after=100)))
    first.run()
    folder = first.folder / "start"
    assert not (first.folder / "model").exists()
    second = Trainer(parse(settings(tmp_path, name="second", start=str(folder), quantize_after=2)))
    mine = dict(second.network.named_parameters())
    for name, average in first.average.items():
        assert torch.allclose(mine[name], average, atol=2e-3) or name.startswith("quantizer.")
    assert not second.network.quantizer.is_ready
    second.run()
    assert (second.folder / "model").is_dir() and second.network.quantizer.is_ready


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path):
    trainer = Trainer(parse(settings(tmp_path)))
    with torch.no_grad():
        trainer.network.decoder.up.linear.weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="not a number"):
        trainer.run()
    assert not (trainer.folder / "model").exists()


def test_items_of_few_stages_use_no_more_than_two(tmp_path):
    # A step logs what each stage leaves of the items that use it: nothing where there are none.
    data = settings(tmp_path, quantize_after=0, full_stages=0.0, few_stages=1.0, log_every=1, steps=4)
    Trainer(parse(data)).run()
    lines = [json.loads(line) for line in (tmp_path / "runs" / "tiny" / "metrics.jsonl").read_text().splitlines()]
    left = [[line[f"error/stage-{stage:02d}"] for stage in (1, 2, 3)] for line in lines if "mel" in line]
    assert len(left) == 4 and all(first > 0 and third == 0 for first, _, third in left)
    assert any(second > 0 for _, second, _ in left)


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
        ({"full_stages": 0.8, "few_stages": 0.3}, "together 1 at most"),
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
    store.save(tmp_path / "m", network)
    store.save(tmp_path / "m2", network)
    loaded = model_store.read(model_store.resolve(tmp_path / "m"))
    assert loaded.name == "m" and len(loaded.fingerprint) == 8
    assert loaded.fingerprint == model_store.fingerprint(tmp_path / "m2")
    difference = store.load(tmp_path / "m").decode(torch.ones(1, 3, 4, dtype=torch.long)) - network.decode(
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
        model_store.read(tmp_path / "m")
