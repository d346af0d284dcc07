"""What libsndfile reads, with what it leaves out: damage told and gone over, lengths that nobody knows, chains."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import soundfile

from gritcodec.errors import AudioError
from gritcodec.messages import native_stderr_off
from gritcodec.sound.lost import cut_off
from gritcodec.sound.waveforms import Waveform, block_samples

# libsndfile says 2**63 - 1 where it does not know.
_MOST_FRAMES = 1 << 48
# Behind damage a place is sought from which reading goes on: in steps that are smaller than most frames of FLAC.
_STEP = 1024
_MOST_STEPS = 512
_GSM = {"samplerate": 8000, "channels": 1, "format": "RAW", "subtype": "GSM610"}
_NO_FRAMES = "there are no frames of MPEG audio in it"
_stderr_lock = threading.Lock()


class Forward(soundfile.SoundFile):
    """A file that is not sought in after each read, as soundfile does.

    Behind the last block of a FLAC of unknown length that fails; in an MP3 what is read next is other sound at first
    (findings/soundfile-flac-of-unknown-length.sh, findings/soundfile-mp3-in-blocks.sh).
    """

    def seekable(self) -> bool:
        """Not while it is read."""
        return False


class Handle:
    """An open file of libsndfile.

    Attributes:
        frames: samples in each channel as it believes; None: it does not know.
    """

    def __init__(
        self, name: str, path: str | None, stream: Any = None, quiet: bool = False, is_gsm: bool = False
    ) -> None:
        """Open a path, or a seekable stream; `name` is for messages, `quiet` for libraries that write to stderr.

        GSM has no header: of a stream libsndfile does not see what it is.
        """
        self.name, self._path, self._stream, self._quiet = name, path, stream, quiet
        self._form: dict[str, Any] = _GSM if is_gsm else {}
        self._open()
        self.sample_rate: int = self.file.samplerate
        self.channels: int = self.file.channels
        self.frames: int | None = self.file.frames if 0 <= self.file.frames < _MOST_FRAMES else None

    def close(self) -> None:
        """Close it, and not the stream."""
        self.file.close()

    def read(self, samples: int) -> tuple[Waveform, str | None]:
        """Return up to that many samples, float32 [samples, channels], and what went wrong after them."""
        # What was read before an error would be lost with it: it is told from what was not written.
        out = np.full((samples, self.channels), np.nan, dtype=np.float32)
        with _silence(self._quiet):
            try:
                return self.file.read(samples, out=out), None
            except (soundfile.SoundFileError, RuntimeError) as error:
                count = int(np.argmax(np.isnan(out).all(axis=1)))
                return out[:count], reason(error)

    def tags(self) -> list[tuple[str, str]]:
        """Return what libsndfile knows of title, artist and so on."""
        return [(name, text) for name, text in self.file.copy_metadata().items() if name != "software"]

    def resume(self, position: int, end: int) -> int | None:
        """Go on at the first readable place behind one that is damaged; return it, or None where there is none."""
        for place in range(position + _STEP - position % _STEP, min(end, position + _STEP * _MOST_STEPS), _STEP):
            # What was opened before the damage was met does not seek any more.
            self.close()
            try:
                self._open()
                self.file.seek(place)
                if len(self.file.read(16)):
                    self.file.seek(place)
                    return place
            except (soundfile.SoundFileError, RuntimeError):
                continue
        return None

    def _open(self) -> None:
        try:
            with _silence(self._quiet):
                if self._stream is not None:
                    self._stream.seek(0)
                    self.file = Forward(self._stream, "r", **self._form)
                else:
                    self.file = Forward(native(str(self._path)), "r")
        # TypeError and ValueError: what soundfile raises for names that end in .raw.
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
            if self._path is not None and not os.access(self._path, os.R_OK):
                raise AudioError(f"cannot read {self.name}: {os.strerror(errno.EACCES)}") from error
            kinds = "wav, flac, ogg, opus, mp3 ..."
            raise AudioError(f"cannot read {self.name} as audio ({kinds}): {reason(error)}") from error


class SndReader:
    """One stream that libsndfile reads; attributes as of `PcmReader`."""

    def __init__(
        self, handle: Handle, close: Any, damage: list[str] | None = None, frames: int | None = None, late: int = 0
    ) -> None:
        """Read all of an open file, or `frames` samples at most; `damage` is known already.

        Of what is late by some samples these are left out at the beginning.
        """
        self.sample_rate, self.channels = handle.sample_rate, handle.channels
        self.damage, self.notes = damage or [], list[str]()
        self.tags, self.chapters = handle.tags(), list[tuple[float, str]]()
        self.expected_seconds = None if handle.frames is None else handle.frames / handle.sample_rate
        self._handle, self._close, self._most = handle, close, frames
        self._told = damage is not None
        self._late = late

    def close(self) -> None:
        """Close the file and its input."""
        self._handle.close()
        self._close()

    def blocks(self) -> Iterator[Waveform]:
        """Yield float32 [channels, samples]; what cannot be read in the middle is silence."""
        left = self._late
        for block in self._blocks():
            late = min(left, block.shape[1])
            left -= late
            if block.shape[1] > late:
                yield block[:, late:]

    def _blocks(self) -> Iterator[Waveform]:
        position, promised, error = 0, self._handle.frames, None
        most = self._most
        while error is None and (most is None or position < most):
            step = block_samples(self.sample_rate)
            block, error = self._handle.read(step if most is None else min(step, most - position))
            if len(block):
                yield np.ascontiguousarray(block.T)
            position += len(block)
            if error is not None:
                place = None if promised is None else self._handle.resume(position, promised)
                if place is not None:
                    yield from quiet_blocks(self.channels, place - position, step)
                    self.damage.append(gap_filled(position / self.sample_rate, (place - position) / self.sample_rate))
                    position, error = place, None
            elif not len(block):
                break
        if error is not None and promised is None:
            self.damage.append(f"reading stopped at {position / self.sample_rate:.2f} s: {error}")
        elif promised is not None and position < promised and most is None and not self._told:
            self.damage.append(cut_off(position / self.sample_rate, promised / self.sample_rate, self.sample_rate))


class Part:
    """A piece of a stream between two gaps: where in the stream it ends, and what reads it."""

    def __init__(self, handle: Handle, end: int | None, is_lost: bool = False) -> None:
        """`end`: samples from the beginning of the stream; None: nobody says.

        A part that is lost cannot be read; its handle is that of another one, for its rate and channels.
        """
        self.handle, self.end, self.is_lost = handle, end, is_lost


def part_blocks(parts: list[Part], damage: list[str], offset: float = 0.0) -> Iterator[Waveform]:
    """Yield the blocks of parts, and silence for what is lost between them; add a line to `damage` for each gap.

    Args:
        parts: of one stream.
        damage: what is known of it.
        offset: seconds that the stream begins after the file does.
    """
    position = 0
    for number, part in enumerate(parts):
        handle = part.handle
        rate, frames = handle.sample_rate, handle.frames
        if number == 0:
            # A stream that was recorded from its middle on does not count from 0.
            first = 0 if part.end is None or frames is None else part.end - frames
            position = first
        elif part.end is not None and frames is not None and (part.is_lost or part.end - frames > position):
            lost = max(part.end - position - (0 if part.is_lost else frames), 0)
            damage.append(gap_filled(offset + (position - first) / rate, lost / rate))
            yield from quiet_blocks(handle.channels, lost, block_samples(rate))
            position += lost
        while not part.is_lost:
            block, error = handle.read(block_samples(rate))
            if len(block):
                yield np.ascontiguousarray(block.T)
            position += len(block)
            if error is not None:
                damage.append(f"reading stopped at {offset + (position - first) / rate:.2f} s: {error}")
            if error is not None or not len(block):
                break
        handle.close()


def native(path: str | os.PathLike[str]) -> str | bytes:
    """Return the name as soundfile needs it: on Unix a name is bytes, and need not be valid text."""
    return os.fsencode(path) if os.name == "posix" else os.fspath(path)


def gap_filled(at: float, lost: float) -> str:
    """Say that something is lost in the middle; both are seconds."""
    return f"damaged at {at:.2f} s: {lost:.2f} s are lost, silence is in their place"


def quiet_blocks(channels: int, samples: int, step: int) -> Iterator[Waveform]:
    """Yield silence in blocks of up to `step` samples, float32 [channels, samples]."""
    while samples > 0:
        yield np.zeros((channels, min(samples, step)), dtype=np.float32)
        samples -= step


@contextmanager
def _silence(wanted: bool) -> Iterator[None]:
    """Let a C library say nothing on stderr: libmpg123 cannot be told to be quiet through libsndfile."""
    if not wanted or not _stderr_lock.acquire(blocking=False):
        # Another thread is silencing it already.
        yield
        return
    try:
        with native_stderr_off():
            yield
    finally:
        _stderr_lock.release()


def reason(error: Exception) -> str:
    """Return the message of a soundfile error without its prefix, which names the file once more."""
    text = str(getattr(error, "error_string", "") or error).strip().removeprefix("Error : ").rstrip(".")
    # What libsndfile says where libmpg123 finds nothing in a file that is there.
    return _NO_FRAMES if "possibly a pipe" in text else text or type(error).__name__
