"""Files of one format that follow each other in one: whole, at the rate and with the channels of the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from gritcodec.errors import AudioError
from gritcodec.sound.chain import Adapter
from gritcodec.sound.waveforms import Waveform


class Sound(Protocol):
    """What is read block by block; `damage` is whole after the last block, as are tags and chapters of a pipe."""

    sample_rate: int
    channels: int
    expected_seconds: float | None
    damage: list[str]

    @property
    def tags(self) -> list[tuple[str, str]]:
        """(name, value) as the file has them."""

    @property
    def chapters(self) -> list[tuple[float, str]]:
        """(seconds, name)."""

    def blocks(self) -> Iterator[Waveform]:
        """Yield float32 [channels, samples]."""

    def close(self) -> None:
        """Free what is held."""


class JoinedReader:
    """Several readers, one after the other; attributes as of `PcmReader`, tags, chapters and notes of the first."""

    def __init__(
        self, first: Sound, others: Sequence[Callable[[], Sound]], close: Callable[[], None], left_out: str = ""
    ) -> None:
        """Read what is open, and then what is opened when its time has come; `close` frees what they all read.

        `left_out`: what is said of a file of another format behind them.
        """
        self.sample_rate, self.channels = first.sample_rate, first.channels
        self.tags, self.chapters = first.tags, first.chapters
        self.notes: list[str] = getattr(first, "notes", [])
        self.damage: list[str] = []
        self.expected_seconds: float | None = None
        self._open, self._others, self._close, self._left_out = first, others, close, left_out

    def close(self) -> None:
        """Close the file that is open, and the input."""
        self._open.close()
        self._close()

    def blocks(self) -> Iterator[Waveform]:
        """Yield float32 [channels, samples] of all of them."""
        adapter, count = Adapter(self.sample_rate, self.channels), len(self._others) + 1
        for number in range(1, count + 1):
            if number > 1:
                self._open.close()
                try:
                    self._open = self._others[number - 2]()
                except AudioError as error:
                    self.damage.append(f"file {number} of the {count} in it is left out: {error}")
                    continue
            for block in self._open.blocks():
                yield from adapter.push(block, self._open.sample_rate)
            where = f"file {number} of the {count} in it: " if count > 1 else ""
            self.damage += [where + line for line in self._open.damage]
        yield from adapter.finish()
        if self._left_out:
            self.damage.append(self._left_out)
