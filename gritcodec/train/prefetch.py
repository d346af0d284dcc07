"""Batches ahead of time: a thread prepares the next step's while the device works on this one's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

Batch = tuple[Tensor, ...]


class Prefetch:
    """Calls `load(step)` one step ahead, and copies its tensors to a GPU without waiting for them.

    On the CPU, where training itself takes all cores, nothing is prepared ahead. A batch is a function of its step, so
    what comes out is the same either way.

    Args:
        load: makes the tensors of a step, on the CPU.
        device: where they are wanted.
    """

    def __init__(self, load: Callable[[int], Batch], device: torch.device):
        self.load, self.device = load, device
        self.ahead = ThreadPoolExecutor(1) if device.type == "cuda" else None
        self.pending: tuple[int, Future[Batch]] | None = None

    def __call__(self, step: int) -> Batch:
        """The tensors of a step, on the device."""
        if self.ahead is None:
            return tuple(tensor.to(self.device) for tensor in self.load(step))
        known = self.pending is not None and self.pending[0] == step
        batch = self.pending[1].result() if self.pending is not None and known else self._pinned(step)
        self.pending = step + 1, self.ahead.submit(self._pinned, step + 1)
        return tuple(tensor.to(self.device, non_blocking=True) for tensor in batch)

    def _pinned(self, step: int) -> Batch:
        return tuple(tensor.pin_memory() for tensor in self.load(step))
