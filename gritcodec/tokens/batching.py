"""Many signals through the network at once: as many rows as there are places, each with its own state.

A row that ends makes room for the next signal at the next step; rows of any length go together, and nothing waits for
the longest. Since an engine's codes depend neither on the size of blocks nor on the rows beside them, they are those
of each signal by itself, as `Codec.encode` makes them. Signals are read as they are needed: memory grows with the rows
and not with the lengths.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from gritcodec.codec.stream import CodeArray, frames_for, model_samples
from gritcodec.engine.interface import Engine, State
from gritcodec.errors import AudioError, GritcodecError
from gritcodec.sound.audio import Waveform
from gritcodec.sound.resampling import Resampler
from gritcodec.tokens.items import Item
from gritcodec.tokens.reading import Sound

# Frames in a step, all rows together: enough that a step's fixed costs vanish, little enough for a core's caches.
_STEP_FRAMES = 512
_LEAST_FRAMES, _MOST_FRAMES = 16, 256


@dataclass(frozen=True)
class Batching:
    """How rows go together; the codes are the same whatever it is.

    Attributes:
        rows: signals at once.
        step_frames: frames in a step, all rows together.
        readers: threads that read ahead; 1: the one that calls.
    """

    rows: int = 32
    step_frames: int = _STEP_FRAMES
    readers: int = 1


@dataclass(frozen=True)
class Coded:
    """What became of an item.

    Attributes:
        number: its place in the order in which items came.
        item: which.
        codes: uint16 [stages, frames].
        num_samples: of the source.
        sample_rate: of the source, Hz.
        channels: of the source.
    """

    number: int
    item: Item
    codes: CodeArray
    num_samples: int
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class Refused:
    """Why an item has no codes."""

    number: int
    item: Item
    reason: str


class Stopwatch(dict[str, float]):
    """Seconds by the name of what they went into."""

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time that the block takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self[name] = self.get(name, 0.0) + time.perf_counter() - began


class _Row:
    """A signal on its way: samples at the network's rate, in whole frames."""

    def __init__(self, number: int, sound: Sound, engine: Engine, watch: Stopwatch) -> None:
        self.number, self.sound = number, sound
        self.codes: list[CodeArray] = []
        self.problem: str | None = None
        self._config, self._watch = engine.config, watch
        self._resampler = Resampler(sound.sample_rate, engine.config.sample_rate, 1)
        self._pending: list[Waveform] = []
        self._waiting = self._given = self.num_samples = 0
        self._ended = False

    @property
    def ready(self) -> int:
        """Frames that are there."""
        return self._waiting // self._config.hop_length

    @property
    def is_done(self) -> bool:
        return self._ended and not self._waiting

    def fill(self, frames: int) -> None:
        """Read until so many frames are there, or all that remain."""
        try:
            while not self._ended and self.ready < frames:
                with self._watch.measure("reading"):
                    block = next(self.sound.blocks, None)
                with self._watch.measure("resampling"):
                    self._feed(block)
        except GritcodecError as error:
            self._fail(str(error))
        except Exception as error:  # of a broken file, from whatever library reads it
            self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, problem: str) -> None:
        self.problem, self._ended, self._waiting = problem, True, 0

    def _feed(self, block: Waveform | None) -> None:
        config, rate = self._config, self.sound.sample_rate
        if block is not None:
            self.num_samples += block.shape[1]
            self._take(self._resampler.push(block))
            return
        self._ended = True
        if not self.num_samples:
            raise AudioError("there is no sound in it: 0 samples")
        rest = self._resampler.finish(model_samples(self.num_samples, rate, config.sample_rate))
        self._take(rest)
        whole = frames_for(config, self.num_samples, rate) * config.hop_length - self._given
        self._take(np.zeros((1, whole - self._waiting), dtype=np.float32))

    def _take(self, samples: Waveform) -> None:
        self._pending.append(samples)
        self._waiting += samples.shape[1]

    def next(self, frames: int) -> Waveform:
        """Return the next frames [1, frames * hop], silence after the last."""
        samples = np.concatenate(self._pending, axis=1)
        wanted = frames * self._config.hop_length
        taken = samples[:, :wanted]
        self._pending = [samples[:, wanted:]]
        self._waiting = self._pending[0].shape[1]
        self._given += taken.shape[1]
        return np.pad(taken, ((0, 0), (0, wanted - taken.shape[1])))

    def result(self) -> Coded | Refused:
        item, sound = self.sound.item, self.sound
        if self.problem is not None:
            return Refused(self.number, item, self.problem)
        codes = np.concatenate(self.codes, axis=1)
        return Coded(self.number, item, codes, self.num_samples, sound.sample_rate, sound.channels)


