"""Streams that follow each other in one file: whole, at the rate and with the channels of the first."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np

from gritcodec.containers import comments
from gritcodec.errors import AudioError
from gritcodec.sound import ogg, tags
from gritcodec.sound.libsndfile import Handle, Part, SndReader, part_blocks
from gritcodec.sound.resampling import Resampler
from gritcodec.sound.waveforms import Waveform


class Adapter:
    """Turns blocks of changing rates and channels into those of one rate and number of channels."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        """Give out blocks [channels, samples] at `sample_rate`."""
        self._rate, self._channels = sample_rate, channels
        self._in_rate, self._resampler = sample_rate, Resampler(sample_rate, sample_rate, channels)
        self._taken = self._given = 0

    def push(self, block: Waveform, sample_rate: int) -> Iterator[Waveform]:
        """Yield what a block gives, which may be of another rate or other channels than the last one."""
        if sample_rate != self._in_rate:
            yield from self.finish()
            self._in_rate, self._resampler = sample_rate, Resampler(sample_rate, self._rate, self._channels)
        block = with_channels(block, self._channels)
        self._taken += block.shape[1]
        out = self._resampler.push(block)
        self._given += out.shape[1]
        if out.shape[1]:
            yield out

    def finish(self) -> Iterator[Waveform]:
        """Yield the rest of what has one rate."""
        total = -(-self._taken * self._rate // self._in_rate)
        rest = self._resampler.finish(total) if self._in_rate != self._rate else None
        self._taken = self._given = 0
        if rest is not None and rest.shape[1]:
            yield rest


def with_channels(block: Waveform, channels: int) -> Waveform:
    """Return a block with so many channels: one is copied, several become their mean."""
    if block.shape[0] == channels:
        return block
    mono = block.mean(axis=0, keepdims=True, dtype=np.float32)
    return np.repeat(mono, channels, axis=0)


class ChainReader:
    """The links of an Ogg file; attributes as of `PcmReader`."""

    def __init__(self, name: str, links: list[ogg.Link], skipped: int, close: Callable[[], None]) -> None:
        """Read links from `ogg.links`.

        Raises:
            AudioError: libsndfile does not read one of them.
        """
        self._name, self._links, self._close, self._skipped = name, links, close, skipped
        self._first = [_parts(name, links[0])]
        for link in links[1:]:
            for part in _parts(name, link)[0]:
                part.handle.close()
        handle = self._first[0][0][0].handle
        self.sample_rate, self.channels = handle.sample_rate, handle.channels
        self.damage: list[str] = []
        self.tags, self.chapters = tags.chapters(list(comments.pairs(links[0].comments())))
        self.expected_seconds: float | None = sum(link.promised_seconds(self.sample_rate) for link in links[:1])

    def close(self) -> None:
        """Close the input."""
        self._close()

    def blocks(self) -> Iterator[Waveform]:
        """Yield float32 [channels, samples] of all links."""
        adapter = Adapter(self.sample_rate, self.channels)
        done, last = 0, len(self._links) - 1
        for number, link in enumerate(self._links):
            parts, flac = self._first.pop() if number == 0 else _parts(self._name, link)
            rate = parts[0].handle.sample_rate
            offset = done / self.sample_rate
            blocks = flac.blocks() if flac is not None else part_blocks(parts, self.damage, offset)
            for block in blocks:
                for out in adapter.push(block, rate):
                    done += out.shape[1]
                    yield out
            if flac is not None:
                self.damage += flac.damage
                flac.close()
            if link.is_cut:
                what = "cut off" if number == last else f"stream {number + 1} of {last + 1} is cut off"
                self.damage.append(f"{what}: it ends at {done / self.sample_rate:.2f} s without an end of the stream")
        yield from adapter.finish()
        if self._skipped and not self.damage:
            self.damage.append(f"{self._skipped:,} bytes between the pages are damaged")


def _parts(name: str, link: ogg.Link) -> tuple[list[Part], SndReader | None]:
    """Return what reads a link: parts of it; or of FLAC the reader of all of it."""
    if link.codec == ogg.SPEEX:
        raise AudioError(f"cannot read {name} as audio: libsndfile reads no Speex")
    if link.codec == ogg.FLAC:
        handle = Handle(name, None, io.BytesIO(ogg.native_flac(link)))
        return [Part(handle, None)], SndReader(handle, lambda: None)
    parts: list[Part] = []
    for data, end in ogg.segments(link):
        try:
            handle, is_lost = Handle(name, None, io.BytesIO(data)), False
        except AudioError:
            # A few packets behind a gap need not be enough for a decoder: they are lost with it.
            if not parts or end is None:
                raise
            handle, is_lost = parts[0].handle, True
        place = None if end is None else round(ogg.samples_at(link, end, handle.sample_rate))
        parts.append(Part(handle, place, is_lost))
    return parts, None
