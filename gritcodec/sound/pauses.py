"""Pauses: which frames need no codes, and what the noise in them sounds like.

A frame is silent if no sample that it depends on, of any channel, reaches half a step of 16-bit audio. With `noise`,
steady background noise between words counts as a pause too, and is described as RFC 3389 does: a level and reflection
coefficients.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gritcodec.sound.audio import Waveform

SILENCE = 2.0**-16
# Frames of silence that are worth a pause: it costs some ten bytes, and the decoder begins anew behind it.
LEAST_FRAMES = 16
_ORDER = 4
_TAPS = 128
# Noise is what stays near the lowest level of the last seconds, is not loud and does not move, for so many frames.
_HISTORY = 150
_ABOVE_FLOOR_DB = 5.0
_LOUDEST_DBFS = -40.0
_STEADY_DB = 2.5
_HANGOVER = 12
_FAINTEST_DBFS = -100.0

CodeArray = NDArray[np.uint16]


@dataclass(frozen=True)
class Quiet:
    """Frames without codes.

    Attributes:
        frames: how many.
        noise: a description as in RFC 3389; empty for digital silence.
    """

    frames: int
    noise: bytes = b""


@dataclass(frozen=True)
class _Frame:
    """What is known of a frame: whether it needs codes, and its autocorrelation if it is noise."""

    kind: int  # 0: needs codes; 1: silent; 2: noise
    correlation: NDArray[np.float64] | None = None


class Activity:
    """Samples at the model's rate in, what is known of each frame out."""

    def __init__(self, channels: int, hop: int, lookback: int, noise: bool) -> None:
        """Begin a signal.

        Args:
            channels: of it.
            hop: samples of a frame.
            lookback: samples before a frame that it depends on.
            noise: whether steady noise may be a pause.
        """
        self._hop, self._lookback, self._noise = hop, lookback, noise
        self._samples = np.zeros((channels, lookback), dtype=np.float32)
        self._levels: deque[float] = deque(maxlen=_HISTORY)
        self._still = 0

    def push(self, samples: Waveform) -> list[_Frame]:
        """Feed float32 [channels, any number]; return what is known of the frames that are whole now."""
        self._samples = np.concatenate([self._samples, samples], axis=1)
        found = []
        count = (self._samples.shape[1] - self._lookback) // self._hop
        for frame in range(count):
            start = frame * self._hop
            found.append(self._judge(self._samples[:, start : start + self._lookback + self._hop]))
        self._samples = self._samples[:, count * self._hop :]
        return found

    def _judge(self, samples: Waveform) -> _Frame:
        if np.abs(samples).max(initial=0.0) < SILENCE:
            self._still = 0
            return _Frame(1)
        if not self._noise:
            return _Frame(0)
        own = samples[:, -self._hop :].astype(np.float64)
        level = 10 * np.log10(max(float(np.square(own).mean(axis=1).max()), 1e-12))
        self._levels.append(level)
        recent = list(self._levels)[-_HANGOVER:]
        floor = max(min(self._levels), _FAINTEST_DBFS)
        near = len(recent) == _HANGOVER and level < min(floor + _ABOVE_FLOOR_DB, _LOUDEST_DBFS)
        if not near or float(np.std(recent)) > _STEADY_DB:
            self._still = 0
            return _Frame(0)
        self._still += 1
        correlation = np.array([(own[:, : self._hop - k] * own[:, k:]).sum(axis=1).mean() for k in range(_ORDER + 1)])
        return _Frame(2 if self._still > _HANGOVER else 0, correlation / self._hop)


