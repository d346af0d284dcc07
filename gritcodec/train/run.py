"""`gritcodec train CONFIG`: read the configuration, train."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

from gritcodec import config as configuration
from gritcodec.train.config import TrainConfig


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

    trainer = Trainer(config, resume=resume and not smoke, cpu=cpu)
    if trainer.accelerator.is_main_process:
        print(f"training in {trainer.folder} from step {trainer.step} of {config.steps}", file=sys.stderr)
    trainer.run()
    return trainer.folder
