"""Noise and music for the bench's conditions, out of one Debian package; nothing of it is committed.

Usage: python recipes/evaluation-sounds/prepare.py --out data/evaluation-sounds

The package, unknown-horizons (a game, 248 MB), is kept for evaluation: recipes/debian-speech refuses to train on it.
Its sounds are CC-BY-SA-3.0, Unknown Horizons Team.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import soundfile

from gritcodec.sound import audio
from gritcodec.sound.resampling import resample
from gritcodec.train.packing import RecipeError, exit_code, run_program

PACKAGE = "unknown-horizons"
RATE = 16000
_AUDIO = "usr/share/unknown-horizons/content/audio"
# What is loud enough over its whole length to be noise behind a voice: people, wind, work, animals.
NOISE = ("tavern", "main_square", "windmill", "warehouse", "sheepfield")
MUSIC = (
    "music",
    "music2",
    "battle",
    "nightdream",
    "irelands_coast",
    "goldenvalley",
    "seafight",
    "newfrontier",
    "Peer Gynt Suite No. 1, Op. 46 - I. Morning",
    "beware_the_ships_kobold",
)
NOISE_SECONDS, MUSIC_SECONDS, MUSIC_START = 20.0, 6.0, 30.0
LICENCE = "CC-BY-SA-3.0, Unknown Horizons Team"


def _run(*command: str, cwd: Path) -> None:
    run_program(command, "the recipe needs Debian or a system derived from it", cwd)


def fetch(work: Path) -> Path:
    """Download the package into `work`; apt-get download needs no root and installs nothing."""
    _run("apt-get", "--quiet", "download", PACKAGE, cwd=work)
    return next(work.glob(f"{PACKAGE}_*.deb")).resolve()


def cut(source: Path, target: Path, start: float, seconds: float) -> None:
    """Write a part of a file, mono at 16 kHz; a file that ends before the part begins gives its beginning.

    Raises:
        RecipeError: there is no such file, it is shorter than a second, or silent.
    """
    if not source.is_file():
        raise RecipeError(f"the package holds no {source.name}")
    waveform, rate = audio.read(source)
    mono = waveform.mean(0, keepdims=True)
    first = round(start * rate) if mono.shape[1] > (start + seconds) * rate else 0
    part = mono[:, first : first + round(seconds * rate)]
    if part.shape[1] < rate or not part.any():
        raise RecipeError(f"{source.name} is silent there, or shorter than a second")
    sound = resample(part, rate, RATE, round(part.shape[1] * RATE / rate))
    soundfile.write(target, sound.clip(-1, 1)[0], RATE, format="FLAC")


def build(content: Path, out: Path) -> None:
    """Write noise/ and music/ with a manifest each."""
    jobs = (
        ("noise", NOISE, content / "sounds", 0.0, NOISE_SECONDS),
        ("music", MUSIC, content / "music", MUSIC_START, MUSIC_SECONDS),
    )
    for kind, names, folder, start, seconds in jobs:
        (out / kind).mkdir(parents=True)
        rows = []
        for name in names:
            # No digits or spaces: clips are drawn evenly over what their names begin with.
            file = f"{name.split(',')[0].replace(' ', '-').lower()}.flac"
            cut(folder / f"{name}.ogg", out / kind / file, start, seconds)
            rows.append({"file": file, "source": PACKAGE, "language": kind, "licence": LICENCE})
        (out / kind / "manifest.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def prepare(out: Path, deb: Path | None) -> None:
    """Do everything; `out` appears whole or not at all."""
    if out.exists():
        raise RecipeError(f"{out} exists already: remove it to make it again")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".evaluation-sounds-") as name:
        work = Path(name)
        if deb is not None and not deb.is_file():
            raise RecipeError(f"there is no file {deb}")
        package = fetch(work) if deb is None else deb.resolve()
        _run("dpkg-deb", "--extract", str(package), "unpacked", cwd=work)
        build(work / "unpacked" / _AUDIO, work / "sounds")
        (work / "sounds").rename(out)
    print(out)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="prepare.py", description="Fetch noise and music for gritcodec evaluate.")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--deb", type=Path, help="take this file of the package, fetch nothing")
    options = parser.parse_args(arguments)
    return exit_code("prepare.py", lambda: prepare(options.out, options.deb))


if __name__ == "__main__":
    sys.exit(main())
