"""Codes refined by what the decoder makes of them, for a signal that comes in blocks; see `engine.refine`."""

from importlib.util import find_spec

import numpy as np

from gritcodec.codec.stream import CHUNK_FRAMES, ChunkEncoder, CodeArray
from gritcodec.engine.interface import Engine
from gritcodec.errors import UsageError
from gritcodec.sound.audio import Waveform

MOST_EFFORT = 100
# Frames refined at once, and frames after them that are refined for what they hear of those before, and then again.
_BLOCK = 4 * CHUNK_FRAMES
_AHEAD = 16


class RefiningEncoder(ChunkEncoder):
    """Blocks of samples in, chunks of refined codes out; five seconds late."""

    def __init__(
        self,
        engine: Engine,
        sample_rate: int,
        channels: int,
        stages: int,
        frames: int = CHUNK_FRAMES,
        effort: int = 1,
    ) -> None:
        """Begin a signal, as `ChunkEncoder` does, with `effort` steps for every block."""
        super().__init__(engine, sample_rate, channels, stages, frames)
        self._effort = effort
        self._refiner = engine.refiner()
        dim = engine.config.quantizer.dim
        # Samples lie in _pending from the first frame of _past on; the latents of its newest frames are still to come.
        self._past = np.zeros((channels, 0, dim), dtype=np.float32)
        self._latents = np.zeros((channels, 0, dim), dtype=np.float32)
        self._codes = np.zeros((channels, stages, 0), dtype=np.uint16)

    def _waiting(self) -> int:
        return self._pending.shape[1] - self._seen() * self._hop

    def _seen(self) -> int:
        """Return how many of the frames that `_pending` holds have latents."""
        return self._past.shape[1] + self._latents.shape[1]

    def _take(self, samples: Waveform, last: bool) -> list[CodeArray]:
        hop = self._hop
        self._pending = np.concatenate([self._pending, samples], axis=1)
        seen = self._seen()
        while (new := min(self._pending.shape[1] // hop - seen, CHUNK_FRAMES)) == CHUNK_FRAMES or (last and new):
            self._encode_latents(self._pending[:, seen * hop : (seen + new) * hop])
            seen += new
            self._frames += new
        while self._latents.shape[1] >= _BLOCK + _AHEAD:
            self._refine(_BLOCK, _AHEAD)
        if last and self._latents.shape[1]:
            self._refine(self._latents.shape[1], 0)
        chunks = []
        while (ready := min(self._codes.shape[2], self._chunk)) == self._chunk or (last and ready):
            chunks.append(self._codes[:, :, :ready])
            self._codes = self._codes[:, :, ready:]
        return chunks

    def _encode_latents(self, samples: Waveform) -> None:
        parts = [self._refiner.latents(samples[group], state) for group, state in self._groups]
        self._latents = np.concatenate([self._latents, np.concatenate(parts)], 1)

    def _refine(self, frames: int, ahead: int) -> None:
        """Refine so many frames, and those ahead of them, and give out the codes of the first."""
        before, count = self._past.shape[1], frames + ahead
        waveform = self._pending[:, : (before + count) * self._hop]
        for channel, latents in enumerate(self._latents):
            latents[:count] = self._refiner.refined(
                latents[:count], waveform[channel], self._past[channel], self._effort
            )
        codes, values = self._refiner.codes(self._latents[:, :frames])
        past = np.concatenate([self._past, values], 1)
        config = self._engine.config
        kept = min(config.warmup_frames(config.sample_rate), past.shape[1])
        self._past = past[:, past.shape[1] - kept :]
        self._pending = self._pending[:, (before + frames - kept) * self._hop :]
        self._latents = self._latents[:, frames:]
        self._codes = np.concatenate([self._codes, codes[:, : self._stages]], axis=2)


def check_effort(effort: int) -> None:
    """Raise UsageError where there is no such effort, or no torch for it."""
    if not 0 <= effort <= MOST_EFFORT:
        raise UsageError(f"effort is a number of steps from 0 to {MOST_EFFORT}, not {effort}")
    if effort and find_spec("torch") is None:
        raise UsageError("effort needs torch: pip install 'gritcodec[torch]'")


def encoder(
    engine: Engine,
    sample_rate: int,
    channels: int,
    stages: int,
    frames: int = CHUNK_FRAMES,
    effort: int = 0,
) -> ChunkEncoder:
    """Return an encoder that takes so much effort.

    Raises:
        UsageError: there is no such effort, or it needs torch, which is not installed.
    """
    check_effort(effort)
    if not effort:
        return ChunkEncoder(engine, sample_rate, channels, stages, frames)
    return RefiningEncoder(engine, sample_rate, channels, stages, frames, effort)
