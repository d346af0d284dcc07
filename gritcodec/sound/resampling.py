"""Resampling to an exact number of samples, by soxr."""

import math

import numpy as np
import soxr
from numpy.typing import NDArray

Waveform = NDArray[np.float32]

# Samples of silence before the first, at the lower of the two rates, and how many go in at once.
_BEFORE = 256
_AT_ONCE = 4096


class Resampler:
    """Resamples a stream of blocks; the result does not depend on how the stream is cut.

    Delays of the filter are compensated: sample n of the output is at the time n / out_rate of the input.
    """

    def __init__(self, in_rate: int, out_rate: int, channels: int) -> None:
        """Prepare a stream of [channels, samples] blocks from in_rate to out_rate (Hz)."""
        self._channels = channels
        self._produced = 0
        self._soxr = None if in_rate == out_rate else soxr.ResampleStream(in_rate, out_rate, channels, dtype="float32")
        # Enough silence after the end for the output to reach ceil(samples * out_rate / in_rate).
        self._tail = 2 * -(-in_rate // out_rate) + 2
        self._early = 0
        if self._soxr is not None:
            self._begin(in_rate, out_rate)

    def _begin(self, in_rate: int, out_rate: int) -> None:
        """Let silence pass, a whole number of samples at both rates, and note what of the output belongs to it.

        Between its stages soxr drops what rings before the first sample: without silence in front, sound that begins
        abruptly has first samples that are wrong by up to 0.07 of full scale.
        """
        step = in_rate // math.gcd(in_rate, out_rate)
        before = -(-_BEFORE * max(in_rate, out_rate) // out_rate // step) * step
        self._early = before * out_rate // in_rate
        for at in range(0, before, _AT_ONCE):
            self._feed(np.zeros((min(_AT_ONCE, before - at), self._channels), dtype=np.float32))

    def _feed(self, samples: NDArray[np.float32], last: bool = False) -> Waveform:
        """Feed [samples, channels]; return what is ready and no silence from before, [channels, samples]."""
        assert self._soxr is not None
        out = _channels_first(self._soxr.resample_chunk(samples, last=last), self._channels)
        dropped = min(self._early, out.shape[1])
        self._early -= dropped
        return out[:, dropped:]

    def push(self, block: Waveform) -> Waveform:
        """Feed float32 [channels, samples] and return what is ready, float32 [channels, any]."""
        out = block
        if self._soxr is not None:
            out = self._feed(np.ascontiguousarray(block.T))
        self._produced += out.shape[1]
        return out

    def finish(self, total: int) -> Waveform:
        """Return the rest, [channels, any], so that all blocks together have exactly `total` samples.

        More than `total` may have come out already, by a sample or two: the caller keeps the first `total`.
        """
        rest = np.zeros((self._channels, 0), dtype=np.float32)
        if self._soxr is not None:
            silence = np.zeros((self._tail, self._channels), dtype=np.float32)
            rest = self._feed(silence, last=True)
        missing = max(total - self._produced, 0)
        rest = rest[:, :missing]
        return np.pad(rest, ((0, 0), (0, missing - rest.shape[1])))


def resample(waveform: Waveform, in_rate: int, out_rate: int, num_samples: int) -> Waveform:
    """Resample float32 [channels, samples] to exactly num_samples, cut or filled with silence at the end."""
    resampler = Resampler(in_rate, out_rate, waveform.shape[0])
    first = resampler.push(waveform)
    return np.concatenate([first, resampler.finish(num_samples)], axis=1)[:, :num_samples]


def _channels_first(samples: Waveform, channels: int) -> Waveform:
    return np.ascontiguousarray(samples.reshape(-1, channels).T)
