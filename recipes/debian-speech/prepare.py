"""Build the training corpus out of speech that Debian packages carry.

Usage: python recipes/debian-speech/prepare.py --out data/debian-speech
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from corpus import Corpus
from packages import download, find_deb, unpack
from shards import write_shards
from sources import Spec, read_spec
from store import STORE_VERSION, ClipStore, build_store

from gritcodec.train.packing import AUDIO, Progress, RecipeError, exit_code, fingerprint, finished, only_run


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(prog="prepare.py", description="Fetch speech from Debian packages and pack it.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the corpus")
    parser.add_argument(
        "--cache", type=Path, default=Path("data/cache"), help="packages and clips (default: %(default)s)"
    )
    parser.add_argument("--sources", type=Path, default=here / "sources.yaml", help="description of the sources")
    parser.add_argument("--packages-dir", type=Path, help="take the .deb files from this folder, fetch nothing")
    parser.add_argument("--allow-missing", action="store_true", help="go on without packages that are not to be had")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--shards", type=Path, metavar="DIR", help="also write the corpus in parts below 48 MiB")
    chosen = parser.parse_args(arguments)
    if chosen.jobs < 1:
        parser.error("--jobs must be at least 1")
    return chosen


def fetch(spec: Spec, options: argparse.Namespace, progress: Progress) -> dict[str, Path]:
    """Return the .deb file of every package, downloading those that are not there yet."""
    folder = options.packages_dir or options.cache / "debian-speech" / "debs"
    if options.packages_dir is not None and not folder.is_dir():
        raise RecipeError(f"no such folder: {folder}")
    debs: dict[str, Path] = {}
    for package in spec.packages:
        deb = find_deb(folder, package)
        try:
            if deb is None and options.packages_dir is not None:
                raise RecipeError(f"package {package} is not in {folder}")
            if deb is None:
                progress.say(f"fetching {package}")
                deb = download(package, folder)
        except RecipeError as error:
            if not options.allow_missing:
                raise
            progress.say(f"{error}; going on without it")
            continue
        debs[package] = deb
    if not debs:
        raise RecipeError("none of the packages is to be had")
    return debs


def prepare(options: argparse.Namespace) -> None:
    """Do everything the command line asks for."""
    progress = Progress()
    started = time.monotonic()
    spec = read_spec(options.sources)
    with only_run(options.cache / "debian-speech"):
        run(spec, options, progress, started)


def run(spec: Spec, options: argparse.Namespace, progress: Progress, started: float) -> None:
    """Fetch, build where something changed, and split if asked to."""
    debs = fetch(spec, options, progress)
    packages = {package: {"file": deb.name, "bytes": deb.stat().st_size} for package, deb in debs.items()}
    key = fingerprint(STORE_VERSION, spec, packages)
    made, audio = finished(options.out, key), options.out / AUDIO
    if made and audio.is_file() and audio.stat().st_size == 2 * made["samples"]:
        progress.say(f"{options.out} is up to date")
    else:
        summary = build(spec, debs, options, progress, {"fingerprint": key, "packages": packages})
        minutes = {split: sum(kinds["source"].values()) for split, kinds in summary["minutes"].items()}
        told = ", ".join(f"{value:.1f} minutes {split}" for split, value in minutes.items())
        progress.say(f"{options.out}: {told}, in {time.monotonic() - started:.0f} s")
    if options.shards is not None:
        count = write_shards(options.out, options.shards)
        progress.say(f"{options.shards}: {count} parts")


def build(
    spec: Spec, debs: dict[str, Path], options: argparse.Namespace, progress: Progress, extra: dict[str, Any]
) -> dict[str, Any]:
    """Unpack, convert and pack; return the content of summary.json."""
    cache = options.cache / "debian-speech"
    stores: list[tuple[Any, ClipStore]] = []
    for source in spec.sources:
        deb = debs.get(source.package)
        if deb is None:
            continue
        progress.say(f"converting {source.name}")
        root = unpack(deb, source.package, cache / "unpacked")

        def report(done: int, total: int, name: str = source.name) -> None:
            progress.tick(name, done, total)

        store = build_store(source, deb, root, spec, cache / "clips", options.jobs, report)
        stores.append((source, store))
    progress.say("packing")
    return Corpus(spec, options.out).write(stores, extra)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parse_arguments(arguments)
    return exit_code("prepare.py", lambda: prepare(options))


if __name__ == "__main__":
    sys.exit(main())
