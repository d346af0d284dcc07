"""Stops a run before numbers that are none reach the weights, and says where they came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from gritcodec.errors import GritcodecError

WARMUP = 100  # steps before a large gradient counts as an explosion


class TrainingError(GritcodecError):
    """The run cannot go on, for instance because the loss is not a number."""


class Guard:
    """Watches the gradient's norm, step by step.

    On the CPU a bad step is known before the optimizer runs. On a GPU, where asking would make every step wait, its
    gradients are set to zero there and then, and the host learns of it one step later.

    Args:
        explosion: a norm this many times its running mean is an explosion.
        device: where norms live.
    """

    def __init__(self, explosion: float, device: torch.device):
        self.explosion, self.seen = explosion, 0
        self.mean = torch.zeros((), device=device)
        self.pending: tuple[int, Tensor, torch.cuda.Event] | None = None

    def check(self, step: int, norm: Tensor, gradients: list[Tensor]) -> int | None:
        """Look at one step's gradient norm before the optimizer runs.

        Args:
            step: its number.
            norm: scalar, before clipping.
            gradients: what the optimizer is about to use; zeroed in place on a GPU when the step is bad.

        Returns:
            The number of a bad step, this one or the one before, or None.
        """
        bad = ~torch.isfinite(norm)
        if self.seen >= WARMUP:
            bad = bad | (norm > self.explosion * self.mean)
        self.mean.lerp_(torch.where(bad, self.mean, norm.float()), 0.02 if self.seen >= WARMUP else 0.1)
        self.seen += 1
        if norm.device.type != "cuda":
            return step if bool(bad) else None
        for gradient in gradients:
            gradient.masked_fill_(bad, 0)
        found = None
        if self.pending is not None:
            number, flag, event = self.pending
            event.synchronize()  # of the step before: done long ago
            found = number if bool(flag) else None
        flag = torch.empty((), dtype=torch.bool, pin_memory=True)
        flag.copy_(bad, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self.pending = step, flag, event
        return found


def first_bad_tensor(network: nn.Module, run: Callable[[], Tensor]) -> str:
    """Name the first tensor that is not finite when a step is repeated.

    Args:
        network: its parameters and the outputs of its modules are looked at.
        run: forward pass, returns the scalar loss.

    Returns:
        For instance `output of decoder.up`, `gradient of encoder.embed.weight`, or the largest gradient.
    """
    for name, parameter in network.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"parameter {name}"
    found: list[str] = []

    def hook(name: str) -> Callable[..., None]:
        def look(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and not found and not torch.isfinite(output).all():
                found.append(f"output of {name or 'the network'}")

        return look

    handles = [module.register_forward_hook(hook(name)) for name, module in network.named_modules()]
    try:
        loss = run()
    finally:
        for handle in handles:
            handle.remove()
    if found:
        return found[0]
    network.zero_grad(set_to_none=True)
    if not torch.isfinite(loss):
        return "a loss"
    loss.backward()
    norms = {name: p.grad.norm() for name, p in network.named_parameters() if p.grad is not None}
    for name, norm in norms.items():
        if not torch.isfinite(norm):
            return f"gradient of {name}"
    largest = max(norms, key=lambda name: float(norms[name]))
    return f"gradient of {largest}, norm {float(norms[largest]):.3g}"


def save_batch(folder: Path, step: int, **tensors: Tensor) -> Path:
    """Write the offending batch beside the run's metrics; returns where."""
    from safetensors.torch import save_file

    path = folder / f"offending-batch-{step}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    return path
