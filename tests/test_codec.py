"""The codec's contract: shapes, exact lengths, bitrates, and results that no cutting of a signal changes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tone

import gritcodec
from gritcodec import bitstream, model_store
from gritcodec.codec import stream
from gritcodec.engine import store
from gritcodec.errors import (
    AudioError,
    CorruptFileError,
    GritcodecError,
    ModelError,
    UsageError,
    WrongModelError,
)
from gritcodec.sound import audio


@pytest.fixture(scope="module")
def codec(tiny_model):
    return gritcodec.load(tiny_model)


def test_importing_costs_nothing():
    code = "import sys, gritcodec; assert not {'torch', 'numpy', 'typer'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert set(gritcodec.__all__) <= set(dir(gritcodec))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = gritcodec.nonsense


def test_properties(codec):
    assert codec.sample_rate == 16000 and codec.hop_length == 320 and codec.frame_rate == 50
    assert codec.bitrates == tuple(k / 2 for k in range(1, 13))
    assert codec.name == "tiny" and len(bytes.fromhex(codec.fingerprint)) == 8
    assert codec.algorithmic_delay == 0.035


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 192000])
@pytest.mark.parametrize("seconds", [0.05, 1.0])
def test_shapes_and_lengths(codec, channels, rate, seconds):
    samples = int(seconds * rate) + 3
    codes = codec.encode(tone(channels, samples, rate), rate, bitrate=1.5)
    assert codes.indices.dtype == np.int64 and codes.indices.shape[:2] == (channels, 3)
    assert (codes.sample_rate, codes.num_samples) == (rate, samples)
    waveform = codec.decode(codes)
    assert waveform.shape == (channels, samples) and waveform.dtype == np.float32
    assert np.isfinite(waveform).all()


@pytest.mark.parametrize("samples", [0, 1, 2, 79, 80, 81, 319, 320, 321, 16000])
@pytest.mark.parametrize("rate", [11025, 16000, 192000])
def test_every_length_comes_back(codec, samples, rate):
    data = codec.compress(tone(2, samples, rate), rate)
    waveform, found = codec.decompress(data)
    assert waveform.shape == (2, samples) and found == rate


def test_frames_follow_the_documented_rule(codec):
    for samples, frames in ((0, 0), (1, 1), (80, 1), (81, 2), (400, 2), (401, 3)):
        assert codec.encode(tone(1, samples, 16000), 16000).indices.shape[2] == frames


def test_bitrate_is_the_largest_not_above(codec):
    asked = {0.5: 1, 0.99: 1, 1.5: 3, 0.1 * 15: 3, 3: 6, 5.99: 11, 6: 12, None: 6}
    assert {bitrate: codec.stages_for(bitrate) for bitrate in asked} == asked
    for bitrate in (0.49, 0, -1, 6.1, 64, float("inf"), float("nan")):
        with pytest.raises(UsageError, match=r"it has 0\.5, 1, 1\.5"):
            codec.stages_for(bitrate)


@pytest.mark.parametrize("seconds", [10.0, 13.37, 30.0])
@pytest.mark.parametrize("bitrate", [1.0, 2.9, 3.0, 6.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_advertised_is_measured(codec, seconds, bitrate, channels):
    samples = int(seconds * 16000)
    data = codec.compress(tone(channels, samples, 16000), 16000, bitrate)
    kbps = len(data) * 8 / (samples / 16000) / 1000 / channels
    # A step down is a stage of one packet: 80 bytes a channel.
    assert bitrate - 90 * 8 / seconds / 1000 <= kbps <= bitrate


def test_short_recordings_keep_all_stages(codec):
    contents = bitstream.read_contents(codec.compress(tone(1, 9 * 16000, 16000), 16000, 3.0))
    assert {body.stages for body in contents.bodies} == {6}


def test_one_stage_is_the_least(codec):
    contents = bitstream.read_contents(codec.compress(tone(1, 20 * 16000, 16000), 16000, 0.5))
    assert {body.stages for body in contents.bodies} == {1}


def test_live_streams_stay_within_their_bitrate(codec):
    waveform = tone(1, 200_000, 16000)
    for bitrate in (1.0, 3.0, 6.0):
        blocks = (waveform[:, start : start + 999] for start in range(0, 200_000, 999))
        pieces = list(codec.compress_live(blocks, 16000, 1, bitrate))
        data = b"".join(pieces)
        assert len(pieces) == 2 + 10 and len(data) * 8 / 12.5 / 1000 <= bitrate
        contents = bitstream.read_contents(data, strict=True)
        assert contents.live and contents.header.num_samples == 200_000
        decoded, rate = codec.decompress(data)
        assert decoded.shape == (1, 200_000) and rate == 16000


@pytest.mark.parametrize("low", [1.0, 1.5, 2.7])
def test_truncated_equals_encoded(codec, low):
    waveform = tone(2, 12 * 44100, 44100)
    high = codec.compress(waveform, 44100, 6.0)
    assert bitstream.truncate(high, low) == codec.compress(waveform, 44100, low)
    middle = bitstream.truncate(high, 3.0)
    assert bitstream.truncate(middle, low) == codec.compress(waveform, 44100, low)


def test_truncated_live_stream_equals_encoded(codec):
    waveform = tone(1, 200_000, 16000)
    high, low = (b"".join(codec.compress_live(iter([waveform]), 16000, 1, rate)) for rate in (6.0, 1.5))
    assert bitstream.truncate(high, 1.5) == low


@pytest.mark.parametrize("frames", [1, 7, 100, 512])
def test_packets_of_any_length_hold_the_same_codes(codec, frames):
    waveform = tone(2, 12 * 16000 + 77, 16000)
    data = codec.compress(waveform, 16000, 3.0, packet_frames=frames)
    assert len(data) * 8 / 12 / 2000 < 3.02
    contents = bitstream.read_contents(data, strict=True)
    assert {body.frames for body in contents.bodies[:-1]} == {frames}
    # At a size with room for all stages, nothing but the packets differs.
    every = [codec.compress_blocks([waveform], 16000, 2, size_limit=1 << 20, packet_frames=n) for n in (frames, 64)]
    assert np.array_equal(codec.decompress(every[0])[0], codec.decompress(every[1])[0])
    assert np.array_equal(codec.decompress(every[0])[0], codec.decode(codec.encode(waveform, 16000, 6.0)))
    assert bitstream.truncate(codec.compress(waveform, 16000, 6.0, packet_frames=frames), 3.0) == data
    live = b"".join(codec.compress_live([waveform], 16000, 2, 3.0, packet_frames=frames))
    assert bitstream.read_contents(live, strict=True).header.packet_frames == frames
    both = bitstream.join([data, codec.compress(waveform, 16000, 3.0)])
    assert codec.decompress(both)[0].shape[1] == 2 * waveform.shape[1]


@pytest.mark.parametrize("frames", [0, 513, 1.5, "64", None])
def test_no_such_packet(codec, frames):
    with pytest.raises(UsageError, match="packet"):
        codec.compress(tone(1, 1600, 16000), 16000, packet_frames=frames)
    with pytest.raises(UsageError, match="packet"):
        codec.stream_encoder(16000, packet_frames=frames)


def test_size_limit(codec):
    waveform = tone(1, 20 * 16000, 16000)
    for limit in (3000, 7777, 12_000):
        data = codec.compress_blocks(iter([waveform]), 16000, 1, size_limit=limit)
        assert limit - 90 < len(data) <= limit
    with pytest.raises(UsageError, match="at least"):
        codec.compress_blocks(iter([waveform]), 16000, 1, size_limit=1000)


def test_joined_recordings(codec):
    """One after the other without a gap: bit for bit what each is alone."""
    files = [codec.compress(tone(1, n, 16000), 16000, 3.0) for n in (20_001, 30_000)]
    waveform, _ = codec.decompress(bitstream.join(files))
    assert np.array_equal(waveform, np.concatenate([codec.decompress(data)[0] for data in files], axis=1))


def test_fewer_stages_are_a_prefix(codec):
    waveform = tone(1, 20000, 16000)
    few, many = (codec.encode(waveform, 16000, bitrate).indices for bitrate in (1.0, 6.0))
    assert np.array_equal(few, many[:, :2])


@pytest.mark.parametrize("rate", [16000, 44100])
def test_long_signals_equal_one_pass(codec, rate):
    """Chunks with carried state give what the network gives for the whole signal at once."""
    samples = int(23.456 * rate)
    waveform = tone(2, samples, rate)
    codes = codec.encode(waveform, rate, 2.0)
    assert codes.indices.shape[2] > 2 * stream.CHUNK_FRAMES
    decoded = codec.decode(codes)
    if rate != codec.sample_rate:
        return
    network = store.load(model_store.resolve(codec._model.folder))
    padded = np.pad(waveform, ((0, 0), (0, codes.indices.shape[2] * 320 - samples)))
    with torch.inference_mode():
        whole_codes = network.encode(torch.from_numpy(padded)[:, None], 4)
        whole = network.decode(torch.from_numpy(codes.indices))[:, 0, network.delay :][:, :samples].numpy()
    assert (whole_codes.numpy() == codes.indices).mean() > 0.999
    assert np.allclose(whole, decoded, atol=1e-4)


def test_channels_are_independent(codec):
    waveform = tone(11, 3000, 16000)
    together = codec.encode(waveform, 16000).indices
    alone = np.concatenate([codec.encode(waveform[k : k + 1], 16000).indices for k in range(11)])
    assert (together == alone).mean() > 0.999


def test_file_and_bytes_agree(codec, tmp_path):
    """Streaming from a file gives the very bytes that the whole waveform in memory gives."""
    import soundfile

    source, target = tmp_path / "in.wav", tmp_path / "out.grit"
    soundfile.write(source, tone(2, 700_001, 44100).T, 44100, subtype="FLOAT")
    waveform, rate = soundfile.read(source, dtype="float32", always_2d=True)
    calls = []
    header = codec.compress_file(source, target, 1.0, progress=lambda *values: calls.append(values))
    data = codec.compress(torch.from_numpy(waveform.T.copy()), rate, 1.0)
    assert target.read_bytes() == data
    assert header.num_samples == 700_001 and calls[-1][0] == pytest.approx(calls[-1][1])
    assert calls[-1][2] == pytest.approx(len(data), rel=0.1)
    codec.decompress_file(target, tmp_path / "out.wav")
    decoded, _ = codec.decompress(data)
    written, _ = soundfile.read(tmp_path / "out.wav", dtype="int16", always_2d=True)
    assert np.array_equal(written, np.clip(np.rint(decoded.T * 32768), -32768, 32767))


@pytest.mark.parametrize("level", [0.0, 1e-30, 500.0])
def test_silence_and_loudness(codec, level):
    waveform, _ = codec.decompress(codec.compress(tone(1, 4000, 16000, level=level), 16000))
    assert np.isfinite(waveform).all()


def test_input_types(codec):
    waveform = tone(1, 1000, 16000)
    expected = codec.compress(waveform, 16000)
    for same in (
        torch.from_numpy(waveform),
        waveform.astype(np.float64),
        torch.from_numpy(waveform).requires_grad_(),
    ):
        assert codec.compress(same, 16000) == expected


@pytest.mark.parametrize(
    ("waveform", "rate", "message"),
    [
        (np.zeros((1, 1, 100), np.float32), 16000, "must be .channels, samples."),
        (np.zeros((1, 100), np.uint16), 16000, "floating point"),
        (np.zeros((0, 100), np.float32), 16000, "1 to 255 channels"),
        (np.zeros((256, 3), np.float32), 16000, "1 to 255 channels"),
        (np.zeros((1, 100), np.float32), 0, "sample rate"),
        (np.zeros((1, 100), np.float32), 768_001, "sample rate"),
    ],
)
def test_wrong_arguments(codec, waveform, rate, message):
    with pytest.raises(UsageError, match=message):
        codec.encode(waveform, rate)


def test_codes_without_their_rate_are_told(codec):
    with pytest.raises(UsageError, match=r"decode takes gritcodec\.Codes .*, not ndarray"):
        codec.decode(np.zeros((1, 3, 10), np.int64))


def test_not_a_number(codec):
    waveform = tone(1, 100, 16000)
    waveform[0, 7] = np.nan
    with pytest.raises(AudioError, match="1 sample is NaN or infinite, the first at position 7"):
        codec.compress(waveform, 16000)


def test_foreign_codes(codec):
    codes = codec.encode(tone(1, 1000, 16000), 16000)
    for indices, samples, rate in (
        (codes.indices + 1024, 1000, 16000),
        (codes.indices - 1024, 1000, 16000),
        (codes.indices[:, :, :-1], 1000, 16000),
        (np.tile(codes.indices, (1, 3, 1)), 1000, 16000),
        (codes.indices[0], 1000, 16000),
        (codes.indices.astype(np.float32), 1000, 16000),
        (codes.indices, 10**12, 16000),
        (codes.indices, -1, 16000),
        (codes.indices, 1000, 0),
    ):
        with pytest.raises(UsageError):
            codec.decode(gritcodec.Codes(indices, rate, samples))


def test_wrong_model(codec, other_model):
    data = codec.compress(tone(1, 1000, 16000), 16000)
    other = gritcodec.load(other_model)
    with pytest.raises(WrongModelError, match=f"{codec.fingerprint}.*other.*{other.fingerprint}"):
        other.decompress(data)


def test_claims_that_contradict_the_model(codec):
    """Honest checksums do not help a header that promises more sound than its frames hold."""
    fingerprint = bytes.fromhex(codec.fingerprint)
    for samples, stages, bits, packets in ((10**9, 6, 10, 1), (1, 6, 10, 2), (1000, 13, 10, 1), (1000, 6, 11, 1)):
        header = bitstream.Header(fingerprint, 16000, 1, samples, stages, bits, packet_frames=4)
        body = bitstream.Body(stages, 4, bytes(header.body_bytes(stages, 4)))
        with pytest.raises(CorruptFileError, match="contradicts the model"):
            codec.decompress(bitstream.assemble(header, [body] * packets))


def test_unknown_model(tmp_path):
    with pytest.raises(ModelError, match="no model 'nonsense'"):
        gritcodec.load("nonsense")
    with pytest.raises(ModelError):
        gritcodec.load(tmp_path)


def test_errors_are_one_family():
    names = [name for name in gritcodec.__all__ if name.endswith("Error")]
    assert len(names) == 10 and all(issubclass(getattr(gritcodec, name), GritcodecError) for name in names)


@pytest.fixture(scope="module")
def shipped():
    """The shipped codec, and a reader's sentence, float32 [1, samples] at 16 kHz."""
    if "speech-16k" not in model_store.available():
        pytest.skip("no shipped model")
    waveform, rate = audio.read(Path(gritcodec.__file__).parent / "clips" / "austen.flac")
    assert rate == 16000
    return gritcodec.load(), waveform


