"""Opus, to listen to beside gritcodec: as the evaluation runs it, at the true bitrate that comes nearest."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import soundfile

from gritcodec.evaluate.contenders.classical import Opus
from gritcodec.sound import audio
from gritcodec.sound.resampling import resample

# The least that opusenc promises to keep to, for each channel; and the most that the evaluation asks it for.
_LOWEST_KBPS, _HIGHEST_KBPS = 6.0, 256.0
# So near is near enough: there is no second try.
_NEAR = 0.02


@dataclass(frozen=True)
class OpusTake:
    """A recording through Opus.

    Attributes:
        wav: the decoded sound, 16-bit, as long as the original.
        size: bytes of the .opus file.
        kbps: what that file costs, all channels together.
    """

    wav: Path
    size: int
    kbps: float


def available() -> bool:
    """Whether opusenc is there."""
    return shutil.which("opusenc") is not None


def possible(kbps: float, channels: int) -> float:
    """Return the bitrate nearest to `kbps` that opusenc can be asked for."""
    return min(max(kbps, _LOWEST_KBPS * channels), _HIGHEST_KBPS)


def nearest(original: Path, kbps: float, target: Path) -> OpusTake:
    """Code a WAV file with Opus so that its file costs as nearly `kbps` as Opus can.

    Args:
        original: 16-bit WAV.
        kbps: of the whole file, all channels together.
        target: the decoded WAV file to write; the .opus file lies beside it.

    Raises:
        AudioError: opusenc fails.
    """
    packed = target.with_suffix(".opus")
    info = soundfile.info(original)
    asked = possible(kbps, info.channels)
    true = _encode(original, packed, asked, info.duration)
    corrected = possible(asked * kbps / true, info.channels)
    if corrected != asked and abs(true - kbps) > _NEAR * kbps:
        # Once more: the container costs something, and variable bitrate follows the sound.
        other = packed.with_name(f"again-{packed.name}")
        again = _encode(original, other, corrected, info.duration)
        if abs(again - kbps) < abs(true - kbps):
            true = again
            other.replace(packed)
    waveform, rate = audio.read(packed)
    audio.write(target, resample(waveform, rate, info.samplerate, info.frames), info.samplerate)
    return OpusTake(target, packed.stat().st_size, true)


def _encode(original: Path, packed: Path, kbps: float, seconds: float) -> float:
    """Write an .opus file and return what it costs, in kbps."""
    Opus(f"{kbps:.3f}").encode(original, packed)
    return 8 * packed.stat().st_size / max(seconds, 1e-9) / 1000
