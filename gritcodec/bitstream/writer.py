"""Codes, pauses and chunks into a .grit file: live, or all at once within a budget."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gritcodec.bitstream import plan
from gritcodec.bitstream.codings import coding_for
from gritcodec.bitstream.ending import Index
from gritcodec.bitstream.header import CHAINED, Header
from gritcodec.bitstream.items import (
    MAX_PAUSE_FRAMES,
    SPLICE,
    Chunk,
    Pause,
    build_chunk,
    build_packet,
    build_pause,
)
from gritcodec.bitstream.packing import CodeArray, Coding
from gritcodec.errors import UsageError


@dataclass(frozen=True)
class Body:
    """The codes of one packet, packed.

    Attributes:
        stages: quantizer stages in it.
        frames: frames in it.
        data: what `Coding.pack` gave.
    """

    stages: int
    frames: int
    data: bytes

    @classmethod
    def of(cls, coding: Coding, codes: CodeArray) -> "Body":
        """Pack codes [channels, stages, frames]; errors as in `Coding.pack`."""
        return cls(codes.shape[1], codes.shape[2], coding.pack(codes))


@dataclass(frozen=True)
class Gap:
    """Frames that are lost: they take no bytes, and a reader tells that they are missing."""

    frames: int


# What a file is made of; where a pause or chunk stood before, and its size there, do not matter.
Part = Body | Pause | Chunk | Gap


def pause_parts(frames: int, noise: bytes = b"") -> list[Pause]:
    """Return a pause of any length as the parts of a file that it takes."""
    whole, rest = divmod(frames, MAX_PAUSE_FRAMES)
    return [Pause(0, count, noise, 0) for count in [MAX_PAUSE_FRAMES] * whole + [rest] * (rest > 0)]


class Writer:
    """The bytes of one file, in order: `begin`, `add` for every part, `finish`."""

    def __init__(self, header: Header) -> None:
        """Begin a file; the header's number of samples is None where it is not known yet."""
        self._header = header
        self._index = Index()
        self._header_bytes = len(header.to_bytes())

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self._index.frames

    def begin(self) -> bytes:
        """Return the header's bytes; errors as in `Header.to_bytes`."""
        return self._header.to_bytes()

    def add(self, part: Part) -> bytes:
        """Return the bytes of the next packet, pause or chunk."""
        start = self._index.frames
        if isinstance(part, Body):
            data = build_packet(start, part.stages, part.frames, self._header, part.data)
            self._index.packet(len(data), part.frames)
        elif isinstance(part, Pause):
            data = build_pause(start, part.frames, part.noise, self._header)
            self._index.other(len(data), part.frames)
        elif isinstance(part, Gap):
            data = b""
            self._index.other(0, part.frames)
        else:
            data = build_chunk(start, part.mark, part.payload, self._header)
            self._index.chunk(len(data), part.mark == SPLICE)
        return data

    def finish(self, num_samples: int) -> bytes:
        """Return the end of the file; `num_samples` as in `Header`, exact."""
        return self._index.ending(replace(self._header, num_samples=num_samples), self._header_bytes)


class LiveWriter(Writer):
    """A file whose length nobody knows yet, within its bitrate at every moment from 10 s on."""

    def __init__(self, header: Header, kbps: float) -> None:
        """Begin a file; the header's stages are the most that a packet may have, its number of samples is None."""
        super().__init__(header)
        self._coding = coding_for(header)
        self._kbps = kbps
        self._spent = 0

    def room(self, frames: int) -> float:
        """Return the bytes that the body of a packet of so many frames may have next."""
        total = self._index.frames + frames
        return plan.live_room(self._header, self._kbps, total, self._index.packets) - self._spent

    def add(self, part: Part) -> bytes:
        """Return the bytes of the next part, a packet with as many stages as the bitrate has room for by now.

        Chained packets stay as they are: `room` tells beforehand.
        """
        if isinstance(part, Body) and self._header.coding != CHAINED:
            sizes = self._coding.sizes(part.data, part.stages, part.frames)
            room = self.room(part.frames)
            keep = sum(size <= room for size in sizes[: self._header.stages])
            part = cut(self._coding, part, max(keep, 1))
        data = super().add(part)
        self._spent += len(data)
        return data


