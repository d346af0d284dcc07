"""One clip of a training corpus: decode, check, resample, cut the silent ends, bring to level. Knows no torch."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]

FRAME_SECONDS = 0.02
LOUD_FRAMES = 5  # speech has 100 ms this loud; a click has not
ACTIVE_RANGE_DB = 30.0  # frames this far below the loud ones still count as speech when the level is taken
TRIM_RANGE_DB = (30.0, 40.0)  # the ends are cut where they stay this far below the loud frames
TRIM_OVER_FLOOR_DB = 6.0
TRIM_MARGIN_SECONDS = 0.08


@dataclasses.dataclass(frozen=True)
class Checks:
    """What a clip must satisfy; levels in dBFS, `clip_run` in samples, `min_rate` in Hz."""

    min_seconds: float = 0.3
    min_active_dbfs: float = -50.0
    min_rate: int = 16000
    clip_level: float = 0.999
    clip_run: int = 3
    max_clip_share: float = 1e-4


@dataclasses.dataclass(frozen=True)
class Level:
    """The level every clip is brought to."""

    active_dbfs: float = -25.0
    max_peak: float = 0.95


class RefusedError(Exception):
    """The clip is not used; `reason` is one of a few fixed words, the message gives the measured value."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class Clip:
    """Result for one file: either int16 samples, or the reason why it is refused."""

    path: str
    digest: str
    seconds: float
    pcm: bytes = b""
    reason: str | None = None
    detail: str = ""


def decode(path: Path) -> tuple[Waveform, int]:
    """Decode an audio file.

    Args:
        path: a file that libsndfile reads, or raw G.722 at 64 kbps (suffix .g722).

    Returns:
        Waveform [channels, samples], full scale 1.0, and its sampling rate in Hz.

    Raises:
        RefusedError: when the file cannot be decoded or holds no sample.
    """
    # PyAV brings FFmpeg's libraries along, so raw G.722 needs no ffmpeg program on the machine.
    try:
        if path.suffix == ".g722":
            import av

            with av.open(str(path), format="g722") as container:
                frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
            whole = np.concatenate(frames, axis=1) if frames else np.zeros((1, 0), np.int16)
            waveform, rate = whole.astype(np.float32) / 32768.0, 16000
        else:
            import soundfile

            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            waveform = samples.T
    except Exception as error:  # each decoder has its own family of errors; any of them ends this clip only
        raise RefusedError("undecodable", f"{type(error).__name__}: {error}") from error
    if waveform.shape[1] == 0:
        raise RefusedError("empty", "no samples")
    return waveform, int(rate)


