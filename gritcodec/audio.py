"""Audio files: reading in blocks, writing all or nothing.

Waveforms are float32 arrays [channels, samples], nominally within -1 to 1; louder ones pass unchanged and are
clipped only where they become integers, in `AudioWriter`. Files are read and written by libsndfile.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from gritcodec.bitstream import MAX_CHANNELS, MAX_SAMPLE_RATE
from gritcodec.errors import AudioError, OutputError, UsageError
from gritcodec.files import PathLike, atomic_output, require_file

Waveform = NDArray[np.float32]

# Endings that can be written; mp3, ogg, opus are only read: decoded speech is not to be coded lossily again.
_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_FLAC_MAX_CHANNELS = 8
_FLAC_MAX_RATE = 655_350
# RIFF counts bytes in 32 bits; RF64 is the same file with 64, understood by libsndfile, ffmpeg and sox.
_WAV_MAX_BYTES = (1 << 32) - 4096
# 60 dB over full scale: no recording, but a usual slip is float samples on an integer scale.
_LOUDEST = 1000.0


class ClosesOnExit:
    """What is closed at the end of its `with` block."""

    def close(self) -> None:
        """Free what is held."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AudioReader(ClosesOnExit):
    """An audio file opened for reading block by block; a context manager.

    Attributes:
        path: of the file.
        sample_rate: in Hz.
        channels: 1 to 255.
        expected_seconds: duration as its header tells, or None where it does not; for progress only.
    """

    def __init__(self, path: PathLike, stream: BinaryIO | None = None) -> None:
        """Open the file, or a seekable `stream` that is called `path` in messages.

        Raises:
            UsageError: there is no such file, or it is a folder.
            AudioError: libsndfile cannot read it, or its rate or channel count is out of range.
        """
        self.path = Path(path)
        if stream is None:
            require_file(self.path)
        self._file = _open(self.path, stream)
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        if self.channels > MAX_CHANNELS or not 1 <= self.sample_rate <= MAX_SAMPLE_RATE:
            self._file.close()
            raise AudioError(
                f"{self.path}: {self.channels} channels at {self.sample_rate:,} Hz; "
                f"at most {MAX_CHANNELS} channels and {MAX_SAMPLE_RATE:,} Hz can be coded"
            )
        frames = self._file.frames
        # libsndfile says 2**63 - 1 where it does not know.
        self.expected_seconds: float | None = frames / self.sample_rate if 0 <= frames < 1 << 48 else None

    def close(self) -> None:
        """Close the file; leaving the `with` block does the same."""
        self._file.close()

    def blocks(self) -> Iterator[Waveform]:
        """Yield the rest of the file in blocks of up to about a second, float32 [channels, samples].

        Raises:
            AudioError: the file breaks off inside, or has samples that are NaN or infinite or absurdly large.
        """
        position = 0
        while len(block := self._read(block_samples(self.sample_rate))):
            if not _is_sound(block):
                self._refuse(block, position)
            position += len(block)
            yield np.ascontiguousarray(block.T)

    def _read(self, samples: int) -> Waveform:
        try:
            block: Waveform = self._file.read(samples, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError(f"{self.path}: reading stopped inside the file: {_reason(error)}") from error
        return block

    def _refuse(self, block: Waveform, position: int) -> None:
        """Count the rest of the bad samples, so that one line tells the whole story, and raise."""
        count, first = 0, -1
        while len(block):
            bad = ~np.isfinite(block)
            if first < 0 and bad.any():
                first = position + int(np.argmax(bad.any(axis=1)))
            count += int(bad.sum())
            position += len(block)
            if not bad.any() and first < 0 and not _is_sound(block):
                raise AudioError(f"{self.path}: {_too_loud(block)}")
            block = self._read(1 << 16)
        raise AudioError(f"{self.path}: {_not_numbers(count, first, self.sample_rate)}")


def as_pcm16(waveform: Waveform) -> NDArray[np.int16]:
    """Return int16 [samples, channels] for float32 [channels, samples], rounded and clipped to -1 to 1."""
    # By 32768, as libsndfile scales what it reads: 16-bit samples survive reading and writing unchanged.
    return np.clip(np.rint(waveform.T * np.float32(32768)), -32768, 32767).astype(np.int16)


def as_array(waveform: Any) -> NDArray[Any]:
    """Return a numpy array or a torch tensor as a numpy array."""
    return waveform.numpy(force=True) if hasattr(waveform, "detach") else np.asarray(waveform)


def as_waveform(array: NDArray[Any], sample_rate: int) -> Waveform:
    """Check what a caller of the library gave and return it as float32 [channels, samples].

    Raises:
        UsageError: wrong shape or type, no channel or more than 255, or a sample rate out of range.
        AudioError: NaN, infinite or absurdly large samples.
    """
    if array.ndim != 2:
        raise UsageError(f"a waveform must be [channels, samples], not of shape {array.shape}")
    if array.dtype.kind != "f":
        raise UsageError(f"a waveform must be floating point within -1 to 1, not {array.dtype}")
    if not 1 <= array.shape[0] <= MAX_CHANNELS:
        raise UsageError(
            f"a waveform must be [channels, samples] with 1 to {MAX_CHANNELS} channels, not of shape {array.shape}"
        )
    if not 1 <= sample_rate <= MAX_SAMPLE_RATE:
        raise UsageError(f"the sample rate must be 1 to {MAX_SAMPLE_RATE:,} Hz, not {sample_rate}")
    # Overflow becomes infinite, which is refused in the next line with a clear message.
    with np.errstate(over="ignore"):
        samples = array.astype(np.float32, copy=False)
    require_sound(samples, sample_rate)
    return samples


def in_blocks(samples: Waveform, sample_rate: int) -> Iterator[Waveform]:
    """Yield a waveform [channels, samples] in blocks, as `AudioReader` would."""
    step = block_samples(sample_rate)
    for start in range(0, samples.shape[1], step):
        yield samples[:, start : start + step]


def block_samples(sample_rate: int) -> int:
    """Return how many samples to handle at once: a second, for low rates grow when resampled."""
    return min(sample_rate, 1 << 16)


def audio_files(folder: PathLike) -> list[Path]:
    """List the files below a folder whose ending libsndfile knows, sorted; hidden files and folders are left out."""
    # Raw samples have no header: any file could be called so.
    endings = {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"} | {".opus", ".oga", ".aif"}
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = [name for name in names if not name.startswith(".")]
        found += [Path(parent, name) for name in visible if Path(name).suffix.lower() in endings]
    return sorted(found)


def read(path: PathLike) -> tuple[Waveform, int]:
    """Read a whole audio file.

    Args:
        path: a file that libsndfile reads (wav, flac, ogg, opus, mp3 and others).

    Returns:
        float32 [channels, samples] and the sample rate in Hz.

    Raises:
        UsageError: there is no such file.
        AudioError: it cannot be read, or holds NaN or infinite samples.
    """
    with AudioReader(path) as reader:
        blocks = list(reader.blocks())
        if not blocks:
            return np.zeros((reader.channels, 0), dtype=np.float32), reader.sample_rate
        return np.concatenate(blocks, axis=1), reader.sample_rate


def write(path: PathLike, waveform: NDArray[np.floating[Any]], sample_rate: int, overwrite: bool = True) -> None:
    """Write a whole waveform [channels, samples] as 16-bit wav or flac; errors as in `open_writer`."""
    channels, samples = waveform.shape
    with open_writer(path, sample_rate, channels, samples, overwrite) as writer:
        writer.write(np.asarray(waveform, dtype=np.float32))


@contextmanager
def open_writer(
    path: PathLike, sample_rate: int, channels: int, num_samples: int | None, overwrite: bool = True
) -> Iterator["AudioWriter"]:
    """Write 16-bit PCM wav or flac, by the ending, piece by piece.

    The file appears under its name when the block ends, complete and synced; when it ends with an error
    nothing is left.

    Args:
        path: ending in .wav or .flac.
        sample_rate: in Hz.
        channels: 1 to 255; at most 8 in flac.
        num_samples: samples in each channel that will be written, or the most there can be; None: unknown.
        overwrite: whether a file of that name may be replaced.

    Raises:
        UsageError: another ending, a missing folder, or a file in the way.
        AudioError: more channels, or a rate, than flac can hold.
        OutputError: the file system refuses: no space, no permission.
    """
    kind = check_audio_output(path, sample_rate, channels, num_samples)
    with atomic_output(path, overwrite) as temporary:
        writer = AudioWriter(Path(path), temporary, kind, sample_rate, channels)
        try:
            yield writer
        finally:
            writer.close()
        writer.verify()


class AudioWriter:
    """The open file of `open_writer`."""

    def __init__(self, path: Path, temporary: Path, kind: str, sample_rate: int, channels: int) -> None:
        self._path = path
        self._temporary = temporary
        self._written = 0
        try:
            self._file = soundfile.SoundFile(
                _native(temporary), "w", sample_rate, channels, format=kind, subtype="PCM_16"
            )
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise self._failure(error) from error

    def write(self, waveform: Waveform) -> None:
        """Append float32 [channels, samples], rounded to 16 bits and clipped to -1 to 1.

        Raises:
            OutputError: no space left on the device, or another error of the file system.
        """
        self._written += waveform.shape[1]
        try:
            self._file.write(as_pcm16(waveform))
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Finish the file's header; errors show in `verify`."""
        self._file.close()

    def verify(self) -> None:
        """Read the closed file's header back: libsndfile is silent about errors while it closes a file."""
        try:
            written = soundfile.info(_native(self._temporary)).frames
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise self._failure(error) from error
        if written != self._written:
            raise self._failure(RuntimeError(f"{written:,} of {self._written:,} samples were written"))

    def _failure(self, error: Exception) -> OutputError:
        """Return the error to raise; libsndfile only says "System error", so ask the system by writing."""
        try:
            with open(self._temporary, "ab", buffering=0) as file:
                # The first write may stop short without an error; then the second one tells.
                for _ in range(2):
                    file.write(bytes(1 << 16))
        except OSError as cause:
            return OutputError(f"cannot write {self._path}: {cause.strerror}")
        return OutputError(f"cannot write {self._path}: {_reason(error)}")


def check_audio_output(path: PathLike, sample_rate: int, channels: int, num_samples: int | None) -> str:
    """Return the libsndfile format for an output file; errors as in `open_writer`."""
    ending = Path(path).suffix.lower()
    if ending not in _FORMATS:
        raise UsageError(f"cannot write {path}: the name must end in {' or '.join(_FORMATS)}")
    kind = _FORMATS[ending]
    if kind == "FLAC":
        if channels > _FLAC_MAX_CHANNELS or sample_rate > _FLAC_MAX_RATE or num_samples == 0:
            raise AudioError(
                f"cannot write {path}: flac does not hold {channels} channels of {num_samples or 0:,} samples "
                f"at {sample_rate:,} Hz; name it .wav instead"
            )
    elif num_samples is not None and num_samples * channels * 2 > _WAV_MAX_BYTES:
        kind = "RF64"
    return kind


def require_sound(waveform: Waveform, sample_rate: int) -> None:
    """Refuse float32 [channels, samples] with NaN, infinite or absurdly large samples, with AudioError."""
    if _is_sound(waveform):
        return
    bad = ~np.isfinite(waveform)
    if not bad.any():
        raise AudioError(_too_loud(waveform))
    raise AudioError(_not_numbers(int(bad.sum()), int(np.argmax(bad.any(axis=0))), sample_rate))


def _is_sound(block: Waveform) -> bool:
    # A NaN fails both comparisons, so that one pass finds every kind of bad sample.
    return not block.size or bool(block.max() <= _LOUDEST and block.min() >= -_LOUDEST)


def _not_numbers(count: int, first: int, sample_rate: int) -> str:
    samples = "samples are" if count > 1 else "sample is"
    where = f"the first at position {first:,} ({first / sample_rate:.3f} s)"
    return f"{count:,} {samples} NaN or infinite, {where}"


def _too_loud(block: Waveform) -> str:
    peak = f"{np.abs(block).max():,.0f}"
    return f"samples reach {peak}, where full scale is 1: divide integer samples by 32768 first"


def _open(path: Path, stream: BinaryIO | None = None) -> soundfile.SoundFile:
    try:
        if stream is not None:
            return soundfile.SoundFile(stream, "r")
        if path.is_file() and path.stat().st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes)")
        return soundfile.SoundFile(_native(path), "r")
    # TypeError and ValueError: what soundfile raises for names that end in .raw.
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        if stream is None and not os.access(path, os.R_OK):
            raise AudioError(f"cannot read {path}: {os.strerror(errno.EACCES)}") from error
        kinds = "wav, flac, ogg, opus, mp3 ..."
        raise AudioError(f"cannot read {path} as audio ({kinds}): {_reason(error)}") from error


def _native(path: Path) -> str | bytes:
    """Return the name as soundfile needs it: on Unix a name is bytes, and need not be valid text."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def _reason(error: Exception) -> str:
    """Return the message of a soundfile error without its prefix, which names the file once more."""
    text = str(getattr(error, "error_string", "") or error).strip().removeprefix("Error : ").rstrip(".")
    return text or type(error).__name__
