"""What the conformance vectors are built with: files in other codings and packets, changed and damaged ones."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import gritcodec
from gritcodec import bitstream
from gritcodec.bitstream import varint
from gritcodec.bitstream.crc import crc32c
from gritcodec.bitstream.header import header_layout

ROOT = Path(__file__).parents[2]
Samples = np.ndarray[Any, Any]
RATE = 16_000


@dataclass
class Vector:
    """A file and what it is for.

    Attributes:
        name: of its files.
        about: the rules that it covers.
        data: the file.
        sound: whether samples are kept.
        tolerance: of samples.
        plays: so many bytes of it, and more follow; None: all.
    """

    name: str
    about: str
    data: bytes
    sound: bool = False
    tolerance: float = 1e-3
    plays: int | None = None


def opened(codec: gritcodec.Codec, data: bytes) -> bitstream.Reader:
    """Return a reader of a file's codes."""
    reader = bitstream.Reader(io.BytesIO(data))
    reader.use(codec.contexts)
    return reader


def recoded(codec: gritcodec.Codec, data: bytes, coding: int, packet_frames: int = 64, vary: bool = False) -> bytes:
    """Return a file in another coding, its packets cut into ones of `packet_frames`; `vary`: of 1, 2, ... stages.

    In coding 2 every packet is a key packet, and field 5 is left out.
    """
    reader = opened(codec, data)
    parts: list[bitstream.Part] = []
    header = replace(reader.header, coding=coding, packet_frames=packet_frames, key_frames=None)
    packing = bitstream.coding_for(header, codec.contexts)
    for item in reader.items():
        if not isinstance(item, bitstream.Packet):
            parts.append(item)
            continue
        codes = reader.codes(item)
        assert codes is not None
        for start in range(0, item.frames, packet_frames):
            piece = codes[:, :, start : start + packet_frames]
            piece = piece[:, : 1 + len(parts) % piece.shape[1]] if vary else piece
            parts.append(bitstream.Body.of(packing, np.ascontiguousarray(piece)))
    return bitstream.assemble(header, parts)


def as_plain(codec: gritcodec.Codec, data: bytes, packet_frames: int = 64, vary: bool = False) -> bytes:
    """Return a file in coding 0; see `recoded`."""
    return recoded(codec, data, bitstream.PLAIN, packet_frames, vary)


def in_one_packet(codec: gritcodec.Codec, data: bytes) -> bytes:
    """Return a file whose frames are all in one packet, with the stages that all of them have."""
    reader = opened(codec, data)
    codes = [found for item in reader.items() if isinstance(item, bitstream.Packet) for found in [reader.codes(item)]]
    least = min(found.shape[1] for found in codes if found is not None)
    whole = np.concatenate([found[:, :least] for found in codes if found is not None], axis=2)
    header = replace(reader.header, packet_frames=whole.shape[2])
    return bitstream.assemble(header, [bitstream.Body.of(bitstream.coding_for(header, codec.contexts), whole)])


def live(codec: gritcodec.Codec, sound: Samples, rate: int = RATE, **more: Any) -> bytes:
    """Return a live stream with a mark in it."""
    encoder = codec.stream_encoder(rate, channels=len(sound), **more)
    half = sound.shape[1] // 2
    pieces = [*encoder.push(sound[:, :half]), encoder.mark("the middle"), *encoder.push(sound[:, half:])]
    return b"".join(pieces + encoder.flush())


def places(data: bytes) -> list[tuple[int, int]]:
    """Return where each item begins and how long it is."""
    contents = bitstream.read_contents(data)
    starts = np.cumsum([contents.header_bytes, *(item.size for item in contents.items)]).tolist()
    return [(start, item.size) for start, item in zip(starts, contents.items, strict=False)]


def sealed(data: bytes, change: Callable[[bytearray], None], fields: bytes = b"") -> bytes:
    """Return a file whose header was changed and has a right CRC; `fields` are added to its optional ones."""
    size = bitstream.read_contents(data).header_bytes
    header = bytearray(data[: size - 4])
    if fields:
        extra, start, _ = header_layout(data)
        header[extra:] = varint.write(len(header) - start + len(fields)) + bytes(header[start:]) + fields
    change(header)
    return bytes(header) + crc32c(bytes(header)).to_bytes(4, "little") + data[size:]


def flipped(data: bytes, at: int, by: int = 1) -> bytes:
    """Return data with a byte changed."""
    return data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]


def clip() -> Samples:
    """Speech, [1, samples]."""
    samples, rate = soundfile.read(ROOT / "gritcodec" / "clips" / "austen.flac", dtype="float32")
    assert rate == RATE
    return np.asarray(samples[None], np.float32)


def both_ways(short: Samples) -> Samples:
    """Return two channels of one."""
    return np.concatenate([short, short[:, ::-1]])
