"""What codes leave of unseen voices right after they were drawn, by k-means alone and by this package's draw.

    python recipes/vq-comparison/drawing.py     # after compare.py has cached latents; a minute or two on one core

Layer-normalized latents of the shipped encoder, residual stages, five Lloyd iterations, no training: energy left after
each stage as a share of the variance, and codes of the first stage that 24,000 unseen vectors use.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer

from gritcodec.quantize import kmeans
from gritcodec.quantize.search import nearest

CASES = [(8192, 9600, 3), (8192, 16384, 3), (1024, 4096, 4), (1024, 16384, 4)]


def main(
    cache: Annotated[Path, typer.Option(help="What compare.py cached.")] = Path(
        "runs/vq-comparison/latents.safetensors"
    ),
    threads: Annotated[int, typer.Option(help="Of torch.")] = 1,
) -> None:
    """Print a line of JSON for each number of codes, number of vectors and way."""
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    latents = {split: F.layer_norm(x, x.shape[-1:]) for split, x in load_file(cache).items() if split != "audio"}
    order = torch.randperm(len(latents["train"]), generator=torch.Generator().manual_seed(0))
    train, valid = latents["train"][order].flatten(0, 1), latents["valid"].flatten(0, 1)
    for size, count, stages in CASES:
        for name, make in (("k-means", kmeans.kmeans), ("draw", kmeans.draw)):
            torch.manual_seed(0)
            seen, unseen, left, used = train[:count], valid, [], 0.0
            for stage in range(stages):
                codes, index = make(seen, size, 5)
                found = nearest(unseen, codes, codes.square().sum(-1) / 2)
                used = used if stage else found.unique().numel() / size
                seen, unseen = seen - codes[index], unseen - codes[found]
                left.append(round(float(unseen.square().mean() / valid.square().mean()), 3))
            print(json.dumps({"codes": size, "vectors": count, "by": name, "left": left, "used": round(used, 3)}))


if __name__ == "__main__":
    typer.run(main)
