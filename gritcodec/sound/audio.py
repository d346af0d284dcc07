"""Audio files: reading in blocks, and what other rooms take of waveforms and of writing.

Waveforms are float32 arrays [channels, samples], nominally within -1 to 1; louder ones pass unchanged and are
clipped only where they become integers, in `AudioWriter`.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from gritcodec.bitstream import MAX_CHANNELS, MAX_SAMPLE_RATE
from gritcodec.errors import AudioError
from gritcodec.files import PathLike
from gritcodec.sound import waveforms
from gritcodec.sound.endings import audio_files
from gritcodec.sound.inputs import Input, open_input
from gritcodec.sound.layouts import Layout
from gritcodec.sound.opening import Sound, open_sound
from gritcodec.sound.pcm import PcmReader
from gritcodec.sound.waveforms import Waveform, as_array, as_pcm16, as_rate, as_waveform, in_blocks, like, require_sound
from gritcodec.sound.writing import AudioWriter, check_audio_output, open_writer, write

__all__ = [
    "AudioReader",
    "AudioWarning",
    "AudioWriter",
    "Waveform",
    "as_array",
    "as_pcm16",
    "as_rate",
    "as_waveform",
    "audio_files",
    "check_audio_output",
    "in_blocks",
    "like",
    "open_writer",
    "read",
    "require_sound",
    "write",
]


class AudioWarning(UserWarning):
    """A recording is damaged, and was read as far as it is there."""


class AudioReader:
    """An audio file opened for reading block by block; a context manager.

    Attributes:
        path: of the file.
        sample_rate: in Hz.
        channels: 1 to 255.
        expected_seconds: duration as far as its header tells, or None where it does not; for progress only.
        damage: a line for everything that is missing, once all blocks are read.
        notes: lines about what is no damage.
    """

    def __init__(
        self, path: PathLike, source: Input | None = None, track: int | None = None, layout: Layout | None = None
    ) -> None:
        """Open the file, or a `source` that is called `path` in messages.

        Args:
            path: of the file.
            source: opened already.
            track: of sound, from 1, in a film or the like; None: the first.
            layout: of samples without a header.

        Raises:
            UsageError: there is no such file or track, or it is a folder.
            AudioError: nothing here can read it, or its rate or channel count is out of range.
        """
        self.path = Path(path)
        source = source or open_input(self.path)
        try:
            self._sound: Sound = PcmReader(source, layout) if layout else open_sound(source, track)
        except BaseException:
            source.close()
            raise
        self.sample_rate, self.channels = self._sound.sample_rate, self._sound.channels
        self.expected_seconds = self._sound.expected_seconds
        self.notes: list[str] = getattr(self._sound, "notes", [])
        if self.channels > MAX_CHANNELS or not 1 <= self.sample_rate <= MAX_SAMPLE_RATE:
            self.close()
            raise AudioError(
                f"{self.path}: {self.channels} channels at {self.sample_rate:,} Hz; "
                f"at most {MAX_CHANNELS} channels and {MAX_SAMPLE_RATE:,} Hz can be coded"
            )

    @property
    def damage(self) -> list[str]:
        """Lines about what is missing, each once."""
        return list(dict.fromkeys(self._sound.damage))

    @property
    def tags(self) -> list[tuple[str, str]]:
        """(name, value) as the file has them; of a pipe those behind the sound come with its end."""
        return self._sound.tags

    @property
    def chapters(self) -> list[tuple[float, str]]:
        """(seconds, name), likewise."""
        return self._sound.chapters

    def close(self) -> None:
        """Close the file; leaving the `with` block does the same."""
        self._sound.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def blocks(self) -> Iterator[Waveform]:
        """Yield the rest of the file in blocks of up to about a second, float32 [channels, samples].

        Raises:
            AudioError: samples that are NaN or infinite or absurdly large.
        """
        position = 0
        blocks = self._sound.blocks()
        for block in blocks:
            if not waveforms.is_sound(block):
                self._refuse(block, position, blocks)
            position += block.shape[1]
            yield block

    def whole(self) -> Waveform:
        """Return all blocks as one, float32 [channels, samples]; errors as in `blocks`."""
        return np.concatenate([np.zeros((self.channels, 0), dtype=np.float32), *self.blocks()], axis=1)

    def _refuse(self, first_block: Waveform, position: int, rest: Iterator[Waveform]) -> None:
        """Count the rest of the bad samples, so that one line tells the whole story, and raise."""
        count, first = 0, -1
        for block in (first_block, *rest):
            bad = ~np.isfinite(block)
            if first < 0 and bad.any():
                first = position + int(np.argmax(bad.any(axis=0)))
            count += int(bad.sum())
            position += block.shape[1]
            if not bad.any() and first < 0 and not waveforms.is_sound(block):
                raise AudioError(f"{self.path}: {waveforms.too_loud(block)}")
        raise AudioError(f"{self.path}: {waveforms.not_numbers(count, first, self.sample_rate)}")


def read(path: PathLike) -> tuple[Waveform, int]:
    """Read a whole audio file.

    Args:
        path: a file of any kind that can be read here (docs/reading.md).

    Returns:
        float32 [channels, samples] and the sample rate in Hz.

    Raises:
        UsageError: there is no such file.
        AudioError: it cannot be read, or holds NaN or infinite samples.
        AudioWarning: as a warning: it is damaged, and what is there was read.
    """
    with AudioReader(path) as reader:
        waveform = reader.whole()
        for line in reader.damage:
            warnings.warn(f"{path}: {line}", AudioWarning, stacklevel=2)
        return waveform, reader.sample_rate
