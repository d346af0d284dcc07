"""The .grit format: round trips, a reader written from docs/bitstream.md alone, damaged and hostile bytes."""

import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gritcodec import bitstream
from gritcodec.bitstream import Header
from gritcodec.errors import CorruptFileError, FormatError, UnsupportedVersionError, UsageError

FINGERPRINT = bytes.fromhex("0123456789abcdef")


def make(channels=1, stages=3, frames=70, bits=10, rate=16000, samples=None, seed=0):
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (channels, stages, frames))
    samples = frames * 320 if samples is None else samples
    header = Header(FINGERPRINT, rate, channels, samples, stages, frames, bits)
    return header, codes, bitstream.pack(header, codes)


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def forge(rate=16000, channels=1, samples=320, frames=1, stages=1, bits=10, payload=b"\0\0", version=1):
    """A file with honest checksums and whatever claims."""
    head = b"GRIT" + bytes([version]) + FINGERPRINT
    head += b"".join(map(varint, (rate, channels, samples, frames, stages))) + bytes([bits])
    head += zlib.crc32(head).to_bytes(4, "little")
    return head + payload + zlib.crc32(head + payload).to_bytes(4, "little")


def read_by_the_book(data):
    """Decode a file with nothing but the words of docs/bitstream.md."""
    assert data[:4] == b"\x47\x52\x49\x54" and data[4] == 1
    position, fields = 13, []
    for _ in range(5):
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        fields.append(value)
    bits = data[position]
    position += 1
    assert int.from_bytes(data[position : position + 4], "little") == zlib.crc32(data[:position])
    assert int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4])
    rate, channels, samples, frames, stages = fields
    payload = data[position + 4 : -4]
    assert len(payload) == -(-channels * stages * frames * bits // 8)
    stream = int.from_bytes(payload, "big")
    left = 8 * len(payload)
    codes = np.zeros((channels, stages, frames), dtype=int)
    for first in range(0, frames, 64):
        for channel in range(channels):
            for stage in range(stages):
                for frame in range(first, min(first + 64, frames)):
                    left -= bits
                    codes[channel, stage, frame] = stream >> left & ((1 << bits) - 1)
    return Header(data[5:13], rate, channels, samples, stages, frames, bits), codes


@settings(max_examples=80, deadline=None)
@given(
    channels=st.integers(1, 5),
    stages=st.integers(1, 13),
    frames=st.integers(0, 200),
    bits=st.integers(1, 16),
    rate=st.integers(1, bitstream.MAX_SAMPLE_RATE),
    samples=st.integers(1, 2**48 - 1),
    seed=st.integers(0, 99),
)
def test_round_trip(channels, stages, frames, bits, rate, samples, seed):
    header, codes, data = make(channels, stages, frames, bits, rate, samples if frames else 0, seed)
    found, read = bitstream.unpack(data)
    assert found == header
    assert read.dtype == np.uint16 and np.array_equal(read, codes)
    assert len(data) <= bitstream.HEADER_LIMIT + header.payload_bytes + 4


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 12, 64), (2, 3, 65), (8, 1, 200), (1, 6, 1000)])
@pytest.mark.parametrize("bits", [1, 7, 10, 16])
def test_layout_is_the_documented_one(shape, bits):
    header, codes, data = make(*shape, bits=bits)
    found, read = read_by_the_book(data)
    assert found == header and np.array_equal(read, codes)


def test_golden_bytes():
    """These bytes must decode to these codes for as long as version 1 is read."""
    header = Header(FINGERPRINT, 44100, 1, 1000, 2, 3, 10)
    codes = np.array([[[1, 2, 3], [1023, 0, 512]]])
    data = bytes.fromhex(
        "47524954010123456789abcdef"  # magic, version, fingerprint
        "c4d80201e80703020a7643ffdb"  # 44100 Hz, 1 channel, 1000 samples, 3 frames, 2 stages, 10 bits, CRC
        "0040200fff002000a203a3f1"  # codes, CRC
    )
    assert bitstream.pack(header, codes) == data
    found, read = bitstream.unpack(data)
    assert found == header and np.array_equal(read, codes)


