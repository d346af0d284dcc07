"""Opus, to listen to beside gritcodec: through opusenc, where it is installed."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import soundfile

from gritcodec import audio
from gritcodec.errors import AudioError

# The least that opusenc promises to keep to, for each channel.
_LOWEST_KBPS = 6.0
_SECONDS = 300


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
    return max(kbps, _LOWEST_KBPS * channels)


def nearest(original: Path, kbps: float, target: Path) -> OpusTake:
    """Code a WAV file with Opus so that its file costs as nearly `kbps` as Opus can.

    Args:
        original: 16-bit WAV.
        kbps: of the whole file, all channels together. Below some 6 kbps Opus gives its least.
        target: the decoded WAV file to write; the .opus file lies beside it.

    Raises:
        AudioError: opusenc fails.
    """
    packed = target.with_suffix(".opus")
    info = soundfile.info(original)
    lowest = possible(0, info.channels)
    asked = max(kbps, lowest)
    true = _encode(original, packed, asked, info.duration)
    if asked > lowest and abs(true - kbps) > 0.02 * kbps:
        # One correction: the container costs something, and variable bitrate follows the sound.
        other = packed.with_name(f"again-{packed.name}")
        corrected = _encode(original, other, max(asked * kbps / true, lowest), info.duration)
        if abs(corrected - kbps) < abs(true - kbps):
            true = corrected
            other.replace(packed)
    waveform, rate = audio.read(packed)
    audio.write(target, audio.resample(waveform, rate, info.samplerate, info.frames), info.samplerate)
    return OpusTake(target, packed.stat().st_size, true)


def _encode(original: Path, packed: Path, kbps: float, seconds: float) -> float:
    """Write an .opus file and return what it costs, in kbps."""
    # Frames of 60 ms and no padding for tags: the cheapest that Opus can be.
    command = ["opusenc", "--quiet", "--discard-comments", "--padding", "0", "--framesize", "60"]
    try:
        done = subprocess.run(
            [*command, "--bitrate", f"{kbps:.3f}", str(original), str(packed)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AudioError(f"opusenc failed: {error}") from error
    if done.returncode:
        raise AudioError(f"opusenc failed: {' '.join(done.stderr.split()) or done.returncode}")
    return 8 * packed.stat().st_size / max(seconds, 1e-9) / 1000
