"""Do the losses that model hearing foretell PESQ-WB and ESTOI? Correlations over voices that the corpus holds out.

    python benchmarks/hearing.py speech-16k --corpus data/debian-speech

Clips are those of the trainer's validation, coded with 1, 3, 6 and 12 stages, and with white noise 15 and 30 dB below.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from gritcodec import model_store
from gritcodec.engine import store
from gritcodec.evaluate.metrics import estoi, pesq_wb
from gritcodec.nn.hearing import AudibleDisturbance, EnvelopeDistance
from gritcodec.train.config import DataConfig
from gritcodec.train.validate import Validation

_STAGES, _NOISES = (1, 3, 6, 12), (15, 30)


def mos(disturbance: float) -> float:
    """PESQ-WB of a disturbance, by the mapping of ITU-T P.862.2."""
    return 0.999 + 4 / (1 + float(np.exp(-1.3669 * (4.5 - disturbance) + 3.8224)))


def main(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")] = "speech-16k",
    corpus: Annotated[str, typer.Option(help="A packed corpus that holds voices out.")] = "data/debian-speech",
    level: Annotated[list[float] | None, typer.Option(help="Reference levels to try, dB SPL; repeatable.")] = None,
) -> None:
    """Print the table."""
    network = store.load(model_store.resolve(model))
    rate, delay = network.config.sample_rate, network.delay
    clips = Validation(DataConfig(corpus=corpus), network.config, Path()).clips
    assert clips is not None
    with torch.no_grad():
        target = clips[:, 0, : clips.shape[-1] - delay]
        codes = network.encode(clips)
        heard = {f"{n} stages": network.decode(codes[:, :n])[:, 0, delay:] for n in _STAGES}
        noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
        for decibels in _NOISES:
            heard[f"noise at -{decibels} dB"] = target + noise * target.std(-1, keepdim=True) * 10 ** (-decibels / 20)
        real: dict[str, list[tuple[float, float]]] = {
            name: [
                (pesq_wb(a.numpy(), b.numpy(), rate), estoi(a.numpy(), b.numpy(), rate))
                for a, b in zip(target, output, strict=True)
            ]
            for name, output in heard.items()
        }
        envelope = EnvelopeDistance(rate, 400 * rate // 16_000)
        print("| reference level | correlation with PESQ-WB, coded | all | " + " | ".join(heard) + " |")
        print("| --- " * (3 + len(heard)) + "|")
        print(f"| PESQ-WB | | | {' | '.join(f'{np.mean([p for p, _ in x]):.2f}' for x in real.values())} |")
        for reference in level or [79.0, 86.0, 92.0, 98.0]:
            loss = AudibleDisturbance(rate, 512 * rate // 16_000, reference)
            guess = {
                name: [mos(float(loss(b[None], a[None]))) for a, b in zip(target, output, strict=True)]
                for name, output in heard.items()
            }
            pairs = np.array([(g, r[0]) for name in heard for g, r in zip(guess[name], real[name], strict=True)])
            coded = pairs[: len(_STAGES) * len(target)]
            means = " | ".join(f"{np.mean(x):.2f}" for x in guess.values())
            print(
                f"| {reference:g} dB | {np.corrcoef(coded.T)[0, 1]:.2f} | {np.corrcoef(pairs.T)[0, 1]:.2f} | {means} |"
            )
        pairs = np.array(
            [
                (1 - float(envelope(b[None], a[None])), r[1])
                for name, output in heard.items()
                for a, b, r in zip(target, output, real[name], strict=True)
            ]
        )
        print(f"\nEnvelope correlation and ESTOI correlate by {np.corrcoef(pairs.T)[0, 1]:.3f} over all of these.")


if __name__ == "__main__":
    typer.run(main)
