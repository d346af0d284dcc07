"""What the bench asks of a codec: a file in, a file out, and the bytes between them on disk."""

from __future__ import annotations

import io
import shutil
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gritcodec import files
from gritcodec.errors import AudioError, UsageError

# Every clip of the bench is mono at this rate: the band that PESQ-WB and the shipped model know.
RATE = 16000
# A codec that needs longer for a clip of seconds hangs.
_MOST_SECONDS = 300.0


class Contender(ABC):
    """One codec at one setting.

    Attributes:
        family: its name: "opus".
        setting: what it is set to, as on the command line: "9"; empty where there is nothing to set.
        keeps_time: its files are to keep every sample where it was: a lag is a fault, measured but not removed.
    """

    family: ClassVar[str]
    rates: ClassVar[tuple[str, ...]] = ("",)
    keeps_time: ClassVar[bool] = False

    def __init__(self, setting: str = "") -> None:
        """Refuse a setting that the codec does not have, with UsageError."""
        self.setting = setting

    @property
    def label(self) -> str:
        """Name and setting: "opus:9"."""
        return f"{self.name}:{self.setting}" if self.setting else self.name

    @property
    def name(self) -> str:
        """What tables and plots call it."""
        return self.family

    def missing(self) -> str | None:
        """Return what has to be installed before it can run, and how; None where it can."""
        return None

    @abstractmethod
    def version(self) -> str:
        """Everything, apart from the clip, that decides its output: results are kept under this name."""

    @abstractmethod
    def encode(self, clip: Path, packed: Path) -> None:
        """Code a 16 kHz mono 16-bit wav file into a file; AudioError where the codec fails."""

    @abstractmethod
    def decode(self, packed: Path, decoded: Path) -> None:
        """Decode that file into a mono wav file at any rate; AudioError where the codec fails."""


class Original(Contender):
    """No codec at all: 16-bit samples. What the measures say about it is the most they can say."""

    family = "original"
    keeps_time = True

    def version(self) -> str:
        """Nothing about it changes."""
        return "pcm16"

    def encode(self, clip: Path, packed: Path) -> None:
        """Copy."""
        shutil.copyfile(clip, packed)

    def decode(self, packed: Path, decoded: Path) -> None:
        """Copy."""
        shutil.copyfile(packed, decoded)


def run_tool(*command: str | Path) -> str:
    """Run a program, and return what it printed; AudioError with its last words where it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=_MOST_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AudioError(f"{words[0]} did not run: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise AudioError(f"{words[0]} failed: {said[-1].strip()}")
    return done.stdout + done.stderr


def missing_programs(package: str, *programs: str) -> str | None:
    """Return a line that names the first program that is not there, and its Debian package."""
    for program in programs:
        if shutil.which(program) is None:
            return f"{program} is not installed: apt-get install {package}"
    return None


def program_version(program: str) -> str:
    """Return size and time of a program's file: tools tell their version in too many ways, or not at all."""
    path = shutil.which(program)
    if path is None:
        return "none"
    facts = Path(path).resolve().stat()
    return f"{program}-{facts.st_size}-{int(facts.st_mtime)}"


def number_within(family: str, setting: str, least: float, most: float, unit: str) -> float:
    """Return a setting as a number; UsageError where it is none, or out of bounds."""
    try:
        value = float(setting)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise UsageError(f"{family}:{setting}: give {least:g} to {most:g} {unit}, as in {family}:{least:g}")
    return value


def read_pcm(path: Path) -> tuple[NDArray[np.int16], int]:
    """Return the samples of a mono file, int16 [samples], and their rate."""
    import soundfile

    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    return samples[:, 0], rate


def write_pcm(path: Path, samples: NDArray[np.int16], rate: int) -> None:
    """Write int16 [samples] as a plain wav file; `OutputError` where the system refuses."""
    with files.system_errors(path):
        path.write_bytes(pcm_file(samples, rate))


def pcm_file(samples: NDArray[np.integer | np.floating], rate: int, form: str = "WAV") -> bytes:
    """Return the bytes of a file of 16 bits: libsndfile's word for a full disk says less than the system's."""
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=form, subtype="PCM_16")
    return stream.getvalue()


def resample_pcm(samples: NDArray[np.int16], rate: int, target: int) -> NDArray[np.int16]:
    """Resample int16 [samples]."""
    import soxr

    if rate == target:
        return samples
    floats = soxr.resample(samples.astype(np.float32) / 32768, rate, target)
    return np.clip(np.round(floats * 32768), -32768, 32767).astype(np.int16)