def blocks(path: Path, seconds: float) -> Iterator[tuple[Waveform, int]]:
    """Decode an audio file in equal parts, so that a long one does not have to fit into memory.

    Args:
        path: a file that libsndfile reads.
        seconds: longest part; a file that is shorter comes in one.

    Yields:
        Waveform [channels, samples], full scale 1.0, and its sampling rate in Hz.

    Raises:
        RefusedError: when the file cannot be decoded or holds no sample.
    """
    import soundfile

    from gritcodec.sound.libsndfile import Forward, native

    try:
        with Forward(native(path)) as file:
            longest = max(round(seconds * file.samplerate), 1)
            count = -(-file.frames // longest)
            # A damaged header may promise any length: then parts are as long as they may be, to the end of the data.
            size = -(-file.frames // count) if 0 < count < 1 << 20 else longest
            samples = file.read(size, dtype="float32", always_2d=True)
            if not len(samples):
                raise RefusedError("empty", "no samples")
            while len(samples):
                yield samples.T, int(file.samplerate)
                samples = file.read(size, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, OSError) as error:
        raise RefusedError("undecodable", f"{type(error).__name__}: {error}") from error


def clipped_share(waveform: Waveform, level: float, run: int) -> float:
    """Return the share of samples of [channels, samples] that lie in runs of `run` or more at full scale."""
    at_top = np.abs(waveform) >= level
    edges = np.diff(np.pad(at_top.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    lengths = np.nonzero(edges.ravel() == -1)[0] - np.nonzero(edges.ravel() == 1)[0]
    return float(lengths[lengths >= run].sum() / waveform.size)


def frame_power(mono: Waveform, rate: int) -> npt.NDArray[np.float64]:
    """Return the mean square of each 20 ms frame of [samples]; a shorter rest at the end is left out."""
    frame = max(1, round(rate * FRAME_SECONDS))
    count = max(1, len(mono) // frame)
    block = mono[: count * frame].astype(np.float64)
    power: npt.NDArray[np.float64] = np.mean(block.reshape(count, -1) ** 2, axis=1)
    return power


def loud_power(power: npt.NDArray[np.float64]) -> float:
    """Return the power of the loud frames, out of the power of all frames."""
    return float(np.sort(power)[-min(LOUD_FRAMES, len(power))])


def active_level(power: npt.NDArray[np.float64]) -> float:
    """Return the level in dBFS over the frames of speech, given the power of all frames."""
    active = power[power >= loud_power(power) * 10 ** (-ACTIVE_RANGE_DB / 10)]
    return float(10 * np.log10(max(float(active.mean()), 1e-12)))


def trim(mono: Waveform, rate: int) -> Waveform:
    """Cut silent ends off [samples], up to a margin of 80 ms.

    The limit lies a little above the noise floor, but always 30 to 40 dB below the loud frames: a noisy
    recording loses its long tails, and a soft consonant at the end of a clean one stays.
    """
    power = frame_power(mono, rate)
    highest, lowest = (loud_power(power) * 10 ** (-decibels / 10) for decibels in TRIM_RANGE_DB)
    floor = float(np.percentile(power, 10)) * 10 ** (TRIM_OVER_FLOOR_DB / 10)
    voiced = np.nonzero(power >= min(max(floor, lowest), highest))[0]
    frame = max(1, round(rate * FRAME_SECONDS))
    margin = round(rate * TRIM_MARGIN_SECONDS)
    start = max(0, int(voiced[0]) * frame - margin)
    return mono[start : (int(voiced[-1]) + 1) * frame + margin]


def check_source(waveform: Waveform, rate: int, checks: Checks) -> None:
    """Refuse what is wrong with the file as it was recorded, before any processing hides it."""
    seconds = waveform.shape[1] / rate
    if not np.isfinite(waveform).all():
        raise RefusedError("not-finite", "NaN or infinity among the samples")
    if rate < checks.min_rate:
        raise RefusedError("narrowband", f"{rate} Hz")
    if seconds < checks.min_seconds:
        raise RefusedError("short", f"{seconds:.3f} s")
    share = clipped_share(waveform, checks.clip_level, checks.clip_run)
    if share > checks.max_clip_share:
        raise RefusedError("clipped", f"{100 * share:.3f} % of the samples")


def process(
    waveform: Waveform, rate: int, target_rate: int, checks: Checks, level: Level | None
) -> npt.NDArray[np.int16]:
    """Turn a decoded file into a clip of the corpus.

    Args:
        waveform: [channels, samples], full scale 1.0.
        rate: its sampling rate in Hz.
        target_rate: sampling rate of the result in Hz.
        checks: limits the clip must keep.
        level: level of the result; None leaves level and ends as they are, as befits music.

    Returns:
        Mono samples [samples] as little-endian int16.

    Raises:
        RefusedError: with the reason.
    """
    check_source(waveform, rate, checks)
    mono = waveform.mean(axis=0)
    if level is not None:
        mono = mono - mono.mean()
    if rate != target_rate:
        import soxr

        mono = soxr.resample(mono, rate, target_rate, quality="VHQ")
    loudness = active_level(frame_power(mono, target_rate))
    if loudness < checks.min_active_dbfs:
        raise RefusedError("silent", f"{loudness:.1f} dBFS")
    if level is None:
        return np.round(np.clip(mono, -1.0, 1.0) * 32767.0).astype("<i2")
    mono = trim(mono, target_rate)
    if len(mono) < checks.min_seconds * target_rate:
        raise RefusedError("short", f"{len(mono) / target_rate:.3f} s of speech")
    loudness = active_level(frame_power(mono, target_rate))
    gain = min(10 ** ((level.active_dbfs - loudness) / 20), level.max_peak / float(np.abs(mono).max()))
    return np.round(mono * (gain * 32767.0)).astype("<i2")


def convert(root: Path, path: str, target_rate: int, checks: Checks, level: Level) -> Clip:
    """Make one Clip of the file `path` below `root`; never raises for what is wrong with the file."""
    digest = hashlib.sha1((root / path).read_bytes(), usedforsecurity=False).hexdigest()
    seconds = 0.0
    try:
        waveform, rate = decode(root / path)
        seconds = waveform.shape[1] / rate
        samples = process(waveform, rate, target_rate, checks, level)
    except RefusedError as refusal:
        return Clip(path, digest, round(seconds, 3), reason=refusal.reason, detail=str(refusal))
    return Clip(path, digest, round(seconds, 3), pcm=samples.tobytes())
