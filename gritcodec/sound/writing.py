"""Audio files written whole or not at all: wav, flac and Ogg Vorbis by libsndfile, what PyAV writes in `lossy`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from gritcodec.errors import AudioError, OutputError, UsageError
from gritcodec.files import PathLike, atomic_output
from gritcodec.sound import lossy, tagging
from gritcodec.sound.libsndfile import native, reason
from gritcodec.sound.tags import Pairs
from gritcodec.sound.waveforms import Waveform, as_array, as_pcm16, as_pcm24, as_rate, as_waveform

_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG"}
ENDINGS = (*_FORMATS, *lossy.CODECS)
_LOSSLESS = (".wav", ".flac")
SAMPLES = {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}
_NAMES = ("title", "copyright", "artist", "comment", "date", "album", "license", "tracknumber", "genre")
_BYTES = {"16": 2, "24": 3, "float": 4}
_FLAC_MAX_CHANNELS = 8
_FLAC_MAX_RATE = 655_350
# RIFF counts bytes in 32 bits; RF64 is the same file with 64, understood by libsndfile, ffmpeg and sox.
_WAV_MAX_BYTES = (1 << 32) - 4096


@dataclass(frozen=True)
class Form:
    """How sound is written beside its samples.

    Attributes:
        samples: 16, 24 or float, in wav and flac.
        kbps: of what is coded once more; None: what suits speech.
        tags: (name, value).
        marks: (sample, name) of chapters; of wav and flac they may still grow while the sound is written.
        like: a file whose permissions a new one gets.
    """

    samples: str = "16"
    kbps: float | None = None
    tags: Sequence[tuple[str, str]] = ()
    marks: Sequence[tuple[int, str]] = ()
    like: PathLike | None = None

    def check(self, ending: str) -> None:
        """Refuse what the format of an ending does not have, with UsageError."""
        if self.samples not in SAMPLES:
            raise UsageError(f"samples are {', '.join(SAMPLES)}, not '{self.samples}'")
        if self.samples != "16" and ending not in _LOSSLESS:
            raise UsageError(f"{ending} has no samples of {self.samples}: take .wav")
        if self.samples == "float" and ending == ".flac":
            raise UsageError("flac has no float samples: take .wav, or --samples 24")
        if self.kbps is not None and ending not in lossy.CODECS:
            known = ", ".join(lossy.CODECS)
            raise UsageError(f"--out-bitrate is for {known}; {ending or 'standard output'} has none to choose")
        if self.kbps is not None and not 4 <= self.kbps <= 512:
            raise UsageError(f"--out-bitrate is from 4 to 512 kbps, not {self.kbps:g}")


PLAIN = Form()


class Writer(Protocol):
    """What sound is written to."""

    def write(self, waveform: Waveform) -> None:
        """Append float32 [channels, samples]."""


def write(path: PathLike, waveform: Any, sample_rate: int, overwrite: bool = True) -> None:
    """Write a whole waveform as 16-bit wav or flac; or as .m4a, .mp3, .opus or .ogg, coded a second time.

    Args:
        path: the file, whose ending says its format; it appears when it is whole, and only then.
        waveform: of numpy or torch, [channels, samples], or [samples] of one channel; floating point within -1 to 1
            (louder is clipped), int16, int32 or uint8.
        sample_rate: Hz, 1 to 768000.
        overwrite: whether a file of that name may be replaced.

    Raises:
        UsageError: wrong shape, type or rate, another ending, a missing folder, or a file in the way.
        AudioError: NaN, infinite or absurdly large samples, or more channels, or a rate, than the format can hold.
        OutputError: the file system refuses: no space, no permission.
    """
    rate = as_rate(sample_rate)
    samples = as_waveform(as_array(waveform), rate)
    with open_writer(path, rate, samples.shape[0], samples.shape[1], overwrite) as writer:
        writer.write(samples)


@contextmanager
def open_writer(
    path: PathLike,
    sample_rate: int,
    channels: int,
    num_samples: int | None,
    overwrite: bool = True,
    form: Form = PLAIN,
) -> Iterator[Writer]:
    """Write sound, in the format of the ending, piece by piece.

    The file appears under its name when the block ends, complete and synced; when it ends with an error
    nothing is left.

    Args:
        path: ending in .wav or .flac; or in one of `ENDINGS`, which codes it a second time.
        sample_rate: in Hz.
        channels: 1 to 255; fewer in most formats.
        num_samples: samples in each channel that will be written, or the most there can be; None: unknown.
        overwrite: whether a file of that name may be replaced.
        form: 16-bit samples, and no tags, unless it says otherwise.

    Raises:
        UsageError: another ending, a missing folder, or a file in the way.
        AudioError: more channels, or a rate, than the format can hold.
        OutputError: the file system refuses: no space, no permission.
    """
    kind = check_audio_output(path, sample_rate, channels, num_samples, form)
    with atomic_output(path, overwrite, form.like) as temporary:
        if kind in lossy.CODECS:
            chapters = [(sample / sample_rate, name) for sample, name in form.marks]
            told = form.kbps, form.tags, chapters
            with lossy.open_writer(Path(path), temporary, kind, sample_rate, channels, *told) as encoder:
                yield encoder
            return
        writer = AudioWriter(Path(path), temporary, kind, sample_rate, channels, form.samples)
        try:
            writer.name(form.tags)
            yield writer
        finally:
            writer.close()
        writer.verify()
        writer.describe(list(form.tags), form.marks)


class AudioWriter:
    """The open file of `open_writer`, where libsndfile writes it."""

    def __init__(
        self, path: Path, temporary: Path, kind: str, sample_rate: int, channels: int, samples: str = "16"
    ) -> None:
        self._path, self._temporary, self._kind, self._samples = path, temporary, kind, samples
        self._rate = sample_rate
        self._written = 0
        subtype = "VORBIS" if kind == "OGG" else SAMPLES[samples]
        try:
            self._file = soundfile.SoundFile(
                native(temporary), "w", sample_rate, channels, format=kind, subtype=subtype
            )
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise self._failure(error) from error

    def name(self, tags: Sequence[tuple[str, str]]) -> None:
        """Say what Ogg says at its beginning, as far as libsndfile has words for it; wav and flac get it at the end."""
        for key, value in tags if self._kind == "OGG" else ():
            if key.lower() in _NAMES:
                setattr(self._file, key.lower(), value)

    def write(self, waveform: Waveform) -> None:
        """Append float32 [channels, samples]; rounded and clipped to -1 to 1 where samples are integers.

        Raises:
            OutputError: no space left on the device, or another error of the file system.
        """
        self._written += waveform.shape[1]
        data: NDArray[Any]
        if self._kind == "OGG" or self._samples == "float":
            data = np.ascontiguousarray(waveform.T)
        else:
            data = as_pcm16(waveform) if self._samples == "16" else as_pcm24(waveform)
        # libvorbis puts large blocks on the stack, and dies of them.
        step = 1 << 12 if self._kind == "OGG" else max(len(data), 1)
        try:
            for start in range(0, len(data), step):
                self._file.write(data[start : start + step])
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Finish the file's header; errors show in `verify`."""
        self._file.close()

    def verify(self) -> None:
        """Read the closed file's header back: libsndfile is silent about errors while it closes a file."""
        try:
            written = soundfile.info(native(self._temporary)).frames
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise self._failure(error) from error
        if written != self._written:
            raise self._failure(RuntimeError(f"{written:,} of {self._written:,} samples were written"))

    def describe(self, tags: Pairs, marks: Sequence[tuple[int, str]]) -> None:
        """Add tags and marks to the closed file."""
        try:
            tagging.add(self._temporary, self._kind, tags, marks, self._rate)
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror or error}") from error

    def _failure(self, error: Exception) -> OutputError:
        """Return the error to raise; libsndfile only says "System error", so ask the system by writing."""
        try:
            with open(self._temporary, "ab", buffering=0) as file:
                # The first write may stop short without an error; then the second one tells.
                for _ in range(2):
                    file.write(bytes(1 << 16))
        except OSError as cause:
            return OutputError(f"cannot write {self._path}: {cause.strerror}")
        return OutputError(f"cannot write {self._path}: {reason(error)}")


def check_audio_output(
    path: PathLike, sample_rate: int, channels: int, num_samples: int | None, form: Form = PLAIN
) -> str:
    """Return libsndfile's format for an output file, or the ending of what PyAV writes; errors as in `open_writer`."""
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(
            f"cannot write {path}: the name must end in .wav or .flac (or {', '.join(ENDINGS[2:])}: coded once more)"
        )
    form.check(ending)
    if ending in lossy.CODECS:
        lossy.check(path, ending, sample_rate, channels, form.kbps)
        return ending
    kind = _FORMATS[ending]
    if kind == "FLAC":
        if channels > _FLAC_MAX_CHANNELS or sample_rate > _FLAC_MAX_RATE or num_samples == 0:
            raise AudioError(
                f"cannot write {path}: flac does not hold {channels} channels of {num_samples or 0:,} samples "
                f"at {sample_rate:,} Hz; name it .wav instead"
            )
    elif kind == "WAV" and (num_samples or 0) * channels * _BYTES[form.samples] > _WAV_MAX_BYTES:
        kind = "RF64"
    return kind
