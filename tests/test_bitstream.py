"""The .grit format: round trips, budgets, the layout by the book, seeking, what is refused."""

import io
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from grit_files import FINGERPRINT, contents_of, damaged, forge, make, mixed, pack, read
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_by_the_book import crc_by_the_book, items_by_the_book, read_by_the_book

from gritcodec import bitstream
from gritcodec.bitstream import Body, Header, Packet, fields
from gritcodec.bitstream.crc import crc32c, extend, last_word
from gritcodec.bitstream.items import build_packet, mark_payload
from gritcodec.errors import FormatError, UnsupportedVersionError, UsageError


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
        st.tuples(
            st.text(min_size=1, max_size=9).filter(lambda name: "=" not in name and name.isprintable()), st.text()
        )
    ),
    start_time=st.none() | st.integers(-(2**63), 2**63 - 1),
    start_trim=st.integers(0, 2**42 - 2),
    encoder=st.none() | st.text(min_size=1, max_size=20),
    gain=st.none() | st.integers(-32768, 32767),
    unknown=st.lists(st.tuples(st.integers(50, 2**30).map(lambda key: 2 * key), st.binary(max_size=20))),
    seed=st.integers(0, 99),
)
def test_round_trip(channels, stages, frames, bits, rate, samples, seed, tags, unknown, **fields):
    fields |= {"tags": tuple(tags), "unknown": tuple(sorted(unknown, key=lambda field: field[0]))}
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
    assert len(data) <= 35
    assert bitstream.parse_header(data + b"more") == (header, len(data))


def test_a_mono_header_takes_32_bytes_as_documented():
    sizes = {
        seconds: len(Header(FINGERPRINT, 16000, 1, round(seconds * 16000), 6).to_bytes())
        for seconds in (1.023, 1.024, 10, 131, 132)
    }
    assert sizes == {1.023: 31, 1.024: 32, 10: 32, 131: 32, 132: 33}


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 12, 64), (2, 3, 65), (8, 1, 200), (1, 6, 1200)])
@pytest.mark.parametrize("bits", [1, 7, 10, 16])
def test_layout_is_the_documented_one(shape, bits):
    header, codes, data = make(*shape, bits=bits, tags=(("title", "Emma"),), start_time=-1, gain=-300, start_trim=1000)
    found, read_codes = read_by_the_book(data)
    assert found == header and np.array_equal(read_codes, codes)


@settings(max_examples=60, deadline=None)
@given(st.text("pfsnmux", max_size=40), st.integers(0, 999), st.sampled_from([1, 5, 64, 300]))
def test_items_are_read_as_they_were_written(kinds, seed, packet_frames):
    header, parts = mixed(kinds, seed, packet_frames=packet_frames)
    data = bitstream.assemble(header, parts)
    contents = bitstream.read_contents(data, strict=True)
    assert contents.header == header and contents_of(contents.items) == contents_of(parts)
    assert [item.start for item in contents.items] == list(np.cumsum([0, *(part.frames for part in parts)])[:-1])
    found, items = items_by_the_book(data)
    assert found == header and [item[0] for item in items] == [item.start for item in contents.items]
    coding = bitstream.coding_for(header)
    for item, there in zip(contents.items, items, strict=True):
        if isinstance(item, Packet):
            assert np.array_equal(coding.unpack(item.body, item.stages, item.frames), there[2])
        else:
            assert there[2:] == contents_of([item])[0][1:]


@settings(max_examples=40, deadline=None)
@given(st.text("pfsnmux", min_size=1, max_size=20), st.integers(0, 999), st.data())
def test_a_damaged_byte_costs_one_item(kinds, seed, data):
    """Packets and pauses keep their place in time whichever byte is changed, lost or added."""
    header, parts = mixed(kinds, seed, packet_frames=16)
    sound = bitstream.assemble(header, parts)
    whole = {(item.start, *found) for item, found in _timed(sound)}
    at = data.draw(st.integers(0, len(sound) - 1))
    for broken in damaged(sound, at):
        contents = bitstream.read_contents(broken)
        assert contents.damage or broken == sound
        found = {(item.start, *what) for item, what in _timed(broken) if what[-1] is not None}
        assert found <= whole and len(whole - found) <= 1
        assert contents.frames == sum(part.frames for part in parts) or contents.damage[-1].frames is None


