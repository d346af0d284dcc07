"""Decoding parts of files and damaged files: what is heard is what the whole file gives, or silence."""

import io

import numpy as np
import pytest
from conftest import tone

import gritcodec
from gritcodec import bitstream
from gritcodec.codec.about import About
from gritcodec.codec.playback import Span
from gritcodec.codec.stream import ChunkDecoder
from gritcodec.errors import CorruptFileError, UsageError


@pytest.fixture(scope="module")
def codec(tiny_model):
    return gritcodec.load(tiny_model)


def play(codec, data, span=None, strict=False):
    playback = codec.play(bitstream.Reader(io.BytesIO(data), strict), span)
    empty = np.zeros((playback.channels, 0), dtype=np.float32)
    return np.concatenate([empty, *playback.blocks()], axis=1), playback.report()


def packet_starts(data):
    """Positions of the packets of a sound file."""
    position = bitstream.parse_header(data)[1]
    for packet in bitstream.Reader(io.BytesIO(data)).packets():
        yield position
        position += packet.size


@pytest.mark.parametrize("rate", [16000, 44100, 8000, 11025, 96000])
@pytest.mark.parametrize(("start", "duration"), [(0, 1.0), (7.123, 2.5), (19.0, None), (3.0, 0.0), (25.9, 60)])
def test_parts_equal_the_whole(codec, rate, start, duration):
    samples = 26 * rate
    data = codec.compress(tone(2, samples, rate), rate, 2.0)
    whole, _ = play(codec, data)
    part, report = play(codec, data, Span(start, duration))
    first = round(start * rate)
    end = samples if duration is None else min(first + round(duration * rate), samples)
    assert not report and part.shape == (2, end - first)
    # soxr's arithmetic depends on where its stream began; without resampling nothing differs.
    tolerance = 0 if rate == codec.sample_rate else 1e-5
    assert np.abs(part - whole[:, first:end]).max(initial=0) <= tolerance


def test_warm_up_covers_the_receptive_field(codec):
    """Codes that differ before the warm-up do not matter; a hop later they do not differ at all."""
    codes = np.random.default_rng(0).integers(0, 1024, (1, 4, 256))
    other = codes.copy()
    other[:, :, :64] = 0
    decoded = []
    for variant in (codes, other):
        decoder = ChunkDecoder(codec._engine, 16000, 1, 256 * 320 - 240)
        decoded.append(np.concatenate([decoder.push(variant[:, :, k : k + 64]) for k in range(0, 256, 64)], axis=1))
    frames = codec._engine.config.warmup_frames(16000)
    assert frames <= 64
    assert np.array_equal(decoded[0][:, (64 + frames) * 320 :], decoded[1][:, (64 + frames) * 320 :])


def test_parts_of_live_and_damaged_files(codec):
    waveform = tone(1, 400_000, 16000)
    live = b"".join(codec.compress_live(iter([waveform]), 16000, 1, 2.0))
    whole, _ = play(codec, live)
    assert np.array_equal(play(codec, live, Span(15.0, 1.0))[0], whole[:, 240_000:256_000])
    part, report = play(codec, live[:-3], Span(15.0, 1.0))
    assert np.array_equal(part, whole[:, 240_000:256_000]) and not report
    part, report = play(codec, live[:-3], Span(24.0, None))
    assert part.shape[1] >= 16_000 and report == ["cut off at 25.02 s"]


def test_parts_of_a_file_that_is_cut_off(codec):
    """What is there is whole; where nothing of it is, that is an error."""
    waveform = tone(1, 160_000, 16000)
    data = codec.compress(waveform, 16000, 2.0)
    whole, _ = play(codec, data)
    part, report = play(codec, data[: len(data) // 2], Span(1.0, 1.0))
    assert np.array_equal(part, whole[:, 16_000:32_000]) and not report
    with pytest.raises(CorruptFileError, match=r"is there: cut off at .* of 10\.00 s"):
        play(codec, data[: len(data) // 2], Span(9.0))


def test_parts_that_are_not_there(codec):
    data = codec.compress(tone(1, 16000, 16000), 16000)
    for span in (Span(1.0), Span(7.0), Span(-1.0), Span(0, -1.0), Span(float("nan"))):
        with pytest.raises(UsageError):
            play(codec, data, span)


@pytest.mark.parametrize("lost", [0, 3, 6])
def test_a_lost_packet_fades_and_the_rest_is_the_same(codec, lost):
    samples = 8 * 20480
    data = codec.compress(tone(1, samples, 16000), 16000, 3.0)
    whole, _ = play(codec, data)
    at = list(packet_starts(data))[lost] + 100
    for broken in (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], data[:at] + data[at + 1 :]):
        heard, report = play(codec, broken)
        assert heard.shape == whole.shape
        start, end = lost * 20480, (lost + 1) * 20480
        memory = codec._engine.config.warmup_frames(16000) * 320
        assert np.array_equal(heard[:, : max(start - 240, 0)], whole[:, : max(start - 240, 0)])
        assert np.array_equal(heard[:, end + memory :], whole[:, end + memory :])
        assert np.abs(heard[:, start + 1000 : end - 240]).max() == 0
        assert len(report) == 1 and report[0].startswith(f"lost {start / 16000:.2f} s to {end / 16000:.2f} s")
        with pytest.raises(CorruptFileError):
            play(codec, broken, strict=True)


def test_several_packets_lost_at_once(codec):
    data = codec.compress(tone(2, 20 * 20480, 16000), 16000, 1.0)
    starts = list(packet_starts(data))
    broken = data[: starts[4] + 7] + data[starts[9] + 20 :]
    heard, report = play(codec, broken)
    whole, _ = play(codec, data)
    assert heard.shape == whole.shape and report[0].startswith("lost 5.12 s to 12.80 s")
    assert np.array_equal(heard[:, 12 * 20480 :], whole[:, 12 * 20480 :])


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_cut_file_plays_up_to_the_cut(codec, rate):
    data = codec.compress(tone(1, 10 * rate, rate), rate, 3.0)
    whole, _ = play(codec, data)
    starts = [*packet_starts(data), len(data)]
    for cut in (starts[2] - 1, starts[2], starts[2] + 1, starts[7] + 5):
        heard, report = play(codec, data[:cut])
        packets = sum(start <= cut for start in starts) - 1
        assert heard.shape[1] == min((packets * 20480 - 240) * rate // 16000, 10 * rate)
        # What a resampler makes of the last samples depends on what follows, and its rounding on blocks.
        sure = heard.shape[1] - (0 if rate == 16000 else 500)
        assert np.abs(heard[:, :sure] - whole[:, :sure]).max() <= (0 if rate == 16000 else 1e-5)
        assert report == [f"cut off at {packets * 1.28:.2f} s of 10.00 s"]


def test_nothing_left_is_an_error(codec):
    data = codec.compress(tone(1, 16000, 16000), 16000)
    for broken in (data[:100], data[:29] + bytes(300) + data[329:]):
        with pytest.raises(CorruptFileError, match="none of its packets"):
            play(codec, broken)
    assert play(codec, codec.compress(np.zeros((1, 0), np.float32), 16000))[0].shape == (1, 0)


def test_claims_do_not_become_sound(codec):
    """A small file that says it lasts for hours gives what it has."""
    header = codec._header(16000, 1, 10 * 3600 * 16000, 1, About())
    data = header.to_bytes() + bitstream.Writer(header).add(bitstream.Body(1, 64, bytes(80)))
    heard, report = play(codec, data)
    assert heard.shape[1] == 20480 - 240 and report == ["cut off at 1.28 s of 36000.00 s"]
