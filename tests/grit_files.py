"""Small .grit files with random codes: what tests of the format are made of."""

import io
from dataclasses import replace

import numpy as np

from gritcodec import bitstream
from gritcodec.bitstream import Body, Chunk, Header, Pause, varint
from gritcodec.bitstream.crc import crc32c
from gritcodec.bitstream.header import MAGIC
from gritcodec.bitstream.items import MARK, mark_payload

FINGERPRINT = bytes.fromhex("0123456789abcdef")


def make(channels=1, stages=3, frames=70, bits=10, rate=16000, samples=None, seed=0, kbps=None, **fields):
    """Return header, codes [channels, stages, frames] and the file with all stages, or within a bitrate."""
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (channels, stages, frames))
    header = Header(FINGERPRINT, rate, channels, frames * 320 if samples is None else samples, stages, bits, **fields)
    bodies = list(pack(header, codes))
    data = bitstream.assemble(header, bodies) if kbps is None else bitstream.assemble_within(header, bodies, kbps)
    return header, codes, data


def pack(header, codes):
    """Yield the packets of codes."""
    coding = bitstream.coding_for(header)
    for start in range(0, codes.shape[2], header.packet_frames):
        part = codes[:, :, start : start + header.packet_frames]
        yield Body(part.shape[1], part.shape[2], coding.pack(part))


def mixed(kinds, seed=0, stages=3, **fields):
    """Return a header and the parts of a file: p packet, f one of fewer frames, s silence, n noise, m mark, u and x
    chunks that nobody knows, which are safe to copy or not."""
    draw = np.random.default_rng(seed)
    header = Header(FINGERPRINT, 16000, fields.pop("channels", 1), 0, stages, **fields)
    coding = bitstream.coding_for(header)
    parts = []
    for number, kind in enumerate(kinds):
        if kind in "pf":
            frames = header.packet_frames if kind == "p" else int(draw.integers(1, header.packet_frames + 1))
            shape = header.channels, int(draw.integers(1, stages + 1)), frames
            parts.append(Body.of(coding, draw.integers(0, 1 << header.code_bits, shape)))
        elif kind in "sn":
            parts.append(Pause(0, int(draw.integers(1, 4097)), draw.bytes(5) if kind == "n" else b"", 0))
        elif kind == "m":
            parts.append(Chunk(0, MARK, mark_payload(number, f"Kapitel {number}"), 0))
        else:
            parts.append(Chunk(0, 0x05 if kind == "u" else 0x35, draw.bytes(int(draw.integers(0, 300))), 0))
    frames = sum(part.frames for part in parts)
    most = max((part.stages for part in parts if isinstance(part, Body)), default=1)
    return replace(header, num_samples=frames * 320, stages=most), parts


def read(data, strict=True):
    """Return header and codes of a file whose packets all have the same stages."""
    reader = bitstream.Reader(io.BytesIO(data), strict)
    empty = np.zeros((reader.header.channels, reader.header.stages, 0), dtype=np.uint16)
    codes = np.concatenate([empty, *(reader.codes(packet) for packet in reader.packets())], axis=2)
    return reader.header, codes


def contents_of(items):
    """What items hold, without places and sizes."""
    found = []
    for item in items:
        if isinstance(item, Pause):
            found.append(("pause", item.frames, item.noise))
        elif isinstance(item, Chunk):
            found.append(("chunk", item.mark, item.payload))
        else:
            body = item.data if isinstance(item, Body) else item.body
            found.append(("packet", item.frames, body and item.stages, body))
    return found


def field(key, value=b""):
    """A field of a header."""
    return varint.write(key) + varint.write(len(value)) + value


def forge(
    version=1, extra=b"", mark=(0 << 4) | 9, values=(16000, 1, 321, 1, 64, 5000), magic=MAGIC, items=b"", counts=()
):
    """A file with an honest checksum and whatever claims; counts: frames, packets, chunks and splices in its end."""
    rate, channels, samples, stages, frames, frame_rate = map(varint.write, values)
    head = magic + bytes([version]) + FINGERPRINT + rate + channels + samples + bytes([mark])
    head += stages + frames + frame_rate + varint.write(len(extra)) + extra
    head += crc32c(head).to_bytes(4, "little")
    end = b"\x80" + head + b"".join(map(varint.write, (len(head) + len(items), *(counts or (0, 0, 0, 0)))))
    end += (len(end) + 8).to_bytes(4, "little")
    return head + items + end + crc32c(end).to_bytes(4, "little")


def damaged(data, at):
    """Three files of which a byte is changed, lost, or added at a place."""
    yield data[:at] + bytes([data[at] ^ 0x24]) + data[at + 1 :]
    yield data[:at] + data[at + 1 :]
    yield data[:at] + b"\x42" + data[at:]


class Pipe(io.RawIOBase):
    """Bytes that come once, a few at a time."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self._stream.read(min(len(buffer), 1000))
        buffer[: len(piece)] = piece
        return len(piece)
