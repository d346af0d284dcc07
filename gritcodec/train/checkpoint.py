"""Checkpoints in safetensors: weights, averaged weights and optimizer state; nothing is pickled."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from gritcodec.errors import ModelError

FILE = "checkpoint.safetensors"


def save_checkpoint(
    folder: Path, step: int, network: nn.Module, average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """Write everything that a run needs to go on exactly; the old checkpoint is replaced only when it is whole."""
    from safetensors.torch import save_file

    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"optimizer.{index}.{key}"] = torch.as_tensor(value)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}.part"
    save_file(tensors, part, metadata={"state": json.dumps({"step": step})})
    part.replace(folder / FILE)


def load_checkpoint(
    folder: Path, network: nn.Module, average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> int | None:
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
        network.load_state_dict(_under("network.", tensors))
        for name, tensor in _under("average.", tensors).items():
            average[name].copy_(tensor)
    except (SafetensorError, OSError, RuntimeError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise ModelError(f"cannot resume from {path}: {first}; use --no-resume to start again") from error
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under("optimizer.", tensors).items():
        index, key = name.split(".", 1)
        states.setdefault(int(index), {})[key] = tensor
    whole = optimizer.state_dict()
    whole["state"] = states
    optimizer.load_state_dict(whole)
    return int(step)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
