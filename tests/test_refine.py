"""Codes refined through the decoder: they sound closer, and files, streams and rates stay what they were."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import tone

import gritcodec
from gritcodec import bitstream
from gritcodec.codec import refining, stream
from gritcodec.errors import UsageError
from gritcodec.evaluate import contenders, metrics

CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"
RATE = 16000
MEASURES = (metrics.si_sdr, metrics.estoi, metrics.pesq_wb, metrics.mel_distance)


@pytest.fixture(scope="module")
def codec(tiny_model):
    return gritcodec.load(tiny_model)


@pytest.fixture(scope="module")
def speech():
    samples, _ = soundfile.read(CLIP, dtype="float32")
    return samples[None]


@pytest.fixture(scope="module")
def gains():
    """What effort gains on each of the bundled clips, [clip] by stages and measure; more is better."""
    shipped, found = gritcodec.load(), {}
    for path in (CLIP, *sorted(CLIP.parents[1].glob("demo/clips/*.flac"))):
        samples = soundfile.read(path, dtype="float32")[0][None]
        plain, refined = (shipped.encode(samples, RATE, 7, effort) for effort in (0, 3))
        assert plain.indices.shape == refined.indices.shape
        for stages in (2, 6, 10, 14):
            before, after = heard(shipped, plain, stages), heard(shipped, refined, stages)
            for measure in MEASURES if stages > 2 else (metrics.estoi,):
                gain = measure(samples, after, RATE) - measure(samples, before, RATE)
                better = -gain if measure is metrics.mel_distance else gain
                found.setdefault((stages, measure.__name__), []).append(better)
    return found


@pytest.mark.slow
def test_speech_comes_back_closer_from_3_kbps_up(gains):
    for (stages, measure), of_clips in gains.items():
        if stages > 2:
            assert len(of_clips) == 3 and np.mean(of_clips) > 0, (stages, measure, of_clips)
            # By PESQ and SI-SDR one clip may lose a little.
            assert measure in ("pesq_wb", "si_sdr") or min(of_clips) > 0, (stages, measure, of_clips)


def test_below_3_kbps_estoi_gains_on_the_whole(gains):
    # What a single clip gains there, and by the other measures, is a matter of chance.
    assert np.mean(gains[2, "estoi"]) > 0, gains[2, "estoi"]


def heard(codec, codes, stages):
    """What the first stages of codes sound like."""
    return codec.decode(gritcodec.Codes(codes.indices[:, :stages], RATE, codes.num_samples))


# Blocks are of 256 frames, 5.12 s, and the 16 after them: one block, two, and two with a few frames more.
@pytest.mark.parametrize(
    "seconds", [0.3, 5.0, *(pytest.param(length, marks=pytest.mark.slow) for length in (5.5, 11.0))]
)
@pytest.mark.parametrize("rate, channels", [(16000, 1), (44100, 2)])
def test_codes_do_not_depend_on_how_a_signal_is_cut_or_at_which_bitrate(codec, seconds, rate, channels):
    waveform = tone(channels, round(seconds * rate), rate)
    whole = codec.encode(waveform, rate, 6, effort=2)
    coder = refining.encoder(codec._engine, rate, channels, 12, 20, effort=2)
    chunks = list(stream.all_chunks(coder, [waveform[:, :777], waveform[:, 777:]]))
    assert {chunk.shape[2] for chunk in chunks[:-1]} <= {20} and coder.num_samples == waveform.shape[1]
    assert np.array_equal(np.concatenate(chunks, axis=2), whole.indices)
    assert np.array_equal(codec.encode(waveform, rate, 1.5, effort=2).indices, whole.indices[:, :3])
    for channel in range(channels):
        alone = codec.encode(waveform[channel : channel + 1], rate, 6, effort=2)
        assert np.array_equal(alone.indices[0], whole.indices[channel])
    plain = codec.encode(waveform, rate, 6)
    assert plain.indices.shape == whole.indices.shape and not np.array_equal(plain.indices, whole.indices)


def test_truncated_equals_compressed(codec, speech):
    high, low = (codec.compress(speech, RATE, kbps, effort=1) for kbps in (6.0, 2.0))
    assert bitstream.truncate(high, 2.0) == low


@pytest.mark.parametrize("samples", [0, 1, 300, 1263, 1264, 4000])
def test_short_signals_come_back_whole(codec, samples):
    waveform = tone(1, samples, RATE)
    sound, rate = codec.decompress(codec.compress(waveform, RATE, effort=2))
    assert sound.shape == (1, samples) and rate == RATE


@pytest.mark.parametrize(
    "sound",
    [
        np.ones(8000),
        np.eye(1, 8000, 4000)[0],
        np.sign(np.sin(np.arange(8000) / 9)),
        1e-4 * np.random.default_rng(0).standard_normal(8000),
        50 * np.random.default_rng(0).standard_normal(8000),
    ],
    ids=["dc", "click", "square", "hiss", "overdriven"],
)
def test_sounds_that_are_no_speech_do_no_harm(codec, sound):
    waveform = sound[None].astype(np.float32)
    plain, refined = (codec.decode(codec.encode(waveform, RATE, 6, effort)) for effort in (0, 3))
    assert np.isfinite(refined).all() and np.abs(refined).max() < 3 * max(np.abs(plain).max(), np.abs(sound).max())


def test_silence_has_nothing_to_refine(codec):
    silence = np.zeros((1, 2 * RATE), dtype=np.float32)
    assert np.array_equal(codec.encode(silence, RATE, effort=2).indices, codec.encode(silence, RATE).indices)


def test_a_caller_s_inference_mode_does_not_matter(tiny_model, speech):
    sound, codec = speech[:, :RATE], gritcodec.load(tiny_model)
    with torch.inference_mode():
        found = codec.compress(sound, RATE, effort=1)
    assert found == codec.compress(sound, RATE, effort=1)
    assert codec.engine == "onnx"


@pytest.mark.parametrize("effort", [-1, 101])
def test_there_are_a_hundred_steps_at_most(codec, effort):
    with pytest.raises(UsageError, match=f"effort is a number of steps from 0 to 100, not {effort}"):
        codec.compress(tone(1, 100, RATE), RATE, effort=effort)


@pytest.mark.slow
def test_the_command_takes_effort(tiny_model, tmp_path):
    options = ["--model", str(tiny_model), "--bitrate", "6", "--effort"]
    command = [sys.executable, "-m", "gritcodec", "compress", str(CLIP)]
    file = tmp_path / "clip.grit"
    subprocess.run([*command, str(file), *options, "1"], check=True, capture_output=True)
    codec, sound = gritcodec.load(tiny_model), soundfile.read(CLIP, dtype="float32")[0][None]
    assert file.read_bytes() == codec.compress(sound, RATE, 6, effort=1) != codec.compress(sound, RATE, 6)
    piped = subprocess.run([*command, "-", *options, "1"], check=True, capture_output=True).stdout
    assert piped == b"".join(codec.compress_live([sound], RATE, 1, 6, effort=1))
    done = subprocess.run([*command, str(tmp_path / "x.grit"), *options, "101"], capture_output=True, text=True)
    assert done.returncode == UsageError.exit_code and not (tmp_path / "x.grit").exists()
    assert done.stderr == "gritcodec: error: effort is a number of steps from 0 to 100, not 101\n"


def test_the_bench_knows_efforts(tiny_model):
    (refined,) = contenders.parse(f"{tiny_model}@3:6", {})
    (plain,) = contenders.parse(f"{tiny_model}:6", {})
    assert refined.name == "gritcodec tiny, effort 3" and refined.label == f"{tiny_model}@3:6"
    assert plain.name == "gritcodec tiny" and refined.missing() is None
    (wrong,) = contenders.parse(f"{tiny_model}@300:6", {})
    assert wrong.missing() == "effort is a number of steps from 0 to 100, not 300"
    with pytest.raises(UsageError, match="no codec 'speech-16k@x'"):
        contenders.parse("speech-16k@x:6", {})
