"""GRIT-VQ against other vector quantizers, on audio: run everything, write the tables and the plot.

    pip install ".[comparison]"
    python recipes/vq-comparison/compare.py                # all of it; hours on two cores, goes on where it was stopped
    python recipes/vq-comparison/compare.py --only latents # the first level alone
    python recipes/vq-comparison/compare.py --only report  # tables and plot from the runs that are there

Runs are kept as lines of runs/vq-comparison/results.jsonl; a run that is there already is not repeated.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import typer
from methods import JOINT, JOINT_WIDE, METHODS, WIDE

FOLDER = Path("runs/vq-comparison")
RESULTS = FOLDER / "results.jsonl"
LATENTS, START = FOLDER / "latents.safetensors", FOLDER / "start.safetensors"
# (level, K, stages, seeds, methods): 40, 13, 60 and 39 bits a frame, 50 frames a second.
PLAN: list[tuple[str, int, int, int, list[str]]] = [
    ("latents", 1024, 4, 3, list(METHODS)),
    ("joint", 1024, 6, 3, JOINT),
    ("latents", 8192, 1, 2, WIDE),
    ("joint", 8192, 3, 3, JOINT_WIDE),
]


def finished() -> list[dict[str, Any]]:
    """The runs that are there."""
    if not RESULTS.is_file():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def execute(level: str, method: str, size: int, stages: int, seed: int, corpus: str) -> dict[str, Any]:
    """One run in this process, on one thread."""
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    _quiet()
    if level == "latents":
        import latents

        numbers = latents.run(method, size, stages, seed, load_file(LATENTS))
    else:
        import joint

        numbers = joint.run(method, size, stages, seed, corpus, load_file(START))
    return {"level": level, "method": method, "size": size, "stages": stages, "seed": seed, **numbers}


def _quiet() -> None:
    """vector-quantize-pytorch warns at length about small first batches."""
    from loguru import logger

    logger.disable("vector_quantize_pytorch")


def prepare(corpus: str, levels: set[str]) -> None:
    """What runs start from, made when missing."""
    import joint
    import latents

    if "latents" in levels and not LATENTS.is_file():
        print("caching latents", file=sys.stderr, flush=True)
        latents.prepare(corpus, LATENTS)
    if "joint" in levels and not START.is_file():
        print("training the autoencoder that all joint runs start from", file=sys.stderr, flush=True)
        joint.prepare(corpus, START)


def tune(corpus: str) -> None:
    """Try every method's candidate rates on the first level, seed 0, and print what each leaves."""
    import latents
    from safetensors.torch import load_file

    prepare(corpus, {"latents"})
    torch.set_num_threads(1)
    _quiet()
    for name, method in METHODS.items():
        for rates in method.candidates:
            numbers = latents.run(name, 1024, 4, 0, load_file(LATENTS), rates)
            shown = {key: round(numbers[key], 4) for key in ("error", "log_mel", "usage", "perplexity")}
            print(json.dumps({"method": name, "rates": rates, **shown}), flush=True)


def main(
    corpus: Annotated[str, typer.Option(help="Folder that recipes/debian-speech made.")] = "data/debian-speech",
    only: Annotated[str, typer.Option(help="tune, latents, joint or report; nothing for the last three.")] = "",
    jobs: Annotated[int, typer.Option(help="Runs side by side, one thread each.")] = 2,
    smoke: Annotated[bool, typer.Option(help="One seed of a few methods, a few steps; numbers mean nothing.")] = False,
) -> None:
    """Run what is missing, then write docs/vq-comparison.md and its plot."""
    if smoke:
        _smoke(corpus)
        return
    if only == "tune":
        tune(corpus)
        return
    levels = {only} if only else {"latents", "joint", "report"}
    torch.set_num_threads(jobs)
    prepare(corpus, levels)
    keys = ("level", "method", "size", "stages", "seed")
    done = {tuple(run[key] for key in keys) for run in finished()}
    wanted = [
        (level, method, size, stages, seed)
        for level, size, stages, seeds, methods in PLAN
        if level in levels
        for seed in range(1, seeds + 1)  # seed 0 was for choosing rates
        for method in methods
    ]
    waiting = [run for run in wanted if run not in done]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(execute, *run, corpus) for run in waiting]
        for left, future in zip(range(len(futures) - 1, -1, -1), as_completed(futures), strict=True):
            result = future.result()
            with open(RESULTS, "a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            print(f"{left} to go after {result['method']}, K {result['size']}", file=sys.stderr, flush=True)
    if "report" in levels:
        from report import write

        write(finished(), Path("docs"))


def _smoke(corpus: str) -> None:
    """Every method once through the levels it is compared on, in a few steps on the bundled clip."""
    import joint
    import latents

    torch.manual_seed(0)
    _quiet()
    latents.STEPS, latents.FIRST, joint.STEPS, joint.FIRST_BATCHES, joint.VALID_BATCHES = 2, 512, 2, 2, 1
    cache = {
        "train": torch.randn(20, 100, 64),
        "valid": torch.randn(4, 100, 64),
        "audio": 0.1 * torch.randn(4, 32000),
    }
    start = joint.Codec().state_dict()
    for method in METHODS:
        for level in ("latents", "joint") if method in JOINT else ("latents",):
            if level == "latents":
                numbers = latents.run(method, 1024, 2, 0, cache)
            else:
                numbers = joint.run(method, 1024, 2, 0, corpus, start)
            print(json.dumps({"level": level, "method": method, **numbers}), flush=True)


if __name__ == "__main__":
    typer.run(main)
