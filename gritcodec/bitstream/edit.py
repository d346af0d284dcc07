"""Files out of files, without a model: fewer stages, and one recording after another."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gritcodec.bitstream import plan
from gritcodec.bitstream.codings import coding_for
from gritcodec.bitstream.contexts import ContextModel
from gritcodec.bitstream.header import Header
from gritcodec.bitstream.packing import CodeArray
from gritcodec.bitstream.reader import Damage, Reader
from gritcodec.bitstream.writer import Body, LiveWriter, assemble, assemble_within
from gritcodec.errors import UsageError


@dataclass(frozen=True)
class Contents:
    """A whole file, read at once.

    Attributes:
        header: with the number of samples, unless the file is a live stream that was cut.
        live: whether the header at the beginning does not know the number of samples.
        bodies: of every packet; None where one was lost.
        damage: what was wrong; empty in a sound file.
        header_bytes: bytes of the header, which the end repeats.
        ending_bytes: bytes of the end.
        packet_bytes: bytes of all packets that could be read, their marks and checks included.
    """

    header: Header
    live: bool
    bodies: list[Body | None]
    damage: list[Damage]
    header_bytes: int
    ending_bytes: int
    packet_bytes: int


def read_contents(data: bytes, strict: bool = False) -> Contents:
    """Read all packets of a file; errors as in `Reader`.

    Args:
        data: the file.
        strict: whether any damage is an error.
    """
    reader = Reader(io.BytesIO(data), strict)
    live = reader.header.num_samples is None
    bodies: list[Body | None] = []
    size = 0
    for packet in reader.packets():
        size += packet.size
        bodies.append(None if packet.body is None else Body(packet.stages, packet.frames, packet.body))
    return Contents(reader.header, live, bodies, reader.damage, reader.header_bytes, reader.ending_bytes, size)


def whole_header(data: bytes) -> Header:
    """Return the header of a sound file, with the number of samples even where only the end knows it."""
    reader = Reader(io.BytesIO(data), strict=True)
    reader.learn_length()
    return reader.header


def truncate(data: bytes, kbps: float | None = None, limit: int | None = None) -> bytes:
    """Return the file that compressing at a lower bitrate would have given, by leaving out bytes.

    Args:
        data: a sound file.
        kbps: the bitrate of each channel, overhead included.
        limit: bytes that the file may have, instead of a bitrate.

    Raises:
        FormatError: not a .grit file, or a damaged one.
        UsageError: the file has not that many stages, or one stage is more than `limit`.
    """
    contents = read_contents(data, strict=True)
    header = contents.header
    bodies = [body for body in contents.bodies if body is not None]
    if kbps is None:
        return assemble_within(header, bodies, None, limit)
    stages = plan.nominal_stages(header, kbps)
    if not 1 <= stages <= header.stages:
        step = header.code_bits * header.frame_rate / 100_000
        raise UsageError(f"the file can be cut to {step:g} ... {header.stages * step:g} kbps, not to {kbps:g}")
    if not contents.live:
        return assemble_within(header, bodies, kbps)
    # A live stream's header names the most stages that its packets could have, not those that they came to have.
    most = min(plan.needed_stages(header, kbps, short=True), header.stages)
    writer = LiveWriter(replace(header, stages=most, num_samples=None), plan.nominal_kbps(header, kbps))
    return b"".join([writer.begin(), *map(writer.add, bodies), writer.finish(header.num_samples or 0)])


def join(files: Sequence[bytes], contexts: ContextModel | None = None) -> bytes:
    """Return a file that plays the given ones one after the other.

    Each recording but the last is followed by what fills up its last frame: 20 to 40 ms at 50 frames a second.
    A packet that spans two old ones has the stages that both have. Tags are the first file's.

    Args:
        files: one or more sound files of the same model, rate and channels.
        contexts: of the model that made them, for entropy-coded files.

    Raises:
        FormatError: one is not a .grit file, or damaged.
        UsageError: they differ in model, sample rate, channels or the layout of packets.
        WrongModelError: they are entropy-coded, and `contexts` are not their model's.
    """
    contents = [read_contents(data, strict=True) for data in files]
    first = contents[0].header
    for number, other in enumerate(contents[1:], start=2):
        _require_alike(first, other.header, number)
    frames = sum(body.frames for each in contents[:-1] for body in each.bodies if body is not None)
    last = contents[-1].header.num_samples or 0
    # An empty recording at the end has no frame of its own: the one before it ends with its own last sample.
    num_samples = frames * 100 * first.sample_rate // first.frame_rate + last
    header = replace(first, num_samples=num_samples)
    return assemble(header, _repacked(header, contents, contexts))


def _require_alike(first: Header, other: Header, number: int) -> None:
    for what, mine, its in (
        ("model", first.fingerprint.hex(), other.fingerprint.hex()),
        ("sample rate", first.sample_rate, other.sample_rate),
        ("number of channels", first.channels, other.channels),
        ("coding", first.coding, other.coding),
        ("width of codes", first.code_bits, other.code_bits),
        ("packet length", first.packet_frames, other.packet_frames),
        ("frame rate", first.frame_rate, other.frame_rate),
    ):
        if mine != its:
            raise UsageError(f"file {number} cannot be joined to the first: its {what} is {its}, not {mine}")


def _repacked(header: Header, contents: Sequence[Contents], contexts: ContextModel | None) -> Iterator[Body]:
    """Cut the packets of several files into packets anew."""
    coding = coding_for(header, contexts)
    waiting: list[CodeArray] = []
    for body in (body for each in contents for body in each.bodies if body is not None):
        waiting.append(coding.unpack(body.data, body.stages, body.frames))
        while (frames := sum(part.shape[2] for part in waiting)) >= header.packet_frames:
            packet, rest = _split(waiting, header.packet_frames)
            yield Body.of(coding, packet)
            waiting = [rest] if frames > header.packet_frames else []
    if waiting:
        packet, _ = _split(waiting, header.packet_frames)
        yield Body.of(coding, packet)


def _split(parts: list[CodeArray], frames: int) -> tuple[CodeArray, CodeArray]:
    """Return the first `frames` frames, with the stages that all of them have, and the rest of the last part."""
    taken: list[CodeArray] = []
    left = frames
    for part in parts:
        taken.append(part[:, :, :left])
        rest = part[:, :, left:]
        left -= taken[-1].shape[2]
    stages = min(part.shape[1] for part in taken)
    return np.concatenate([part[:, :stages] for part in taken], axis=2), rest
