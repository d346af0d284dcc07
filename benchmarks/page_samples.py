"""Make the samples of the page of static files: one clip by gritcodec, Opus and Opus with NoLACE.

Usage: python benchmarks/page_samples.py [gritcodec/page/static/samples]

Needs opus-tools, Node and npm's @wasm-audio-decoders/opus-ml, as the evaluation does (docs/evaluation.md). What a file
costs is the bytes of the coded file over the clip's length. What browsers cannot decode themselves is kept as FLAC.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import soundfile

import gritcodec
from gritcodec.errors import UsageError
from gritcodec.evaluate.contenders.base import Contender
from gritcodec.evaluate.contenders.classical import Opus
from gritcodec.evaluate.contenders.opus import NoLace
from gritcodec.page import write

CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"
SAMPLES = Path(write.__file__).parent / "static" / "samples"
OURS = (1.5, 3.0, 6.0)
# Of Opus the least that it promises, and about as much as brings it beside ours at 6.
OTHERS: tuple[tuple[str, type[Contender], tuple[str, ...]], ...] = (
    ("Opus", Opus, ("6", "9")),
    ("Opus + NoLACE", NoLace, ("6", "9")),
)


def made(folder: Path, work: Path) -> Iterator[dict[str, Any]]:
    """Write the samples into a folder, and yield a row for each; `work` is for what is not kept."""
    samples, rate = soundfile.read(CLIP, dtype="float32", always_2d=True)
    seconds = len(samples) / rate
    wav = work / "clip.wav"
    soundfile.write(wav, samples, rate, subtype="PCM_16")
    # The clip itself lies in the package already: gritcodec.page.write takes it from there.
    yield {"name": "Original", "file": write.ORIGINAL, "kbps": rate * 16 / 1000, "bytes": len(samples) * 2}
    codec = gritcodec.load("speech-16k")
    for kbps in OURS:
        data = codec.compress(samples.T, rate, bitrate=kbps)
        name = f"gritcodec-{kbps:g}.grit"
        (folder / name).write_bytes(data)
        yield {"name": "gritcodec", "file": name, "kbps": 8 * len(data) / seconds / 1000, "bytes": len(data)}
    for label, contender, settings in OTHERS:
        for setting in settings:
            peer = contender(setting)
            if why := peer.missing():
                raise UsageError(why)
            packed, decoded = work / "packed.opus", work / "decoded.wav"
            peer.encode(wav, packed)
            peer.decode(packed, decoded)
            heard, heard_rate = soundfile.read(decoded, dtype="int16", always_2d=True)
            name = f"{peer.family}-{setting}.flac"
            soundfile.write(folder / name, heard, heard_rate, subtype="PCM_16", compression_level=1.0)
            size = packed.stat().st_size
            yield {"name": label, "file": name, "kbps": 8 * size / seconds / 1000, "bytes": size}


def make(folder: Path) -> None:
    """Write all samples and `list.json`, and print what they cost."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    with tempfile.TemporaryDirectory() as work:
        rows = [row | {"kbps": round(row["kbps"], 2)} for row in made(folder, Path(work))]
    (folder / "list.json").write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", encoding="utf-8")
    for row in rows:
        print(f"{row['name']:<14} {row['kbps']:>7.2f} kbps {row['bytes']:>8,} bytes  {row['file']}")
    print(f"{sum(path.stat().st_size for path in folder.iterdir()):,} bytes in all")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES)
    make(parser.parse_args().folder)
