"""How fast the shipped model is beside other networks, and how much memory long files take.

    python benchmarks/speed.py --json runs/speed.json                   # a minute or two, files up to one hour
    python benchmarks/speed.py --hours 10 --json runs/speed.json        # an hour
    python benchmarks/speed.py --part codecs --json runs/speed.json     # the other part of the file stays as it is

Every network has a process to itself, one after the other, on the same audio with the same number of threads. EnCodec,
DAC and Mimi are transformers' models with random weights: their time does not depend on them. Run it on a machine that
does nothing else. `gritcodec evaluate --speed runs/speed.json` puts the figures into the results.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import gritcodec
from gritcodec import files, model_store
from gritcodec.evaluate.plan import EFFORT

CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"
RATE = 16000
# Each at the most bits it has, as its package makes it; DAC as its 16 kHz model is.
PEERS = {
    "EnCodec 24 kHz, random weights": ("Encodec", {}),
    "DAC 16 kHz, random weights": (
        "Dac",
        {
            "sampling_rate": RATE,
            "downsampling_ratios": [2, 4, 5, 8],
            "upsampling_ratios": [8, 5, 4, 2],
            "hop_length": 320,
            "n_codebooks": 12,
        },
    ),
    "Mimi 24 kHz, random weights": ("Mimi", {}),
}
OWN = ("gritcodec, codes", "gritcodec, files", f"gritcodec, files, effort {EFFORT}")
LENGTHS = ((1 / 60, "1 minute"), (1 / 6, "10 minutes"), (1.0, "1 hour"), (10.0, "10 hours"))


def speech(seconds: float, rate: int) -> np.ndarray:
    """Return the bundled clip, repeated to a length, float32 [samples]."""
    import soxr

    samples, own = soundfile.read(CLIP, dtype="float32")
    return np.resize(soxr.resample(samples, own, rate), round(seconds * rate)).astype(np.float32)


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median of the seconds some work takes, after a first time that does not count, and its result."""
    result, times = work(), []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times), result


def measure_own(model: str, seconds: float, repeats: int, as_codes: bool, effort: int = 0) -> dict[str, Any]:
    """Return the figures of one of gritcodec's models.

    Args:
        model: its name or folder.
        seconds: of audio.
        repeats: of which the median counts.
        as_codes: waveform to codes and back, which is what is measured of its peers, at the most bits it has; otherwise
            to the bytes of a file and back, entropy coding and checksums included.
        effort: steps of refinement, of files.
    """
    began = time.perf_counter()
    codec = gritcodec.load(model)
    load = time.perf_counter() - began
    waveform, rate, most = speech(seconds, codec.sample_rate)[None], codec.sample_rate, codec.bitrates[-1]
    if as_codes:
        encode, codes = timed(lambda: codec.encode(waveform, rate, most), repeats)
        decode, _ = timed(lambda: codec.decode(codes), repeats)
    else:
        encode, data = timed(lambda: codec.compress(waveform, rate, most, effort=effort), repeats)
        decode, _ = timed(lambda: codec.decompress(data), repeats)
    size = sum(
        weight.size
        for weight in model_store.tensors(model_store.resolve(model), "encoder.", "decoder.", "quantizer.base").values()
    )
    what = "codes" if as_codes else "files" + (f", effort {effort}" if effort else "")
    return figures(f"gritcodec {codec.name}, {what}", seconds, load, encode, decode, size)


def measure_peer(name: str, seconds: float, repeats: int) -> dict[str, Any]:
    """Return the figures of a network of transformers: waveform to codes and back."""
    import torch

    from gritcodec.evaluate.contenders.neural import transformers_class

    kind, options = PEERS[name]
    model_class = transformers_class(f"{kind}Model")
    with tempfile.TemporaryDirectory() as work:
        torch.manual_seed(0)
        model_class(transformers_class(f"{kind}Config")(**options)).save_pretrained(work)
        began = time.perf_counter()
        model = model_class.from_pretrained(work).eval()
        load = time.perf_counter() - began
    waveform = torch.from_numpy(speech(seconds, model.config.sampling_rate))[None, None]
    with torch.inference_mode():
        if kind == "Encodec":
            rate = model.config.target_bandwidths[-1]
            encode, coded = timed(lambda: model.encode(waveform, bandwidth=rate), repeats)
            decode, _ = timed(lambda: model.decode(coded.audio_codes, coded.audio_scales), repeats)
        elif kind == "Dac":
            encode, coded = timed(lambda: model.encode(waveform), repeats)
            decode, _ = timed(lambda: model.decode(audio_codes=coded.audio_codes), repeats)
        else:
            encode, coded = timed(lambda: model.encode(waveform), repeats)
            decode, _ = timed(lambda: model.decode(coded.audio_codes), repeats)
    return figures(name, seconds, load, encode, decode, sum(weight.numel() for weight in model.parameters()))


