"""What the installed command costs: from a cold start, and on many files.

    python benchmarks/command.py                 # a few minutes; nothing else should run
    python benchmarks/command.py --files 2000 --jobs 2

Cold start: compress and decompress of 10 s of speech, in times of `python -c "import torch"`, medians of turns.
Many files: the same folder with one job on one thread and with --jobs; then twice as many short files, for the memory
of the command's own process and its workers.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

import gritcodec

CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"
RATE = 16000


def speech(seconds: float) -> np.ndarray:
    """Return the bundled clip, repeated to a length, int16 [samples]."""
    return np.resize(soundfile.read(CLIP, dtype="int16")[0], round(seconds * RATE))


def seconds_of(command: list[str], **environment: str) -> float:
    """Return the seconds that a command takes."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise SystemExit(f"command.py: {' '.join(command)}: {done.stderr.strip()[-300:]}")
    return time.perf_counter() - began


def cold_start(work: Path, turns: int) -> None:
    """Print what one file costs from the start of the process."""
    clip, packed, back = work / "ten.wav", work / "ten.grit", work / "back.wav"
    soundfile.write(clip, speech(10), RATE)
    own = [sys.executable, "-m", "gritcodec"]
    commands = {
        "import torch": [sys.executable, "-c", "import torch"],
        "compress": [*own, "compress", str(clip), str(packed), "--force"],
        "decompress": [*own, "decompress", str(packed), str(back), "--force"],
        "--help": [*own, "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(turns + 1):
        for name, command in commands.items():
            took = seconds_of(command)
            if turn:  # the first one reads the disk
                times[name].append(took)
    base = statistics.median(times["import torch"])
    print(f"cold start, 10 s of speech ({turns} turns, medians): import torch {base:.2f} s")
    for name in ("compress", "decompress", "--help"):
        ratio = statistics.median(a / b for a, b in zip(times[name], times["import torch"], strict=True))
        print(f"  {name:<11}{statistics.median(times[name]):6.2f} s   {ratio:.2f} times import torch")


def peak_mb(command: list[str]) -> float:
    """Return the most memory that a command or one of its workers held, in MB."""
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024 / 1e6


def many_files(work: Path, jobs: int, length: float, count: int) -> None:
    """Print how a folder's time shrinks with workers."""
    folder = work / "talks"
    folder.mkdir()
    for number in range(count):
        soundfile.write(folder / f"{number:04d}.wav", speech(length), RATE)
    own = [sys.executable, "-m", "gritcodec", "compress", str(folder), "--force"]
    ratios, turns = [], []
    for turn in range(3):
        one = seconds_of([*own, str(work / "out1"), "--jobs", "1"], OMP_NUM_THREADS="1")
        more = seconds_of([*own, str(work / "out2"), "--jobs", str(jobs)])
        ratios.append(one / more)
        turns.append((one, more))
        print(f"  turn {turn + 1}: {one:.1f} s and {more:.1f} s", flush=True)
    print(
        f"{count} files of {length:g} s: one worker {count * length / statistics.median(t[0] for t in turns):.0f} "
        f"times real time, {jobs} workers {statistics.median(ratios):.2f} times as fast"
    )


def memory_of_many(work: Path, jobs: int, count: int) -> None:
    """Print the peak memory for a number of files and for a tenth of it."""
    found = []
    for number in (count // 10, count):
        folder = work / f"many{number}"
        folder.mkdir()
        data = speech(0.5)
        for index in range(number):
            soundfile.write(folder / f"{index:05d}.wav", data, RATE)
        command = [sys.executable, "-m", "gritcodec", "compress", str(folder), str(folder / "out"), "--jobs", str(jobs)]
        found.append(peak_mb(command))
    print(f"peak memory of a process: {count // 10} files {found[0]:.0f} MB, {count} files {found[1]:.0f} MB")


def main() -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(description="Cold start, scaling over files, memory over files.")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--files", type=int, default=1000, help="short files whose memory is measured; 0 for none")
    parser.add_argument("--long", type=int, default=24, help="files of a minute for the scaling; 0 for none")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        cold_start(Path(work), options.turns)
        if options.long:
            many_files(Path(work), options.jobs, 60.0, options.long)
        if options.files:
            memory_of_many(Path(work), options.jobs, options.files)


if __name__ == "__main__":
    main()