def encode_all(
    engine: Engine,
    items: Iterable[Item],
    opener: Callable[[Item], Sound],
    stages: int,
    batching: Batching | None = None,
    watch: Stopwatch | None = None,
) -> Iterator[Coded | Refused]:
    """Code items; each is given as soon as it is done.

    Args:
        engine: runs the network.
        items: in the order in which they begin.
        opener: opens one.
        stages: to give.
        batching: how rows go together.
        watch: where seconds of reading, resampling and coding are added up.
    """
    batching, watch = batching or Batching(), watch if watch is not None else Stopwatch()
    waiting = enumerate(items)
    rows: list[_Row] = []
    state = engine.encoder_state(0)
    with ThreadPoolExecutor(batching.readers) as threads:
        while True:
            fresh: list[_Row] = []
            while len(rows) + len(fresh) < batching.rows and (following := next(waiting, None)) is not None:
                opened = _open(*following, opener, engine, watch)
                if isinstance(opened, Refused):
                    yield opened
                else:
                    fresh.append(opened)
            if fresh:
                rows = rows + fresh
                state = _joined(state, engine.encoder_state(len(fresh)))
            if not rows:
                return
            frames = min(max(batching.step_frames // len(rows), _LEAST_FRAMES), _MOST_FRAMES)
            apply = threads.map if batching.readers > 1 else map
            list(apply(partial(_Row.fill, frames=frames), rows))
            rows, state = yield from _without_done(rows, state)
            if rows:
                with watch.measure("coding"):
                    _step(engine, rows, min(frames, max(row.ready for row in rows)), stages, state)
            rows, state = yield from _without_done(rows, state)


def _open(number: int, item: Item, opener: Callable[[Item], Sound], engine: Engine, watch: Stopwatch) -> _Row | Refused:
    try:
        with watch.measure("reading"):
            return _Row(number, opener(item), engine, watch)
    except GritcodecError as error:
        return Refused(number, item, str(error))
    except OSError as error:
        return Refused(number, item, f"{error.filename or item.shown}: {error.strerror or error}")
    except Exception as error:  # of a broken file or a name that can be none, from whatever library reads it
        return Refused(number, item, f"{item.shown}: {type(error).__name__}: {error}")


def _joined(state: State, fresh: State) -> State:
    return {name: np.concatenate([context, fresh[name]]) for name, context in state.items()}


def _without_done(rows: list[_Row], state: State) -> Generator[Coded | Refused, None, tuple[list[_Row], State]]:
    """Yield what is done, and return the rows that are left with their state."""
    done = [row.is_done for row in rows]
    if not any(done):
        return rows, state
    yield from (row.result() for row in rows if row.is_done)
    left = [k for k, ended in enumerate(done) if not ended]
    return [rows[k] for k in left], {name: context[left] for name, context in state.items()}


def _step(engine: Engine, rows: list[_Row], frames: int, stages: int, state: State) -> None:
    ready = [min(row.ready, frames) for row in rows]
    codes = engine.encode(np.concatenate([row.next(frames) for row in rows]), stages, state)
    for row, count, found in zip(rows, ready, codes, strict=True):
        row.codes.append(found[:, :count].copy())
