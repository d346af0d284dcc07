"""Where does a training step's time go? Seconds per second of audio for data, forward, losses, backward, optimizer.

    python benchmarks/train_step.py recipes/debian-speech/speech-16k.yaml [--codes] [--frozen-encoder] [--adversarial]

Works on the corpus of the configuration, or on the bundled clip where that is missing. Medians over the steps; nothing
else should run on the machine.
"""

from __future__ import annotations

import dataclasses
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from gritcodec import config as configuration
from gritcodec.train.config import AdversarialConfig, TrainConfig
from gritcodec.train.trainer import Trainer

CLIPS = Path(__file__).parent.parent / "gritcodec" / "clips"


class Clock:
    """Collects seconds by name; on a GPU it waits for the device, so the sum is above a real step's time."""

    def __init__(self, device: torch.device):
        self.device, self.seconds = device, dict[str, list[float]]()

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        began = self._now()
        result = work()
        self.seconds.setdefault(name, []).append(self._now() - began)
        return result

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def one_step(trainer: Trainer, clock: Clock) -> None:
    """What Trainer.train_step does, in parts."""
    waveforms, levels, active, draw = clock("data", lambda: trainer._batch(trainer.step))
    with trainer.accelerator.autocast():
        output, quantized = clock("forward", lambda: trainer.model(waveforms * levels, active))
    delay = trainer.network.delay
    output, target = output[..., delay:].float() / levels, waveforms[..., : waveforms.shape[-1] - delay]

    def losses() -> torch.Tensor:
        found = trainer.loss(output, target, random.Random(draw.random()))
        if trainer.adversary:
            found |= trainer.adversary.losses(trainer.step, target[:, 0], output[:, 0])
        return torch.stack([*found.values(), *quantized.losses.values()]).sum()

    total = clock("losses", losses)
    clock("backward", lambda: trainer.accelerator.backward(total))

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(trainer.network.parameters(), 2.0)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer._update_average()

    clock("optimizer", update)
    if adversary := trainer.adversary:
        clock("discriminators", lambda: adversary.train_step(trainer.step, target[:, 0], output[:, 0].detach(), 1.0))
    trainer.step += 1


def main(
    config: Annotated[Path, typer.Argument(help="A training configuration.", exists=True)],
    steps: Annotated[int, typer.Option(help="Steps to time, after three to warm up.")] = 20,
    codes: Annotated[bool, typer.Option("--codes", help="With codes drawn, not noise in their place.")] = False,
    frozen_encoder: Annotated[bool, typer.Option("--frozen-encoder", help="Codes, and encoder_rate 0.")] = False,
    adversarial: Annotated[bool, typer.Option("--adversarial", help="With discriminators.")] = False,
    batch: Annotated[int, typer.Option(help="Items a step in place of the configuration's; 0 keeps it.")] = 0,
) -> None:
    """Print a table."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as `gritcodec train` does
    base = configuration.from_dict(TrainConfig, configuration.read_yaml(config), str(config))
    there = Path(base.data.corpus).exists()
    data = dataclasses.replace(
        base.data, corpus=base.data.corpus if there else str(CLIPS), batch=batch or base.data.batch
    )
    with tempfile.TemporaryDirectory() as runs:
        optimizer = dataclasses.replace(base.optimizer, encoder_rate=0.0 if frozen_encoder else 0.02)
        run = dataclasses.replace(
            base,
            runs=runs,
            start=None,
            data=data,
            optimizer=optimizer,
            draw_vectors=4096,
            validate_every=0,
            adversarial=dataclasses.replace(base.adversarial, start=0) if adversarial else AdversarialConfig(),
        )
        trainer = Trainer(run, resume=False)
        if codes or frozen_encoder:
            trainer._draw_codes()
        for _ in range(3):
            trainer.train_step()
            trainer.step += 1
        clock = Clock(trainer.device)
        whole = []
        for _ in range(steps):
            one_step(trainer, clock)
            whole.append(sum(values[-1] for values in clock.seconds.values()))
    audio = data.batch * data.segment
    where = f"{trainer.device}, {torch.get_num_threads()} threads, {trainer.precision}"
    print(f"{where}, batch {data.batch} x {data.segment:g} s")
    print("\n| part | s per second of audio |\n| --- | --- |")
    for name, values in clock.seconds.items():
        print(f"| {name} | {statistics.median(values) / audio:.5f} |")
    print(f"| all | {statistics.median(whole) / audio:.5f} |")


if __name__ == "__main__":
    typer.run(main)
