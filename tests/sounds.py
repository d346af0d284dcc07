"""Recordings in many formats, made by real encoders, and what came back of them."""

import subprocess
from pathlib import Path

import numpy as np
import soundfile
import soxr
from tools import tool

import gritcodec
from gritcodec.sound import audio, inputs

AUSTEN = Path(gritcodec.__file__).parent / "clips" / "austen.flac"
RATE = 16_000


def speech(seconds: float = 5.0) -> np.ndarray:
    """The beginning of the bundled clip, 16-bit samples as float32, at 16 kHz."""
    samples, rate = soundfile.read(AUSTEN, dtype="float32", frames=round(seconds * RATE))
    assert rate == RATE
    return samples


def wav_of(folder: Path, seconds: float = 5.0, **options) -> Path:
    """Write the clip's beginning as a wav file."""
    path = folder / "clip.wav"
    soundfile.write(path, speech(seconds), RATE, **options)
    return path


def ffmpeg(source: Path, target: Path, *options: str, pipe: bool = False) -> Path:
    """Convert a file by ffmpeg; into a pipe, where it cannot go back, if wanted. Return the target."""
    command = [tool("ffmpeg"), "-v", "error", "-y", "-i", str(source), "-map_chapters", "-1", *options]
    if pipe:
        # Not into a file as standard output: ffmpeg could seek in that.
        target.write_bytes(subprocess.run([*command, "-"], check=True, stdout=subprocess.PIPE).stdout)
    else:
        subprocess.run([*command, str(target)], check=True)
    return target


def read(path: Path, as_pipe: bool = False) -> tuple[np.ndarray, audio.AudioReader]:
    """Return all samples [channels, samples] of a file, read as a file or as a pipe, and the reader."""
    source = None
    if as_pipe:
        source = inputs.Input(inputs._Forward(path.open("rb")), str(path))
    with audio.AudioReader(path, source) as reader:
        return reader.whole(), reader


def read_both(path: Path) -> tuple[np.ndarray, audio.AudioReader]:
    """Return what a file gives, after checking that a pipe gives the same."""
    (whole, reader), (piped, other) = read(path), read(path, as_pipe=True)
    assert np.array_equal(whole, piped) and reader.sample_rate == other.sample_rate
    assert (reader.damage, reader.tags, reader.chapters) == (other.damage, other.tags, other.chapters)
    return whole, reader


def lag(found: np.ndarray, rate: int, seconds: float = 5.0) -> int:
    """Return by how many samples, at its own rate, a signal is later than the clip."""
    expected = soxr.resample(speech(seconds), RATE, rate)
    size = 1 << (len(expected) + len(found)).bit_length()
    product = np.fft.rfft(found, size) * np.conj(np.fft.rfft(expected, size))
    place = int(np.argmax(np.fft.irfft(product, size)))
    return place if place < size // 2 else place - size
