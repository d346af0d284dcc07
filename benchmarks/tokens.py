"""Codes in bulk: that they are the same in every way of making them, and how fast they are made.

    python benchmarks/tokens.py misses shared/eval   codes that differ in 20 ways of making them: must be 0
    python benchmarks/tokens.py speed                hours of sound an hour and core, of short and long files, out of a
                                                     tar too; where the time goes; 4 minutes of one core
    python benchmarks/tokens.py scaling              1 worker and 2, an hour of sound each: at least 1.8 times as fast;
                                                     a minute on 2 free cores
    python benchmarks/tokens.py memory               most memory with 1,000 files and with 10,000: must not grow so;
                                                     2 minutes of one core

To be run on a machine that does nothing else; the last three make their corpora, of the bundled clip, in a temporary
folder (TMPDIR). --scale 0.05 shows in some seconds what comes.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import gritcodec
from gritcodec.codec.codec import Codec
from gritcodec.codec.stream import ChunkEncoder, all_chunks
from gritcodec.sound import audio
from gritcodec.sound.audio import Waveform
from gritcodec.sound.endings import audio_files
from gritcodec.tokens.batching import Batching, Coded, encode_all
from gritcodec.tokens.items import Item
from gritcodec.tokens.reading import Sound
from gritcodec.tokens.shards import Coder, Setup

Clips = Sequence[tuple[Waveform, int]]
# Codes [stages, frames] of each clip; fewer frames or stages than there are: only those are compared.
Made = list[np.ndarray]
CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"


def batched(coder: Coder, clips: Clips, rows: int, step: int, order: Sequence[int] | None = None) -> Made:
    """Codes of clips that went through the network together."""
    order = range(len(clips)) if order is None else order

    def opened(item: Item) -> Sound:
        waveform, rate = clips[item.place[0]]
        return Sound(item, rate, 1, audio.in_blocks(waveform, rate))

    items = [Item(str(k), "", place=(k,)) for k in order]
    done = encode_all(coder.engine, items, opened, coder.stages, Batching(rows, step))
    found = {one.item.place[0]: one.codes for one in done if isinstance(one, Coded)}
    return [found[k] for k in range(len(clips))]


def chunked(coder: Coder, clips: Clips, block: int, frames: int) -> Made:
    """Codes of clips that came in blocks of so many samples, coded in chunks of so many frames."""
    made = []
    for waveform, rate in clips:
        encoder = ChunkEncoder(coder.engine, rate, 1, coder.stages, frames)
        blocks = (waveform[:, start : start + block] for start in range(0, waveform.shape[1], block))
        made.append(np.concatenate([chunk[0] for chunk in all_chunks(encoder, blocks)], axis=1))
    return made


def certain(coder: Coder, made: Made, clips: Clips, share: float = 1.0) -> Made:
    """The frames that the first samples of a clip decide alone: those whole ones whose window has ended.

    Other rates than the network's look a filter's length ahead.
    """
    kept = []
    for codes, (waveform, rate) in zip(made, clips, strict=True):
        samples = int(share * waveform.shape[1]) * coder.about.model_rate // rate
        ahead = 0 if rate == coder.about.model_rate else coder.about.model_rate // 20
        kept.append(codes[:, : max(samples - ahead, 0) // coder.engine.config.hop_length])
    return kept


def followed(clips: Clips, what: Callable[[int], Waveform]) -> Clips:
    """Clips with something after them, of the length that the function is told."""
    return [(np.concatenate([waveform, what(rate)], axis=1), rate) for waveform, rate in clips]


def ways(codec: Codec, coder: Coder, clips: Clips) -> Iterator[tuple[str, Made]]:
    """Yield the codes of clips, made in many ways."""
    by_length = sorted(range(len(clips)), key=lambda k: clips[k][0].shape[1])
    noise = np.random.default_rng(1)
    for rows, step in ((1, 512), (2, 512), (3, 100), (8, 512), (32, 512), (64, 2048)):
        yield f"batched: {rows} rows, {step} frames a step", batched(coder, clips, rows, step)
    yield "batched: the longest first", batched(coder, clips, 8, 512, by_length[::-1])
    yield "batched: the shortest first", batched(coder, clips, 8, 512, by_length)
    strange = [*clips, *((0.3 * noise.standard_normal((1, n), dtype=np.float32), 44100) for n in (1, 30000, 90000))]
    mixed = list(noise.permutation(len(strange)))
    yield "batched: beside noise of other lengths and rates", batched(coder, strange, 16, 512, mixed)[: len(clips)]
    silent = followed(clips, lambda rate: np.zeros((1, rate), np.float32))
    yield "padded: a second of silence after", certain(coder, batched(coder, silent, 32, 512), clips)
    loud = followed(clips, lambda rate: noise.uniform(-1, 1, (1, rate)).astype(np.float32))
    yield "padded: a second of noise after", certain(coder, batched(coder, loud, 32, 512), clips)
    longest = max(waveform.shape[1] for waveform, _ in clips)
    equal = [(np.pad(waveform, ((0, 0), (0, longest - waveform.shape[1]))), rate) for waveform, rate in clips]
    yield "padded: all to one length", certain(coder, batched(coder, equal, 32, 512), clips)
    for share in (0.37, 0.5, 0.81):
        cut = [(waveform[:, : max(int(share * waveform.shape[1]), 1)], rate) for waveform, rate in clips]
        yield f"cut: the first {share:.0%}", certain(coder, batched(coder, cut, 32, 512), clips, share)
    for block, frames in ((160, 1), (1001, 3), (16000, 64), (1 << 30, 256)):
        yield f"streamed: blocks of {block:,} samples, {frames} frames at once", chunked(coder, clips, block, frames)
    stereo = [np.concatenate([waveform, waveform[:, ::-1]]) for waveform, _ in clips]
    left = [codec.encode(both, rate, coder.about.bitrate) for both, (_, rate) in zip(stereo, clips, strict=True)]
    yield "one channel of two", [codes.indices[0] for codes in left]
    yield "with all stages", [codec.encode(*clip, codec.bitrates[-1]).indices[0, : coder.stages] for clip in clips]


def misses(folder: Path, setup: Setup | None = None, most: int | None = None) -> dict[str, tuple[int, int]]:
    """Return, for each way, how many codes differ from those of `Codec.encode` of each file, and how many there are."""
    coder = Coder(setup or Setup())
    codec = gritcodec.load((setup or Setup()).model)
    clips = [audio.read(path) for path in audio_files(folder)[:most]]
    clips = [(waveform[:1], rate) for waveform, rate in clips]
    wanted = [codec.encode(*clip, coder.about.bitrate).indices[0] for clip in clips]
    found = {}
    for name, made in ways(codec, coder, clips):
        pairs = [(have, want[: have.shape[0], : have.shape[1]]) for have, want in zip(made, wanted, strict=True)]
        found[name] = sum(int((have != want).sum()) for have, want in pairs), sum(have.size for have, _ in pairs)
    return found


def corpus(folder: Path, count: int, seconds: float, spread: float = 0.5) -> None:
    """Write so many pieces of the bundled clip, of about so many seconds."""
    waveform, rate = audio.read(CLIP)
    random = np.random.default_rng(0)
    loop = np.tile(waveform, (1, int(2 * seconds * rate / waveform.shape[1]) + 2))
    folder.mkdir(parents=True)
    for k in range(count):
        length = int(rate * seconds * random.uniform(1 - spread, 1 + spread))
        start = int(random.integers(loop.shape[1] - length))
        audio.write(folder / f"{k:06d}.flac", loop[:, start : start + length], rate)


def tar_of(folder: Path, target: Path) -> None:
    """Put the files of a folder into a tar."""
    with tarfile.open(target, "w") as archive:
        for path in sorted(folder.iterdir()):
            data = path.read_bytes()
            member = tarfile.TarInfo(path.name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


# In a process of its own, so that memory and imports are its own.
_RUN = """
import json, resource, sys, dataclasses
from gritcodec.tokens.batching import Batching
from gritcodec.tokens.plan import Sizes
from gritcodec.tokens.run import tokenize
from gritcodec.tokens.shards import Setup
if __name__ == "__main__":
    source, out, jobs, ray, rows, items = json.loads(sys.argv[1])
    batching = Batching(rows=rows) if rows else None
    found = tokenize([source], out, Setup(batching=batching), sizes=Sizes(items), jobs=jobs, ray=ray)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    print(json.dumps(dataclasses.asdict(found) | {"driver_peak_mb": peak, "cpu_seconds": cpu}))
