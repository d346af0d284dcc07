"""Checkpoints in safetensors: weights, averaged weights and optimizer states; nothing is pickled."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from gritcodec.engine import store
from gritcodec.errors import ModelError

FILE = "checkpoint.safetensors"
# Folders of a run: its model, or before there are codes the weights that another run can begin with.
MODEL, START = "model", "start"


@dataclass
class State:
    """Everything that a run needs to go on exactly, by name; all of it is changed in place on loading."""

    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    average: dict[str, Tensor] = field(default_factory=dict)


def save_checkpoint(folder: Path, step: int, state: State) -> None:
    """Write a checkpoint; the old one is replaced only when the new one is whole.

    Raises:
        OutputError: it cannot be written; the old one stays.
    """
    tensors: dict[str, Tensor] = {}
    for name, module in state.modules.items():
        tensors |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
    tensors |= {f"average.{key}": tensor for key, tensor in state.average.items()}
    for name, optimizer in state.optimizers.items():
        for index, values in optimizer.state_dict()["state"].items():
            for key, value in values.items():
                tensors[f"{name}.{index}.{key}"] = torch.as_tensor(value)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}.part"
    store.write_tensors(part, tensors, folder / FILE, {"state": json.dumps({"step": step})})
    part.replace(folder / FILE)


def step_of(folder: Path) -> int | None:
    """Return the step of a run's checkpoint; None where there is none that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / FILE, framework="pt") as file:
            return int(json.loads(file.metadata()["state"])["step"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError):
        return None


def load_checkpoint(folder: Path, state: State) -> int | None:
    """Restore a run in place.

    Returns:
        The step to go on from, or None when there is no checkpoint.

    Raises:
        ModelError: the checkpoint is damaged or belongs to another network.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            step = json.loads(file.metadata()["state"])["step"]
        for name, module in state.modules.items():
            module.load_state_dict(_under(f"{name}.", tensors))
        for key, tensor in _under("average.", tensors).items():
            state.average[key].copy_(tensor)
        for name, optimizer in state.optimizers.items():
            _load_optimizer(optimizer, _under(f"{name}.", tensors))
    except (SafetensorError, OSError, RuntimeError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise ModelError(f"cannot resume from {path}: {first}; use --no-resume to start again") from error
    return int(step)


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        states.setdefault(int(index), {})[key] = tensor
    whole = optimizer.state_dict()
    whole["state"] = states
    optimizer.load_state_dict(whole)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
