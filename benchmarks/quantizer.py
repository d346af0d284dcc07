"""How fast is residual GRIT-VQ beside vector-quantize-pytorch's ResidualVQ? Same sizes, same run, ratios.

    pip install vector-quantize-pytorch
    python benchmarks/quantizer.py

Forward in evaluation, and forward with backward in training, of [16, 50, 64] latents (16 items of one second) through
12 stages, or one stage at K = 65,536. The two take turns, so that other work on the machine slows both alike; the
median of the turns is shown, and what the largest tensor of a training step takes, other than the codebook, in MB.
"""

from __future__ import annotations

import statistics
import time
from typing import Annotated, Any

import torch
import typer
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from gritcodec.quantize import ResidualGritVQ

DIM, BATCH, STEPS = 64, 16, 50
STAGES = {1024: 12, 8192: 12, 65536: 1}


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor has that any operation makes, but those of a book's size."""

    def __init__(self, book: int):
        super().__init__()
        self.book, self.numbers = book, 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), settings: Any = None) -> Any:
        out = function(*arguments, **(settings or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor) and tensor.numel() % self.book:
                self.numbers = max(self.numbers, tensor.numel())
        return out


def peers(size: int, device: str) -> dict[str, nn.Module]:
    """The quantizers to time; GRIT-VQ first."""
    from vector_quantize_pytorch import ResidualVQ

    stages = STAGES[size]
    made: dict[str, nn.Module] = {
        f"GRIT-VQ, {transform}": ResidualGritVQ(DIM, stages, size, transform=transform, initialization="normal")
        for transform in ("linear", "identity", "mlp")
    }
    settings: dict[str, Any] = {"dim": DIM, "num_quantizers": stages, "codebook_size": size}
    made["ResidualVQ, EMA"] = ResidualVQ(**settings, rotation_trick=False)
    made["ResidualVQ, EMA, rotation trick"] = ResidualVQ(**settings, rotation_trick=True)
    made["ResidualVQ, learned codes"] = ResidualVQ(
        **settings, rotation_trick=False, learnable_codebook=True, ema_update=False
    )
    return {name: module.to(device) for name, module in made.items()}


def step(module: nn.Module, latents: torch.Tensor, backward: bool) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    if backward:
        out = module(latents.requires_grad_(True))
        loss = sum(out.losses.values()) if isinstance(module, ResidualGritVQ) else out[2].sum()
        (out[0].square().mean() + loss).backward()
        module.zero_grad(set_to_none=True)
    else:
        with torch.no_grad():
            module(latents)
    if latents.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main(
    turns: Annotated[int, typer.Option(help="Turns of each quantizer.")] = 20,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    sizes: Annotated[list[int] | None, typer.Option(help="Codebook sizes; 1024, 8192 and 65536 unless told.")] = None,
    threads: Annotated[int, typer.Option(help="Of torch; 0: as many as it takes.")] = 0,
) -> None:
    """Print milliseconds and how many times longer each takes than GRIT-VQ with the linear transform."""
    if threads:
        torch.set_num_threads(threads)
    print(f"{device}, {torch.get_num_threads()} threads, median of {turns} turns")
    print("\n| K | quantizer | forward, ms | x | forward + backward, ms | x | largest tensor, MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in sizes or list(STAGES):
        torch.manual_seed(0)
        made = peers(size, device)
        data = torch.randn(BATCH, STEPS, DIM, device=device)
        medians: dict[bool, dict[str, float]] = {}
        for backward in (True, False):
            seconds: dict[str, list[float]] = {name: [] for name in made}
            for turn in range(turns + 2):
                for name, module in made.items():
                    took = step(module.train(backward), data.detach().clone(), backward)
                    if turn >= 2:  # the first turns warm up
                        seconds[name].append(took)
            medians[backward] = {name: statistics.median(values) for name, values in seconds.items()}
        largest = {}
        for name, module in made.items():
            with Largest(size * DIM) as seen:
                step(module.train(), data.detach().clone(), True)
            largest[name] = 4 * seen.numbers / 1e6
        reference = {backward: next(iter(values.values())) for backward, values in medians.items()}
        for name in made:
            cells = [f"{1000 * medians[b][name]:.1f} | {medians[b][name] / reference[b]:.2f}" for b in (False, True)]
            print(f"| {size} | {name} | {' | '.join(cells)} | {largest[name]:.0f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