def _timed(data):
    items = [item for item in bitstream.read_contents(data).items if item.frames]
    return zip(items, contents_of(items), strict=True)


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


@settings(max_examples=40, deadline=None)
@given(st.text("pppfsnmu", min_size=8, max_size=40), st.integers(0, 99), st.floats(1.0, 6.0), st.floats(1.0, 6.0))
def test_budgets_are_kept_and_nested_with_pauses_and_chunks(kinds, seed, low, high):
    low, high = sorted((low, high))
    header, parts = mixed(kinds, seed, stages=12)
    coding = bitstream.coding_for(header)
    codes = np.random.default_rng(seed).integers(0, 1024, (1, 12, 64))
    parts = [Body.of(coding, codes[:, :, : part.frames]) if isinstance(part, Body) else part for part in parts]
    best, expected = (bitstream.assemble_within(header, parts, kbps) for kbps in (high, low))
    if header.num_samples >= 160_000:
        least = len(bitstream.assemble_within(header, parts, 0.001))
        assert len(best) * 8 * 16 <= max(high * header.num_samples + 1e-3, least * 8 * 16)
    if bitstream.read_contents(best).header.stages >= int(2 * low):
        assert bitstream.truncate(best, low) == expected


def test_stages_are_spread_evenly():
    _, _, data = make(stages=6, frames=64 * 400, kbps=2.75)
    stages = np.array([body.stages for body in bitstream.read_contents(data).bodies])
    assert set(stages) == {5, 6}
    runs = np.convolve(stages, np.ones(20) / 20, mode="valid")
    assert np.ptp(runs) <= 0.21


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
    reader.seek(777 * 64 + 5)
    packet = next(reader.packets())
    assert packet.start == 777 * 64
    assert np.array_equal(reader.codes(packet), codes[:, :, 777 * 64 : 778 * 64])
    assert Counting.count < 12_000 < len(data) / 10


