"""What happens to speech on its way to a file: other voices, rooms, microphones, noise, too much gain.

Packages carry clean speech of few voices, and users do not. Everything here changes what is to be coded, not what the
codec makes of it: the changed sound is input and target.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Item = NDArray[np.float32]

_LOUDEST = 0.99
# Factors on all frequencies: from a larger speaker with a lower voice to a smaller one.
SMALLEST, LARGEST = 0.85, 1.2


def fitted(samples: NDArray[np.floating]) -> Item:
    """Return samples as they are, or turned down to where they do not clip."""
    return (samples * min(1.0, _LOUDEST / max(float(np.abs(samples).max()), 1e-3))).astype(np.float32)


def _rms(samples: NDArray[np.floating]) -> float:
    return max(math.sqrt(float(np.mean(np.square(samples)))), 1e-9)


def draw_scale(rng: np.random.Generator) -> float:
    """Draw a factor for `change_voice`, as likely up as down."""
    return float(np.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST))))


def change_voice(item: Item, scale: float, samples: int) -> Item:
    """Play an item faster or slower, as another speaker: pitch and formants times `scale`, [T] -> [samples]."""
    import soxr

    changed = soxr.resample(item, scale, 1.0, quality="HQ")[:samples]
    return np.pad(changed, (0, samples - len(changed)))


def add_noise(item: Item, rng: np.random.Generator) -> Item:
    """Speech as it is recorded: with stationary noise, white to brown, 5 to 45 dB below it; a quarter is noise alone.

    Noise alone is at most 20 dB below the speech it takes the place of: fainter, losses would not see it.

    Args:
        item: [samples] float32; the sum is turned down where it would clip.
        rng: source of colour and level.
    """
    spectrum = np.fft.rfft(rng.standard_normal(len(item)))
    # Flat up to 100 Hz or so, then falling by up to 6 dB an octave.
    spectrum /= (0.01 + np.linspace(0.0, 1.0, len(spectrum))) ** rng.uniform(0.0, 1.0)
    noise = np.fft.irfft(spectrum, len(item))
    noise *= np.sqrt(np.mean(np.square(item))) / max(np.sqrt(np.mean(np.square(noise))), 1e-12)
    alone = rng.random() < 0.25
    down = 10 ** (-(rng.uniform(0.0, 20.0) if alone else rng.uniform(5.0, 45.0)) / 20)
    return fitted(noise * down + item * (not alone))


def add_room(item: Item, rng: np.random.Generator, sample_rate: int) -> Item:
    """Put speech into a room, at the level it had, [T] -> [T].

    A reverberant tail is noise that decays exponentially, treble before bass (Moorer, "About this reverberation
    business", 1979): reverberation times of 0.15 to 0.9 s, the direct sound 4 dB below the tail to 14 above it.
    """
    bass = math.exp(rng.uniform(math.log(0.15), math.log(0.9)))
    treble = bass * rng.uniform(0.4, 1.0)
    time = np.arange(round(bass * sample_rate)) / sample_rate
    first = rng.uniform(0.001, 0.015)  # seconds until walls are heard
    tail = np.zeros(len(time))
    frequencies = np.fft.rfftfreq(len(time), 1 / sample_rate)
    low = 1 / (1 + (frequencies / 1500) ** 2)
    for share, seconds in ((low, bass), (1 - low, treble)):
        noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(len(time))) * share, len(time))
        tail += noise * 10 ** (-3 * time / seconds)
    tail *= time >= first
    tail *= 10 ** (-rng.uniform(-4.0, 14.0) / 20) / max(float(np.linalg.norm(tail)), 1e-9)
    tail[0] += 1.0
    size = 1 << (len(item) + len(tail)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(item, size) * np.fft.rfft(tail, size), size)[: len(item)]
    return fitted(wet * (_rms(item) / _rms(wet)))


def colour(item: Item, rng: np.random.Generator, sample_rate: int) -> Item:
    """Record with another microphone, at the level there was, [T] -> [T].

    A tilt of up to 3 dB an octave, two broad bumps or dips of up to 9 dB; now and then nothing below 80 to 300 Hz, or
    nothing above 3.4 to 7 kHz (as shares of a rate of 16 kHz).
    """
    spectrum = np.fft.rfft(item)
    frequencies = np.fft.rfftfreq(len(item), 1 / sample_rate)
    octaves = np.log2(np.maximum(frequencies, 50.0) / 1000)
    decibels = rng.uniform(-3.0, 3.0) * octaves
    for _ in range(2):
        centre, width = rng.uniform(-3.0, 3.0), rng.uniform(0.3, 1.2)
        decibels += rng.uniform(-9.0, 9.0) * np.exp(-(((octaves - centre) / width) ** 2))
    low, high = rng.uniform(80.0, 300.0), rng.uniform(3400.0, 7000.0) * sample_rate / 16_000
    if rng.random() < 0.25:
        decibels -= 10 * np.log10(1 + (low / np.maximum(frequencies, 1.0)) ** 8)
    if rng.random() < 0.25:
        decibels -= 10 * np.log10(1 + (frequencies / high) ** 24)
    changed = np.fft.irfft(spectrum * 10 ** (np.minimum(decibels, 20.0) / 20), len(item))
    return fitted(changed * (_rms(item) / _rms(changed)))


def overdrive(item: Item, rng: np.random.Generator) -> Item:
    """Turn an input up too far: cut off 2 to 14 dB below the peak, hard or soft, at the level there was, [T] -> [T]."""
    limit = max(float(np.abs(item).max()), 1e-9) * 10 ** (-rng.uniform(2.0, 14.0) / 20)
    cut = np.clip(item, -limit, limit) if rng.random() < 0.7 else limit * np.tanh(item / limit)
    return fitted(cut * (_rms(item) / _rms(cut)))


def add_voice(item: Item, other: Item, rng: np.random.Generator) -> Item:
    """Let somebody else speak at the same time, as loud or up to 12 dB fainter, [T] and [T] -> [T]."""
    return fitted(item + other * (_rms(item) / max(_rms(other), 1e-4) * 10 ** (-rng.uniform(0.0, 12.0) / 20)))
