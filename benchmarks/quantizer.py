"""How fast is residual GRIT-VQ beside vector-quantize-pytorch's ResidualVQ? Same sizes, same run, ratios.

    pip install vector-quantize-pytorch
    python benchmarks/quantizer.py

Forward in evaluation, and forward with backward in training, of [16, 50, 64] latents (16 items of one second) through
12 stages. The two take turns, so that other work on the machine slows both alike; the median of the turns is shown.
"""

from __future__ import annotations

import statistics
import time
from typing import Annotated, Any

import torch
import typer
from torch import nn

from gritcodec.quantize import ResidualGritVQ

DIM, STAGES, BATCH, STEPS = 64, 12, 16, 50


def peers(size: int, device: str) -> dict[str, nn.Module]:
    """The quantizers to time; GRIT-VQ first."""
    from vector_quantize_pytorch import ResidualVQ

    made: dict[str, nn.Module] = {
        f"GRIT-VQ, {transform}": ResidualGritVQ(DIM, STAGES, size, transform=transform, initialization="normal")
        for transform in ("linear", "identity", "mlp")
    }
    settings: dict[str, Any] = {"dim": DIM, "num_quantizers": STAGES, "codebook_size": size}
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
) -> None:
    """Print milliseconds and how many times longer each takes than GRIT-VQ with the linear transform."""
    print(f"{device}, {torch.get_num_threads()} threads, median of {turns} turns")
    print("\n| K | quantizer | forward, ms | x | forward + backward, ms | x |\n| --- | --- | --- | --- | --- | --- |")
    for size in (1024, 8192):
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
        reference = {backward: next(iter(values.values())) for backward, values in medians.items()}
        for name in made:
            cells = [f"{1000 * medians[b][name]:.1f} | {medians[b][name] / reference[b]:.2f}" for b in (False, True)]
            print(f"| {size} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
