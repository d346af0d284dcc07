"""Makes the conformance vectors of this folder, which docs/conformance.md describes: python tests/vectors/make.py

They change only when the format, the shipped model or their list does, rules.py; tests hold the package and other
readers to them.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import wave
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT)]

import gritcodec  # noqa: E402
from gritcodec import bitstream  # noqa: E402
from tests.second_reader import library_views  # noqa: E402
from tests.vectors.building import Vector  # noqa: E402
from tests.vectors.rules import damaged_vectors, refused_vectors, sound_vectors  # noqa: E402

HEADER = ("fingerprint", "sample_rate", "channels", "coding", "code_bits", "stages", "packet_frames", "samples")
HEADER += ("tags", "start_trim", "first_segment", "key_frames", "start_time", "encoder", "gain", "channel_mask")
HEADER += ("from_end",)
CONTAINER = "container.tar.xz"


def short(item: tuple[Any, ...]) -> list[Any]:
    """Return an item with the first 16 digits of its codes' SHA-256."""
    return [*item[:5], item[5][:16]] if item[0] == "packet" else list(item)


def view_of(data: bytes, contexts: bitstream.ContextModel | None) -> list[dict[str, Any]]:
    """Return what is in a file and those chained to it."""
    views = []
    for view in library_views(data, contexts):
        if "items" not in view:
            views.append({"refused": True})
            continue
        header = dict(zip(HEADER, view["header"], strict=True))
        header = {
            name: value
            for name, value in header.items()
            if name == "samples" or not (value is None or value == [] or value is False)
        }
        views.append(
            {
                "refused": view["refused"] or view["contradicts"],
                "header": header,
                "items": [short(item) for item in view["items"]],
                "lost": [list(hole) for hole in view["lost"]],
                "ended": view["ended"],
                "sound": view["sound"],
            }
        )
    return views


def described(vector: Vector, codec: gritcodec.Codec, folder: Path) -> dict[str, Any]:
    """Write a vector's files, and return what vectors.json says of it."""
    (folder / f"{vector.name}.grit").write_bytes(vector.data)
    found: dict[str, Any] = {"name": vector.name, "about": vector.about}
    first = vector.data[: vector.plays]
    try:
        sound, rate = codec.decompress(first, strict=False)
    except gritcodec.GritcodecError:
        return found | {"outcome": "refused"}
    try:
        codec.decompress(first, strict=True)
        outcome = "whole" if vector.plays is None else "more"
    except gritcodec.GritcodecError:
        outcome = "damaged"
    found |= {"outcome": outcome, "samples": sound.shape[1], "files": view_of(vector.data, codec.contexts)}
    if vector.plays is not None:
        found["plays"] = vector.plays
    if vector.sound:
        with wave.open(str(folder / f"{vector.name}.wav"), "wb") as out:
            out.setparams((len(sound), 2, rate, 0, "NONE", ""))
            out.writeframes(np.round(np.clip(sound, -1, 1) * 32767).astype("<i2").T.tobytes())
        found["tolerance"] = vector.tolerance
    return found


def written(rows: list[dict[str, Any]]) -> str:
    """Return JSON with a line for each vector."""
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"


def make(folder: Path) -> None:
    """Write all vectors into a folder."""
    codec = gritcodec.load("speech-16k")
    rows = [
        described(vector, codec, folder)
        for vectors in (sound_vectors, damaged_vectors, refused_vectors)
        for vector in vectors(codec)
    ]
    (folder / "vectors.json").write_text(written(rows), encoding="utf-8")
    with tempfile.TemporaryDirectory() as made:
        subprocess.run(["node", str(ROOT / "tests" / "second-reader" / "cases.mjs"), made], check=True)
        files = {path.name: path.read_bytes() for path in sorted(Path(made).iterdir())}
    with tarfile.open(folder / CONTAINER, "w:xz") as out:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
    rows = [{"name": name, "files": view_of(data, codec.contexts)} for name, data in files.items()]
    (folder / "container.json").write_text(written(rows), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE)
    make(parser.parse_args().folder)
