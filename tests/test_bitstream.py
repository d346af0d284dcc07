"""The .grit format: round trips, budgets, truncating and joining."""

import io
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_by_the_book import crc_by_the_book, read_by_the_book

from gritcodec import bitstream
from gritcodec.bitstream import Body, Header, varint
from gritcodec.bitstream.crc import crc32c, extend, last_word
from gritcodec.bitstream.repair import repair_header
from gritcodec.errors import CorruptFileError, FormatError, UnsupportedVersionError, UsageError

FINGERPRINT = bytes.fromhex("0123456789abcdef")


def make(channels=1, stages=3, frames=70, bits=10, rate=16000, samples=None, seed=0, kbps=None, **fields):
    """Return header, codes [channels, stages, frames] and the file with all stages, or within a bitrate."""
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (channels, stages, frames))
    header = Header(FINGERPRINT, rate, channels, frames * 320 if samples is None else samples, stages, bits, **fields)
    bodies = list(pack(header, codes))
    data = bitstream.assemble(header, bodies) if kbps is None else bitstream.assemble_within(header, bodies, kbps)
    return header, codes, data


def pack(header, codes):
    coding = bitstream.coding_for(header)
    for start in range(0, codes.shape[2], header.packet_frames):
        part = codes[:, :, start : start + header.packet_frames]
        yield Body(part.shape[1], part.shape[2], coding.pack(part))


def read(data, strict=True):
    """Return header and codes of a file whose packets all have the same stages."""
    reader = bitstream.Reader(io.BytesIO(data), strict)
    empty = np.zeros((reader.header.channels, reader.header.stages, 0), dtype=np.uint16)
    codes = np.concatenate([empty, *(reader.codes(packet) for packet in reader.packets())], axis=2)
    return reader.header, codes


def forge(version=1, extra=b"", mark=(0 << 4) | 9, values=(16000, 1, 321, 1, 64, 5000)):
    """A header with an honest checksum and whatever claims, and an end that repeats it."""
    rate, channels, samples, stages, frames, frame_rate = map(varint.write, values)
    head = b"grit" + bytes([version]) + FINGERPRINT + rate + channels + samples + bytes([mark])
    head += stages + frames + frame_rate + varint.write(len(extra)) + extra
    head += crc32c(head).to_bytes(4, "little")
    end = b"\x80" + head + b"\0"
    end += (len(end) + 8).to_bytes(4, "little")
    return head + end + crc32c(end).to_bytes(4, "little")


@settings(max_examples=80, deadline=None)
@given(
    channels=st.integers(1, 5),
    stages=st.integers(1, 13),
    frames=st.integers(0, 200),
    bits=st.integers(1, 16),
    rate=st.integers(1, bitstream.MAX_SAMPLE_RATE),
    samples=st.integers(0, bitstream.MAX_SAMPLES),
    packet_frames=st.integers(1, 512),
    frame_rate=st.integers(1, 16_383),
    tags=st.lists(
        st.tuples(st.text(max_size=9).filter(lambda name: "=" not in name), st.text(max_size=40)), max_size=3
    ),
    seed=st.integers(0, 99),
)
def test_round_trip(channels, stages, frames, bits, rate, samples, packet_frames, frame_rate, tags, seed):
    fields = {"packet_frames": packet_frames, "frame_rate": frame_rate, "tags": tuple(tags)}
    header, codes, data = make(channels, stages, frames, bits, rate, samples, seed, **fields)
    found, read_codes = read(data)
    assert found == (header if frames else replace(header, stages=1))
    assert read_codes.dtype == np.uint16
    assert np.array_equal(read_codes, codes if frames else codes[:, :1])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, bitstream.MAX_SAMPLE_RATE),
    st.integers(0, 2**35 - 2),
    st.integers(1, 63),
    st.integers(1, 16),
    st.integers(1, 127),
    st.integers(1, 16_383),
)
def test_mono_headers_are_short(rate, samples, stages, bits, packet_frames, frame_rate):
    header = Header(FINGERPRINT, rate, 1, samples, stages, bits, packet_frames, frame_rate)
    data = header.to_bytes()
    assert len(data) <= 32
    assert bitstream.parse_header(data + b"more") == (header, len(data))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 12, 64), (2, 3, 65), (8, 1, 200), (1, 6, 1200)])
@pytest.mark.parametrize("bits", [1, 7, 10, 16])
def test_layout_is_the_documented_one(shape, bits):
    header, codes, data = make(*shape, bits=bits, tags=(("title", "Emma"),))
    found, read_codes = read_by_the_book(data)
    assert found == header and np.array_equal(read_codes, codes)


def test_crc32c():
    assert crc32c(b"123456789") == 0xE3069283 == crc_by_the_book(b"123456789")
    for number in (0, 1, 77, 2**31 + 5, 2**32 - 1):
        before = crc32c(b"some bytes")
        assert last_word(before, extend(before, number.to_bytes(4, "little"))) == number


