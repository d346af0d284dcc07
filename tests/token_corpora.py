"""Corpora for the tests of gritcodec.tokens: small folders of sound, and what their codes must be."""

from pathlib import Path

import numpy as np
from conftest import tone

import gritcodec
from gritcodec.sound import audio
from gritcodec.tokens.layouts import is_shard, read_shard

LENGTHS = {"a": 16000, "sub/b": 5000, "sub/c": 33333, "sub/deep/d": 1, "e": 8000}


def make(folder: Path, rate: int = 16000) -> Path:
    """Five mono files of 1 to 33333 samples, in folders."""
    for name, samples in LENGTHS.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, tone(1, samples, rate), rate)
    return folder


def rows(out: Path) -> dict:
    """All rows of a folder of tokens, by id."""
    found = {}
    for path in sorted((out / "data").iterdir()):
        if is_shard(path):
            for row in read_shard(path)[1]:
                assert row.id not in found
                found[row.id] = row
    return found


def wanted(model: Path, path: Path, bitrate: float = 3.0) -> np.ndarray:
    """The codes of a file, by the codec itself; channels mixed."""
    waveform, rate = audio.read(path)
    mixed = waveform.mean(axis=0, dtype=np.float32, keepdims=True)
    return gritcodec.load(model).encode(mixed, rate, bitrate).indices[0]


def shard_bytes(out: Path) -> dict[str, bytes]:
    """The files of all shards."""
    return {path.name: path.read_bytes() for path in (out / "data").iterdir()}
