"""In what a run multiplies."""

import json
import multiprocessing
import socket

import pytest
import torch
from accelerate.state import AcceleratorState
from test_train import parse, settings

from gritcodec import config as configuration
from gritcodec.train import precision
from gritcodec.train.config import TrainConfig
from gritcodec.train.trainer import Trainer

CPU = torch.device("cpu")
MACHINES = {
    "flags\t\t: fpu avx2 avx512f avx512_bf16 amx_tile": True,
    "flags\t\t: fpu avx512f amx_bf16 amx_tile": True,
    "Features\t: fp asimd i8mm bf16": True,
    "flags\t\t: fpu avx2 avx512f avx512_vnni": False,
    "model name\t: bf16 in name only": False,
}


@pytest.fixture
def fresh():
    """Accelerate keeps the first precision of a process for good."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("machine", MACHINES)
def test_bf16_is_chosen_where_the_machine_has_it(tmp_path, monkeypatch, fresh, machine):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{machine}\n\nprocessor\t: 1\n{machine}\n")
    monkeypatch.setattr(precision, "_CPU_FLAGS", tmp_path / "cpuinfo")
    trainer = Trainer(parse(settings(tmp_path, precision="auto")))
    chosen = "bf16" if MACHINES[machine] else "fp32"
    assert trainer.precision == chosen
    assert trainer.accelerator.mixed_precision == {"bf16": "bf16", "fp32": "no"}[chosen]
    assert json.loads((trainer.folder / "environment.jsonl").read_text())["precision"] == chosen
    assert precision.choose("bf16", CPU) == "bf16" and precision.choose("fp32", CPU) == "fp32"


def test_a_machine_that_does_not_say_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_CPU_FLAGS", tmp_path / "none")
    assert precision.choose("auto", CPU) == "fp32"


@pytest.mark.parametrize("word", ["no", '"no"', "fp32"])
def test_no_is_a_word_here(tmp_path, word):
    """YAML reads an unquoted no as a truth value."""
    (tmp_path / "run.yaml").write_text(f"precision: {word}\n")
    read = configuration.from_dict(TrainConfig, configuration.read_yaml(tmp_path / "run.yaml"), "run.yaml")
    assert read.precision == "fp32"


def _choose_on_rank(rank, port, folder):
    import torch.distributed as dist

    precision._CPU_FLAGS = folder / f"cpuinfo-{rank}"
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    (folder / f"chosen-{rank}").write_text(precision.choose("auto", CPU))
    dist.barrier()
    dist.destroy_process_group()


def test_all_processes_choose_what_each_can(tmp_path):
    (tmp_path / "cpuinfo-0").write_text("flags : avx512_bf16\n")
    (tmp_path / "cpuinfo-1").write_text("flags : avx2\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=_choose_on_rank, args=(rank, port, tmp_path)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(120)
    assert [(tmp_path / f"chosen-{rank}").read_text() for rank in range(2)] == ["fp32", "fp32"]
