"""What a change of the whole program brought: an old commit and the working tree, installed side by side, in one run.

    python benchmarks/against.py c8a595a

Makes an environment for each with `pip install .` and nothing else, and prints the new one's share of the old one's
installed size, of the wall time of a cold `gritcodec compress` and `decompress` of ten seconds, of the peak memory of
those processes, and how many times as fast whole files are coded on one thread at 7 kbps. Rounds of the two alternate;
the best of each counts. On a machine that does nothing else. Raw numbers go to runs/against.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parent.parent
RATE = 16_000
# One process, one thread, the model loaded beforehand: CPU seconds of a second of sound.
WHOLE_FILES = """
import json, sys, time
import soundfile, gritcodec
waveform, rate = soundfile.read(sys.argv[1], dtype="float32")
codec = gritcodec.load()
data = codec.compress(waveform[None, : 10 * rate], rate, 7.0)
codec.decompress(data)
began = time.process_time()
data = codec.compress(waveform[None], rate, 7.0)
middle = time.process_time()
codec.decompress(data)
seconds = len(waveform) / rate
print(json.dumps([(middle - began) / seconds, (time.process_time() - middle) / seconds]))
"""


def main() -> None:
    """Install both, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit", help="what to compare the working tree with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="a folder for the environments, used again when they are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = (options.keep or Path(temporary)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        old = home / f"tree-{options.commit}"
        if not old.is_dir():
            archive = subprocess.run(["git", "archive", options.commit], cwd=ROOT, check=True, capture_output=True)
            old.mkdir()
            subprocess.run(["tar", "-x", "-C", str(old)], input=archive.stdout, check=True)
        sides = {"old": installed(home / f"env-{options.commit}", old), "new": installed(home / "env-new", ROOT)}
        clips = speech(home)
        found: dict[str, dict[str, float]] = {side: {"size": size_of(python)} for side, python in sides.items()}
        for _ in range(options.rounds):
            for side, python in sides.items():
                for name, value in measured(python, clips, home / side).items():
                    found[side][name] = min(value, found[side].get(name, value))
    target = ROOT / "runs" / "against.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(found, indent=1))
    show(options.commit, found)


def installed(folder: Path, tree: Path) -> Path:
    """Return the Python of an environment that holds a tree of the program and what it asks for, no more."""
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, str(tree)], check=True)
    # Once more without a look at the version, which stays the same while the working tree changes.
    subprocess.run([*install, "--force-reinstall", "--no-deps", str(tree)], check=True)
    return python


def size_of(python: Path) -> float:
    """Return the bytes of all packages in an environment, pip and compiled bytecode aside."""
    packages = next((python.parent.parent / "lib").glob("python*/site-packages"))
    files = [path for path in packages.rglob("*") if path.is_file() and not path.is_symlink()]
    left_out = {"pip", "setuptools", "__pycache__"}
    return float(sum(path.stat().st_size for path in files if not left_out & set(path.relative_to(packages).parts)))


def speech(home: Path) -> dict[str, Path]:
    """Write ten seconds and a minute of the speech inside the package; return their files."""
    clip, rate = soundfile.read(ROOT / "gritcodec" / "clips" / "austen.flac", dtype="float32")
    assert rate == RATE
    paths = {}
    for name, seconds in (("short", 10), ("long", 60)):
        paths[name] = home / f"{name}.wav"
        soundfile.write(paths[name], np.resize(clip, seconds * RATE), RATE)
    return paths


def measured(python: Path, clips: dict[str, Path], folder: Path) -> dict[str, float]:
    """Return the measures of one round."""
    folder.mkdir(exist_ok=True)
    grit, wav = folder / "a.grit", folder / "a.wav"
    command = [str(python.parent / "gritcodec")]
    compress = timed([*command, "compress", str(clips["short"]), str(grit), "--bitrate", "7", "--force"])
    decompress = timed([*command, "decompress", str(grit), str(wav), "--force"])
    single = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}
    done = subprocess.run(
        [str(python), "-c", WHOLE_FILES, str(clips["long"])], env=single, check=True, capture_output=True, cwd=folder
    )
    encode, decode = json.loads(done.stdout)
    return {
        "compress, cold, s": compress[0],
        "compress, peak bytes": compress[1],
        "decompress, cold, s": decompress[0],
        "decompress, peak bytes": decompress[1],
        "compress, CPU s a second": encode,
        "decompress, CPU s a second": decode,
    }


def timed(command: list[str]) -> tuple[float, float]:
    """Return the wall seconds of a command and the most memory that it held, bytes."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    assert isinstance(usage, resource.struct_rusage)
    return time.perf_counter() - began, float(usage.ru_maxrss * unit)


def show(commit: str, found: dict[str, dict[str, float]]) -> None:
    """Print the ratios."""
    old, new = found["old"], found["new"]
    print(f"| beside {commit} | share | old | new |\n| --- | --- | --- | --- |")
    for name in ("size", "compress, cold, s", "decompress, cold, s", "compress, peak bytes", "decompress, peak bytes"):
        scale, unit = (1, "s") if name.endswith(", s") else (1e6, "MB")
        title = "installed size" if name == "size" else name.removesuffix(", s").removesuffix(" bytes")
        was, now = (f"{side[name] / scale:.2f} {unit}" for side in (old, new))
        print(f"| {title} | {new[name] / old[name]:.2f} | {was} | {now} |")
    for name in ("compress, CPU s a second", "decompress, CPU s a second"):
        title = f"{name.split(',')[0]} whole files, times as fast"
        print(f"| {title} | {old[name] / new[name]:.2f} | {1 / old[name]:.0f} x | {1 / new[name]:.0f} x |")


if __name__ == "__main__":
    main()
