"""Fetch LibriSpeech, or take a corpus that is there, and pack it for training.

Usage: python recipes/librispeech/prepare.py --download --root data --out data/librispeech-16k
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import manifest
import parts
from download import HOMES, download
from layouts import LAYOUTS, detect, refuse_reserved, training_subsets

from gritcodec.train.clips import Checks
from gritcodec.train.packing import Progress, RecipeError, exit_code, fingerprint, finished, only_run

MUSIC_CLIP_SHARE = 0.01  # loud records are flat at the top here and there; a hundredth of all samples is broken


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="prepare.py",
        description="Pack LibriSpeech (fetched or there already), LibriTTS, VCTK or any folder of audio for training.",
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of the corpus, or that receives it")
    parser.add_argument("--out", type=Path, required=True, help="folder for the packed corpus")
    parser.add_argument(
        "--rate", type=int, default=16000, help="sampling rate of the packed corpus (default: 16000 Hz)"
    )
    parser.add_argument("--layout", choices=("auto", *LAYOUTS), default="auto", help="how --root is laid out")
    parser.add_argument("--train", nargs="+", default=[], metavar="SUBSET", help="subsets to train on (default: all)")
    parser.add_argument("--download", action="store_true", help="fetch the subsets that are not in --root")
    parser.add_argument(
        "--corpus", choices=tuple(HOMES), default="librispeech", help="what --download fetches (default: librispeech)"
    )
    parser.add_argument(
        "--evaluate",
        nargs="*",
        default=["dev-clean", "test-clean"],
        metavar="SUBSET",
        help="subsets that --download fetches for evaluation alone (default: dev-clean test-clean)",
    )
    parser.add_argument("--valid-voices", type=int, help="voices held out (default: 2 %%, at least 1, at most 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of held-out voices (default: 0)")
    parser.add_argument("--music", action="store_true", help="a piece for each channel; levels and ends are left alone")
    parser.add_argument("--min-rate", type=int, help="refuse files sampled lower (default: --rate)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    chosen = parser.parse_args(arguments)
    if chosen.jobs < 1 or chosen.rate < 1 or (chosen.valid_voices or 0) < 0:
        parser.error("--jobs and --rate must be at least 1, --valid-voices at least 0")
    return chosen


def prepare(options: argparse.Namespace) -> None:
    """Do everything the command line asks for."""
    progress = Progress()
    if options.download:
        fetch(options, progress)
    pack(options, progress)


def fetch(options: argparse.Namespace, progress: Progress) -> None:
    """Download what is asked for and not there."""
    training = options.train or ["train-clean-100"]
    refuse_reserved(training)
    options.root.mkdir(parents=True, exist_ok=True)
    for subset in (*training, *options.evaluate):
        progress.say(f"{options.corpus} {subset}: fetching, unless it is there")
        progress.say(download(options.corpus, subset, options.root))


def pack(options: argparse.Namespace, progress: Progress) -> None:
    """Make the packed corpus, or find it made."""
    root = options.root / HOMES[options.corpus] if options.download else options.root
    layout, base = detect(root, options.layout)
    subsets = training_subsets(layout, base, options.train)
    checks = Checks(min_rate=options.rate if options.min_rate is None else options.min_rate)
    if options.music:
        checks = Checks(min_rate=checks.min_rate, max_clip_share=MUSIC_CLIP_SHARE)
    settings = parts.Settings(options.rate, layout.name, options.music, checks)
    told = f" ({', '.join(subsets)})" if layout.subsets else ""
    progress.say(f"{base}: laid out as {layout.name}{told}")
    planned = parts.plan(layout, base, subsets, settings)
    if not planned:
        raise RecipeError(f"there is no audio in {base}")
    holding = manifest.Holding(options.seed, options.valid_voices)
    key = fingerprint([part.key for part in planned], holding)
    with only_run(options.out):
        if finished(options.out, key) and all(part.is_done(options.out) for part in planned):
            progress.say(f"{options.out} is up to date")
            return
        manifest.clear(options.out)
        _build(planned, base, options, settings, progress)
        summary = manifest.write(planned, options.out, settings, holding, key)
    _report(summary, options.out, progress)


def _build(
    planned: list[parts.Part], base: Path, options: argparse.Namespace, settings: parts.Settings, progress: Progress
) -> None:
    (options.out / parts.RECORDS).mkdir(parents=True, exist_ok=True)
    total = sum(len(part.files) for part in planned)
    before = parts.done_files(planned, options.out)
    if before:
        progress.say(f"{before} of {total} files were done before")
    started = time.monotonic()

    def report(done: int) -> None:
        seconds = (time.monotonic() - started) / max(done, 1) * (total - before - done)
        left = f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
        progress.tick("packing", before + done, total, f" files, about {left} left" if done else " files")

    parts.build(planned, base, options.out, settings, options.jobs, report)


def _report(summary: dict[str, Any], out: Path, progress: Progress) -> None:
    for split, kinds in summary["minutes"].items():
        voices, minutes = len(kinds["speaker"]), sum(kinds["source"].values())
        length = f"{minutes / 60:.1f} hours" if minutes > 120 else f"{minutes:.1f} minutes"
        progress.say(f"{out}: {split}: {length}, {voices} {'voice' if voices == 1 else 'voices'}")
    if not summary["held_out"]:
        progress.say("no voice is held out for validation")
    if summary["refused"]:
        told = ", ".join(f"{reason} {count}" for reason, count in summary["refused"].items())
        progress.say(f"refused: {told}; {out / 'refused.jsonl'} lists them")


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parse_arguments(arguments)
    return exit_code("prepare.py", lambda: prepare(options))


if __name__ == "__main__":
    sys.exit(main())
