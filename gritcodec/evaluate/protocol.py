"""The evaluation protocol: every clip through the installed command, bytes counted on disk.

Run as `python -m gritcodec.evaluate.protocol FOLDER --bitrate 1.5 --bitrate 3 --bitrate 6`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

_FAINT_DB = -70.0


@dataclass(frozen=True)
class Score:
    """One clip at one bitrate; level_db is the original's RMS in dBFS."""

    clip: str
    level_db: float
    asked_kbps: float
    true_kbps: float
    pesq_wb: float
    stoi: float
    estoi: float


def _command(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "gritcodec", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise typer.BadParameter(done.stderr.strip() or f"gritcodec {arguments[0]} failed")


def score_clip(clip: Path, bitrate: float, model: str, work: Path) -> Score:
    """Compress and decompress one audio file with the command line and measure it.

    Args:
        clip: any audio file that libsndfile reads.
        bitrate: kbps.
        model: name or path.
        work: folder for the compressed and the decoded file.
    """
    import soundfile

    from gritcodec.evaluate import metrics

    packed, decoded = work / f"{clip.stem}.grit", work / f"{clip.stem}.wav"
    _command("compress", str(clip), str(packed), "--bitrate", str(bitrate), "--model", model, "--force")
    _command("decompress", str(packed), str(decoded), "--model", model, "--force")
    original, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    output, _ = soundfile.read(decoded, dtype="float32", always_2d=True)
    kbps = packed.stat().st_size * 8 / (len(original) / rate) / 1000
    a, b = original.T, output.T
    return Score(
        clip.name,
        float(10 * np.log10(np.mean(np.square(original)) + 1e-12)),
        bitrate,
        kbps,
        metrics.pesq_wb(a, b, rate),
        metrics.stoi(a, b, rate),
        metrics.estoi(a, b, rate),
    )


def means(rows: list[Score]) -> dict[str, float]:
    """Mean of every measure over clips."""
    names = ("true_kbps", "pesq_wb", "stoi", "estoi")
    return {name: float(np.mean([getattr(row, name) for row in rows])) for name in names}


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of clips.", exists=True, file_okay=False)],
    bitrate: Annotated[list[float] | None, typer.Option(help="kbps, repeatable.")] = None,
    model: Annotated[str, typer.Option(help="Model name or folder.")] = "speech-16k",
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every score here.")] = None,
) -> None:
    """Score a model on a folder of clips: means over clips, true kilobits per second.

    Clips below -70 dBFS hold no speech to rate: means without them stand in columns of their own.
    """
    clips = sorted(f for f in folder.iterdir() if f.suffix.lower() in {".wav", ".flac", ".ogg", ".opus", ".mp3"})
    if not clips:
        raise typer.BadParameter(f"no audio in {folder}")
    scores: list[Score] = []
    print(
        "| asked kbps | true kbps | PESQ-WB | worst clip | STOI | ESTOI | audible: PESQ-WB | ESTOI |\n"
        + "| --- " * 8
        + "|"
    )
    with tempfile.TemporaryDirectory() as work:
        for rate in bitrate or [1.5, 3.0, 6.0]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                rows = list(pool.map(score_clip, clips, repeat(rate), repeat(model), repeat(Path(work))))
            scores += rows
            worst = min(rows, key=lambda row: row.pesq_wb)
            mean = means(rows)
            audible = means([row for row in rows if row.level_db > _FAINT_DB] or rows)
            print(
                f"| {rate:g} | {mean['true_kbps']:.2f} | {mean['pesq_wb']:.2f} | {worst.pesq_wb:.2f} "
                f"({Path(worst.clip).stem}) | {mean['stoi']:.3f} | {mean['estoi']:.3f} | "
                f"{audible['pesq_wb']:.2f} | {audible['estoi']:.3f} |",
                flush=True,
            )
    if json_path:
        json_path.write_text(json.dumps([asdict(score) for score in scores], indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
