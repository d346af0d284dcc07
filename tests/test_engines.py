"""One contract for every engine: what a step gives is what the whole gives, and nothing leaks."""

import itertools
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import tone
from hypothesis import given, settings
from hypothesis import strategies as st

import gritcodec
from gritcodec import model_store
from gritcodec.engine import make
from gritcodec.engine.interface import Engine
from gritcodec.errors import UsageError

RATE, HOP = 16_000, 320
CLIPS = sorted((Path(gritcodec.__file__).parent / "clips").glob("*.flac"))
CLIPS += sorted((Path(gritcodec.__file__).parent / "demo" / "clips").glob("*.flac"))


def sound(frames: int, first: int = 0, path: Path = CLIPS[0]) -> np.ndarray:
    """Speech of so many frames, [1, samples]."""
    return soundfile.read(path, dtype="float32")[0][None, first * HOP : (first + frames) * HOP]


@pytest.fixture(scope="module", params=["onnx", "torch"])
def engine(request) -> Engine:
    return make(model_store.read(model_store.resolve("speech-16k")), request.param)


@pytest.fixture(scope="module", params=["onnx", "torch"])
def small(request, tiny_model) -> Engine:
    return make(model_store.read(tiny_model), request.param)


def encoded(engine: Engine, samples: np.ndarray, cuts=()) -> np.ndarray:
    state = engine.encoder_state(len(samples))
    edges = [0, *cuts, samples.shape[1] // HOP]
    stages = engine.config.quantizer.stages
    pairs = itertools.pairwise(edges)
    return np.concatenate([engine.encode(samples[:, a * HOP : b * HOP], stages, state) for a, b in pairs], axis=2)


def decoded(engine: Engine, codes: np.ndarray, cuts=()) -> np.ndarray:
    state = engine.decoder_state(len(codes))
    edges = [0, *cuts, codes.shape[2]]
    pairs = itertools.pairwise(edges)
    return np.concatenate([engine.decode(codes[:, :, a:b], state) for a, b in pairs], axis=1)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, 150), max_size=8).map(sorted))
def test_steps_equal_the_whole(engine, cuts):
    samples = sound(150)
    codes = encoded(engine, samples)
    assert np.array_equal(encoded(engine, samples, cuts), codes)
    assert np.array_equal(decoded(engine, codes, cuts), decoded(engine, codes))


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 40), max_size=8).map(sorted), channels=st.integers(1, 4))
def test_steps_equal_the_whole_of_several_channels(small, cuts, channels):
    samples = tone(channels, 40 * HOP, RATE)
    codes = encoded(small, samples)
    cut, whole = decoded(small, codes, cuts), decoded(small, codes)
    if small.name == "onnx":
        assert np.array_equal(encoded(small, samples, cuts), codes) and np.array_equal(cut, whole)
    else:
        # torch rounds by the number of rows in layers as thin as these; not in those of a real network.
        assert (encoded(small, samples, cuts) == codes).mean() > 0.99 and np.abs(cut - whole).max() < 1e-5
    alone = [encoded(small, samples[channel : channel + 1]) for channel in range(channels)]
    assert (np.concatenate(alone) == codes).mean() > 0.999


def test_frame_by_frame(engine):
    samples = sound(70)
    codes = encoded(engine, samples)
    assert np.array_equal(encoded(engine, samples, range(1, 70)), codes)
    assert np.array_equal(decoded(engine, codes, range(1, 70)), decoded(engine, codes))


def test_nothing_leaks_from_the_future_or_from_another_channel(engine):
    samples = np.concatenate([sound(40), sound(40, 40)])
    codes = encoded(engine, samples)
    spoiled = samples.copy()
    spoiled[0, 30 * HOP :] = np.nan
    found = encoded(engine, spoiled)
    assert np.array_equal(found[0, :, :30], codes[0, :, :30]) and np.array_equal(found[1], codes[1])
    whole = decoded(engine, codes)
    other = codes.copy()
    other[0, :, 30:] = (other[0, :, 30:] + 1) % engine.config.quantizer.codebook_size
    changed = (decoded(engine, other) != whole).nonzero()
    assert set(changed[0]) == {0} and changed[1].min() >= 30 * HOP


def test_the_declared_delay_is_the_measured_one(engine):
    """The first sample a frame's codes change lies `delay` before the frame's own first sample, and no earlier."""
    codes = encoded(engine, sound(40))
    other = codes.copy()
    other[:, :, 20] = (other[:, :, 20] + 1) % engine.config.quantizer.codebook_size
    first = (decoded(engine, other) != decoded(engine, codes))[0].nonzero()[0].min()
    assert 20 * HOP <= first < 20 * HOP + 8
    codec = gritcodec.load("speech-16k", engine=engine.name)
    assert round(codec.algorithmic_delay * RATE) == HOP + engine.config.delay == 560


