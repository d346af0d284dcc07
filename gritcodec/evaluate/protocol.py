"""The evaluation protocol: every clip through the installed command, bytes counted on disk.

Run as `python -m gritcodec.evaluate.protocol FOLDER ... --bitrate 1.5 --bitrate 3 --bitrate 6`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from gritcodec import files, messages
from gritcodec.errors import AudioError, UsageError
from gritcodec.units import parse_bitrate

_FAINT_DB = -70.0
_EXIT_CODES = (
    "Exit codes: 0 done; 1 nothing can be rated; 2 bad use, or PESQ is not installed; "
    "3 done, but clips are left out: stderr names them; 130 interrupted."
)

# Compresses the first file into the second at a bitrate (kbps) and decompresses that into the third.
Coder = Callable[[Path, Path, Path, float], None]


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
    complaint = done.stderr.strip().removeprefix("gritcodec: error: ") or f"gritcodec {arguments[0]} failed"
    if done.returncode == AudioError.exit_code:
        raise AudioError(complaint)
    if done.returncode:
        raise UsageError(complaint)


def command_coder(model: str, effort: int = 0) -> Coder:
    """Code with the installed command, a process for each call."""

    def code(clip: Path, packed: Path, decoded: Path, bitrate: float) -> None:
        options = ("--bitrate", str(bitrate), "--effort", str(effort), "--model", model, "--force")
        _command("compress", str(clip), str(packed), "--strict", *options)
        _command("decompress", str(packed), str(decoded), "--model", model, "--force")

    return code


def library_coder(model: str, effort: int = 0) -> Coder:
    """Code with the library's own calls, the ones behind the command: the same files, without its seconds of start."""
    import gritcodec
    from gritcodec.codec import transfer
    from gritcodec.codec.settings import Settings

    codec = gritcodec.load(model)

    def code(clip: Path, packed: Path, decoded: Path, bitrate: float) -> None:
        transfer.compress(codec, clip, packed, Settings(bitrate, effort=effort, overwrite=True, strict=True))
        codec.decompress_file(packed, decoded, overwrite=True)

    return code


def score_clip(clip: Path, name: str, bitrate: float, code: Coder) -> Score:
    """Compress and decompress one audio file and measure it.

    Args:
        clip: any audio file that libsndfile reads, at any rate; the measures are taken at 16 kHz, mixed to mono.
        name: what the score calls it.
        bitrate: kbps a channel.
        code: see `Coder`.

    Raises:
        AudioError: the clip cannot be read, is damaged, or holds nothing that PESQ or STOI could rate.
    """
    import soundfile

    from gritcodec.evaluate import metrics

    with tempfile.TemporaryDirectory() as work:
        packed, decoded = Path(work) / "clip.grit", Path(work) / "clip.wav"
        code(clip, packed, decoded, bitrate)
        size = packed.stat().st_size
        output, _ = soundfile.read(decoded, dtype="float32", always_2d=True)
    original, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    a, b = original.T, output.T
    return Score(
        name,
        float(10 * np.log10(np.mean(np.square(original)) + 1e-12)),
        bitrate,
        size * 8 / (len(original) / rate) / 1000,
        metrics.pesq_wb(a, b, rate),
        metrics.stoi(a, b, rate),
        metrics.estoi(a, b, rate),
    )


def means(rows: list[Score]) -> dict[str, float]:
    """Mean of every measure over clips."""
    names = ("true_kbps", "pesq_wb", "stoi", "estoi")
    return {name: float(np.mean([getattr(row, name) for row in rows])) for name in names}


def choose_clips(folder: Path, limit: int | None, seed: int) -> list[Path]:
    """List the audio files below a folder, or `limit` of them: always the same ones for a seed."""
    from gritcodec.sound.audio import audio_files

    clips = audio_files(folder)
    if not clips:
        raise UsageError(f"no audio in {folder}")
    return clips if limit is None else sorted(random.Random(seed).sample(clips, min(limit, len(clips))))