class Pauser:
    """Codes and what is known of their frames in; packets of codes and pauses out.

    What comes out does not depend on how codes come in. Packets of 16 frames or more end where 16 silent ones in a
    row begin; in shorter ones, which are for live signals, the first 16 of them are coded, and nothing waits.
    """

    def __init__(self, frames: int) -> None:
        """Make packets and pauses of up to `frames` frames."""
        self._size = frames
        self._codes: list[CodeArray] = []
        self._frames: deque[_Frame] = deque()
        self._waiting = 0
        self._pausing = False
        # So many frames before the next one were silent.
        self._silent = 0

    def know(self, frames: list[_Frame]) -> None:
        """Take what is known of the next frames."""
        self._frames.extend(frames)

    def push(self, codes: list[CodeArray], last: bool = False) -> list[CodeArray | Quiet]:
        """Feed codes [channels, stages, frames] of frames that are known already; `last`: nothing follows."""
        self._codes += codes
        self._waiting += sum(each.shape[2] for each in codes)
        parts: list[CodeArray | Quiet] = []
        while self._waiting >= self._size or (last and self._waiting):
            parts.append(self._next(min(self._waiting, self._size)))
        return parts

    def _next(self, count: int) -> CodeArray | Quiet:
        """Return what the next frames, of `count` that are there, become."""
        kinds = [frame.kind for frame in (self._frames[i] for i in range(count))]
        if self._size < LEAST_FRAMES:
            if all(kinds) and self._silent >= LEAST_FRAMES and len(set(kinds)) == 1:
                return self._quiet(count)
            return self._coded(count)
        length = _run(kinds)
        if length >= LEAST_FRAMES or (self._pausing and length):
            return self._quiet(length)
        for start in range(1, count - LEAST_FRAMES + 1):
            if _run(kinds[start : start + LEAST_FRAMES]) == LEAST_FRAMES:
                return self._coded(start)
        return self._coded(count)

    def _quiet(self, count: int) -> Quiet:
        frames = [self._frames[i] for i in range(count)]
        self._take(count)
        self._pausing = True
        found = [frame.correlation for frame in frames if frame.correlation is not None]
        return Quiet(count, describe(np.mean(found, axis=0)) if frames[0].kind == 2 and found else b"")

    def _coded(self, count: int) -> CodeArray:
        self._pausing = False
        return self._take(count)

    def _take(self, count: int) -> CodeArray:
        for _ in range(count):
            self._silent = self._silent + 1 if self._frames.popleft().kind else 0
        codes = self._codes[0] if len(self._codes) == 1 else np.concatenate(self._codes, axis=2)
        self._codes = [codes[:, :, count:]] if codes.shape[2] > count else []
        self._waiting -= count
        return codes[:, :, :count]


def _run(kinds: list[int]) -> int:
    """Return how many frames at the beginning are a pause of one kind."""
    length = 0
    while length < len(kinds) and kinds[length] and kinds[length] == kinds[0]:
        length += 1
    return length


def describe(correlation: NDArray[np.float64]) -> bytes:
    """Return the noise description of RFC 3389 for an autocorrelation [lags] of mean products, lag 0 first."""
    power = max(float(correlation[0]), 1e-12)
    level = min(max(round(-10 * np.log10(power)), 0), 127)
    # A hundredth of white noise keeps the recursion sound.
    r = correlation / power
    r = np.concatenate([[1.01], r[1:]])
    a, error = np.array([1.0]), r[0]
    found = []
    for order in range(1, len(r)):
        k = float(-(a @ r[order:0:-1]) / error)
        a = np.concatenate([a, [0.0]]) + k * np.concatenate([a, [0.0]])[::-1]
        error *= 1 - k * k
        found.append(min(max(round(k * 32768 / 258) + 127, 1), 253))
    return bytes([level, *found])


def comfort_noise(noise: bytes, start: int, channels: int, samples: int) -> Waveform:
    """Return noise as RFC 3389 describes it, float32 [channels, samples], the same for the same `start` frame."""
    rms = 10.0 ** (-min(noise[0], 127) / 20)
    a = np.array([1.0])
    for value in noise[1:]:
        if not 1 <= value <= 253:
            break
        k = 258 * (value - 127) / 32768
        longer = np.concatenate([a, [0.0]])
        a = longer + k * longer[::-1]
    response = np.zeros(_TAPS)
    for n in range(_TAPS):
        past = sum(a[i] * response[n - i] for i in range(1, min(len(a), n + 1)))
        response[n] = (n == 0) - past
    response *= rms / np.sqrt(np.square(response).sum())
    draw = np.random.Generator(np.random.Philox(key=start))
    white = draw.standard_normal((channels, samples + _TAPS - 1))
    return np.stack([np.convolve(row, response, "valid") for row in white]).astype(np.float32)