def test_the_declared_context_is_the_measured_one(engine):
    """What lies further back than `warmup_frames` changes no bit; half of it is not enough."""
    codes = encoded(engine, sound(200))
    whole = decoded(engine, codes)
    context = engine.config.warmup_frames(RATE)
    assert np.array_equal(decoded(engine, codes[:, :, 150 - context :])[:, context * HOP :], whole[:, 150 * HOP :])
    late = context // 2
    assert not np.array_equal(decoded(engine, codes[:, :, 150 - late :])[:, late * HOP :], whole[:, 150 * HOP :])


def test_a_state_can_be_saved_and_moved_to_another_engine(tmp_path, engine):
    samples = sound(60)
    codes, state = encoded(engine, samples), engine.encoder_state(1)
    engine.encode(samples[:, : 30 * HOP], 3, state)
    np.savez(tmp_path / "state.npz", **state)
    kept = dict(np.load(tmp_path / "state.npz"))
    assert {name: (array.dtype, array.shape) for name, array in kept.items()} == {
        name: (array.dtype, array.shape) for name, array in engine.encoder_state(1).items()
    }
    stages = engine.config.quantizer.stages
    assert np.array_equal(engine.encode(samples[:, 30 * HOP :], stages, dict(kept)), codes[:, :, 30:])
    other = make(model_store.read(model_store.resolve("speech-16k")), {"onnx": "torch", "torch": "onnx"}[engine.name])
    moved = other.encode(samples[:, 30 * HOP :], stages, kept)
    assert (moved == codes[:, :, 30:]).mean() > 0.98


def test_a_call_leaves_the_arrays_of_the_state_before_it_alone(small):
    codes = encoded(small, tone(1, 8 * HOP, RATE))
    state = small.decoder_state(1)
    small.decode(codes, state)
    before = dict(state)
    copies = {name: array.copy() for name, array in state.items()}
    first = small.decode(codes, state)
    assert all(np.array_equal(before[name], copies[name]) for name in copies)
    assert np.array_equal(small.decode(codes, dict(before)), first)


def test_no_frames_are_no_trouble(small):
    state, stages = small.encoder_state(2), small.config.quantizer.stages
    assert small.encode(np.zeros((2, 0), dtype=np.float32), stages, state).shape == (2, stages, 0)
    assert small.decode(np.zeros((2, 3, 0), dtype=np.uint16), small.decoder_state(2)).shape == (2, 0)
    assert not small.fade(small.decoder_state(2)).any()


def test_engines_agree():
    """The same codes give the same samples to 1e-4 of full scale; the same sound the same codes, but one in 1000."""
    onnx, torch = (make(model_store.read(model_store.resolve("speech-16k")), name) for name in ("onnx", "torch"))
    wrong = total = 0
    for path in CLIPS:
        samples = sound(250, 0, path)
        samples = samples[:, : samples.shape[1] // HOP * HOP]
        codes, others = encoded(torch, samples), encoded(onnx, samples)
        wrong, total = wrong + int((codes != others).sum()), total + codes.size
        for stages in (1, 5, 14):
            assert np.abs(decoded(onnx, codes[:, :stages]) - decoded(torch, codes[:, :stages])).max() < 1e-4
    assert total > 10_000 and wrong / total < 1e-3


def test_threads_share_a_codec(tiny_model):
    codec = gritcodec.load(tiny_model)
    waveforms = [tone(1, 16_000 + 500 * k, RATE) for k in range(8)]
    expected = [codec.compress(waveform, RATE, 3.0) for waveform in waveforms]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda waveform: codec.compress(waveform, RATE, 3.0), waveforms)) == expected
        sounds = list(pool.map(lambda data: codec.decompress(data)[0], expected))
    assert all(np.array_equal(a, codec.decompress(b)[0]) for a, b in zip(sounds, expected, strict=True))


def _compressed(codec, waveform: np.ndarray) -> bytes:
    return codec.compress(waveform, RATE, 3.0)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_codec_goes_to_workers(tiny_model, method):
    """Pickled into spawned ones, inherited by forked ones; a child must not wait for threads it was born without."""
    codec = gritcodec.load(tiny_model)
    waveform = tone(1, 16_000, RATE)
    expected = codec.compress(waveform, RATE, 3.0)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.starmap_async(_compressed, [(codec, waveform)] * 3).get(120) == [expected] * 3