def test_pieces_join():
    """Chunks of whole packets are packed one by one: what flat memory in long files rests on."""
    _, codes, _ = make(2, 4, 64 * 5 + 9)
    whole = bitstream.pack_codes(codes, 10)
    pieces = [bitstream.pack_codes(codes[:, :, start : start + 128], 10) for start in range(0, 329, 128)]
    assert b"".join(pieces) == whole


def test_stages_can_be_peeled_bytewise():
    """In a whole packet each stage fills whole bytes, the coarse ones first."""
    _, codes, _ = make(1, 6, 128)
    six, two = bitstream.pack_codes(codes, 10), bitstream.pack_codes(codes[:, :2], 10)
    packets = [six[start : start + 2 * 80] for start in range(0, len(six), 6 * 80)]
    assert b"".join(packets) == two


def test_overhead_is_small():
    header, _, data = make(stages=6, frames=3001, samples=60 * 16000)
    assert len(data) - header.payload_bytes == 31
    assert len(data) * 8 / 60 <= 3010


def test_every_single_byte_flip_is_detected():
    _, _, data = make(stages=2, frames=10)
    for position in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            broken = bytearray(data)
            broken[position] ^= flip
            with pytest.raises(FormatError):
                bitstream.unpack(bytes(broken))


def test_every_truncation_is_detected():
    _, _, data = make(stages=2, frames=10)
    for length in range(len(data)):
        with pytest.raises(CorruptFileError if length else FormatError, match=r"cut short|empty"):
            bitstream.unpack(data[:length])


def test_anything_after_the_end_is_detected():
    _, _, data = make()
    with pytest.raises(CorruptFileError, match="goes on after its end"):
        bitstream.unpack(data + b"\0")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_random_bytes_are_refused(data):
    for candidate in (data, b"GRIT" + data, b"GRIT\x01" + data):
        with pytest.raises(FormatError):
            bitstream.unpack(candidate)


def test_not_ours():
    with pytest.raises(FormatError, match=r"not a \.grit file"):
        bitstream.parse(b"RIFF" + bytes(100))


def test_later_version():
    with pytest.raises(UnsupportedVersionError, match="format version 2"):
        bitstream.parse(forge(version=2))


@pytest.mark.parametrize(
    "claim",
    [
        {"channels": 0},
        {"channels": 256},
        {"rate": 0},
        {"rate": 768_001},
        {"stages": 0},
        {"stages": 256},
        {"bits": 0},
        {"bits": 17},
        {"samples": 2**48},
        {"samples": 0},
        {"frames": 0, "payload": b""},
    ],
)
def test_senseless_header(claim):
    with pytest.raises(FormatError, match="makes no sense"):
        bitstream.parse(forge(**claim))


def test_endless_varint():
    head = b"GRIT\x01" + FINGERPRINT + b"\xff" * 40
    with pytest.raises(CorruptFileError, match="does not end"):
        bitstream.parse(head)


@pytest.mark.parametrize("claim", [{"frames": 2**47}, {"frames": 1_800_000, "stages": 12, "channels": 255}])
def test_oversized_claim_allocates_nothing(claim):
    data = forge(**claim)
    tracemalloc.start()
    with pytest.raises(CorruptFileError, match="cut short"):
        bitstream.unpack(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_writer_refuses_what_no_reader_takes():
    codes = np.zeros((1, 1, 1), dtype=int)
    with pytest.raises(UsageError, match="number of channels"):
        bitstream.pack(Header(FINGERPRINT, 16000, 256, 320, 1, 1, 10), codes)
    with pytest.raises(ValueError, match="codes must be 0 to 1023"):
        bitstream.pack(Header(FINGERPRINT, 16000, 1, 320, 1, 1, 10), codes + 1024)
    with pytest.raises(ValueError, match="wrong length"):
        bitstream.pack(Header(FINGERPRINT, 16000, 1, 320, 1, 2, 10), codes)