@pytest.mark.parametrize("number", [0, 1, 7, 8, 9, 30, 31, 32, 500])
@pytest.mark.parametrize("lost", [0, 1, 60])
def test_seeking_with_and_without_the_index(number, lost):
    _, _, data = make(stages=2, frames=64 * 31 + 5)
    reader = bitstream.Reader(io.BytesIO(data[: len(data) - lost]))
    reader.seek(64 * number)
    found = [packet.start // 64 for packet in reader.packets()]
    # The last packet has five frames; whoever seeks behind the end finds nothing.
    assert found == list(range(number, 31 if lost == 60 else 32))


@settings(max_examples=40, deadline=None)
@given(st.text("ppfsnmux", max_size=60), st.integers(0, 99), st.data())
def test_seeking_among_pauses_and_chunks(kinds, seed, data):
    header, parts = mixed(kinds, seed, packet_frames=8)
    file = bitstream.assemble(header, parts)
    total = sum(part.frames for part in parts)
    frame = data.draw(st.integers(0, total + 10))
    whole = list(bitstream.Reader(io.BytesIO(file)).items())
    for cut in (0, 1):
        reader = bitstream.Reader(io.BytesIO(file[: len(file) - cut]))
        reader.seek(frame)
        found = [item for item in reader.items() if item.frames]
        assert found == [item for item in whole if item.frames and item.start + item.frames > frame]


def test_an_index_that_is_another_file_s_is_not_believed():
    """Bytes were lost or added before an end that is whole: its index does not fit, and items are gone through."""
    _, codes, data = make(stages=2, frames=64 * 40)
    size = bitstream.parse_header(data)[1]
    for broken in (data[: size + 500] + data[size + 700 :], data[: size + 500] + bytes(77) + data[size + 500 :]):
        reader = bitstream.Reader(io.BytesIO(broken))
        reader.seek(64 * 30)
        first = next(packet for packet in reader.packets() if packet.body is not None)
        assert first.start <= 64 * 30
        assert np.array_equal(reader.codes(first), codes[:, :, first.start : first.start + 64])


def test_not_ours():
    for data in (b"RIFF" + bytes(100), b"", b"g", b"grot" + bytes(100), bytes(1000), b"\xf5GRIP\r\n\x01" + bytes(5)):
        with pytest.raises(FormatError, match=r"not a \.grit file|cut short"):
            bitstream.read_contents(data)


@pytest.mark.parametrize("magic", [b"GRIT\x01", b"grit\x01"])
def test_pre_release(magic):
    with pytest.raises(FormatError, match="made by a pre-release"):
        bitstream.read_contents(magic + bytes(100))


def test_a_file_that_was_sent_as_text_is_refused_with_a_clear_line():
    """CRLF made LF all over, or LF made CRLF: more than one byte of nearly every file is other than it was."""
    _, _, data = make(frames=640)
    for broken in (data.replace(b"\r\n", b"\n"), data.replace(b"\n", b"\r\n"), data.decode("latin-1").encode()):
        assert len(broken) != len(data)
        try:
            contents = bitstream.read_contents(broken)
        except FormatError as error:
            assert "\n" not in str(error) and "not a .grit file" in str(error)
        else:
            # One byte of the magic is lost, and can be told: what is left of the packets is played.
            assert contents.damage[0].what == "the header is damaged, and was repaired"


def test_later_version():
    with pytest.raises(UnsupportedVersionError, match="format version 2"):
        bitstream.read_contents(forge(version=2))
    with pytest.raises(UnsupportedVersionError, match="format version 9"):
        bitstream.read_contents(b"\xf5GRIT\r\n\x09" + bytes(range(100)))


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
        (16000, 1, 321, 1, 64, 16_384),
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
    with pytest.raises(UsageError, match="cannot contain ="):
        Header(FINGERPRINT, 16000, 1, 320, 1, tags=(("a=b", "x"),)).to_bytes()
    with pytest.raises(UsageError, match="not valid text"):
        Header(FINGERPRINT, 16000, 1, 320, 1, tags=(("a", "\udcff"),)).to_bytes()
    for name in ("a=b", "", "a\x1bb", "a\nb", "\x7f"):
        with pytest.raises(UsageError, match="the name of a tag cannot"):
            fields.check_tags(((name, "x"),))
    for name in ("x" * 255, "\udcff"):
        with pytest.raises(UsageError, match="the name of a mark"):
            mark_payload(1, name)
    for values in ({"gain": 40_000}, {"start_time": 2**63}, {"start_trim": 2**42 - 1}, {"channel_mask": -1}):
        with pytest.raises(UsageError, match="must be from"):
            Header(FINGERPRINT, 16000, 1, 320, 1, **values).to_bytes()
    coding = bitstream.coding_for(Header(FINGERPRINT, 16000, 1, 320, 1))
    with pytest.raises(ValueError, match="codes must be 0 to 1023"):
        coding.pack(np.full((1, 1, 1), 1024))
    with pytest.raises(ValueError, match="codes must be"):
        coding.pack(np.zeros((2, 1, 1), dtype=int))


@pytest.mark.parametrize("claim", [2**42 - 1, 10 * 3600 * 16000])
def test_oversized_claims_allocate_nothing(claim):
    data = forge(values=(16000, 255, claim, 12, 64, 5000))
    tracemalloc.start()
    contents = bitstream.read_contents(data[:40])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert contents.damage and not contents.bodies and peak < 1_000_000


def test_missing_packets_are_believed_within_bounds():
    """65,536 frames, and as many more as were read: a small file cannot claim hours."""
    header, codes, _ = make(stages=1, frames=64)
    body = next(pack(header, codes)).data

    def frames_in(starts):
        packets = b"".join(build_packet(start, 1, 64, header, body) for start in starts)
        return bitstream.read_contents(header.to_bytes() + packets).frames

    for starts in ((10**8,), (0, 2**31), (64 * 5000, 64 * 5001), (65_536 + 128, 65_536 + 192)):
        assert frames_in(starts) <= 64
    # Believed only with a witness: an item that stands where the one before it ends.
    assert frames_in((0, 64 * 900, 64 * 901)) == 64 * 902
    assert frames_in((0, 64 * 900)) == 64
    assert frames_in((0, 64 * 15)) == 64 * 16
