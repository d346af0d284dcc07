"""What users feed a speech codec beside clean speech: clips noisy, clipped, far away, talked over, by telephone; music.

Everything follows from the clips' names: the same set gives the same samples on every machine. Noise and music come
from a folder of sounds, see recipes/evaluation-sounds; the rest needs nothing but the set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gritcodec.errors import UsageError
from gritcodec.evaluate import telephone
from gritcodec.evaluate.contenders.base import RATE
from gritcodec.evaluate.sets import Clip, Source, kind, load, read_set, spread, write_clip

CONDITIONS = ("noisy", "clipped", "far-field", "two-speakers", "telephone", "music")
NEED_SOUNDS = {"noisy": "noise", "music": "music"}

_SNR_DB = 10.0
_CLIP_DB = 12.0
# A living room of 6 x 5 x 3 m; the speaker 3.2 m from the microphone. Walls reflect 0.75 of the amplitude, which gives
# a reverberation time of about half a second.
_ROOM = (6.0, 5.0, 3.0)
_SPEAKER = (1.4, 1.2, 1.6)
_MICROPHONE = (4.3, 2.6, 1.2)
_REFLECTION = 0.75
_ORDER = 12

Samples = NDArray[np.floating]


def missing(condition: str, sounds: Path | None) -> str | None:
    """Return what a condition lacks, and how to get it; None where it lacks nothing."""
    if condition == "telephone":
        return telephone.missing()
    needed = NEED_SOUNDS.get(condition)
    if needed is None or (sounds is not None and (sounds / needed).is_dir()):
        return None
    return f"it needs {needed}: python recipes/evaluation-sounds/prepare.py --out SOUNDS, then --sounds SOUNDS"


def build(
    condition: str, clips: Sequence[Clip], count: int, sounds: Path | None, folder: Path, seed: int
) -> list[Clip]:
    """Make the clips of a condition.

    Args:
        condition: one of `CONDITIONS`.
        clips: the clean ones.
        count: how many to make.
        sounds: folder with `noise` and `music` in it.
        folder: where they are written.
        seed: of the draw.

    Raises:
        UsageError: there is no such condition, or it lacks something, see `missing`.
    """
    if condition not in CONDITIONS:
        raise UsageError(f"no condition {condition!r}: there are {', '.join(CONDITIONS)}")
    lacking = missing(condition, sounds)
    if lacking:
        raise UsageError(f"{condition}: {lacking}")
    if condition == "music":
        assert sounds is not None
        pieces = spread(read_set(sounds / "music"), count, seed)
        return [write_clip(load(piece), piece, condition, folder) for piece in pieces]
    audible = [clip for clip in clips if not clip.faint]
    made = []
    for number, clip in enumerate(spread(audible, count, seed)):
        source = Source(clip.name, clip.path, clip.language)
        change = _change(condition, clip, audible, sounds, number)
        made.append(write_clip(change(load(source)), source, condition, folder))
    return made


def _change(
    condition: str, clip: Clip, clips: Sequence[Clip], sounds: Path | None, number: int
) -> Callable[[Samples], Samples]:
    if condition == "clipped":
        return clipped
    if condition == "far-field":
        return far_field
    if condition == "telephone":
        return lambda speech: telephone.through(speech, telephone.LINES[number % len(telephone.LINES)])
    if condition == "noisy":
        assert sounds is not None
        other = _pick(read_set(sounds / "noise"), clip.name)
        return lambda speech: mixed(speech, load(other), _SNR_DB)
    voice = kind(clip.name)
    others = [each for each in clips if kind(each.name) != voice] or [each for each in clips if each != clip] or [clip]
    second = _pick([Source(each.name, each.path) for each in others], clip.name)
    return lambda speech: mixed(speech, load(second), 0.0)


def _pick(sources: Sequence[Source], name: str) -> Source:
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return sources[number % len(sources)]


def mixed(speech: Samples, other: Samples, snr_db: float) -> Samples:
    """Add a sound, repeated or cut to length, at so many dB below the speech; turned down where it would clip."""
    repeated = np.resize(other, len(speech))
    scale = _rms(speech) / max(_rms(repeated), 1e-9) * 10 ** (-snr_db / 20)
    both = speech + scale * repeated
    return both * min(1.0, 0.99 / max(float(np.abs(both).max()), 1e-9))


def clipped(speech: Samples) -> Samples:
    """Cut everything off that is within 12 dB of the peak, as an input turned up too far does."""
    peak = max(float(np.abs(speech).max()), 1e-9)
    return np.clip(speech / peak * 10 ** (_CLIP_DB / 20), -1, 1) * 0.9


def far_field(speech: Samples) -> Samples:
    """Put the speaker three metres away into a living room, at the level it had."""
    size = 1 << (len(speech) + RATE).bit_length()
    wet = np.fft.irfft(np.fft.rfft(speech, size) * np.fft.rfft(room_response(), size), size)[: len(speech)]
    wet *= _rms(speech) / max(_rms(wet), 1e-9)
    return wet * min(1.0, 0.99 / max(float(np.abs(wet).max()), 1e-9))


def room_response() -> Samples:
    """Return a room's impulse response at 16 kHz by the image method (Allen and Berkley 1979), direct sound first."""
    orders = np.arange(-_ORDER, _ORDER + 1)
    offsets, bounces = [], []
    for length, speaker, microphone in zip(_ROOM, _SPEAKER, _MICROPHONE, strict=True):
        # Behind every pair of walls the speaker appears twice: as it is, and mirrored.
        places = np.concatenate([2 * orders * length + speaker, 2 * orders * length - speaker])
        offsets.append(places - microphone)
        bounces.append(np.concatenate([np.abs(2 * orders), np.abs(2 * orders - 1)]))
    distance = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*offsets, indexing="ij", sparse=True)))
    count = sum(np.meshgrid(*bounces, indexing="ij", sparse=True))
    delay = (distance - distance.min()) / 343.0 * RATE
    keep = delay < RATE - 1
    gain = (_REFLECTION**count / distance)[keep]
    whole, part = np.divmod(delay[keep], 1)
    response = np.bincount(whole.astype(int), gain * (1 - part), RATE).astype(np.float64)
    return response + np.bincount(whole.astype(int) + 1, gain * part, RATE)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))
