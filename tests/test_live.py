"""Live streams: the bits of the whole signal whatever the blocks, the delay, losses, threads."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gritcodec
from gritcodec import bitstream
from gritcodec.errors import CorruptFileError, FormatError, UsageError, WrongModelError

CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"


@pytest.fixture(scope="module")
def codec(tiny_model):
    return gritcodec.load(tiny_model)


def cuts(draw, total):
    """Random sizes that add up to `total`."""
    sizes = []
    while sum(sizes) < total:
        sizes.append(min(int(draw.choice([1, 37, 160, 320, 999, 5000])), total - sum(sizes)))
    return sizes


def stream(encoder, signal, sizes):
    pieces, at = [], 0
    for size in sizes:
        pieces += encoder.push(signal[:, at : at + size])
        at += size
    return pieces + encoder.flush()


def heard(decoder, pieces):
    return np.concatenate([*(decoder.push(piece) for piece in pieces), decoder.flush()], axis=1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32),
    st.integers(1, 12_000),
    st.sampled_from([1, 2, 3, 5, 16, 20, 64]),
    st.sampled_from([(1, 16_000), (2, 16_000), (1, 8000), (2, 44_100)]),
)
def test_streams_have_the_bits_of_the_whole_signal(codec, seed, samples, packet_frames, kind):
    channels, rate = kind
    signal = tone(channels, samples, rate)
    draw = np.random.default_rng(seed)
    pieces = stream(codec.stream_encoder(rate, channels, 6, packet_frames), signal, cuts(draw, samples))
    data = b"".join(pieces)
    whole = codec.encode(signal, rate, 6)
    contents = bitstream.read_contents(data, strict=True)
    coding = bitstream.coding_for(contents.header)
    at = 0
    for body in contents.bodies:
        codes = coding.unpack(body.data, body.stages, body.frames)
        assert np.array_equal(codes, whole.indices[:, : body.stages, at : at + body.frames])
        at += body.frames
    assert at == whole.indices.shape[2] and contents.header.num_samples == samples
    file, _ = codec.decompress(data)
    live = heard(codec.stream_decoder(), pieces)
    assert file.shape == (channels, samples)
    # What was given out before the end was known cannot be taken back: a frame at most.
    assert samples <= live.shape[1] <= samples + rate // 50 + 1
    if rate == 16_000:
        assert np.array_equal(live[:, :samples], file)
    else:
        # A resampler that does not know that the signal ends here goes on with what follows in the last frame.
        sure = max(samples - rate // 20, 0)
        assert np.abs(live[:, :sure] - file[:, :sure]).max(initial=0) < 1e-4


def test_blocks_of_every_size_give_the_same_bits():
    """With the shipped network: products of much smaller matrices may be rounded by their number of rows."""
    codec = gritcodec.load("speech-16k")
    signal = soundfile.read(CLIP, dtype="float32")[0][None, : 320 * 64]
    engine = codec._engine
    codes = engine.encode(signal, 12, engine.encoder_state(1))
    sound = engine.decode(codes, engine.decoder_state(1))
    for size in (1, 2, 4, 16, 32):
        state, other = engine.encoder_state(1), engine.decoder_state(1)
        starts = range(0, 64, size)
        found = [engine.encode(signal[:, 320 * i : 320 * (i + size)], 12, state) for i in starts]
        assert np.array_equal(np.concatenate(found, axis=2), codes)
        parts = [engine.decode(codes[:, :, i : i + size], other) for i in starts]
        assert np.array_equal(np.concatenate(parts, axis=1), sound)


def test_the_future_changes_nothing(codec):
    signal, other = tone(1, 20_000, 16_000), tone(1, 20_000, 16_000)
    other[:, 9000:] = tone(1, 11_000, 16_000, level=0.9)
    first, second = (b"".join(codec.stream_encoder(16_000).push(x)) for x in (signal, other))
    packets = 9000 // 320
    size = len(b"".join(codec.stream_encoder(16_000).push(signal[:, : packets * 320])))
    assert first[:size] == second[:size] and first != second


@pytest.mark.parametrize("channels", [1, 2])
def test_the_delay_is_a_frame_and_the_overlap(codec, channels):
    """After n samples went in, all but the last 35 ms have come out; and no earlier, for they are not known."""
    signal = tone(channels, 16_000, 16_000)
    encoder, decoder = codec.stream_encoder(16_000, channels), codec.stream_decoder()
    given = out = longest = 0
    for start in range(0, 16_000, 80):
        for piece in encoder.push(signal[:, start : start + 80]):
            out += decoder.push(piece).shape[1]
        given += 80
        longest = max(longest, given - out)
    # Just before a frame is full, one sample less than the delay more is waiting.
    assert longest == pytest.approx(codec.algorithmic_delay * 16_000, abs=80)
    assert codec.algorithmic_delay <= 0.040


def test_losses_are_concealed_and_later_sound_is_where_it_was(codec):
    signal = tone(1, 32_000, 16_000)
    pieces = codec.stream_encoder(16_000, 1, 6, 5).push(signal)
    header, packets = pieces[0], pieces[1:]
    sound = heard(codec.stream_decoder(), pieces)
    damaged = bytearray(packets[6])
    damaged[3] ^= 1
    for kind, received in {
        "told": [*packets[:6], None, *packets[7:]],
        "seen from the next": [*packets[:6], *packets[7:]],
        "damaged": [*packets[:6], bytes(damaged), *packets[7:]],
        "cut": [*packets[:6], packets[6][:-1], *packets[7:]],
        "twice": [*packets[:6], packets[5], None, packets[2], *packets[7:]],
        "two in the wrong order": [*packets[:6], packets[7], packets[6], *packets[8:]],
    }.items():
        decoder = codec.stream_decoder(bitstream.parse_header(header)[0])
        result = heard(decoder, received)
        assert decoder.lost == 1 and result.shape == sound.shape, kind
        before = 6 * 5 * 320 - 240
        assert np.array_equal(result[:, :before], sound[:, :before]), kind
        after = before + (5 + 64) * 320
        assert np.abs(result[:, after:] - sound[:, after:]).max(initial=0) < 1e-4, kind
        assert not np.array_equal(result, sound), kind


def bare_stages(kbps):
    """The stages of the packets of speech in frames of 20 ms that something else protects, once the stream runs."""
    codec = gritcodec.load()
    signal = soundfile.read(CLIP, dtype="float32")[0][None]
    pieces = codec.stream_encoder(16_000, 1, kbps, 1, check=False).push(signal)
    assert bitstream.parse_header(pieces[0])[0].bare
    frames = signal.shape[1] // 320
    assert 8 * sum(map(len, pieces[1:])) <= 1000 * kbps * frames / 50 + 8 * max(map(len, pieces))
    return [piece[0] & 0x3F for piece in pieces[51:] if piece[0] & 0x40]


@pytest.mark.parametrize(("kbps", "stages"), [(6.0, 9), (3.0, 4)])
def test_bare_packets_of_a_frame_have_room_for_stages(kbps, stages):
    found = bare_stages(kbps)
    assert len(found) > 100 and min(found) >= stages


@pytest.mark.parametrize("packet_frames", [1, 3, 20])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
def test_bare_packets_sound_as_those_with_a_check(codec, packet_frames, rate, channels):
    signal = tone(channels, 2 * rate, rate)
    signal[:, rate // 2 : rate] = 0
    kinds = {}
    for check in (True, False):
        encoder = codec.stream_encoder(rate, channels, 6, packet_frames, check=check)
        kinds[check] = stream(encoder, signal, [777, 2 * rate - 777])
    # No checks, and no end: what carries them says where they end.
    assert len(kinds[True]) == len(kinds[False]) + 1
    codes = []
    for check, pieces in kinds.items():
        header = bitstream.parse_header(pieces[0])[0]
        assert header.bare is not check
        decoder = codec.stream_decoder(header)
        sound = heard(decoder, pieces[1:])
        assert decoder.lost == 0 and sound.shape[1] >= 2 * rate
        stages = [piece[0] & 0x3F for piece in pieces[1:] if piece[0] & 0x40]
        codes.append(np.array(stages))
    assert (codes[1] >= codes[0][: len(codes[1])]).all()
    with pytest.raises(FormatError, match="no checks"):
        bitstream.read_contents(b"".join(kinds[False]))


def test_bare_packets_that_are_lost_are_told(codec):
    signal = tone(1, 32_000, 16_000)
    pieces = codec.stream_encoder(16_000, 1, 6, 5, check=False).push(signal)
    header, packets = pieces[0], pieces[1:]
    sound = heard(codec.stream_decoder(), pieces)
    for kind, received in {
        "told": [*packets[:6], None, *packets[7:]],
        "cut": [*packets[:6], packets[6][:-1], *packets[7:]],
        "longer": [*packets[:6], packets[6] + b"x", *packets[7:]],
        "none": [*packets[:6], b"", *packets[7:]],
        "another's": [*packets[:6], b"\x80" + packets[6][1:], *packets[7:]],
    }.items():
        decoder = codec.stream_decoder(bitstream.parse_header(header)[0])
        result = heard(decoder, received)
        assert decoder.lost == 1 and result.shape == sound.shape, kind
        before, after = 6 * 5 * 320 - 240, 6 * 5 * 320 - 240 + (5 + 64) * 320
        assert np.array_equal(result[:, :before], sound[:, :before]), kind
        assert np.abs(result[:, after:] - sound[:, after:]).max(initial=0) < 1e-4, kind


def test_what_is_no_stream_is_refused(codec, other_model):
    pieces = codec.stream_encoder(16_000).push(tone(1, 4000, 16_000))
    with pytest.raises(UsageError, match="begins with its header"):
        codec.stream_decoder().push(pieces[1])
    with pytest.raises(WrongModelError):
        gritcodec.load(other_model).stream_decoder().push(pieces[0])
    with pytest.raises(CorruptFileError):
        codec.stream_decoder().push(pieces[0][:-1] + b"\0")
    with pytest.raises(UsageError, match="1 to 512 frames"):
        codec.stream_encoder(16_000, packet_frames=513)
    with pytest.raises(UsageError, match="the sample rate must be"):
        codec.stream_encoder(0)
    encoder = codec.stream_encoder(16_000)
    with pytest.raises(UsageError, match="1 channels, and this block 2"):
        encoder.push(tone(2, 100, 16_000))
    assert len(encoder.flush()) == 2 and encoder.flush() == []
    with pytest.raises(UsageError, match="has ended"):
        encoder.push(tone(1, 100, 16_000))
    assert codec.stream_decoder().flush().shape == (1, 0)


def test_random_pieces_are_concealed(codec):
    draw = np.random.default_rng(3)
    decoder = codec.stream_decoder()
    decoder.push(codec.stream_encoder(16_000, 1, 6, 4).flush()[0])
    for _ in range(300):
        sound = decoder.push(draw.bytes(int(draw.integers(0, 90))))
        assert np.isfinite(sound).all() and sound.shape[1] <= 11 * 16_000


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_codes_and_sound_do_not_depend_on_the_number_of_threads(engine):
    script = (
        "import hashlib, sys, numpy, soundfile, torch, gritcodec\n"
        "torch.set_num_threads(int(sys.argv[2]))\n"
        "signal, rate = soundfile.read(sys.argv[1], dtype='float32', always_2d=True, stop=40000)\n"
        f"codec = gritcodec.load(engine={engine!r})\n"
        "encoder, decoder = codec.stream_encoder(rate, 1, 6, 3), codec.stream_decoder()\n"
        "pieces = encoder.push(signal.T[:, :12000]) + encoder.flush()\n"
        "sound = [decoder.push(piece) for piece in pieces]\n"
        "data = codec.compress(signal.T, rate, 6)\n"
        "print(hashlib.sha256(b''.join([data, *pieces])).hexdigest())\n"
        "print(hashlib.sha256(numpy.concatenate([*sound, codec.decompress(data)[0]], axis=1)).hexdigest())\n"
    )
    command = [sys.executable, "-c", script, str(CLIP)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["OMP_WAIT_POLICY"] = "passive"  # tests run beside each other: a spinning thread takes another's core
    found = {
        subprocess.run([*command, threads], env=environment, capture_output=True, check=True).stdout
        for threads in ("1", "2")
    }
    assert len(found) == 1
    assert len(next(iter(found)).split()[0]) == len(hashlib.sha256().hexdigest())


def test_chained_packets_that_are_missing_cost_what_they_cost_in_a_file():
    """The next key packet is played whether a loss was told or seen by the place of a later packet."""
    codec = gritcodec.load()
    encoder = codec.stream_encoder(16_000, bitrate=3, chain=True)
    header, *pieces = encoder.push(tone(1, 40_000, 16_000)) + encoder.flush()
    heard = []
    for told in (True, False):
        decoder = codec.stream_decoder()
        decoder.push(header)
        blocks = []
        for number, piece in enumerate(pieces):
            if number not in (20, 21, 22):
                blocks.append(decoder.push(piece))
            elif told:
                blocks.append(decoder.push(None))
        blocks.append(decoder.flush())
        assert decoder.lost == 30  # to the key packet of frame 50
        heard.append(np.concatenate(blocks, axis=1))
    assert heard[0].shape == heard[1].shape and np.array_equal(heard[0][:, 17_000:], heard[1][:, 17_000:])