def test_engines_that_there_are_not(tiny_model):
    with pytest.raises(UsageError, match="no engine 'jax'; there are auto, onnx, torch"):
        gritcodec.load(tiny_model, engine="jax")
    with pytest.raises(UsageError, match="runs on the CPU"):
        gritcodec.load(tiny_model, engine="onnx", device="cuda")
    with pytest.raises(UsageError, match="no device 'nowhere'"):
        gritcodec.load(tiny_model, device="nowhere")


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import numpy, gritcodec
codec = gritcodec.load(sys.argv[1])
waveform = numpy.sin(numpy.arange(16000, dtype=numpy.float32))[None]
data = codec.compress(waveform, 16000, 3.0)
sound, rate = codec.decompress(data)
stream, player = codec.stream_encoder(16000), codec.stream_decoder()
for piece in [*stream.push(waveform), *stream.flush()]:
    player.push(piece)
assert type(sound) is numpy.ndarray and sound.shape == (1, 16000) and rate == 16000
for call in (lambda: codec.compress(waveform, 16000, effort=1), lambda: gritcodec.load(sys.argv[1], engine="torch")):
    try:
        call()
    except gritcodec.UsageError as error:
        assert "pip install 'gritcodec[torch]'" in str(error), error
    else:
        raise AssertionError("torch is not there")
"""


def test_the_core_works_without_torch(tiny_model):
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, str(tiny_model)], check=True)


@pytest.mark.parametrize("verb", ["compress", "decompress", "info", "truncate", "join", "cut"])
def test_verbs_import_no_torch(verb, tiny_model, tmp_path):
    source, grit = tmp_path / "a.wav", tmp_path / "a.grit"
    soundfile.write(source, tone(1, 16_000, RATE).T, RATE)
    grit.write_bytes(gritcodec.load(tiny_model).compress(tone(1, 16_000, RATE), RATE, 3.0))
    out, model = str(tmp_path / "out.grit"), ["--model", str(tiny_model)]
    arguments = {
        "compress": [str(source), out, *model],
        "decompress": [str(grit), str(tmp_path / "out.wav"), *model],
        "info": [str(grit)],
        "truncate": [str(grit), out, "--bitrate", "1"],
        "join": [str(grit), str(grit), out],
        "cut": [str(grit), out, "--start", "0.1", *model],
    }[verb]
    command = [sys.executable, "-X", "importtime", "-m", "gritcodec", verb, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "gritcodec.cli.app" in imported and not {"torch", "torchaudio", "scipy", "librosa"} & imported


def test_nothing_is_left_in_a_user_s_folders(tiny_model, tmp_path):
    """ONNX Runtime would keep a device id and a database there, and a thread would wait to send it."""
    for name in ("home", "cache", "temporary"):
        (tmp_path / name).mkdir()
    code = (
        "import os, sys, gritcodec, numpy\n"
        "codec = gritcodec.load(sys.argv[1])\n"
        "codec.decompress(codec.compress(numpy.ones((1, 4000), numpy.float32), 16000))\n"
        "assert 'ORT_DISABLE_TELEMETRY' not in os.environ"
    )
    folders = {"HOME": "home", "XDG_CACHE_HOME": "cache", "TMPDIR": "temporary"}
    kept = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment = kept | {key: str(tmp_path / name) for key, name in folders.items()}
    subprocess.run([sys.executable, "-c", code, str(tiny_model)], check=True, env=environment)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_is_born_while_another_thread_loads(tiny_model):
    """The thread that makes the sessions is not in the child, and neither may be what it locked."""
    waveform = tone(1, 4000, RATE)
    for _ in range(5):
        codec = gritcodec.load("speech-16k")
        with ThreadPoolExecutor(1) as pool:
            busy = pool.submit(codec.encode, waveform, RATE)
            queue = multiprocessing.get_context("fork").Queue()
            worker = multiprocessing.get_context("fork").Process(target=_put_codes, args=(codec, waveform, queue))
            worker.start()
            found = queue.get(timeout=60)
            worker.join()
            assert np.array_equal(found, busy.result().indices)


def _put_codes(codec, waveform, queue) -> None:
    queue.put(codec.encode(waveform, RATE).indices)


def test_what_is_no_state_is_refused(small):
    codes = encoded(small, tone(1, 4 * HOP, RATE))
    good = small.decoder_state(1)
    name = next(iter(good))
    for bad in ({}, good | {name: good[name].astype(">f4")}, good | {name: good[name][:, 1:]}, small.decoder_state(2)):
        with pytest.raises(UsageError, match="no state of the network"):
            small.decode(codes, bad)
    frozen = {key: array.copy() for key, array in good.items()}
    for array in frozen.values():
        array.flags.writeable = False
    assert np.array_equal(small.decode(codes, frozen), small.decode(codes, good))


def test_the_page_needs_no_torch():
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "from gritcodec.demo import server\nfrom gritcodec.demo.limits import Limits\n"
        "from gritcodec.demo.workspace import Workspace\n"
        "server.application('speech-16k', '127.0.0.1', Workspace(60), Limits())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
