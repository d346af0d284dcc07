"""Samples as they lie in a file or come out of a pipe: the same either way."""

from collections.abc import Iterator

import numpy as np

from gritcodec.sound import behind, headers
from gritcodec.sound.inputs import Input
from gritcodec.sound.layouts import Layout, decoded
from gritcodec.sound.lost import cut_off
from gritcodec.sound.waveforms import Waveform, block_samples

_READ = 1 << 16


class PcmReader:
    """Interleaved samples from an input that stands at the first one.

    Attributes:
        sample_rate: Hz.
        channels: of the sound.
        expected_seconds: as far as it is known, for progress.
        damage: lines about what is missing, once all blocks are read.
        tags: (name, value); of a pipe those that stand behind the samples come with the last block.
        chapters: (seconds, name), likewise.
    """

    def __init__(self, source: Input, layout: Layout) -> None:
        """Read samples as a layout says."""
        self.sample_rate, self.channels = layout.sample_rate, layout.channels
        self.damage: list[str] = []
        self._source, self._layout, self._left = source, layout, layout.size
        self.expected_seconds: float | None = None
        if source.seekable:
            here, size = source.tell(), layout.size
            there = source.length() - here
            self.expected_seconds = (there if size is None else min(size, there)) / layout.rate
            if size is not None and size < there:
                source.seek(here + size)
                headers.read_trailer(source, layout)
                source.seek(here)
        else:
            source.settle()

    @property
    def tags(self) -> list[tuple[str, str]]:
        """(name, value) of what the file says."""
        return self._layout.tags

    @property
    def chapters(self) -> list[tuple[float, str]]:
        """(seconds, name) of places that have a name."""
        return [(sample / self.sample_rate, name) for sample, name in self._layout.marks]

    def close(self) -> None:
        """Close the input."""
        self._source.close()

    def blocks(self) -> Iterator[Waveform]:
        """Yield float32 [channels, samples] as soon as they are there."""
        width, kind = self._layout.width, str(self._layout.kind)
        step = block_samples(self.sample_rate) * width if self._source.seekable else _READ
        read = self._source.read if self._source.seekable else self._source.read1
        rest = b""
        while self._left != 0 and (data := read(step if self._left is None else min(step, self._left))):
            if self._left is not None:
                self._left -= len(data)
            data = rest + data
            whole = len(data) - len(data) % width
            rest = data[whole:]
            if whole:
                yield np.ascontiguousarray(decoded(data[:whole], kind).reshape(-1, self.channels).T)
        self._end(rest)

    def _end(self, rest: bytes) -> None:
        size, rate = self._layout.size, self._layout.rate
        if self._left and size is not None:
            self.damage.append(cut_off((size - self._left - len(rest)) / rate, size / rate, self.sample_rate))
        elif rest:
            self.damage.append(f"the end lies inside a sample: {len(rest)} of {self._layout.width} bytes are there")
        elif self._left == 0 and not self._source.seekable:
            headers.read_trailer(self._source, self._layout)
        if self._layout.left_out:
            self.damage.append(behind.left_out(self._layout.left_out))
