"""Packets into a .grit file: live, or all at once within a budget."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gritcodec.bitstream import plan
from gritcodec.bitstream.codings import coding_for
from gritcodec.bitstream.ending import build_ending
from gritcodec.bitstream.header import Header
from gritcodec.bitstream.packet import build
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


class Writer:
    """The bytes of one file, in order: `begin`, `add` for every packet, `finish`."""

    def __init__(self, header: Header) -> None:
        """Begin a file; the header's number of samples is None where it is not known yet."""
        self._header = header
        self._sizes: list[int] = []

    def begin(self) -> bytes:
        """Return the header's bytes; errors as in `Header.to_bytes`."""
        return self._header.to_bytes()

    def add(self, body: Body) -> bytes:
        """Return the bytes of the next packet; all but the last have the header's number of frames."""
        packet = build(len(self._sizes), body.stages, body.frames, self._header.packet_frames, body.data)
        self._sizes.append(len(packet))
        return packet

    def finish(self, num_samples: int) -> bytes:
        """Return the end of the file; `num_samples` as in `Header`, exact."""
        return build_ending(replace(self._header, num_samples=num_samples), self._sizes)


class LiveWriter(Writer):
    """A file whose length nobody knows yet, within its bitrate at every moment from 10 s on."""

    def __init__(self, header: Header, kbps: float) -> None:
        """Begin a file; the header's stages are the most that a packet may have, its number of samples is None."""
        super().__init__(header)
        self._coding = coding_for(header)
        self._kbps = kbps
        self._frames = self._spent = 0

    def add(self, body: Body) -> bytes:
        """Return the bytes of the next packet, with as many stages as the bitrate has room for by now."""
        self._frames += body.frames
        room = plan.live_room(self._header, self._kbps, self._frames, len(self._sizes)) - self._spent
        sizes = self._coding.sizes(body.data, body.stages, body.frames)
        keep = sum(size <= room for size in sizes[: self._header.stages])
        packet = super().add(cut(self._coding, body, max(keep, 1)))
        self._spent += len(packet)
        return packet


def cut(coding: Coding, body: Body, keep: int) -> Body:
    """Return a body with `keep` stages, or fewer where it has not that many."""
    if keep >= body.stages:
        return body
    return Body(keep, body.frames, coding.cut(body.data, body.stages, body.frames, keep))


def assemble(header: Header, bodies: Iterable[Body]) -> bytes:
    """Return a whole file with all stages of all bodies.

    Args:
        header: with the number of samples; its stages are set to the most that any body has, 1 without any.
        bodies: of all packets, in order.

    Raises:
        UsageError: a value of the header is out of range.
    """
    bodies = list(bodies)
    header = replace(header, stages=max((body.stages for body in bodies), default=1))
    if header.num_samples is None:
        raise ValueError("only a live stream may leave the number of samples open")
    writer = Writer(header)
    pieces = [writer.begin(), *map(writer.add, bodies), writer.finish(header.num_samples)]
    return b"".join(pieces)


def assemble_within(
    header: Header, bodies: Sequence[Body], kbps: float | None = None, limit: int | None = None
) -> bytes:
    """Return a whole file that keeps to a bitrate or a size, by leaving out stages of some packets.

    Args:
        header: with the number of samples.
        bodies: of all packets, in order, with at least the stages that the budget allows.
        kbps: see `plan.for_bitrate`.
        limit: bytes that the file may have, instead of a bitrate.

    Raises:
        UsageError: one stage alone takes more than `limit`.
    """
    coding = coding_for(header)
    sizes = [coding.sizes(body.data, body.stages, body.frames) for body in bodies]
    frames = [body.frames for body in bodies]
    if limit is not None:
        stages = plan.for_size(header, sizes, limit)
    elif kbps is not None:
        stages = plan.for_bitrate(header, sizes, frames, kbps)
    else:
        raise ValueError("kbps or limit must be given")
    kept = [cut(coding, body, int(keep)) for body, keep in zip(bodies, stages, strict=True)]
    data = assemble(header, kept)
    if limit is not None and len(data) > limit:
        raise UsageError(f"this recording takes {len(data):,} bytes at least, and may take {limit:,}")
    return data
