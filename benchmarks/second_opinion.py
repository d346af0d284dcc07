"""WER by a second recogniser, pocketsphinx, on the clips of recipes/evaluation-words.

Usage: python benchmarks/second_opinion.py data/evaluation-words [--model speech-16k ...] [--bitrate 3 ...]

The bench counts words by Whisper. What only Whisper hears better, or worse, does not show here. `pip install
pocketsphinx` brings its model of English. One thread; two to four minutes a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import soundfile
import typer

import gritcodec
from gritcodec.evaluate.recogniser import words

RATE = 16_000


def heard(decoder: Any, samples: np.ndarray) -> str:
    """Return what is recognised in mono float [samples] at 16 kHz, normalised."""
    decoder.start_utt()
    decoder.process_raw((samples.clip(-1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return words(found.hypstr) if found else ""


def report(name: str, clips: list[tuple[np.ndarray, str]], change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Print the word error rate over all clips, changed, with its 95% bootstrap interval over clips."""
    import jiwer
    from pocketsphinx import Decoder

    counts = []
    for samples, text in clips:
        # A decoder adapts to what it hears: each clip has a new one.
        found = jiwer.process_words(words(text), heard(Decoder(samprate=RATE, loglevel="FATAL"), change(samples)))
        errors = found.substitutions + found.deletions + found.insertions
        counts.append((errors, found.hits + found.substitutions + found.deletions))
    table = np.array(counts)
    rates = [
        np.divide(*table[np.random.default_rng(seed).integers(len(table), size=len(table))].sum(0))
        for seed in range(1000)
    ]
    low, high = np.quantile(rates, (0.025, 0.975))
    print(f"| {name} | {np.divide(*table.sum(0)):.3f} ({low:.3f} to {high:.3f}) |", flush=True)


def main(
    folder: Annotated[Path, typer.Argument(help="Clips and manifest.json with their texts.")],
    model: Annotated[list[str] | None, typer.Option(help="Repeatable. [default: speech-16k]")] = None,
    bitrate: Annotated[list[float] | None, typer.Option(help="kbps; repeatable. [default: 3, 6]")] = None,
) -> None:
    """Print a table of word error rates: originals, and every model at every bitrate."""
    clips = []
    for entry in json.loads((folder / "manifest.json").read_text()):
        samples, rate = soundfile.read(folder / entry["file"], dtype="float32")
        assert rate == RATE and samples.ndim == 1, entry["file"]
        clips.append((samples, entry["text"]))
    print("| | WER, pocketsphinx |\n| --- | --- |")
    report("originals", clips, lambda samples: samples)
    for name in model or ["speech-16k"]:
        codec = gritcodec.load(name)
        for kbps in bitrate or [3.0, 6.0]:

            def coded(samples: np.ndarray, codec: Any = codec, kbps: float = kbps) -> np.ndarray:
                data = codec.compress(samples[None], RATE, bitrate=kbps)
                decoded: np.ndarray = codec.decompress(data)[0][0].numpy()
                return decoded

            report(f"{name} {kbps:g}", clips, coded)


if __name__ == "__main__":
    typer.run(main)
