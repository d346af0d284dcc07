"""Header, checksums and the whole file: magic, version, fields, header CRC, payload, file CRC.

Nothing is allocated on the word of the header: its claims are compared with the bytes at hand first.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream.packing import pack_codes, payload_bytes, unpack_codes
from gritcodec.errors import CorruptFileError, FormatError, UnsupportedVersionError, UsageError

MAGIC = b"GRIT"
VERSION = 1
FINGERPRINT_BYTES = 8
# The file bounds the payload; these two bound what can be decoded from it: see docs/bitstream.md.
MAX_CHANNELS = 255
MAX_SAMPLE_RATE = 768_000
MAX_STAGES = 255
MAX_SAMPLES = (1 << 48) - 1
_CRC_BYTES = 4
# No header is longer: magic, version, fingerprint, varints of 3 + 2 + 7 + 7 + 2 bytes, code width, CRC.
HEADER_LIMIT = 4 + 1 + FINGERPRINT_BYTES + 21 + 1 + _CRC_BYTES


@dataclass(frozen=True)
class Header:
    """What a .grit file says before its codes.

    Attributes:
        fingerprint: 8 bytes that name the model's weights.
        sample_rate: of the original audio, in Hz, 1 to 768000.
        channels: 1 to 255.
        num_samples: samples in each channel of the original, exact.
        stages: quantizer stages kept, 1 to 255.
        frames: frames in each channel.
        code_bits: bits a code, 1 to 16.
    """

    fingerprint: bytes
    sample_rate: int
    channels: int
    num_samples: int
    stages: int
    frames: int
    code_bits: int

    @property
    def payload_bytes(self) -> int:
        """Bytes of packed codes that follow the header."""
        return payload_bytes(self.channels, self.stages, self.frames, self.code_bits)

    @property
    def seconds(self) -> float:
        """Duration of the original audio."""
        return self.num_samples / self.sample_rate

    def problem(self) -> str | None:
        """Return what is wrong with the values, or None: the one rule that writer and reader share."""
        limits = (
            ("sample rate", self.sample_rate, 1, MAX_SAMPLE_RATE),
            ("number of channels", self.channels, 1, MAX_CHANNELS),
            ("number of samples", self.num_samples, 0, MAX_SAMPLES),
            ("number of stages", self.stages, 1, MAX_STAGES),
            ("number of frames", self.frames, 0, MAX_SAMPLES),
            ("width of a code in bits", self.code_bits, 1, 16),
        )
        for what, value, low, high in limits:
            if not low <= value <= high:
                return f"its {what} is {value:,}, and must be from {low:,} to {high:,}"
        if (self.num_samples == 0) != (self.frames == 0):
            return f"it claims {self.num_samples:,} samples in {self.frames:,} frames"
        return None


def assemble(header: Header, payload: bytes) -> bytes:
    """Return the whole file for codes that `pack_codes` has packed already.

    Args:
        header: with values in range, and frames that agree with the payload.
        payload: exactly `header.payload_bytes` bytes.

    Raises:
        UsageError: a value is out of range (for instance more than 255 channels).
        ValueError: the payload or the fingerprint has another length.
    """
    problem = header.problem()
    if problem is not None:
        raise UsageError(f"this cannot be a .grit file: {problem}")
    if len(header.fingerprint) != FINGERPRINT_BYTES or len(payload) != header.payload_bytes:
        raise ValueError("fingerprint or payload of the wrong length")
    fields = (header.sample_rate, header.channels, header.num_samples, header.frames, header.stages)
    head = MAGIC + bytes([VERSION]) + header.fingerprint
    head += b"".join(map(_varint, fields)) + bytes([header.code_bits])
    head += _crc(head)
    return head + payload + zlib.crc32(payload, zlib.crc32(head)).to_bytes(_CRC_BYTES, "little")


def pack(header: Header, codes: NDArray[np.integer]) -> bytes:
    """Return the whole file for codes [channels, stages, frames]; errors: `assemble`, `pack_codes`."""
    return assemble(header, pack_codes(codes, header.code_bits))


def parse(data: bytes | memoryview) -> tuple[Header, memoryview]:
    """Check a whole file, down to its last byte, without unpacking its codes.

    Args:
        data: all bytes of the file.

    Returns:
        The header, and the payload as a view into `data`.

    Raises:
        FormatError: not a .grit file, or a header that no writer writes.
        UnsupportedVersionError: a later version of the format.
        CorruptFileError: cut short, longer than it should be, or changed.
    """
    view = memoryview(data)
    header, start = _parse_header(view)
    end = start + header.payload_bytes
    have, need = len(view), end + _CRC_BYTES
    if have < need:
        raise CorruptFileError(f"the file is cut short: {have:,} of {need:,} bytes are there")
    if have > need:
        raise CorruptFileError(f"the file goes on after its end: {need:,} bytes expected, {have:,} found")
    if zlib.crc32(view[:end]) != int.from_bytes(view[end:], "little"):
        raise CorruptFileError("the file is damaged: its checksum does not match its contents")
    return header, view[start:end]


def unpack(data: bytes | memoryview) -> tuple[Header, NDArray[np.uint16]]:
    """Check a whole file; return header and codes uint16 [channels, stages, frames]; errors: `parse`."""
    header, payload = parse(data)
    return header, unpack_codes(payload, header.channels, header.stages, header.frames, header.code_bits)


def _parse_header(view: memoryview) -> tuple[Header, int]:
    """Return the header and the position of the first payload byte."""
    if not len(view):
        raise FormatError("not a .grit file: it is empty")
    if bytes(view[: len(MAGIC)]) != MAGIC[: len(view)]:
        raise FormatError("not a .grit file: it does not begin with GRIT")
    if len(view) <= len(MAGIC):
        raise _cut_in_header(view)
    version = view[len(MAGIC)]
    if version != VERSION:
        raise UnsupportedVersionError(
            f"this is a .grit file of format version {version}, and this release reads version {VERSION}: "
            "a newer gritcodec may read it, unless the file is damaged"
        )
    position = len(MAGIC) + 1 + FINGERPRINT_BYTES
    fingerprint = bytes(view[len(MAGIC) + 1 : position])
    fields = []
    for _ in range(5):
        value, position = _read_varint(view, position)
        fields.append(value)
    end = position + 1 + _CRC_BYTES
    if len(view) < end:
        raise _cut_in_header(view)
    if bytes(view[position + 1 : end]) != _crc(view[: position + 1]):
        raise CorruptFileError("the file is damaged: the checksum of its header does not match")
    sample_rate, channels, num_samples, frames, stages = fields
    header = Header(fingerprint, sample_rate, channels, num_samples, stages, frames, view[position])
    problem = header.problem()
    if problem is not None:
        raise FormatError(f"the header of this .grit file makes no sense: {problem}")
    return header, end


def _cut_in_header(view: memoryview) -> CorruptFileError:
    return CorruptFileError(f"the file is cut short: it ends inside its header, after {len(view)} bytes")


def _crc(data: bytes | memoryview) -> bytes:
    return zlib.crc32(data).to_bytes(_CRC_BYTES, "little")


def _varint(value: int) -> bytes:
    """Return an unsigned integer in groups of 7 bits, lowest first, top bit set in all bytes but the last."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(view: memoryview, position: int) -> tuple[int, int]:
    """Return the value and the position after it."""
    value = 0
    for shift in range(0, 49, 7):
        if position >= len(view):
            raise _cut_in_header(view)
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise CorruptFileError("the file is damaged: a number in its header does not end")