"""


def timed(source: Path, jobs: int = 1, ray: str | None = None, rows: int = 0, items: int = 250) -> dict[str, Any]:
    """Tokenize in a fresh process, and return its summary."""
    with tempfile.TemporaryDirectory() as out:
        program = Path(out) / "run.py"
        program.write_text(_RUN)
        arguments = json.dumps([str(source), str(Path(out) / "tokens"), jobs, ray, rows, items])
        done = subprocess.run([sys.executable, program, arguments], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def told(name: str, found: dict[str, Any]) -> None:
    """Print a row."""
    work = sum(found["work_seconds"].values())
    hours, took = found["run_hours"], found["run_seconds"]
    shares = ", ".join(f"{kind} {spent / work:.1%}" for kind, spent in found["work_seconds"].items())
    print(
        f"{name}: {found['hours_per_hour']:.0f} hours an hour ({hours:.2f} h in {took:.1f} s; "
        f"{3600 * hours / found['cpu_seconds']:.0f} in an hour of one core's time, all included; "
        f"in the workers {3600 * hours / work:.0f} an hour); "
        f"worker {found['worker_peak_mb']:.0f} MB, driver {found['driver_peak_mb']:.0f} MB; {shares}",
        flush=True,
    )


def speed(home: Path, scale: float) -> None:
    """Print hours an hour, for short and long files and out of a tar."""
    for name, count, seconds in (("2 s", 2000, 2.0), ("20 s", 200, 20.0)):
        corpus(home / name, max(int(scale * count), 1), seconds)
        told(f"{name}, each alone", timed(home / name, rows=1))
        told(f"{name}, 32 at once", timed(home / name, rows=32))
    tar_of(home / "2 s", home / "all.tar")
    told("2 s, out of a tar", timed(home / "all.tar"))


def scaling(home: Path, scale: float) -> None:
    """Print how much faster two workers are than one."""
    count = max(int(scale * 2000), 16)
    corpus(home / "2 s", count, 2.0)
    one, two = (timed(home / "2 s", jobs, items=count // 16) for jobs in (1, 2))
    told("2 s, one worker, 16 shards", one)
    told("2 s, two workers, 16 shards", two)
    times, cost = one["run_seconds"] / two["run_seconds"], two["cpu_seconds"] / one["cpu_seconds"]
    print(f"1 to 2 workers: {times:.2f} times as fast, starts included, for {cost:.2f} times the processor's time")


def memory(home: Path, scale: float) -> None:
    """Print the most memory for a thousand files and for ten thousand."""
    peaks = []
    for count in (1000, 10_000):
        corpus(home / f"{count}", max(int(scale * count), 1), 0.5)
        # In a worker beside the driver, so that both are seen: 4 shards, and 40.
        found = timed(home / f"{count}", 2, items=max(int(scale * 250), 1))
        told(f"{count * scale:,.0f} files of 0.5 s", found)
        peaks.append(found)
    worker, driver = (peaks[1][name] / peaks[0][name] for name in ("worker_peak_mb", "driver_peak_mb"))
    print(f"ten times the files: {worker:.2f} times the memory in a worker, {driver:.2f} times in the driver")


_MEASURES = {"speed": speed, "scaling": scaling, "memory": memory}


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("misses", *_MEASURES))
    parser.add_argument("folder", nargs="?", type=Path, help="of sound, for misses")
    parser.add_argument("--scale", type=float, default=1.0, help="of the corpora; 1: as said above")
    given = parser.parse_args()
    if (given.what == "misses") != (given.folder is not None):
        parser.error("misses takes a folder of sound, and the others take none")
    if not 0 < given.scale <= 100:
        parser.error("--scale is above 0, and 100 at most")
    began = time.perf_counter()
    if given.what == "misses":
        found = misses(given.folder)
        for name, (differ, codes) in found.items():
            print(f"{differ:>6} of {codes:>7,}  {name}")
        print(f"{sum(differ for differ, _ in found.values())} codes differ in {len(found)} ways")
    else:
        with tempfile.TemporaryDirectory() as home:
            _MEASURES[given.what](Path(home), given.scale)
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
