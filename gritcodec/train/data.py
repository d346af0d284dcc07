"""Training segments: a batch is a pure function of (seed, step), so that a resumed run sees what it would have."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gritcodec.errors import ConfigError
from gritcodec.sound.audio import audio_files
from gritcodec.train import augment
from gritcodec.train.config import DataConfig
from gritcodec.train.packing import AUDIO, MANIFEST, SUMMARY

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]

_QUIET = 2e-3  # RMS below which a segment teaches nothing and makes relative losses blow up


@dataclass(frozen=True)
class Piece:
    """A stretch of one voice inside the packed samples; `shard` counts the arrays they lie in."""

    offset: int
    samples: int
    weight: float
    shard: int = 0


class Corpus:
    """Packed int16 mono audio and the pieces in it.

    Args:
        audio: [N] int16, all pieces one after another, or several such arrays; may be memory-mapped.
        pieces: where each piece lies.
        segment: samples of each training item.
        sample_rate: Hz.
    """

    def __init__(
        self, audio: np.ndarray | Sequence[np.ndarray], pieces: list[Piece], segment: int, sample_rate: int = 16_000
    ):
        if not pieces:
            raise ConfigError("the corpus has no audio in it")
        self.shards = [audio] if isinstance(audio, np.ndarray) else list(audio)
        self.segment, self.sample_rate = segment, sample_rate
        self.offsets = np.array([piece.offset for piece in pieces])
        self.homes = np.array([piece.shard for piece in pieces])
        self.samples = np.array([piece.samples for piece in pieces])
        mass = self.samples * np.array([piece.weight for piece in pieces])
        self.cumulative = np.cumsum(mass / mass.sum())

    @property
    def seconds_of_samples(self) -> int:
        """All samples in the corpus."""
        return int(self.samples.sum())

    def batch(self, config: DataConfig, seed: int, step: int, items: range | None = None) -> Tensor:
        """Items of a step's global batch, [items, 1, segment] float32 in -1 to 1.

        Args:
            config: what is drawn and what happens to it.
            seed, step: a batch is a function of these.
            items: which of the batch's items, all by default. Each is what it is in the whole batch, and no other is
                made for it.
        """
        chosen = range(config.batch) if items is None else items
        return torch.from_numpy(np.stack([self._item(config, (seed, step, item)) for item in chosen]))[:, None]

    def _item(self, config: DataConfig, key: tuple[int, int, int]) -> np.ndarray:
        """One item: a stretch of speech and what happens to it on its way, each from a source of numbers of its own.

        So the speech drawn is the same with a change and without.
        """
        rate = self.sample_rate

        def add_voice(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return augment.add_voice(x, self._voice(config, rng, rng), rng)

        changes: tuple[tuple[int, float, Change], ...] = (
            (2, config.second_voice_share, add_voice),
            (3, config.room_share, lambda x, rng: augment.add_room(x, rng, rate)),
            (4, config.noise_share, augment.add_noise),
            (5, config.colour_share, lambda x, rng: augment.colour(x, rng, rate)),
            (6, config.overdrive_share, augment.overdrive),
        )
        item = self._voice(config, np.random.default_rng([*key, 0]), np.random.default_rng([*key, 1]))
        for number, share, change in changes:
            if share:
                rng = np.random.default_rng([*key, number])
                if rng.random() < share:
                    item = change(item, rng)
        return item

    def _voice(self, config: DataConfig, rng: np.random.Generator, scales: np.random.Generator) -> np.ndarray:
        """A stretch of speech, at times played faster or slower."""
        scale = augment.draw_scale(scales) if scales.random() < config.voice_share else 1.0
        return self._draw(rng, config.gain_db, scale)

    @staticmethod
    def levels(config: DataConfig, seed: int, step: int) -> Tensor:
        """How far each item of a step's batch is turned down on top, [batch, 1, 1] float32, 1 for most."""
        rng = np.random.default_rng([seed, step, 1])
        quiet = rng.random(config.batch) < config.quiet_share
        decibels = -config.quiet_db * rng.random(config.batch) * quiet
        return torch.from_numpy(10 ** (decibels / 20)).float()[:, None, None]

    def _draw(self, rng: np.random.Generator, gain_db: float, scale: float) -> np.ndarray:
        segment = math.ceil(self.segment * scale)
        item = np.zeros(segment, dtype=np.float32)
        for _ in range(20):
            index = min(int(np.searchsorted(self.cumulative, rng.random())), len(self.samples) - 1)
            samples, offset = int(self.samples[index]), int(self.offsets[index])
            start = int(rng.integers(0, max(samples - segment, 0) + 1))
            length = min(samples, segment)
            shard = self.shards[self.homes[index]]
            clip = shard[offset + start : offset + start + length].astype(np.float32) / 32768
            if np.sqrt(np.mean(np.square(clip))) < _QUIET:
                continue
            at = int(rng.integers(0, segment - length + 1))
            item[at : at + length] = clip
            break
        if scale != 1:
            item = augment.change_voice(item, scale, self.segment)
        gain = 10 ** (rng.uniform(-gain_db, gain_db) / 20)
        peak = float(np.abs(item).max())
        return item * np.float32(min(gain, 0.99 / max(peak, 1e-3)))