def cut(coding: Coding, body: Body, keep: int) -> Body:
    """Return a body with `keep` stages, or fewer where it has not that many."""
    if keep >= body.stages:
        return body
    return Body(keep, body.frames, coding.cut(body.data, body.stages, body.frames, keep))


def assemble(header: Header, parts: Iterable[Part], ended: bool = True) -> bytes:
    """Return a whole file with all stages of all packets.

    Args:
        header: with the number of samples; its stages are set to the most that any packet has, 1 without any.
        parts: packets, pauses and chunks, in order.
        ended: whether it gets its end; a file that was cut has none.

    Raises:
        UsageError: a value of the header is out of range.
    """
    parts = list(parts)
    header = replace(header, stages=max((part.stages for part in parts if isinstance(part, Body)), default=1))
    if header.num_samples is None or header.bare:
        raise ValueError("only a live stream may leave the number of samples open, or checks out")
    writer = Writer(header)
    pieces = [writer.begin(), *map(writer.add, parts), writer.finish(header.num_samples) if ended else b""]
    return b"".join(pieces)


def assemble_within(
    header: Header, parts: Sequence[Part], kbps: float | None = None, limit: int | None = None, ended: bool = True
) -> bytes:
    """Return a whole file that keeps to a bitrate or a size, by leaving out stages of some packets.

    Args:
        header: with the number of samples.
        parts: packets with at least the stages that the budget allows, pauses and chunks, in order.
        kbps: see `plan.for_bitrate`.
        limit: bytes that the file may have, instead of a bitrate.
        ended: see `assemble`.

    Raises:
        UsageError: one stage alone takes more than `limit`.
    """
    coding = coding_for(header)
    bodies = [part for part in parts if isinstance(part, Body)]
    sizes = [coding.sizes(body.data, body.stages, body.frames) for body in bodies]
    around = _around(header, parts)
    if limit is not None:
        stages = plan.for_size(header, sizes, around, limit)
    elif kbps is not None:
        stages = plan.for_bitrate(_as_long_as_there(header, parts, ended), sizes, around, kbps)
    else:
        raise ValueError("kbps or limit must be given")
    kept = iter([cut(coding, body, int(keep)) for body, keep in zip(bodies, stages, strict=True)])
    data = assemble(header, [next(kept) if isinstance(part, Body) else part for part in parts], ended)
    if limit is not None and len(data) > limit:
        raise UsageError(f"this recording takes {len(data):,} bytes at least, and may take {limit:,}")
    return data


def _as_long_as_there(header: Header, parts: Sequence[Part], ended: bool) -> Header:
    """Return a header without the time that is lost: what is left gets no more bytes for it."""
    if ended and not any(isinstance(part, Gap) for part in parts):
        return header
    frames = sum(part.frames for part in parts if isinstance(part, Body | Pause))
    there = frames * 100 * header.sample_rate // header.frame_rate
    return replace(header, num_samples=min(header.num_samples or 0, there))


def _around(header: Header, parts: Sequence[Part]) -> plan.Frame:
    """Return what a file holds beside the bodies of its packets."""
    frames, others, chunks, splices = [], [[0, 0]], 0, 0
    for part in parts:
        if isinstance(part, Body):
            frames.append(part.frames)
            others.append([0, 0])
        elif isinstance(part, Pause):
            others[-1][0] += len(build_pause(0, part.frames, part.noise, header))
            others[-1][1] += part.frames
        elif isinstance(part, Gap):
            others[-1][1] += part.frames
        else:
            others[-1][0] += len(build_chunk(0, part.mark, part.payload, header))
            chunks += 1
            splices += part.mark == SPLICE
    return plan.Frame(np.array(frames, dtype=np.int64), np.array(others, dtype=np.int64), chunks, splices)