def level(waveform) -> float:
    return float(10 * np.log10(np.square(np.asarray(waveform, dtype=np.float64)).mean() + 1e-12))


def test_shipped_model_carries_speech(shipped):
    pystoi = pytest.importorskip("pystoi")
    codec, waveform = shipped
    scores = []
    for bitrate in (1.5, 3.0, 6.0, 7.0):
        decoded, _ = codec.decompress(codec.compress(waveform, 16000, bitrate))
        scores.append(pystoi.stoi(waveform[0], decoded[0], 16000))
    assert scores[0] > 0.75 and scores == sorted(scores)


@pytest.mark.parametrize("decibels", [0, -20, -40])
def test_shipped_model_keeps_the_level_of_loud_and_faint_speech(shipped, decibels):
    codec, waveform = shipped
    faint = waveform * np.float32(10 ** (decibels / 20))
    decoded, _ = codec.decompress(codec.compress(faint, 16000, 6.0))
    assert abs(level(decoded) - level(faint)) < 1.0


def test_shipped_model_leaves_silence_silent(shipped):
    codec, waveform = shipped
    quiet = np.concatenate([waveform[:, :32000], np.zeros((1, 32000), np.float32), waveform[:, :32000]], axis=1)
    decoded, _ = codec.decompress(codec.compress(quiet, 16000, 3.0))
    assert level(decoded[:, 32000 + 1600 : 64000 - 1600]) < -70
    nothing = np.zeros((1, 48000), np.float32)
    assert level(codec.decompress(codec.compress(nothing, 16000, 3.0))[0]) < -70
