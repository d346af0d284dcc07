"""Which network learns most for equal CPU time? Trains each candidate for as many CPU seconds and compares them.

    python benchmarks/networks.py recipes/debian-speech/speech-16k.yaml --cpu-minutes 30

Candidates differ in the decoder's head; all are trained with noise in place of quantization, as the shipped
model is before its codes are drawn, and measured on voices that the corpus holds out, at the noise of full bitrate.
CPU time, not wall time, is the budget, so other work on the machine does not decide the outcome.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from gritcodec import config as configuration
from gritcodec.train.config import TrainConfig
from gritcodec.train.data import open_corpus
from gritcodec.train.trainer import Trainer

CANDIDATES: dict[str, dict[str, Any]] = {
    "inverse STFT at 200 Hz": {"head": "istft"},
    "waveform, transposed convolutions": {"head": "waveform"},
    "inverse STFT at 100 Hz, 30 ms window": {"head": "istft", "fine_hop": 160, "window": 480},
    "inverse STFT at 50 Hz, 40 ms window, wider": {
        "head": "istft",
        "fine_hop": 320,
        "window": 640,
        "encoder_fine": 384,
        "decoder_fine": 512,
        "decoder_fine_blocks": 4,
    },
}


def validate(trainer: Trainer) -> dict[str, float]:
    """Losses of the averaged weights on held-out voices, all resolutions, noise of full bitrate, fixed seed."""
    network = trainer.averaged_network()
    config, total = trainer.config, dict[str, float]()
    corpus = open_corpus(config.data, config.network.sample_rate, "valid")
    torch.manual_seed(0)
    batches = 8
    with torch.no_grad():
        for index in range(batches):
            waveforms = corpus.batch(config.data, 1, index)
            latents = network.quantizer.normalize(network.encoder(waveforms[:, 0]))
            output = network.decoder(network.quantizer.stand_in(latents))[:, None]
            target = waveforms[..., : waveforms.shape[-1] - network.delay]
            for name, value in trainer.loss(output[..., network.delay :], target).items():
                total[name] = total.get(name, 0.0) + float(value) / batches
    return total


def main(
    config: Annotated[Path, typer.Argument(help="The run that the candidates vary.", exists=True)],
    cpu_minutes: Annotated[float, typer.Option(help="CPU time of each candidate.")] = 30.0,
    only: Annotated[int | None, typer.Option(help="Run just the candidate of this number, from 0.")] = None,
) -> None:
    """Print a table: steps done, seconds of CPU a step, and validation losses of every candidate."""
    base = configuration.from_dict(TrainConfig, configuration.read_yaml(config), str(config))
    print("| network | M parameters | steps | CPU s a step | mel | STFT | complex |\n| --- " + "| --- " * 6 + "|")
    for number, (name, change) in enumerate(CANDIDATES.items()):
        if only is not None and number != only:
            continue
        network = dataclasses.replace(base.network, **change)
        with tempfile.TemporaryDirectory() as runs:
            run = dataclasses.replace(
                base, network=network, runs=runs, start=None, name="candidate", quantize_after=10**9
            )
            # The rate decays over the budget, as it would in a whole run of that length.
            trainer = Trainer(dataclasses.replace(run, steps=10**6), resume=False, cpu=True)
            began = time.process_time()
            while (spent := time.process_time() - began) < cpu_minutes * 60:
                if trainer.step == 100:
                    left = (cpu_minutes * 60 - spent) / (spent / 100)
                    trainer.config = dataclasses.replace(run, steps=100 + round(left))
                trainer.train_step()
                trainer.step += 1
                if trainer.step % 100 == 0:
                    print(f"{name}: step {trainer.step}, {spent:.0f} CPU s", file=sys.stderr, flush=True)
            losses = validate(trainer)
        size = sum(p.numel() for p in trainer.network.parameters()) / 1e6
        cells = [f"{losses[key]:.4f}" for key in ("mel", "stft", "complex")]
        print(
            f"| {name} | {size:.1f} | {trainer.step} | {spent / trainer.step:.2f} | " + " | ".join(cells) + " |",
            flush=True,
        )


if __name__ == "__main__":
    typer.run(main)