def score_clips(folder: Path, clips: list[Path], bitrate: float, code: Coder) -> list[Score]:
    """Score clips side by side; those that cannot be rated are named on stderr and left out.

    Args:
        folder: what the clips' names are relative to.
        clips: audio files below it.
        bitrate: kbps a channel.
        code: see `Coder`.
    """

    def one(clip: Path) -> Score | None:
        try:
            return score_clip(clip, clip.relative_to(folder).as_posix(), bitrate, code)
        except AudioError as error:
            messages.warn(f"left out: {clip.relative_to(folder)}: {error}")
            return None

    rows, shown = [], time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, row in enumerate(pool.map(one, clips), 1):
            rows += [row] if row else []
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                print(f"{folder} at {bitrate:g} kbps: {done}/{len(clips)}", file=sys.stderr, flush=True)
    if not rows:
        raise AudioError(f"none of the {len(clips)} clips in {folder} can be rated")
    return rows


def table_row(bitrate: float, rows: list[Score]) -> str:
    """The scores at one bitrate as a row of the printed table."""
    worst = min(rows, key=lambda row: row.pesq_wb)
    mean = means(rows)
    audible = means([row for row in rows if row.level_db > _FAINT_DB] or rows)
    return (
        f"| {bitrate:g} | {mean['true_kbps']:.2f} | {mean['pesq_wb']:.2f} | {worst.pesq_wb:.2f} "
        f"({Path(worst.clip).stem}) | {mean['stoi']:.3f} | {mean['estoi']:.3f} | "
        f"{audible['pesq_wb']:.2f} | {audible['estoi']:.3f} |"
    )


_HEAD = (
    "| asked kbps | true kbps | PESQ-WB | worst clip | STOI | ESTOI | audible: PESQ-WB | ESTOI |\n" + "| --- " * 8 + "|"
)


def evaluate(
    folders: list[Path],
    bitrates: list[float],
    model: str,
    limit: int | None,
    seed: int,
    in_process: bool,
    effort: int = 0,
) -> tuple[list[dict[str, object]], bool]:
    """Print a table for each folder; arguments as on the command line.

    Returns:
        Every Score as a dict, with the name of its folder; and whether clips are left out.

    Raises:
        GritcodecError: no such folder or model, or nothing to rate.
    """
    code = (library_coder if in_process else command_coder)(model, effort)
    scores: list[dict[str, object]] = []
    left_out = False
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder")
        clips = choose_clips(folder, limit, seed)
        if len(folders) > 1 or limit:
            drawn = f", drawn with seed {seed}" if limit else ""
            print(f"\n{folder.resolve().name}: {len(clips)} clips{drawn}\n")
        print(_HEAD, flush=True)
        for rate in bitrates:
            rows = score_clips(folder, clips, rate, code)
            left_out |= len(rows) < len(clips)
            scores += [{"folder": folder.resolve().name, **asdict(row)} for row in rows]
            print(table_row(rate, rows), flush=True)
    return scores, left_out


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders of clips, searched to the bottom.", exists=True)],
    bitrate: Annotated[
        list[float] | None, typer.Option(parser=parse_bitrate, metavar="KBPS", help="Of each channel; repeatable.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model name or folder.")] = "speech-16k",
    limit: Annotated[int | None, typer.Option(min=1, help="So many clips of each folder, drawn with --seed.")] = None,
    seed: Annotated[int, typer.Option(help="Of the clips that --limit draws.")] = 0,
    in_process: Annotated[bool, typer.Option(help="Call the library, not the command: same files, faster.")] = False,
    effort: Annotated[int, typer.Option(help="Steps of refinement, see gritcodec compress --help.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every score here.")] = None,
) -> None:
    """Score a model on folders of clips: means over clips, true kilobits per second.

    Clips below -70 dBFS hold no speech to rate: means without them stand in columns of their own.
    """
    with messages.needing("evaluate", "scoring"):
        # Before the first clip, not after it.
        import pesq  # noqa: F401
        import pystoi  # noqa: F401

        scores, left_out = evaluate(folders, bitrate or [1.5, 3.0, 6.0], model, limit, seed, in_process, effort)
    if json_path:
        files.write_bytes(json_path, json.dumps(scores, indent=1).encode(), True)
    if left_out:
        raise typer.Exit(messages.DAMAGED)


def run(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit code, as `gritcodec` does."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(epilog=_EXIT_CODES)(main)
    try:
        with typer.main.get_command(app).make_context("protocol", list(arguments)) as context:
            context.command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except Exception as error:
        return messages.report(error)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
