"""WER by a second recogniser, pocketsphinx, on the clips of recipes/evaluation-words.

Usage: python benchmarks/second_opinion.py data/evaluation-words [--model speech-16k ...] [--bitrate 3 ...]

The bench counts words by Whisper. What only Whisper hears better, or worse, does not show here. `pip install
pocketsphinx` brings its model of English. One thread; two to four minutes a line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import gritcodec
from gritcodec.evaluate.recogniser import word_count, words
from gritcodec.evaluate.sets import RATE, Source, load, read_set
from gritcodec.evaluate.statistics import estimate


def heard(samples: np.ndarray) -> str:
    """Return what is recognised in mono float [samples] at 16 kHz, normalised."""
    from pocketsphinx import Decoder

    # A decoder adapts to what it hears: each clip has a new one.
    decoder = Decoder(samprate=RATE, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw((samples.clip(-1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return words(found.hypstr) if found else ""


def report(name: str, clips: list[Source], change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Print the word error rate over all clips, changed, with its 95% bootstrap interval over clips."""
    import jiwer

    rates = [float(jiwer.wer(words(clip.text or ""), heard(change(load(clip))))) for clip in clips]
    found = estimate(rates, weights=[word_count(clip.text or "") for clip in clips])
    print(f"| {name} | {found.mean:.3f} ({found.low:.3f} to {found.high:.3f}) |", flush=True)


def main(
    folder: Annotated[Path, typer.Argument(help="Clips and manifest.json with their texts.")],
    model: Annotated[list[str] | None, typer.Option(help="Repeatable. [default: speech-16k]")] = None,
    bitrate: Annotated[list[float] | None, typer.Option(help="kbps; repeatable. [default: 3, 6]")] = None,
) -> None:
    """Print a table of word error rates: originals, and every model at every bitrate."""
    clips = [clip for clip in read_set(folder) if clip.text]
    print("| | WER, pocketsphinx |\n| --- | --- |")
    report("originals", clips, lambda samples: samples)
    for name in model or ["speech-16k"]:
        codec = gritcodec.load(name)
        for kbps in bitrate or [3.0, 6.0]:

            def coded(samples: np.ndarray, codec: Any = codec, kbps: float = kbps) -> np.ndarray:
                data = codec.compress(samples[None], RATE, bitrate=kbps)
                decoded: np.ndarray = codec.decompress(data)[0][0]
                return decoded

            report(f"{name} {kbps:g}", clips, coded)


if __name__ == "__main__":
    typer.run(main)
