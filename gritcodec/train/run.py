"""`gritcodec train CONFIG`: read the configuration, train."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gritcodec import config as configuration
from gritcodec import messages
from gritcodec.engine import store
from gritcodec.train.config import TrainConfig

if TYPE_CHECKING:
    from gritcodec.train.trainer import Trainer


def _smoke(config: TrainConfig) -> TrainConfig:
    """The whole path (codes drawn, dropout, checkpoint, export) on the bundled clip, in a dozen small steps."""
    clip = Path(__file__).parent.parent / "clips"
    return dataclasses.replace(
        config,
        name=f"{config.name}-smoke",
        data=dataclasses.replace(config.data, corpus=str(clip), batch=4),
        optimizer=dataclasses.replace(config.optimizer, warmup=2),
        start=None,
        accumulate=1,
        steps=12,
        quantize_after=4,
        draw_vectors=2048,
        redraw=(8,),
        log_every=4,
        audio_every=8,
        checkpoint_every=6,
        validate_every=12,
        minutes=0.0,
    )


def main(
    config_path: str | Path,
    smoke: bool = False,
    resume: bool = True,
    minutes: float | None = None,
    cpu: bool = False,
) -> Path:
    """Train as a YAML file says.

    Args:
        config_path: a TrainConfig in YAML.
        smoke: a dozen small steps on the bundled clip, into a run folder of its own.
        resume: go on from the run's checkpoint when there is one.
        minutes: wall-clock limit, in place of the configuration's.
        cpu: leave accelerators alone.

    Returns:
        The run's folder; `model` inside it is a model folder.

    Raises:
        ConfigError: the file is missing or holds something unknown.
        OutputError: the run's folder cannot be written.
    """
    config = configuration.from_dict(TrainConfig, configuration.read_yaml(config_path), str(config_path))
    if minutes is not None:
        config = dataclasses.replace(config, minutes=minutes)
    if smoke:
        config = _smoke(config)
    # Large pages for tensors: a sixth of a step on the CPU went into mapping small ones (docs/training.md). torch reads
    # this when it first allocates.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    from gritcodec.train.trainer import Trainer

    folder = Path(config.runs) / config.name
    with store.writing(folder), _quiet_writers():
        trainer = Trainer(config, resume=resume and not smoke, cpu=cpu)
        if trainer.accelerator.is_main_process:
            messages.progress(_beginning(trainer, smoke))
        trainer.run()
    if trainer.accelerator.is_main_process and not messages.is_quiet():
        print("\n".join(_ending(trainer, config_path, smoke)), flush=True)
    return trainer.folder


@contextmanager
def _quiet_writers() -> Iterator[None]:
    """Keep a thread that cannot write from printing a traceback: TensorBoard's raises in whoever writes next too."""
    usual = threading.excepthook

    def hook(happened: threading.ExceptHookArgs) -> None:
        if not isinstance(happened.exc_value, OSError):
            usual(happened)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = usual


def _beginning(trainer: Trainer, smoke: bool) -> str:
    """Say what is trained."""
    config = trainer.config
    count = sum(p.numel() for p in trainer.network.parameters())
    parameters = f"{count / 1e6:.1f} M" if count >= 100_000 else f"{count:,}"
    corpus = "the bundled clip" if smoke else config.data.corpus
    where = "on" if not trainer.step else f"from step {trainer.step:,} on, with"
    return (
        f"training {config.name}, {parameters} parameters, {where} {corpus}: "
        f"{config.data.batch} x {config.data.segment:g} s a step, {trainer.device}, {trainer.precision}"
    )


def _ending(trainer: Trainer, config_path: str | Path, smoke: bool) -> Iterator[str]:
    """Yield what was trained, how good it is, and what to type next."""
    from gritcodec.train.validate import describe

    config, folder = trainer.config, messages.visible(str(trainer.folder))
    yield f"{folder}: {trainer.progress.ended(trainer.step)}"
    found = trainer.validation.last if trainer.validation else {}
    if found:
        yield f"quality: {describe(found)}"
    elif not trainer.network.quantizer.is_ready:
        yield f"quality: not measured, there are no codes before step {config.quantize_after:,}"
    else:
        yield "quality: not measured (validate_every is 0, or the corpus holds no voices out)"
    if smoke:
        yield "so training works here; a dozen steps make no sound worth hearing"
        yield f"next: gritcodec train {config_path}"
        return
    if trainer.step < config.steps:
        yield f"next: gritcodec train {config_path}    # goes on from step {trainer.step:,}"
    yield f"{'or' if trainer.step < config.steps else 'next'}: gritcodec export {folder}"
