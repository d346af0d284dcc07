"""GRIT-VQ against other vector quantizers, on audio: run everything, write the tables and the plot.

    pip install ".[comparison]"
    python recipes/vq-comparison/compare.py                # all of it; hours on two cores, goes on where it was stopped
    python recipes/vq-comparison/compare.py --only latents # the first level alone
    python recipes/vq-comparison/compare.py --only tune    # what is tried on seed 0 before
    python recipes/vq-comparison/compare.py --only report  # tables and plot from the runs that are there

Runs are kept as lines of runs/vq-comparison/results.jsonl, trials of tuning.jsonl; what is there is not repeated.
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
from plan import JOINT, METHODS, NARROW_TRIALS, PLAN, WIDE_TRIALS, Run

FOLDER = Path("runs/vq-comparison")
RESULTS, TUNING = FOLDER / "results.jsonl", FOLDER / "tuning.jsonl"
LATENTS, START = FOLDER / "latents.safetensors", FOLDER / "start.safetensors"
KEYS = ("level", "method", "size", "stages", "seed")


def finished(path: Path = RESULTS) -> list[dict[str, Any]]:
    """The runs that are there."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def execute(run: Run, corpus: str) -> dict[str, Any]:
    """One run in this process, on one thread."""
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    _quiet()
    level, method, size, stages, seed, trial = run
    rates = trial.rates if trial else None
    if level == "latents":
        import latents

        numbers = latents.run(method, size, stages, seed, load_file(LATENTS), rates)
    else:
        import joint

        first = trial.first if trial else None
        numbers = joint.run(method, size, stages, seed, corpus, load_file(START), rates, first)
    tried = {"rates": rates, "first": trial.first} if trial else {}
    return {"level": level, "method": method, "size": size, "stages": stages, "seed": seed, **tried, **numbers}


def _quiet() -> None:
    """vector-quantize-pytorch warns at length about small first batches."""
    from loguru import logger

    logger.disable("vector_quantize_pytorch")


def prepare(corpus: str, levels: set[str]) -> None:
    """What runs start from, made when missing."""
    import joint
    import latents

    if "latents" in levels and LATENTS.is_file():
        if not latents.are_of_now(LATENTS):
            sys.exit(f"{LATENTS} is of other weights than the shipped ones: move {FOLDER} away, and begin anew")
    elif "latents" in levels:
        print("caching latents", file=sys.stderr, flush=True)
        latents.prepare(corpus, LATENTS)
    if "joint" in levels and not START.is_file():
        print("training the autoencoder that all joint runs start from", file=sys.stderr, flush=True)
        joint.prepare(corpus, START)


def _all(waiting: list[Run], corpus: str, jobs: int, path: Path) -> None:
    """Run what waits, and keep each as it ends."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(execute, run, corpus) for run in waiting]
        for left, future in zip(range(len(futures) - 1, -1, -1), as_completed(futures), strict=True):
            result = future.result()
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            print(f"{left} to go after {result['method']}, K {result['size']}", file=sys.stderr, flush=True)


def _trials() -> list[Run]:
    """What is to be tried on seed 0 and has not been."""
    done = [(*(run[key] for key in KEYS), run["rates"], run["first"]) for run in finished(TUNING)]
    wanted = [Run("latents", trial.method, 1024, 4, 0, trial) for trial in NARROW_TRIALS]
    wanted += [Run("joint", trial.method, 8192, 3, 0, trial) for trial in WIDE_TRIALS]
    return [
        run
        for run in wanted
        if run.trial and (*run[:5], list(run.trial.rates) if run.trial.rates else None, run.trial.first) not in done
    ]


def _runs(levels: set[str], seeds: int) -> list[Run]:
    """What is in the plan and is not there."""
    done = [tuple(run[key] for key in KEYS) for run in finished()]
    wanted = [
        Run(level, name, codes, stages, seed)
        for level, codes, stages, most, names in PLAN
        if level in levels
        for seed in range(1, min(most, seeds) + 1)  # seed 0 was for choosing rates
        for name in names
    ]
    return [run for run in wanted if run[:5] not in done]


def main(
    corpus: Annotated[str, typer.Option(help="Folder that recipes/debian-speech made.")] = "data/debian-speech",
    only: Annotated[str, typer.Option(help="tune, latents, joint or report; nothing for the last three.")] = "",
    jobs: Annotated[int, typer.Option(help="Runs side by side, one thread each.")] = 2,
    method: Annotated[list[str] | None, typer.Option(help="Only this method; several times for several.")] = None,
    size: Annotated[int, typer.Option(help="Only this codebook size.")] = 0,
    seeds: Annotated[int, typer.Option(help="At most so many seeds a method.")] = 3,
    smoke: Annotated[bool, typer.Option(help="One seed of a few methods, a few steps; numbers mean nothing.")] = False,
) -> None:
    """Run what is missing, then write the tables of docs/vq-comparison-tables.md and the plot."""
    if smoke:
        _smoke(corpus)
        return
    levels = {only} if only else {"latents", "joint", "report"}
    torch.set_num_threads(jobs)
    prepare(corpus, {"latents", "joint"} if only == "tune" else levels)
    waiting = _trials() if only == "tune" else _runs(levels, seeds)
    waiting = [run for run in waiting if size in (0, run.size) and (not method or run.method in method)]
    _all(waiting, corpus, jobs, TUNING if only == "tune" else RESULTS)
    if "report" in levels:
        from report import write

        write(finished(), finished(TUNING), Path("docs"))


def _smoke(corpus: str) -> None:
    """Every method once through the levels it is compared on, in a few steps on the bundled clip."""
    import joint
    import latents

    from gritcodec import model_store

    torch.manual_seed(0)
    _quiet()
    latents.STEPS, latents.FIRST, joint.STEPS = 2, 512, 2
    joint.FIRST_BATCHES = joint.VALID_BATCHES = joint.CODED_BATCHES = 1
    dim = model_store.read(model_store.resolve("speech-16k")).config.quantizer.dim
    cache = {
        "train": torch.randn(20, 100, dim),
        "valid": torch.randn(4, 100, dim),
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
