"""Quality on fixed unseen voices while a run goes on, and the best weights so far."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from gritcodec import messages
from gritcodec.engine import store
from gritcodec.errors import AudioError, ConfigError
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.nn.config import NetworkConfig
from gritcodec.train.config import DataConfig
from gritcodec.train.data import open_corpus
from gritcodec.train.losses import mel_distances

BITRATES = (1.5, 3.0, 6.0)  # kbps
SECONDS, CLIPS = 4.0, 8
BEST, BEST_SCORE = "best", "best.json"


def stages_of(config: NetworkConfig, kbps: float) -> int:
    """Stages that fit into a bitrate, at least one."""
    bits = config.quantizer.codebook_size.bit_length() - 1
    return max(1, min(config.quantizer.stages, int(1000 * kbps * config.hop_length / config.sample_rate / bits + 1e-9)))


def score(pesq: list[float], estoi: list[float]) -> float:
    """What the best model is best by: the mean of PESQ-WB, as a share of 1 to 4.64, and ESTOI over all bitrates."""
    return statistics.mean([(statistics.mean(pesq) - 1) / 3.64, statistics.mean(estoi)])


class Validation:
    """Scores a network on clips of voices that the corpus holds out.

    Args:
        data: the run's data; its corpus's `valid` split is used, or all of a corpus that has no splits.
        network: the run's network.
        folder: the run's folder, where the best weights are kept.

    Attributes:
        last: what was measured last; empty before the first time.
    """

    def __init__(self, data: DataConfig, network: NetworkConfig, folder: Path):
        self.network, self.folder = network, folder
        fixed = dataclasses.replace(data, segment=SECONDS, batch=CLIPS, gain_db=0.0, quiet_share=0.0)
        self.clips: Tensor | None
        try:
            self.clips = open_corpus(fixed, network.sample_rate, "valid").batch(fixed, 0, 0)
        except ConfigError:
            self.clips = None
            messages.note("the corpus holds no voices out: nothing to validate on")
        self.mel = mel_distances(network.sample_rate)
        self.last: dict[str, float] = {}

    def measure(self, network: Autoencoder) -> dict[str, float]:
        """PESQ-WB, ESTOI and log-mel distance at 1.5, 3 and 6 kbps, and their score; evaluation mode, CPU.

        Without the pesq and pystoi packages, on a lent GPU machine say, there is the log-mel distance alone, and the
        score is its negative.
        """
        if self.clips is None:
            return {}
        values: dict[str, float] = {}
        pesqs: list[float] = []
        estois: list[float] = []
        mels: list[float] = []
        hop = self.network.hop_length
        clips = self.clips[..., : self.clips.shape[-1] // hop * hop]
        with torch.no_grad():
            codes = network.encode(clips)
            for kbps in BITRATES:
                output = network.decode(codes[:, : stages_of(self.network, kbps)])[:, 0, network.delay :]
                target = clips[:, 0, : clips.shape[-1] - network.delay]
                mel = float(torch.stack([scale(output, target) for scale in self.mel]).mean())
                values[f"valid/mel-{kbps:g}"] = mel
                mels.append(mel)
                for name, found, all_found in (
                    ("pesq", _rated(_pesq, target, output, self.network.sample_rate), pesqs),
                    ("estoi", _rated(_estoi, target, output, self.network.sample_rate), estois),
                ):
                    if found:
                        values[f"valid/{name}-{kbps:g}"] = statistics.mean(found)
                        all_found.append(statistics.mean(found))
        values["score"] = score(pesqs, estois) if pesqs and estois else -statistics.mean(mels)
        self.last = values
        return values

    def keep_best(self, step: int, values: dict[str, float], network: Autoencoder) -> bool:
        """Write the network to the run's `best` when its score is the highest so far; says whether it was."""
        path = self.folder / BEST_SCORE
        if not values or (path.is_file() and json.loads(path.read_text())["score"] >= values["score"]):
            return False
        store.save(self.folder / BEST, network)
        part = path.with_name(f".{path.name}.part")
        with store.writing(path):
            part.write_text(json.dumps({"step": step, **values}))
            part.replace(path)
        return True


def describe(values: Mapping[str, float]) -> str:
    """Say what `Validation.measure` has found: PESQ-WB and ESTOI, or without their packages the log-mel distance."""
    parts: list[str] = []
    for key, name, digits in (("pesq", "PESQ-WB", 2), ("estoi", "ESTOI", 3), ("mel", "log-mel distance", 3)):
        found = [values[kept] for kbps in BITRATES if (kept := f"valid/{key}-{kbps:g}") in values]
        if len(found) == len(BITRATES) and not (key == "mel" and parts):
            parts.append(f"{name} {' / '.join(f'{value:.{digits}f}' for value in found)}")
    return f"{', '.join(parts)} at {' / '.join(f'{kbps:g}' for kbps in BITRATES)} kbps"


def _pesq(reference: Tensor, degraded: Tensor, rate: int) -> float:
    from gritcodec.evaluate.metrics import pesq_wb

    return pesq_wb(reference.numpy(), degraded.numpy(), rate)


def _estoi(reference: Tensor, degraded: Tensor, rate: int) -> float:
    from gritcodec.evaluate.metrics import estoi

    return estoi(reference.numpy(), degraded.numpy(), rate)


def _rated(measure: Callable[[Tensor, Tensor, int], float], target: Tensor, output: Tensor, rate: int) -> list[float]:
    """One number a clip; clips that the measure has no answer for are left out, all are without its package."""
    found = []
    for reference, degraded in zip(target, output, strict=True):
        try:
            found.append(measure(reference, degraded, rate))
        except AudioError:
            continue
        except ModuleNotFoundError:
            return []
    return found
