"""What does it cost, and give, to follow several paths in the search for codes? A table over `beam`, for one model.

    python benchmarks/beam.py speech-16k --corpus data/debian-speech

What is left of the latents' energy is that of voices that the corpus holds out, PESQ-WB and ESTOI are those of the
trainer's validation clips, which are of held-out voices too. Times are of the search alone, in blocks of 64 frames as
files are coded, all stages, one thread, as multiples of the narrowest beam's in the same run: medians of turns.
"""

import dataclasses
import statistics
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from gritcodec import model_store
from gritcodec.engine import store
from gritcodec.quantize import ResidualGritVQ
from gritcodec.train.config import DataConfig
from gritcodec.train.data import open_corpus
from gritcodec.train.usage import draw_latents
from gritcodec.train.validate import BITRATES, Validation, stages_of

_VALID, _BLOCK, _TURNS = 20_000, 64, 5


def seconds(quantizer: ResidualGritVQ, latents: torch.Tensor) -> float:
    """Time of coding latents [N, dim] in blocks."""
    started = time.perf_counter()
    for block in latents.split(_BLOCK):
        quantizer.encode(block)
    return time.perf_counter() - started


def main(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")] = "speech-16k",
    corpus: Annotated[str, typer.Option(help="A packed corpus that holds voices out.")] = "data/debian-speech",
    beam: Annotated[list[int] | None, typer.Option(help="To try; repeatable.")] = None,
) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    network = store.load(model_store.resolve(model))
    data = DataConfig(corpus=corpus, segment=2.56)
    rate, quantizer = network.config.sample_rate, network.quantizer
    latents = draw_latents(network, open_corpus(data, rate, "valid"), data, 3, _VALID)
    validation = Validation(dataclasses.replace(data, segment=1.0), network.config, Path())
    normalized = (latents - quantizer.offset) / quantizer.spread
    energy = normalized.square().mean()
    rates = " | ".join(f"{kbps:g} kbps: energy left, PESQ-WB, ESTOI" for kbps in BITRATES)
    print(f"| beam | {rates} | time |")
    print("| --- " * (2 + len(BITRATES)) + "|")
    widths = beam or [1, 2, 4, 8]
    times: dict[int, list[float]] = {width: [] for width in widths}
    for _ in range(_TURNS):
        for width in widths:
            quantizer.beam = width
            times[width].append(seconds(quantizer, latents))
    for width in widths:
        quantizer.beam = width
        codes, found = quantizer.encode(latents), validation.measure(network)
        cells = []
        for kbps in BITRATES:
            left = normalized - quantizer.decode(codes[:, : stages_of(network.config, kbps)])
            share = 100 * float(left.square().mean() / energy)
            cells.append(f"{share:.1f} %, {found[f'valid/pesq-{kbps:g}']:.2f}, {found[f'valid/estoi-{kbps:g}']:.3f}")
        ratio = statistics.median(times[width]) / statistics.median(times[widths[0]])
        print(f"| {width} | " + " | ".join(cells) + f" | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
