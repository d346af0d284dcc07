"""Waveforms: float32 arrays [channels, samples], nominally within -1 to 1; checks and conversions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.arguments import whole
from gritcodec.bitstream import MAX_CHANNELS, MAX_SAMPLE_RATE
from gritcodec.errors import AudioError, UsageError

Waveform = NDArray[np.float32]

# 60 dB over full scale: no recording, but a usual slip is float samples on an integer scale.
_LOUDEST = 1000.0


def as_pcm16(waveform: Waveform) -> NDArray[np.int16]:
    """Return int16 [samples, channels] for float32 [channels, samples], rounded and clipped to -1 to 1."""
    # By 32768, as libsndfile scales what it reads: 16-bit samples survive reading and writing unchanged.
    return np.clip(np.rint(waveform.T * np.float32(32768)), -32768, 32767).astype(np.int16)


def as_pcm24(waveform: Waveform) -> NDArray[np.int32]:
    """Return int32 [samples, channels] whose upper 24 bits are the samples; as `as_pcm16` otherwise."""
    scaled = np.rint(waveform.T * np.float32(8388608))
    return np.clip(scaled, -8388608, 8388607).astype(np.int32) << 8


def as_array(waveform: Any) -> NDArray[Any]:
    """Return a numpy array or a torch tensor as a numpy array."""
    if not hasattr(waveform, "detach"):
        return np.asarray(waveform)
    # numpy has no types for torch's shorter floats.
    known = not waveform.is_floating_point() or (waveform.element_size() > 1 and "bfloat" not in str(waveform.dtype))
    return (waveform if known else waveform.float()).numpy(force=True)


def like(given: Any, array: NDArray[Any]) -> Any:
    """Return an array as a torch tensor on the CPU where what was given is one."""
    if not hasattr(given, "detach"):
        return array
    import torch

    return torch.from_numpy(array)


def as_rate(sample_rate: Any) -> int:
    """Return a sample rate that a caller gave as any kind of number.

    Raises:
        UsageError: it is no whole number from 1 to 768000.
    """
    rate = whole(sample_rate, "the sample rate")
    if not 1 <= rate <= MAX_SAMPLE_RATE:
        raise UsageError(f"the sample rate must be 1 to {MAX_SAMPLE_RATE:,} Hz, not {rate}")
    return rate


def as_waveform(array: NDArray[Any], sample_rate: int) -> Waveform:
    """Check what a caller of the library gave and return it as float32 [channels, samples].

    Args:
        array: [channels, samples], or [samples] of one channel; floating point, or int16 or int32, whose range stands
            for -1 to 1, or uint8 with its middle at 128, as WAV files have it.
        sample_rate: Hz.

    Raises:
        UsageError: wrong shape or type, no channel or more than 255, or a sample rate out of range.
        AudioError: NaN, infinite or absurdly large samples.
    """
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2:
        raise UsageError(f"a waveform must be [channels, samples], or [samples] of one, not of shape {array.shape}")
    array = _as_floats(array)
    if not 1 <= array.shape[0] <= MAX_CHANNELS:
        turned = ": give waveform.T" if array.shape[0] > MAX_CHANNELS >= array.shape[1] >= 1 else ""
        raise UsageError(
            f"a waveform must be [channels, samples] with 1 to {MAX_CHANNELS} channels, "
            f"not of shape {array.shape}{turned}"
        )
    as_rate(sample_rate)
    # Overflow becomes infinite, which is refused in the next line with a clear message.
    with np.errstate(over="ignore", under="ignore"):
        samples = array.astype(np.float32, copy=False)
    require_sound(samples, sample_rate)
    return samples


def _as_floats(array: NDArray[Any]) -> NDArray[Any]:
    """Return samples of any kind that sound comes in as floating point within -1 to 1; UsageError for other kinds."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f":
        return array
    if kind == "i" and size in (2, 4):
        return array / np.float32(1 << 8 * size - 1)
    if kind == "u" and size == 1:
        return (array.astype(np.float32) - 128) / np.float32(128)
    raise UsageError(f"a waveform must be floating point within -1 to 1, int16, int32 or uint8, not {array.dtype}")


def in_blocks(samples: Waveform, sample_rate: int) -> Iterator[Waveform]:
    """Yield a waveform [channels, samples] in blocks, as `AudioReader` would."""
    step = block_samples(sample_rate)
    for start in range(0, samples.shape[1], step):
        yield samples[:, start : start + step]


def block_samples(sample_rate: int) -> int:
    """Return how many samples to handle at once: a second, for low rates grow when resampled."""
    return min(sample_rate, 1 << 16)


def require_sound(waveform: Waveform, sample_rate: int) -> None:
    """Refuse float32 [channels, samples] with NaN, infinite or absurdly large samples, with AudioError."""
    if is_sound(waveform):
        return
    bad = ~np.isfinite(waveform)
    if not bad.any():
        raise AudioError(too_loud(waveform))
    raise AudioError(not_numbers(int(bad.sum()), int(np.argmax(bad.any(axis=0))), sample_rate))


def is_sound(block: Waveform) -> bool:
    """Whether samples are all numbers of a size that sound has."""
    # A NaN fails both comparisons, so that one pass finds every kind of bad sample.
    return not block.size or bool(block.max() <= _LOUDEST and block.min() >= -_LOUDEST)


def not_numbers(count: int, first: int, sample_rate: int) -> str:
    """Say how many samples are no numbers, and where the first one is."""
    samples = "samples are" if count > 1 else "sample is"
    where = f"the first at position {first:,} ({first / sample_rate:.3f} s)"
    return f"{count:,} {samples} NaN or infinite, {where}"


def too_loud(block: Waveform) -> str:
    """Say how large samples are that are no sound."""
    peak = f"{np.abs(block).max():,.0f}"
    return f"samples reach {peak}, where full scale is 1: divide integer samples by 32768 first"
