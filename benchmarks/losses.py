"""Which shares of the losses help? Short runs from the same weights, each with other weights of the losses.

    python benchmarks/losses.py MODEL_FOLDER --corpus data/debian-speech --steps 300

Every run has noise in place of codes, the same batches and the same falling rate. Then held-out voices (16 clips of
4 s) are scored without quantization, and with normal noise of 0.1 and 0.35 of each latent's variance, about what twelve
and six stages leave. MODEL_FOLDER should hold full-precision weights of the phase before the codes.
"""

import dataclasses
import statistics
import tempfile
from typing import Annotated, Any

import torch
import typer

from gritcodec import model_store
from gritcodec.engine import store
from gritcodec.errors import AudioError
from gritcodec.evaluate.metrics import estoi, pesq_wb
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.train.config import DataConfig, LossConfig, OptimizerConfig, TrainConfig
from gritcodec.train.data import open_corpus
from gritcodec.train.losses import mel_distances
from gritcodec.train.trainer import Trainer

_NOISES = (0.0, 0.1, 0.35)
CANDIDATES: dict[str, dict[str, Any]] = {
    "phase 0.3, no model of hearing": {},
    "disturbance 0.15, envelope 0.1": {"disturbance": 0.15, "envelope": 0.1},
    "disturbance 0.5, envelope 0.3": {"disturbance": 0.5, "envelope": 0.3},
    "disturbance 0.15, envelope 0.1, phase 0": {"disturbance": 0.15, "envelope": 0.1, "phase": 0.0},
    "disturbance 0.15, envelope 0.1, phase 0.7": {"disturbance": 0.15, "envelope": 0.1, "phase": 0.7},
    "disturbance 0.15, envelope 0.1, phase 0.7, phase derivatives 5": {
        "disturbance": 0.15,
        "envelope": 0.1,
        "phase": 0.7,
        "phase_derivatives": 5.0,
    },
}


def measure(network: Autoencoder, clips: torch.Tensor) -> list[str]:
    """PESQ-WB, ESTOI and log-mel distance of clips [B, 1, T] at each noise."""
    rate, delay = network.config.sample_rate, network.delay
    clips = clips[..., : clips.shape[-1] // network.config.hop_length * network.config.hop_length]
    target, mels, cells = clips[:, 0, : clips.shape[-1] - delay], mel_distances(rate), []
    with torch.no_grad():
        latents = network.quantizer.normalize(network.encoder(clips[:, 0]))
        for noise in _NOISES:
            torch.manual_seed(0)
            moved = latents + noise**0.5 * torch.randn_like(latents) * latents.std((0, 1))
            output = network.decoder(moved)[:, delay:]
            found = []
            for a, b in zip(target.numpy(), output.numpy(), strict=True):
                try:
                    found.append((pesq_wb(a, b, rate), estoi(a, b, rate)))
                except AudioError:
                    continue
            mel = float(torch.stack([scale(output, target) for scale in mels]).mean())
            pesq, intelligible = (statistics.mean(column) for column in zip(*found, strict=True))
            cells.append(f"{pesq:.3f}, {intelligible:.4f}, {mel:.4f}")
    return cells


def main(
    model: Annotated[str, typer.Argument(help="A folder with the weights that all begin with.")],
    corpus: Annotated[str, typer.Option(help="A packed corpus that holds voices out.")] = "data/debian-speech",
    steps: Annotated[int, typer.Option(help="Of each run.")] = 300,
) -> None:
    """Print a table: quality on held-out voices after each run, and before."""
    data = DataConfig(corpus=corpus)
    network = store.load(model_store.resolve(model))
    fixed = dataclasses.replace(data, segment=4.0, gain_db=0.0, quiet_share=0.0)
    clips = open_corpus(fixed, network.config.sample_rate, "valid").batch(fixed, 1, 0)
    print("| losses | " + " | ".join(f"noise {noise:g}: PESQ-WB, ESTOI, mel" for noise in _NOISES) + " |")
    print("| --- " * (1 + len(_NOISES)) + "|")
    print("| before | " + " | ".join(measure(network, clips)) + " |", flush=True)
    with tempfile.TemporaryDirectory() as runs:
        for number, (name, weights) in enumerate(CANDIDATES.items()):
            config = TrainConfig(
                name=str(number),
                runs=runs,
                start=model,
                steps=steps,
                quantize_after=10**9,
                validate_every=0,
                audio_every=10**9,
                checkpoint_every=10**9,
                network=network.config,
                data=data,
                loss=LossConfig(**weights),
                optimizer=OptimizerConfig(rate=7e-4, warmup=40, decay=0.6, ema=0.98),
            )
            trainer = Trainer(config, resume=False, cpu=True)
            trainer.run()
            print(f"| {name} | " + " | ".join(measure(trainer.averaged_network(), clips)) + " |", flush=True)


if __name__ == "__main__":
    typer.run(main)
