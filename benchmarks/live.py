"""Does a live pipe keep up, and does its memory stay flat? `record | compress | decompress | play`, in real time.

    python benchmarks/live.py --minutes 60

A clock stands in for the microphone: it writes 20 ms of speech as they fall due, and every sample that comes out at
the far end is timed. Between the two are the installed command's two processes and nothing else. Ends with 1 when
the far end fell behind, or when memory grew.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

import gritcodec
from gritcodec import files

CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"
RATE, BLOCK = 16000, 320
# The pipe holds back a packet of 64 frames and the decoder's 35 ms; the rest is time to work in.
ALLOWED_LAG = 64 * BLOCK / RATE + 1.0
GROWTH_MB = 20.0


def resident_mb(process: subprocess.Popen[bytes]) -> float:
    """Return the memory that a running process holds now, in MB."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def seconds_of_work(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time that a running process has taken."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pipe:
    """The two commands, and the times at which samples came out."""

    def __init__(self, model: str, bitrate: float) -> None:
        raw = ["--raw", "s16le", "--model", model]
        command = [sys.executable, "-m", "gritcodec"]
        self.near = subprocess.Popen(
            [*command, "compress", "-", "-", "--rate", str(RATE), "--bitrate", str(bitrate), *raw],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.far = subprocess.Popen(
            [*command, "decompress", "-", "-", *raw],
            stdin=self.near.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.near.stdout is not None
        self.near.stdout.close()
        self.heard = 0
        self.arrivals: list[tuple[float, int]] = []
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()

    def _listen(self) -> None:
        assert self.far.stdout is not None
        while data := os.read(self.far.stdout.fileno(), 1 << 16):
            # The oldest of these samples has waited longest.
            self.arrivals.append((time.monotonic(), self.heard))
            self.heard += len(data) // 2

    def speak(self, block: bytes) -> None:
        """Write one block."""
        assert self.near.stdin is not None
        self.near.stdin.write(block)
        self.near.stdin.flush()

    def end(self) -> None:
        """Close the microphone and wait until all has come out."""
        assert self.near.stdin is not None
        self.near.stdin.close()
        self._reader.join()
        if self.near.wait() or self.far.wait():
            raise SystemExit("live.py: the pipe broke")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A live pipe in real time: lag, memory, processor time.")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--model", default="speech-16k")
    parser.add_argument("--bitrate", type=float, default=3.0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def main() -> None:
    """Run the pipe for so many minutes and say how it went."""
    options = parse_arguments()
    samples = soundfile.read(CLIP, dtype="int16")[0]
    samples = samples[: len(samples) // BLOCK * BLOCK].astype("<i2")
    blocks = [part.tobytes() for part in samples.reshape(-1, BLOCK)]
    pipe = Pipe(options.model, options.bitrate)
    pipe.speak(blocks[0])
    # Models take their time to load, once; the clock starts when sound has begun to come.
    warm = 4 * 64
    for number in range(1, warm):
        pipe.speak(blocks[number % len(blocks)])
    while not pipe.heard:
        time.sleep(0.05)
    began = time.monotonic() - warm * BLOCK / RATE
    total = round(options.minutes * 60 * RATE / BLOCK)
    memory: list[tuple[float, float]] = []
    busy = (0.0, 0.0)
    for number in range(warm, total):
        wait = began + number * BLOCK / RATE - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        pipe.speak(blocks[number % len(blocks)])
        if number % (10 * RATE // BLOCK) == 0:
            memory.append((resident_mb(pipe.near), resident_mb(pipe.far)))
            busy = (seconds_of_work(pipe.near), seconds_of_work(pipe.far))
    pipe.end()
    # How long after it was spoken the oldest sample of each piece came out.
    lags = np.array([at - began - heard / RATE for at, heard in pipe.arrivals if heard >= warm * BLOCK])
    third = max(len(memory) // 3, 1)
    growth = [
        statistics.mean(m[i] for m in memory[-third:]) - statistics.mean(m[i] for m in memory[:third]) for i in (0, 1)
    ]
    found = {
        "minutes": options.minutes,
        "samples_in": total * BLOCK,
        "samples_out": pipe.heard,
        "lag_median": float(np.median(lags)),
        "lag_first_minute": float(lags[: max(len(lags) // round(max(options.minutes, 1)), 1)].max()),
        "lag_last_minute": float(lags[-max(len(lags) // round(max(options.minutes, 1)), 1) :].max()),
        "lag_most": float(lags.max()),
        "memory_most": [max(m[i] for m in memory) for i in (0, 1)],
        "memory_growth": growth,
        "share_of_a_core": [seconds / (options.minutes * 60) for seconds in busy],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(
        f"{options.minutes:g} minutes: {found['samples_in']:,} samples in, {found['samples_out']:,} out\n"
        f"lag: median {found['lag_median']:.2f} s, most {found['lag_most']:.2f} s, in the last minute "
        f"{found['lag_last_minute']:.2f} s\n"
        f"memory: compress {found['memory_most'][0]:.0f} MB (grew by {growth[0]:+.1f}), "
        f"decompress {found['memory_most'][1]:.0f} MB ({growth[1]:+.1f})\n"
        f"one core: compress {100 * found['share_of_a_core'][0]:.1f} %, "
        f"decompress {100 * found['share_of_a_core'][1]:.1f} %"
    )
    if options.json:
        files.write_bytes(options.json, (json.dumps(found, indent=1) + "\n").encode())
    if found["samples_in"] != found["samples_out"]:
        raise SystemExit("live.py: samples were lost or added")
    if found["lag_most"] > ALLOWED_LAG or max(growth) > GROWTH_MB:
        raise SystemExit(f"live.py: the pipe fell behind by more than {ALLOWED_LAG:.2f} s, or its memory grew")


if __name__ == "__main__":
    main()
