"""How much does PESQ-WB of a clip depend on where it begins? Silence is put before both signals, which nobody hears.

    python benchmarks/alignment.py SET --bitrate 3 --bitrate 6

PESQ aligns signals in time by itself. Where it fails, in stationary noise above all, a good signal is compared with the
wrong piece of the original. The table has the clips whose score moves by more than 0.3.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import gritcodec
from gritcodec.evaluate import sets
from gritcodec.evaluate.metrics import RATE, pesq_wb

_MILLISECONDS = (0, 5, 25, 100, 500)
_MOVES = 0.3


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of clips.")],
    bitrate: Annotated[list[float] | None, typer.Option(help="kbps; repeatable.")] = None,
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "speech-16k",
) -> None:
    """Print the table and, for every bitrate, the mean over all clips of each column and of each clip's median."""
    codec = gritcodec.load(model)
    columns = " | ".join(f"{time} ms" for time in _MILLISECONDS)
    print(f"| kbps | clip | {columns} |\n| --- | --- {'| --- ' * len(_MILLISECONDS)}|")
    for kbps in bitrate or [3.0, 6.0]:
        rows = []
        for source in sets.read_set(folder):
            clip = sets.load(source)
            decoded = codec.decompress(codec.compress(clip[None], RATE, kbps))[0][0]
            row = []
            for time in _MILLISECONDS:
                silence = (time * RATE // 1000, 0)
                row.append(pesq_wb(np.pad(clip, silence), np.pad(decoded, silence), RATE))
            rows.append(row)
            if max(row) - min(row) > _MOVES:
                print(f"| {kbps:g} | {source.name} | {' | '.join(f'{score:.2f}' for score in row)} |", flush=True)
        mean = " | ".join(f"{score:.2f}" for score in np.mean(rows, axis=0))
        print(f"| {kbps:g} | mean of {len(rows)} clips | {mean} |")
        medians = np.median(rows, axis=1)
        print(f"| {kbps:g} | mean of each clip's median | {medians.mean():.2f} {'| ' * len(_MILLISECONDS)}|")


if __name__ == "__main__":
    typer.run(main)
