"""Items -> blocks of samples: each by its place, and runs of pieces of one file without going back."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from gritcodec.errors import AudioError, UsageError
from gritcodec.messages import needing
from gritcodec.sound.audio import AudioReader, Waveform
from gritcodec.sound.inputs import Input
from gritcodec.tokens.items import ARK, PARQUET, TAR, Item

# What to make of several channels; a number is one of them, from 0.
MIX, REFUSE = "mix", "refuse"


@dataclass
class Sound:
    """An item opened for reading.

    Attributes:
        item: which.
        sample_rate: Hz.
        channels: of the source.
        blocks: float32 [1, samples] each.
    """

    item: Item
    sample_rate: int
    channels: int
    blocks: Iterator[Waveform]


class Sources:
    """Opens items; what follows each other in one file is read without beginning anew."""

    def __init__(self, base: str, channels: str = MIX) -> None:
        """Prepare to read.

        Args:
            base: the folder that relative paths are relative to.
            channels: what to make of several: `mix`, `refuse`, or the number of one.
        """
        self._base, self._channels = base, channels
        self._cursor: _Cursor | None = None
        self._cells: _Cells | None = None

    def open(self, item: Item) -> Sound:
        """Open an item.

        Raises:
            AudioError, UsageError: it cannot be read; so do the blocks.
        """
        if item.problem is not None:
            raise AudioError(item.problem)
        if not item.is_whole:
            return self._piece(item)
        reader = self._reader(item)
        choose = chosen(item, reader.channels, self._channels)
        return Sound(item, reader.sample_rate, reader.channels, to_the_end(reader, choose))

    def close(self) -> None:
        """Close what is open."""
        for held in (self._cursor, self._cells):
            if held is not None:
                held.close()
        self._cursor = self._cells = None

    def _path(self, item: Item) -> str:
        return os.path.join(self._base, item.source)  # noqa: PTH118 - a Path drops what a name begins with

    def _reader(self, item: Item) -> AudioReader:
        path = self._path(item)
        if item.kind == TAR:
            return from_bytes(item.shown, _window(path, *item.place))
        if item.kind == ARK:
            return from_bytes(item.source, _riff(path, item.place[0]))
        if item.kind == PARQUET:
            data = self._cell(item, path)
            if isinstance(data, str):
                return _file(os.path.join(os.path.dirname(path), data))  # noqa: PTH118, PTH120
            return from_bytes(item.shown, data)
        return _file(path)

    def _cell(self, item: Item, path: str) -> bytes | str:
        group, row = item.place
        if self._cells is None or not self._cells.reaches(path, item.column, group, row):
            if self._cells is not None:
                self._cells.close()
            self._cells = _Cells(path, item.column, group)
        return self._cells.cell(row)

    def _piece(self, item: Item) -> Sound:
        key = self._path(item), item.kind, item.place
        if self._cursor is None or not self._cursor.reaches(key, item.start):
            if self._cursor is not None:
                self._cursor.close()
            self._cursor = _Cursor(key, self._reader(item))
        cursor = self._cursor
        choose = chosen(item, cursor.reader.channels, self._channels)
        # Taken at once: the next piece lies further on in the same file.
        blocks = [choose(block) for block in cursor.piece(item.start, item.duration)]
        return Sound(item, cursor.reader.sample_rate, cursor.reader.channels, iter(blocks))


def chosen(item: Item, channels: int, mixing: str) -> Callable[[Waveform], Waveform]:
    """Return what makes one channel of a block of several.

    Args:
        item: which may want one of them.
        channels: how many there are.
        mixing: `mix`, `refuse`, or the number of one.

    Raises:
        AudioError: there are several, which `mixing` refuses, or none of this number.
    """
    wanted = item.channel if item.channel is not None else mixing
    if channels == 1 and item.channel is None:
        return lambda block: block
    if wanted == REFUSE:
        raise AudioError(f"{item.shown} has {channels} channels")
    if wanted == MIX:
        return lambda block: block.mean(axis=0, dtype=np.float32, keepdims=True)
    number = int(wanted)
    if number >= channels:
        raise AudioError(f"{item.shown} has {channels} channels, and none of number {number}")
    return lambda block: np.ascontiguousarray(block[number : number + 1])


def check_channels(text: str) -> str:
    """Return what to make of several channels, or raise UsageError."""
    if text not in (MIX, REFUSE) and not (text.isascii() and text.isdigit()):
        raise UsageError(f"--channels is mix, refuse or a channel's number from 0, not '{text}'")
    return text


def to_the_end(reader: AudioReader, choose: Callable[[Waveform], Waveform]) -> Iterator[Waveform]:
    """Yield a channel of all that a reader has, and close it.

    Raises:
        AudioError: as of its blocks; and at the end, where something was missing: codes of half a sentence beside the
            whole of its text would do harm.
    """
    with reader:
        yield from map(choose, reader.blocks())
        if reader.damage:
            raise AudioError(f"{reader.path}: {reader.damage[0]}")


def from_bytes(name: str, data: bytes) -> AudioReader:
    """Return what reads the bytes of an audio file."""
    if not data:
        raise AudioError(f"{name} is empty (0 bytes)")
    return AudioReader(name, Input(io.BytesIO(data), name))


def _file(path: str) -> AudioReader:
    """Open a file; a pipe or a device between the files of a corpus would be waited for without end."""
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112, PTH113
        raise AudioError(f"{path} is not a regular file")
    return AudioReader(path)


def _window(path: str, offset: int, size: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise AudioError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) < size:
        raise AudioError(f"{path} ends {size - len(data):,} bytes before this member does")
    return data


def _riff(path: str, offset: int) -> bytes:
    head = _window(path, offset, 8)
    if head[:4] != b"RIFF":
        raise AudioError(f"{path} has no wav at {offset:,}")
    return _window(path, offset, int.from_bytes(head[4:], "little") + 8)


class _Cursor:
    """A file that is read piece after piece, forwards."""

    def __init__(self, key: Any, reader: AudioReader) -> None:
        self.key, self.reader = key, reader
        self._blocks = reader.blocks()
        self._position = 0
        self._held = np.zeros((reader.channels, 0), dtype=np.float32)

    def reaches(self, key: Any, start: float) -> bool:
        return key == self.key and round(start * self.reader.sample_rate) >= self._position

    def close(self) -> None:
        self.reader.close()

    def piece(self, start: float, duration: float | None) -> Iterator[Waveform]:
        """Yield what lies there, as much of it as there is.

        Raises:
            AudioError: the file ends before the piece does, by more than a rounded time explains.
        """
        rate = self.reader.sample_rate
        first = round(start * rate)
        end = None if duration is None else first + round(duration * rate)
        while end is None or self._position < end:
            if not self._held.shape[1]:
                block = next(self._blocks, None)
                if block is None:
                    if end is not None and end - self._position > rate // 20:
                        raise AudioError(f"{self.reader.path} ends at {self._position / rate:.3f} s, before its piece")
                    return
                self._held = block
            skipped = min(max(first - self._position, 0), self._held.shape[1])
            stop = self._held.shape[1] if end is None else min(end - self._position, self._held.shape[1])
            # What comes after the beginning stays, for pieces that overlap do not: they begin anew.
            if stop > skipped:
                yield self._held[:, skipped:stop]
            self._position += stop
            self._held = self._held[:, stop:]


class _Cells:
    """A column of one row group of a Parquet file, read forwards, a few rows at a time."""

    def __init__(self, path: str, column: str, group: int) -> None:
        with needing("tokens", "reading Parquet"):
            import pyarrow as pa
            import pyarrow.parquet as pq
        self._key = path, column, group
        self._next = 0
        try:
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            self._rows = self._read(self._file, column, group)
        except (pa.ArrowException, OSError, IndexError) as error:
            raise AudioError(f"cannot read {path}: {error}") from error

    @staticmethod
    def _read(file: Any, column: str, group: int) -> Iterator[Any]:
        for batch in file.iter_batches(16, row_groups=[group], columns=[column]):
            yield from batch.column(0)

    def reaches(self, path: str, column: str, group: int, row: int) -> bool:
        return (path, column, group) == self._key and row >= self._next

    def cell(self, row: int) -> bytes | str:
        import pyarrow as pa

        try:
            for _ in range(row - self._next):
                next(self._rows)
            value = next(self._rows).as_py()
        except (pa.ArrowException, OSError, StopIteration) as error:
            self._next = 1 << 62
            raise AudioError(f"cannot read row {row} of a group of {self._key[0]}: {error}") from error
        self._next = row + 1
        if isinstance(value, dict):
            value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
        if not value:
            raise AudioError(f"{self._key[0]}: there is neither sound nor a path in this row")
        return value

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()