def test_overhead_at_1500_bits_a_second():
    _header, _, data = make(stages=3, frames=3001, samples=60 * 16000, kbps=1.5)
    contents = bitstream.read_contents(data, strict=True)
    payload = sum(len(body.data) for body in contents.bodies)
    assert (len(data) - payload) / len(data) <= 0.03
    assert len(data) * 8 / 60 <= 1500


@settings(max_examples=60, deadline=None)
@given(
    st.integers(160_000, 4_000_000),
    st.integers(1, 3),
    st.floats(1.0, 6.0),
    st.floats(1.0, 6.0),
)
def test_budgets_are_kept_and_nested(samples, channels, low, high):
    low, high = sorted((low, high))
    frames = -(-(samples + 240) // 320)
    header, codes, best = make(channels, 12, frames, samples=samples, kbps=high)
    assert len(best) * 8 * 16 <= high * channels * samples + 1e-3
    expected = bitstream.assemble_within(header, list(pack(header, codes)), low)
    assert bitstream.truncate(best, low) == expected
    spare = low * channels * samples / 16 / 8 - len(expected)
    # Less than a block of each channel and its part of the index; bitrates count in whole bits a second.
    assert spare <= (90 + samples / 16_000 / 8) * channels


def test_stages_are_spread_evenly():
    _, _, data = make(stages=6, frames=64 * 400, kbps=2.75)
    stages = np.array([body.stages for body in bitstream.read_contents(data).bodies])
    assert set(stages) == {5, 6}
    runs = np.convolve(stages, np.ones(20) / 20, mode="valid")
    assert np.ptp(runs) <= 0.21


def test_truncating_to_a_size():
    _, _, data = make(stages=12, frames=2000)
    for limit in (20_000, 12_345, 4000):
        assert limit - 90 < len(bitstream.truncate(data, limit=limit)) <= limit
    with pytest.raises(UsageError, match="at least"):
        bitstream.truncate(data, limit=2000)


def test_truncating_refuses():
    _, _, data = make(stages=6, frames=2000)
    for kbps in (0.4, 3.6, 7.0):
        with pytest.raises(UsageError, match="can be cut to"):
            bitstream.truncate(data, kbps)
    with pytest.raises(CorruptFileError):
        bitstream.truncate(data[:-1], 1.0)


@pytest.mark.parametrize("lengths", [(70, 130), (64, 64), (1, 1, 1, 70), (0, 10), (10, 0), (5,)])
def test_join(lengths):
    parts = [make(2, 4, frames, seed=frames) for frames in lengths]
    header, codes = read(bitstream.join([data for _, _, data in parts]))
    assert np.array_equal(codes, np.concatenate([part[1] for part in parts], axis=2))
    assert header.num_samples == sum(lengths) * 320


def test_join_keeps_what_both_have():
    many, few = make(1, 6, 80), make(1, 2, 80)
    bodies = bitstream.read_contents(bitstream.join([many[2], few[2]]), strict=True).bodies
    assert [(body.stages, body.frames) for body in bodies] == [(6, 64), (2, 64), (2, 32)]


def test_join_refuses_what_differs():
    first = make()[2]
    for other, words in (
        (make(rate=8000)[2], "sample rate is 8000, not 16000"),
        (make(channels=2)[2], "number of channels"),
        (make(bits=9)[2], "width of codes"),
        (make(packet_frames=32)[2], "packet length"),
    ):
        with pytest.raises(UsageError, match=f"file 2 .*{words}"):
            bitstream.join([first, other])
    with pytest.raises(UsageError, match="model"):
        bitstream.join([first, bitstream.assemble(Header(bytes(8), 16000, 1, 0, 1), [])])


def test_live_streams_tell_their_length_at_the_end():
    header, codes, _ = make(stages=6, frames=700)
    writer = bitstream.LiveWriter(replace(header, num_samples=None), 3.0)
    pieces = [writer.begin(), *map(writer.add, pack(header, codes)), writer.finish(222_222)]
    reader = bitstream.Reader(io.BytesIO(b"".join(pieces)), strict=True)
    assert reader.header.num_samples is None
    assert len(list(reader.packets())) == 11 and reader.header.num_samples == 222_222
    assert bitstream.whole_header(b"".join(pieces)).num_samples == 222_222


def test_seeking_reads_little():
    _, codes, data = make(stages=3, frames=64 * 1000)

    class Counting(io.BytesIO):
        count = 0

        def read1(self, size=-1):
            piece = super().read1(min(size, 4096))
            Counting.count += len(piece)
            return piece

    reader = bitstream.Reader(Counting(data))
    reader.seek(777)
    packet = next(reader.packets())
    assert packet.number == 777
    assert np.array_equal(reader.codes(packet), codes[:, :, 777 * 64 : 778 * 64])
    assert Counting.count < 12_000 < len(data) / 10


@pytest.mark.parametrize("number", [0, 1, 7, 8, 9, 30, 31, 32, 500])
@pytest.mark.parametrize("lost", [0, 1, 60])
def test_seeking_with_and_without_the_index(number, lost):
    _, _, data = make(stages=2, frames=64 * 31 + 5)
    reader = bitstream.Reader(io.BytesIO(data[: len(data) - lost]))
    reader.seek(number)
    assert [packet.number for packet in reader.packets()] == list(range(number, 31 if lost == 60 else 32))


def test_not_ours():
    for data in (b"RIFF" + bytes(100), b"", b"g", b"grot" + bytes(100), bytes(1000)):
        with pytest.raises(FormatError, match=r"not a \.grit file|cut short"):
            bitstream.read_contents(data)


def test_pre_release():
    with pytest.raises(FormatError, match="made by a pre-release"):
        bitstream.read_contents(b"GRIT\x01" + bytes(100))


def test_later_version():
    with pytest.raises(UnsupportedVersionError, match="format version 2"):
        bitstream.read_contents(forge(version=2))
    with pytest.raises(UnsupportedVersionError, match="format version 9"):
        bitstream.read_contents(b"grit\x09" + bytes(range(100)))


def test_unknown_fields():
    assert bitstream.read_contents(forge(extra=b"\x04\x03abc\x02\x03a=b"), strict=True).header.tags == (("a", "b"),)
    with pytest.raises(UnsupportedVersionError, match="feature 5"):
        bitstream.read_contents(forge(extra=b"\x05\x00"))
    with pytest.raises(FormatError, match="beyond its end"):
        bitstream.read_contents(forge(extra=b"\x04\x05abc"))


def test_unknown_coding():
    with pytest.raises(UnsupportedVersionError, match="coding 3, which needs a newer gritcodec"):
        bitstream.read_contents(forge(mark=0x39))


@pytest.mark.parametrize(
    "values",
    [
        (0, 1, 321, 1, 64, 5000),
        (768_001, 1, 321, 1, 64, 5000),
        (16000, 0, 321, 1, 64, 5000),
        (16000, 256, 321, 1, 64, 5000),
        (16000, 1, 2**42, 1, 64, 5000),
        (16000, 1, 321, 0, 64, 5000),
        (16000, 1, 321, 64, 64, 5000),
        (16000, 1, 321, 1, 0, 5000),
        (16000, 1, 321, 1, 513, 5000),
        (16000, 1, 321, 1, 64, 0),
        (16000, 255, 321, 63, 512, 5000),
    ],
)
def test_senseless_header(values):
    with pytest.raises(FormatError, match="makes no sense"):
        bitstream.read_contents(forge(values=values))


def test_writer_refuses_what_no_reader_takes():
    with pytest.raises(UsageError, match="number of channels"):
        Header(FINGERPRINT, 16000, 256, 320, 1).to_bytes()
    with pytest.raises(UsageError, match="tags take"):
        Header(FINGERPRINT, 16000, 1, 320, 1, tags=(("a", "x" * 70_000),)).to_bytes()
    with pytest.raises(UsageError, match="cannot contain"):
        Header(FINGERPRINT, 16000, 1, 320, 1, tags=(("a=b", "x"),)).to_bytes()
    coding = bitstream.coding_for(Header(FINGERPRINT, 16000, 1, 320, 1))
    with pytest.raises(ValueError, match="codes must be 0 to 1023"):
        coding.pack(np.full((1, 1, 1), 1024))
    with pytest.raises(ValueError, match="codes must be"):
        coding.pack(np.zeros((2, 1, 1), dtype=int))


def test_header_of_which_a_byte_is_wrong():
    header, _, data = make(tags=(("a", "b"),))
    size = len(header.to_bytes())
    for at in range(size):
        for broken in (
            data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :],
            data[:at] + data[at + 1 :],
            data[:at] + b"\x17" + data[at:],
        ):
            found = repair_header(broken)
            assert found is not None and found[0] == header, at
            assert len(bitstream.read_contents(broken).bodies) == 2


def test_header_that_is_gone():
    header, _codes, data = make(frames=640)
    contents = bitstream.read_contents(bytes(20) + data[20:])
    assert contents.header == header and len(contents.bodies) == 10 and None not in contents.bodies


@pytest.mark.parametrize("claim", [2**42 - 1, 10 * 3600 * 16000])
def test_oversized_claims_allocate_nothing(claim):
    data = forge(values=(16000, 255, claim, 12, 64, 5000))
    tracemalloc.start()
    contents = bitstream.read_contents(data[:40])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert contents.damage and not contents.bodies and peak < 1_000_000


def test_missing_packets_are_believed_within_bounds():
    header, codes, _ = make(stages=1, frames=64)
    body = next(pack(header, codes)).data
    from gritcodec.bitstream.packet import build

    for numbers in ((10**6,), (0, 2**31), (5000, 5001)):
        packets = b"".join(build(number, 1, 64, 64, body) for number in numbers)
        contents = bitstream.read_contents(header.to_bytes() + packets)
        assert len(contents.bodies) <= 1
    packets = b"".join(build(number, 1, 64, 64, body) for number in (0, 900, 901))
    assert len(bitstream.read_contents(header.to_bytes() + packets).bodies) == 902