def open_corpus(config: DataConfig, sample_rate: int, split: str = "train") -> Corpus:
    """Open a packed corpus, a folder of audio files, or one audio file.

    A packed corpus is memory-mapped. Audio files are resampled, mixed to mono and held in memory: beyond a few
    hours, pack them (recipes/librispeech/prepare.py), which also holds voices out and gives stereo music a piece a
    channel.

    Args:
        config: `corpus` and `segment` are used.
        sample_rate: Hz of the network; a packed corpus of another rate is refused.
        split: `train` or `valid`, of a packed corpus.

    Raises:
        ConfigError: nothing there, nothing usable in it, or audio of another rate.
    """
    path = Path(config.corpus)
    segment = round(config.segment * sample_rate)
    if (path / MANIFEST).is_file():
        return Corpus(*_read_packed(path, sample_rate, split), segment, sample_rate)
    if path.exists():
        return Corpus(*_read_files(path, sample_rate), segment, sample_rate)
    raise ConfigError(
        f"no corpus at {path}; recipes/librispeech/prepare.py and recipes/debian-speech/prepare.py make one"
    )


def _read_packed(path: Path, sample_rate: int, split: str) -> tuple[list[np.ndarray], list[Piece]]:
    if (path / SUMMARY).is_file():
        rate = json.loads((path / SUMMARY).read_text(encoding="utf-8")).get("rate", sample_rate)
        if rate != sample_rate:
            raise ConfigError(f"{path} is packed at {rate} Hz and the network works at {sample_rate} Hz: pack it again")
    shards: dict[str, int] = {}
    pieces = []
    with open(path / MANIFEST, encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry.get("split", "train") == split:
                shard = shards.setdefault(entry.get("audio", AUDIO), len(shards))
                pieces.append(Piece(entry["offset"], entry["samples"], entry.get("weight", 1.0), shard))
    audio = [_map(path / name) for name in shards]
    for piece in pieces:
        if piece.offset + piece.samples > len(audio[piece.shard]):
            raise ConfigError(f"{path} is damaged: its manifest goes beyond its audio; pack it again")
    return audio, pieces


def _map(path: Path) -> np.ndarray:
    try:
        return np.memmap(path, dtype="<i2", mode="r")
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; pack the corpus again") from error


def _read_files(path: Path, sample_rate: int) -> tuple[list[np.ndarray], list[Piece]]:
    import soundfile
    import soxr

    audio: list[np.ndarray] = []
    pieces = []
    for file in [path] if path.is_file() else audio_files(path):
        try:
            waveform, rate = soundfile.read(file, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise ConfigError(f"cannot read {file}: {error}") from error
        mono = soxr.resample(waveform.mean(1), rate, sample_rate)
        packed = np.round(np.clip(mono, -1, 1) * 32767).astype(np.int16)
        if len(packed):
            pieces.append(Piece(0, len(packed), 1.0, len(audio)))
            audio.append(packed)
    return audio, pieces