def figures(name: str, seconds: float, load: float, encode: float, decode: float, size: int) -> dict[str, Any]:
    """Return a row: times real time, seconds of loading, millions of parameters."""
    return {
        "name": name,
        "encode": seconds / encode,
        "decode": seconds / decode,
        "load": load,
        "millions": size / 1e6,
    }


def run_one(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one network in a process of its own."""
    command = [sys.executable, __file__, "--one", name, "--seconds", str(options.seconds)]
    command += ["--repeats", str(options.repeats), "--threads", str(options.threads), "--model", options.model]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"speed.py: {name} failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def write_long(path: Path, hours: float) -> None:
    """Write so many hours of speech as wav, a minute at a time."""
    minute = speech(60, RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="WAV") as stream:
        for _ in range(round(hours * 60)):
            stream.write(minute)


def peak(*arguments: str | Path) -> float:
    """Return the most memory, in MB, that a run of the command held at a time."""
    process = subprocess.Popen([sys.executable, "-m", "gritcodec", *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"speed.py: gritcodec {arguments[0]} ended with {process.returncode}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def measure_memory(hours: float, model: str) -> list[dict[str, Any]]:
    """Return the peak memory of compressing and decompressing files of growing length."""
    rows = []
    with tempfile.TemporaryDirectory() as work:
        source, packed, back = (Path(work) / name for name in ("long.wav", "long.grit", "back.wav"))
        for length, name in LENGTHS:
            if length <= hours:
                write_long(source, length)
                compress = peak("compress", source, packed, "--model", model, "--force")
                decompress = peak("decompress", packed, back, "--model", model, "--force")
                rows.append({"length": name, "hours": length, "compress": compress, "decompress": decompress})
                print(f"{name:<12} compress {compress:6.0f} MB   decompress {decompress:6.0f} MB", flush=True)
    return rows


def machine() -> str:
    """Return what the processor calls itself, and how many cores there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Times real time beside other networks, and peak memory.")
    parser.add_argument("--model", default="speech-16k", help="one of gritcodec's models, or a folder")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the audio (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="times of which the median counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hours", type=float, default=1.0, help="longest file whose memory is measured; up to 10")
    parser.add_argument("--part", choices=["codecs", "memory", "all"], default="all", help="what to measure")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure everything and print it."""
    options = parse_arguments(arguments)
    if options.one:
        import torch

        torch.set_num_threads(options.threads)
        if options.one in PEERS:
            row = measure_peer(options.one, options.seconds, options.repeats)
        else:
            effort = EFFORT if options.one == OWN[2] else 0
            row = measure_own(options.model, options.seconds, options.repeats, options.one == OWN[0], effort)
        print(json.dumps(row))
        return
    found: dict[str, Any] = {}
    if options.json and options.json.is_file():
        found = json.loads(options.json.read_text())
    if options.part != "memory":
        found |= measure_codecs(options)
    if options.part != "codecs":
        found["memory"] = measure_memory(options.hours, options.model)
    if options.json:
        files.write_bytes(options.json, (json.dumps(found, indent=1) + "\n").encode())


def measure_codecs(options: argparse.Namespace) -> dict[str, Any]:
    """Measure gritcodec and its peers, print a line for each, and say on what machine it was."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"speed.py: this machine is busy (load {load:.1f}): the times will be too long", file=sys.stderr)
    codecs = []
    for name in (*OWN, *PEERS):
        row = run_one(name, options)
        codecs.append(row)
        print(
            f"{row['name']:<34} encode {row['encode']:7.1f}   decode {row['decode']:7.1f} times real time   "
            f"load {row['load']:.2f} s   {row['millions']:.1f} M parameters",
            flush=True,
        )
    return {
        "machine": machine(),
        "load": load,
        "threads": options.threads,
        "seconds": options.seconds,
        "codecs": codecs,
    }


if __name__ == "__main__":
    main()
