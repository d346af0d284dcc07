"""What does it cost, and save, to prefer often used codes? A table over `rate_weight`, for one model.

    python benchmarks/rate_weight.py speech-16k --corpus data/debian-speech

For each weight, usage settles on speech of the corpus; bits are those of a code's own frequency (no contexts), on
voices that the corpus holds out, and PESQ-WB and ESTOI are those of the trainer's validation clips, which are of held
out voices too. The public evaluation set has no part in it: a weight may be chosen by this table.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from gritcodec import model_store
from gritcodec.engine import store
from gritcodec.train.config import DataConfig
from gritcodec.train.data import open_corpus
from gritcodec.train.usage import draw_latents, settle_usage
from gritcodec.train.validate import BITRATES, Validation, stages_of

_TRAIN, _VALID = 100_000, 20_000


def main(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")] = "speech-16k",
    corpus: Annotated[str, typer.Option(help="A packed corpus that holds voices out.")] = "data/debian-speech",
    weight: Annotated[list[float] | None, typer.Option(help="To try; repeatable.")] = None,
    least_bits: Annotated[float, typer.Option(help="As in gritcodec.train.contexts.")] = 0.0,
) -> None:
    """Print the table."""
    network = store.load(model_store.resolve(model))
    data = DataConfig(corpus=corpus, segment=2.56)
    rate, quantizer = network.config.sample_rate, network.quantizer
    train = draw_latents(network, open_corpus(data, rate), data, 2, _TRAIN)
    valid = draw_latents(network, open_corpus(data, rate, "valid"), data, 3, _VALID)
    validation = Validation(dataclasses.replace(data, segment=1.0), network.config, Path())
    rates = " | ".join(f"{kbps:g} kbps: saved, PESQ-WB, ESTOI" for kbps in BITRATES)
    print(f"| rate_weight | bits a code, least of all stages | codes used, least | {rates} |")
    print("| --- " * (3 + len(BITRATES)) + "|")
    for value in weight or [0.0, 0.004, 0.008, 0.012, 0.016]:
        quantizer.rate_weight = value
        entropies = settle_usage(network, train, least_bits=least_bits)
        usage = quantizer.usage
        codes = quantizer.encode(valid)
        bits = -usage.clamp_min(0.5 / _TRAIN).log2().gather(1, codes.T).mean(1)
        found = validation.measure(network)
        cells = []
        for kbps in BITRATES:
            stages = stages_of(network.config, kbps)
            full = stages * (network.config.quantizer.codebook_size.bit_length() - 1)
            saved = 100 * (1 - float(bits[:stages].sum()) / full)
            cells.append(f"{saved:.1f} %, {found[f'valid/pesq-{kbps:g}']:.2f}, {found[f'valid/estoi-{kbps:g}']:.3f}")
        used = int((usage * len(train) >= 0.5).sum(1).min())
        print(f"| {value:g} | {min(entropies):.2f} | {used} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    typer.run(main)
