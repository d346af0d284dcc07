"""Training in real processes: two ranks are as one, a killed run goes on as before, bad numbers stop it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from gritcodec.engine import store
from gritcodec.errors import ConfigError
from gritcodec.train.export import export
from gritcodec.train.guard import TrainingError
from gritcodec.train.prefetch import Prefetch
from gritcodec.train.trainer import Trainer
from tests.test_train import parse, settings

RECIPES = Path(__file__).parent.parent / "recipes" / "accelerate"


def write(path: Path, data: dict) -> Path:
    path.write_text(yaml.safe_dump(data))
    return path


def curve(folder: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


LAUNCHED = """
import sys, torch
torch.set_num_threads(1)
from gritcodec.train import run
from gritcodec.train.trainer import Trainer
made = []
class Watched(Trainer):
    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        made.append(self)
import gritcodec.train.trainer as module
module.Trainer = Watched
run.main(sys.argv[1], cpu=True)
trainer = made[0]
assert trainer.accelerator.num_processes == int(sys.argv[3]), trainer.accelerator.num_processes
from safetensors.torch import save_file
rank = trainer.accelerator.process_index
save_file({k: v.contiguous() for k, v in trainer.network.state_dict().items()}, f"{sys.argv[2]}-{rank}.safetensors")
"""


@pytest.mark.slow
@pytest.mark.parametrize("adversarial", [False, True])
def test_two_processes_follow_the_curve_of_one(tmp_path, adversarial):
    """accelerate launch, two gloo processes on the CPU, against one process with the same global batch."""
    common = {
        "steps": 10,
        "quantize_after": 0,
        "full_stages": 1.0,
        "log_every": 1,
        "audio_every": 100,
        "validate_every": 0,
        # auraloss's spectral convergence is a ratio over the batch: a mean over ranks is another number
        "loss": {"stft": 0.0, "balance": adversarial},
        "adversarial": {"start": 4, "windows": [256, 64], "draws": 1, "channels": 4} if adversarial else {},
    }
    (tmp_path / "launched.py").write_text(LAUNCHED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", port]
    launch += ["--config_file", RECIPES / "two-cpu-processes.yaml"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    for name, before, count in (("one", [sys.executable], 1), ("two", launch, 2)):
        config = write(tmp_path / f"{name}.yaml", settings(tmp_path, name=name, **common))
        command = [*before, tmp_path / "launched.py", config, tmp_path / name, str(count)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
    ranks = [load_file(tmp_path / f"two-{rank}.safetensors") for rank in range(2)]
    for name, tensor in ranks[0].items():
        assert torch.equal(tensor, ranks[1][name]), name
    for name in ("mel", "complex", "commitment", "codebook", "gradient"):
        one, two = (curve(tmp_path / "runs" / run, name) for run in ("one", "two"))
        assert len(one) == len(two) == 10
        assert two == pytest.approx(one, rel=0.02), name
    # only the main process writes
    lines = (tmp_path / "runs" / "two" / "environment.jsonl").read_text().splitlines()
    assert len(lines) == 1 and json.loads(lines[0])["processes"] == 2


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    common = {
        "steps": 40,
        "quantize_after": 6,
        "checkpoint_every": 3,
        "validate_every": 0,
        "loss": {"balance": True},
        "adversarial": {"start": 8, "windows": [256], "periods": [3], "channels": 4, "every": 2, "draws": 1},
    }
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in ("whole", "killed"):
        write(tmp_path / f"{name}.yaml", settings(tmp_path, name=name, **common))
    command = [sys.executable, "-m", "gritcodec", "train", "--cpu"]
    subprocess.run([*command, tmp_path / "whole.yaml"], check=True, capture_output=True, env=environment)
    victim = subprocess.Popen([*command, tmp_path / "killed.yaml"], stderr=subprocess.PIPE, env=environment)
    checkpoint = tmp_path / "runs" / "killed" / "checkpoint.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.is_file() and time.monotonic() < deadline and victim.poll() is None:
        time.sleep(0.02)
    time.sleep(float(torch.rand(())) * 2)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    done = subprocess.run([*command, tmp_path / "killed.yaml"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    whole = load_file(tmp_path / "runs" / "whole" / "checkpoint.safetensors")
    killed = load_file(checkpoint)
    assert whole.keys() == killed.keys() and any(name.startswith("discriminators-optimizer") for name in whole)
    for name, tensor in whole.items():
        assert torch.equal(tensor, killed[name]), name


def test_a_bad_step_is_named_and_its_batch_kept(tmp_path):
    trainer = Trainer(parse(settings(tmp_path)))
    with torch.no_grad():
        trainer.network.decoder.up.linear.weight[0, 0] = float("inf")
    before = {name: p.clone() for name, p in trainer.network.named_parameters()}
    with pytest.raises(TrainingError, match=r"step 0: .*decoder\.up\.linear\.weight"):
        trainer.run()
    batch = load_file(tmp_path / "runs" / "tiny" / "offending-batch-0.safetensors")
    assert batch["waveforms"].shape == (4, 1, 8000) and set(batch) == {"waveforms", "levels", "active"}
    for name, parameter in trainer.network.named_parameters():
        assert torch.equal(parameter.nan_to_num(), before[name].nan_to_num()), f"{name} moved"


def test_an_exploding_gradient_stops_the_run(tmp_path):
    trainer = Trainer(parse(settings(tmp_path, steps=200, explosion=50.0, data={**settings(tmp_path)["data"]})))
    trainer.guard.seen, trainer.guard.mean = 1000, torch.tensor(1e-6)
    with pytest.raises(TrainingError, match=r"exploded.*first: gradient of"):
        trainer.run()


@pytest.mark.slow
def test_validation_keeps_the_best_and_export_ships_it(tmp_path):
    trainer = Trainer(parse(settings(tmp_path, validate_every=4)))
    trainer.run()
    run = tmp_path / "runs" / "tiny"
    scores = curve(run, "score")
    assert len(scores) == 2 and curve(run, "valid/pesq-6") and curve(run, "valid/estoi-1.5")
    best = json.loads((run / "best.json").read_text())
    assert best["score"] == max(scores)
    command = [sys.executable, "-m", "gritcodec", "export", str(run)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder == run / "export" / "tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.yaml", "weights.safetensors"]
    card = (folder / "README.md").read_text()
    assert f"step {best['step']} of 8" in card and f"{best['valid/pesq-3']:.3f}" in card
    weights = load_file(folder / "weights.safetensors")
    assert weights["quantizer.base"].dtype == torch.float16
    waveform = torch.randn(1, 1, 3200)
    exported, kept = store.load(folder), store.load(run / "best")
    assert torch.equal(exported.encode(waveform), kept.encode(waveform))
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode != 0 and "--force" in again.stderr and "Traceback" not in again.stderr
    export(run, force=True)
    (run / "best.json").unlink()
    # Without the scores of the best the last weights are measured, and shipped with what that says.
    card = (export(run, tmp_path / "out") / "README.md").read_text()
    assert "step 8 of 8" in card and "| 3 | -" not in card
    with pytest.raises(ConfigError, match="no run in"):
        export(tmp_path / "nothing")


@pytest.mark.slow
def test_the_best_score_survives_a_resume(tmp_path):
    trainer = Trainer(parse(settings(tmp_path, validate_every=4)))
    trainer.run()
    assert trainer.validation is not None
    network = trainer.averaged_network()
    best = json.loads((tmp_path / "runs" / "tiny" / "best.json").read_text())
    assert not trainer.validation.keep_best(99, {"score": best["score"] - 1}, network)
    assert trainer.validation.keep_best(99, {"score": best["score"] + 1}, network)
    assert json.loads((tmp_path / "runs" / "tiny" / "best.json").read_text())["step"] == 99


def test_a_frozen_encoder_stands_still_and_the_rest_moves(tmp_path):
    optimizer = {"warmup": 2, "encoder_rate": 0.0}
    trainer = Trainer(parse(settings(tmp_path, optimizer=optimizer, validate_every=0)))
    trainer._draw_codes()
    state = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    for _ in range(4):
        trainer.train_step()
        trainer.step += 1
    for name, tensor in trainer.network.state_dict().items():
        if name.startswith("encoder.") or name in ("quantizer.offset", "quantizer.spread"):
            assert torch.equal(tensor, state[name]), name
    assert not torch.equal(trainer.network.quantizer.base, state["quantizer.base"])
    assert not torch.equal(trainer.network.decoder.up.linear.weight, state["decoder.up.linear.weight"])


@pytest.mark.parametrize("name", ["one-gpu", "eight-gpus", "four-nodes", "two-cpu-processes"])
def test_accelerate_takes_every_configuration_of_the_recipes(name):
    from accelerate.commands.config.config_args import load_config_from_file

    loaded = load_config_from_file(str(RECIPES / f"{name}.yaml"))
    assert loaded.num_processes == {"one-gpu": 1, "eight-gpus": 8, "four-nodes": 32, "two-cpu-processes": 2}[name]
    assert loaded.mixed_precision == ("no" if "cpu" in name else "bf16")


def test_a_compiled_run_learns_the_same(tmp_path, monkeypatch):
    """Through a backend that traces but generates no code: the real one takes half a minute to compile."""
    compile_in_place = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compile_in_place(self, backend="aot_eager"))
    losses = []
    for compiled in (False, True):
        trainer = Trainer(parse(settings(tmp_path, name=f"c{compiled}", compile=compiled, validate_every=0)))
        for _ in range(2):
            losses.append(float(trainer.train_step()["mel"]))
            trainer.step += 1
        assert "encoder.embed.weight" in trainer.network.state_dict()
    assert losses[:2] == pytest.approx(losses[2:], rel=1e-4)


def test_batches_ahead_are_the_batches_themselves(monkeypatch):
    loaded = []

    def load(step: int) -> tuple[torch.Tensor, ...]:
        loaded.append(step)
        return (torch.full((2,), float(step)),)

    batches = Prefetch(load, torch.device("cpu"))
    assert [float(batches(step)[0][0]) for step in (0, 1, 5)] == [0.0, 1.0, 5.0]
    # the way of a GPU, with copies that stay on the CPU
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_, **__: self)
    loaded.clear()
    ahead = Prefetch(load, torch.device("cuda"))
    assert [float(ahead(step)[0][0]) for step in (0, 1, 5, 6)] == [0.0, 1.0, 5.0, 6.0]
    assert ahead.ahead is not None
    ahead.ahead.shutdown()
    assert sorted(loaded) == [0, 1, 2, 5, 6, 7]
