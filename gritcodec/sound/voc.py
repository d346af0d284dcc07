"""Creative's VOC: sound in blocks. libsndfile takes the heads of all blocks but the first for sound.

FFmpeg writes a block for each of its packets; a file of several was so read with clicks, and a cut one without a word.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gritcodec.errors import AudioError
from gritcodec.sound import behind
from gritcodec.sound.chain import Adapter
from gritcodec.sound.layouts import ALAW, ULAW, Layout, decoded
from gritcodec.sound.lost import CUT_INSIDE, cut_off
from gritcodec.sound.riff import text
from gritcodec.sound.waveforms import Waveform, block_samples

MAGIC = b"Creative Voice File\x1a"
_KINDS = {0: "u1", 4: "<i2", 6: ALAW, 7: ULAW}
_END, _SOUND, _MORE, _SILENCE, _TEXT, _EXTENDED, _NEW_SOUND = 0, 1, 2, 3, 5, 8, 9
_MOST_TEXT = 1 << 16
_SOX_SHORT = 8


@dataclass
class Blocks:
    """What is in a file, or in several that follow each other.

    Attributes:
        parts: how samples lie, where they begin, how many bytes of them there are; of silence (None as where) samples.
        promised: seconds that the blocks say they have.
        is_cut: whether the last file ends inside one.
        texts: its comments.
        left_out: bytes behind them that are a file of another format.
    """

    parts: list[tuple[Layout, int | None, int]] = field(default_factory=list)
    promised: float = 0.0
    is_cut: bool = False
    texts: list[str] = field(default_factory=list)
    left_out: int = 0


def read(name: str, stream: Any) -> Blocks | None:
    """Find the blocks of a seekable stream, called `name` in messages.

    Returns:
        None where one of them is of a coding that is not read here; the stream then stands at its beginning.

    Raises:
        AudioError: there is no sound in it.
    """
    length = stream.seek(0, os.SEEK_END)
    found = Blocks()
    begin: int | None = 0
    while begin is not None:
        stream.seek(begin + len(MAGIC))
        at = begin + int.from_bytes(stream.read(2), "little")
        before = len(found.parts), found.promised
        if (end := _read_file(name, stream, at, length, found)) is None:
            if not begin:
                stream.seek(0)
                return None
            # The first ones are read.
            found.left_out = length - begin
            found.promised, found.parts[before[0] :] = before[1], []
            break
        begin = _following(stream, end, length, found)
    if not found.parts:
        raise AudioError(f"cannot read {name} as audio: the VOC file has no samples")
    return found


def _read_file(name: str, stream: Any, at: int, length: int, found: Blocks) -> int | None:
    """Take in the blocks of one of several files, the first one at a place; return its end, or None as `read` does."""
    layout: Layout | None = None
    extended: Layout | None = None
    stream.seek(at)
    while (head := stream.read(4)) and head[0] != _END and head != MAGIC[:4]:
        kind, size = head[0], int.from_bytes(head[1:], "little")
        at += 4
        inner = 0
        if kind == _SOUND:
            body = stream.read(2)
            layout, extended = extended or _layout(body[:1], body[1:]), None
            inner = 2
        elif kind == _NEW_SOUND:
            layout, inner = _new_layout(stream.read(12)), 12
        elif kind == _EXTENDED:
            extended = _extended(stream.read(4))
        elif kind == _SILENCE:
            body = stream.read(3)
            silent = _layout(body[2:], b"\0")
            found.parts.append((layout or silent, None, _resized(body, silent, layout or silent)))
            found.promised += (int.from_bytes(body[:2], "little") + 1) / max(silent.sample_rate, 1)
        elif kind == _TEXT:
            found.texts.append(text(stream.read(min(size, _MOST_TEXT))))
        if kind in (_SOUND, _NEW_SOUND, _MORE):
            if layout is None or layout.kind is None:
                return None
            layout.check(name)
            if kind == _NEW_SOUND and _is_of_sox(stream, at + size, length):
                size += _SOX_SHORT
            found.parts.append((layout, at + inner, max(min(size, length - at) - inner, 0)))
            found.promised += max(size - inner, 0) / layout.rate
        at += size
        found.is_cut = at > length
        stream.seek(at)
    # Not all have an end.
    return at if head == MAGIC[:4] else min(at + 1, length)


def _following(stream: Any, end: int, length: int, found: Blocks) -> int | None:
    """Return where another VOC file begins behind one; None: it does not, and another kind of file is noted."""
    stream.seek(end)
    head = stream.read(behind.ENOUGH)
    if head.startswith(MAGIC):
        return end
    if behind.begins(head):
        found.left_out = length - end
    return None


def _is_of_sox(stream: Any, end: int, length: int) -> bool:
    """Whether a block is said to end 8 bytes before it does: SoX 14.4.2 counts 4 of its 12 bytes of head."""
    stream.seek(end)
    rest = stream.read(_SOX_SHORT + 1 + len(MAGIC))
    is_last = len(rest) == _SOX_SHORT + 1 or rest.endswith(MAGIC)
    # Another block and its end could be as long.
    return is_last and rest[_SOX_SHORT] == _END and int.from_bytes(rest[1:4], "little") != _SOX_SHORT - 4


def _layout(divisor: bytes, coding: bytes) -> Layout:
    rate = round(1_000_000 / (256 - divisor[0])) if divisor else 0
    return Layout("voc", _KINDS.get(coding[0]) if coding else None, rate, 1)


def _new_layout(body: bytes) -> Layout:
    if len(body) < 12:
        return Layout("voc", None, 0, 0)
    coding = _KINDS.get(int.from_bytes(body[6:8], "little"))
    return Layout("voc", coding, int.from_bytes(body[:4], "little"), body[5])


def _extended(body: bytes) -> Layout | None:
    """Return what the next old block of sound is to be read by instead of its own word."""
    if len(body) < 4:
        return None
    channels = body[3] + 1
    rate = round(256_000_000 / (65536 - int.from_bytes(body[:2], "little")) / channels)
    return Layout("voc", _KINDS.get(body[2]), rate, channels)


def _resized(body: bytes, silent: Layout, layout: Layout) -> int:
    """Return the samples of a silence, of its own rate, at that of the sound."""
    samples = int.from_bytes(body[:2], "little") + 1
    return round(samples * layout.sample_rate / max(silent.sample_rate, 1))


class VocReader:
    """The blocks, one after the other, at the rate and with the channels of the first; attributes as of `PcmReader`."""

    def __init__(self, stream: Any, blocks: Blocks, close: Callable[[], None]) -> None:
        """Read blocks from `read` out of their stream."""
        self._stream, self._blocks, self._close = stream, blocks, close
        first = blocks.parts[0][0]
        self.sample_rate, self.channels = first.sample_rate, first.channels
        self.expected_seconds: float | None = blocks.promised
        self.damage: list[str] = []
        comment = "\n".join(blocks.texts)
        self.tags = [("comment", comment)] if comment else []
        self.chapters: list[tuple[float, str]] = []

    def close(self) -> None:
        """Close the input."""
        self._close()

    def blocks(self) -> Iterator[Waveform]:
        """Yield float32 [channels, samples]."""
        adapter, done = Adapter(self.sample_rate, self.channels), 0
        for layout, at, size in self._blocks.parts:
            for block in self._samples(layout, at, size):
                for out in adapter.push(block, layout.sample_rate):
                    done += out.shape[1]
                    yield out
        yield from adapter.finish()
        if self._blocks.is_cut:
            # Of several blocks nobody says how many there were to be.
            only = len(self._blocks.parts) == 1
            rate = self.sample_rate
            self.damage.append(cut_off(done / rate, self._blocks.promised, rate) if only else CUT_INSIDE)
        if self._blocks.left_out:
            self.damage.append(behind.left_out(self._blocks.left_out))

    def _samples(self, layout: Layout, at: int | None, size: int) -> Iterator[Waveform]:
        step = block_samples(layout.sample_rate)
        if at is None:
            for start in range(0, size, step):
                yield np.zeros((layout.channels, min(step, size - start)), dtype=np.float32)
            return
        self._stream.seek(at)
        left = size - size % layout.width
        while left > 0 and (data := self._stream.read(min(step * layout.width, left))):
            left -= len(data)
            whole = len(data) - len(data) % layout.width
            yield np.ascontiguousarray(decoded(data[:whole], str(layout.kind)).reshape(-1, layout.channels).T)
