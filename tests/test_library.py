"""The library inside other people's programs, which change how torch computes and pass numbers of every kind."""

import ast
import multiprocessing
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import tone

import gritcodec
from gritcodec.cli import app as cli
from gritcodec.errors import UsageError

RATE = 16_000

SURROUNDINGS = {
    "inference mode": "stack.enter_context(torch.inference_mode())",
    "autocast to bfloat16": "stack.enter_context(torch.autocast('cpu', torch.bfloat16))",
    "autocast to float16": "stack.enter_context(torch.autocast('cpu', torch.float16))",
    "double by default": "torch.set_default_dtype(torch.float64)",
    "bfloat16 by default": "torch.set_default_dtype(torch.bfloat16)",
    "another device by default": "torch.set_default_device('meta')",
    "no gradients": "stack.enter_context(torch.no_grad())",
    "one thread": "torch.set_num_threads(1)",
}
PROGRAM = """
import contextlib, hashlib, sys, numpy as np, torch, gritcodec
model, line = sys.argv[1:]
waveform = np.sin(np.arange(20_000, dtype=np.float32) ** 1.2)[None] / 2

def digest(codec):
    given = torch.from_numpy(waveform)
    codes = codec.encode(given, 16_000, 3.0)
    sound = codec.decode(codes)
    assert isinstance(codes.indices, torch.Tensor) and codes.indices.dtype == torch.int64
    assert isinstance(sound, torch.Tensor) and sound.dtype == torch.float32 and sound.device.type == "cpu"
    refined = codec.compress(waveform, 16_000, 3.0, effort=1)
    data = codec.compress(given, 16_000, 3.0)
    again, _ = codec.decompress(data)
    parts = codes.indices.numpy(), sound.numpy(), again
    return hashlib.sha256(b"".join(part.tobytes() for part in parts) + data + bytes([len(refined) > 0])).hexdigest()

before = {name: gritcodec.load(model, engine=name) for name in ("onnx", "torch")}
with contextlib.ExitStack() as stack:
    exec(line)
    inside = {name: gritcodec.load(model, engine=name) for name in ("onnx", "torch")}
    print([digest(codec) for codecs in (before, inside) for codec in codecs.values()])
"""


def ran(model: Path, line: str) -> list[str]:
    """Digests of what both engines make, loaded before torch was set so, and after."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(model), line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1500:]
    return ast.literal_eval(done.stdout)


@pytest.fixture(scope="module")
def expected(tiny_model):
    return ran(tiny_model, "")


# Each takes a process with torch; what these leave over is tried by `make slow`.
COMMON = ("inference mode", "autocast to bfloat16", "double by default", "another device by default")
LINES = [
    pytest.param(line, id=name, marks=() if name in COMMON else pytest.mark.slow) for name, line in SURROUNDINGS.items()
]


@pytest.mark.parametrize("line", LINES)
def test_how_torch_is_set_does_not_matter(tiny_model, expected, line):
    assert ran(tiny_model, line) == expected


@pytest.fixture(scope="module")
def codec(tiny_model):
    return gritcodec.load(tiny_model)


def test_numbers_of_every_kind(codec):
    waveform = tone(1, 4000, RATE)
    expected = codec.compress(waveform, RATE, 3.0)
    rates = (16000.0, np.int32(16000), np.float32(16000), np.array(16000), torch.tensor(16000), torch.tensor(16000.0))
    for rate in rates:
        assert codec.compress(waveform, rate, 3.0) == expected
        assert type(codec.encode(waveform, rate).sample_rate) is int
    for bitrate in (3, np.float64(3), np.int8(3), torch.tensor(3.0)):
        assert codec.compress(waveform, RATE, bitrate) == expected
    pieces = codec.stream_encoder(np.int64(16000), np.int64(1), np.float32(3), packet_frames=np.uint8(2)).flush()
    assert pieces[0][:6] == b"\xf5GRIT\r"
    # What was given stays as it was: a shift in place would change the caller's variable.
    rate = torch.tensor(16000)
    codec.compress(waveform, rate, 3.0)
    assert rate == 16000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda codec, x: codec.compress(x, "16000"), "the sample rate must be a whole number, not '16000'"),
        (lambda codec, x: codec.compress(x, 16000.5), "the sample rate must be a whole number, not 16000.5"),
        (lambda codec, x: codec.compress(x, None), "the sample rate must be a number, not None"),
        (lambda codec, x: codec.compress(x, float("nan")), "the sample rate must be a whole number, not nan"),
        (lambda codec, x: codec.compress(x, RATE, "3"), "the bitrate must be a number, not '3'"),
        (lambda codec, x: codec.compress(x, RATE, [3, 6]), "the bitrate must be a number"),
        (lambda codec, x: codec.compress(x, RATE, np.array([3.0, 6.0])), "the bitrate must be a number"),
        (lambda codec, x: codec.encode(x, RATE, effort="much"), "effort must be a whole number, not 'much'"),
        (lambda codec, x: codec.encode(x, True), "the sample rate must be a whole number, not True"),
        (lambda codec, x: codec.stream_encoder(RATE, "two"), "the number of channels must be a whole number"),
        (lambda codec, x: codec.encode(x.astype(np.int64), RATE), "int16, int32 or uint8, not int64"),
        (lambda codec, x: codec.encode(torch.zeros(1, 10, dtype=torch.int8), RATE), "or uint8, not int8"),
        (lambda codec, x: codec.encode(x.T, RATE), "not of shape (1000, 1): give waveform.T"),
        (lambda codec, x: gritcodec.write("x.wav", x.T, RATE), "not of shape (1000, 1): give waveform.T"),
        (lambda codec, x: gritcodec.write("x.wav", x.astype(bool), RATE), "int16, int32 or uint8, not bool"),
        (lambda codec, x: gritcodec.write("x.wav", x, "fast"), "the sample rate must be a whole number, not 'fast'"),
        (lambda codec, x: gritcodec.write("x.txt", x, RATE), "x.txt"),
        (lambda codec, x: gritcodec.read("nowhere.wav"), "nowhere.wav"),
        (lambda codec, x: codec.encode(x[None], RATE), "must be [channels, samples], or [samples]"),
        (lambda codec, x: codec.decompress(123), "bytes are needed, not int"),
        (lambda codec, x: codec.decompress("a"), "bytes are needed, not str"),
        (lambda codec, x: codec.stream_decoder().push("a"), "bytes are needed, not str"),
    ],
)
def test_what_is_no_number_is_named_in_one_line(codec, call, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        call(codec, tone(1, 1000, RATE))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_tensors_of_other_types(codec, kind):
    waveform = torch.from_numpy(tone(1, 4000, RATE)).to(kind)
    codes = codec.encode(waveform, RATE)
    assert torch.equal(codes.indices, codec.encode(waveform.float(), RATE).indices)
    assert codec.decode(codes).dtype == torch.float32
    assert codec.encode(waveform.requires_grad_(), RATE).indices.shape == codes.indices.shape


def test_one_channel_and_integers(codec):
    waveform = tone(1, 4000, RATE)
    codes = codec.encode(waveform, RATE).indices
    assert np.array_equal(codec.encode(waveform[0], RATE).indices, codes)
    whole = np.round(waveform * 32767).astype(np.int16)
    expected = codec.compress(whole / np.float32(32768), RATE)
    for kind in (np.int16, ">i2", "<i2"):
        assert codec.compress(whole.astype(kind), RATE) == expected
    for kind in (np.int32, ">i4"):
        assert codec.compress(whole.astype(kind) * 65536, RATE) == expected
    assert codec.compress(torch.from_numpy(whole), RATE) == expected
    coarse = np.round(waveform * 127 + 128).astype(np.uint8)
    expected = codec.compress((coarse / np.float32(128)) - 1, RATE)
    assert codec.compress(coarse, RATE) == expected == codec.compress(torch.from_numpy(coarse[0]), RATE)


@pytest.mark.filterwarnings("ignore:Chunk")
def test_what_other_readers_give_can_be_passed_on(codec, tmp_path):
    """soundfile gives [samples], scipy integers of every width; what `gritcodec.read` gives is the same sound."""
    wavfile = pytest.importorskip("scipy.io.wavfile")
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"):
        path = tmp_path / f"{subtype}.wav"
        soundfile.write(path, tone(1, 4000, RATE)[0], RATE, subtype=subtype)
        waveform, rate = gritcodec.read(path)
        assert waveform.shape == (1, 4000) and waveform.dtype == np.float32 and rate == RATE
        expected = codec.compress(waveform, rate)
        assert codec.compress(soundfile.read(path)[0], rate) == expected
        assert codec.compress(wavfile.read(path)[1], rate) == expected


def test_what_is_written_is_read_again(tmp_path):
    waveform = np.round(tone(2, 4000, RATE) * 32767).astype(np.int16)
    for given in (waveform, waveform / np.float32(32768), torch.from_numpy(waveform), waveform.astype(">i4") * 65536):
        gritcodec.write(tmp_path / "talk.wav", given, np.int64(RATE))
        found, rate = gritcodec.read(tmp_path / "talk.wav")
        assert np.array_equal(found, waveform / np.float32(32768)) and rate == RATE
    gritcodec.write(tmp_path / "one.flac", waveform[0], RATE)
    assert np.array_equal(gritcodec.read(tmp_path / "one.flac")[0], waveform[:1] / np.float32(32768))
    with pytest.raises(UsageError, match="exists"):
        gritcodec.write(tmp_path / "talk.wav", waveform, RATE, overwrite=False)
    with pytest.raises(gritcodec.AudioError, match="NaN"):
        gritcodec.write(tmp_path / "bad.wav", [0.0, np.nan], RATE)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "talk.wav").read_bytes()[:-2000])
    with pytest.warns(gritcodec.AudioWarning, match="cut.wav"):
        assert gritcodec.read(tmp_path / "cut.wav")[0].shape == (2, 3500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.wav", "one.flac", "talk.wav"]


def test_codes_of_every_kind(codec):
    codes = codec.encode(tone(1, 4000, RATE), RATE)
    expected = codec.decode(codes)
    for kind in (np.uint16, np.int32, np.uint64, ">i4"):
        assert np.array_equal(codec.decode(gritcodec.Codes(codes.indices.astype(kind), RATE, 4000)), expected)
    with pytest.raises(UsageError, match="codes must be integers"):
        codec.decode(gritcodec.Codes(codes.indices[:0], RATE, 4000))


def test_faint_sound_where_numpy_raises(codec):
    faint = tone(1, 4000, RATE) * np.float32(1e-30)
    expected = codec.compress(faint, RATE)
    with np.errstate(all="raise"):
        assert codec.compress(faint, RATE) == codec.compress(faint.astype(np.float64), RATE) == expected
        codec.decompress(expected)


def test_bytes_of_every_kind(codec):
    data = codec.compress(tone(1, 4000, RATE), RATE)
    expected, _ = codec.decompress(data)
    for kind in (bytearray, memoryview):
        assert np.array_equal(codec.decompress(kind(data))[0], expected)
    encoder, decoders = codec.stream_encoder(RATE), [codec.stream_decoder() for _ in range(3)]
    for piece in [*encoder.push(tone(1, 4000, RATE)), *encoder.flush()]:
        sounds = [d.push(kind(piece)) for d, kind in zip(decoders, (bytes, bytearray, memoryview), strict=True)]
        assert all(np.array_equal(sounds[0], sound) for sound in sounds[1:])


def _encode(codec, queue) -> None:
    try:
        queue.put(codec.encode(tone(1, 2000, RATE), RATE).indices.shape)
    except UsageError as error:
        queue.put(str(error))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_with_torch_is_refused_or_works(tiny_model):
    codec = gritcodec.load(tiny_model, engine="torch")
    codec.encode(tone(1, 2000, RATE), RATE)
    context, threads = multiprocessing.get_context("fork"), torch.get_num_threads()
    for count, answer in ((2, "torch does not survive a fork"), (1, (1, 6, 7))):
        torch.set_num_threads(count)
        queue = context.Queue()
        child = context.Process(target=_encode, args=(codec, queue))
        child.start()
        found = queue.get(timeout=60)
        child.join()
        assert found == answer if count == 1 else answer in found
    torch.set_num_threads(threads)


def test_clipping_is_said(tiny_model, tmp_path, capsys, monkeypatch):
    """A decoder goes beyond full scale where the recording was clipped: integers cannot hold that."""
    codec = gritcodec.load("speech-16k")
    speech = soundfile.read(Path(gritcodec.__file__).parent / "clips" / "austen.flac", dtype="float32")[0][None, :32000]
    (tmp_path / "loud.grit").write_bytes(codec.compress(np.clip(8 * speech, -1, 1), RATE, 6.0))
    (tmp_path / "soft.grit").write_bytes(codec.compress(speech / 2, RATE, 6.0))
    assert cli.main(["decompress", str(tmp_path / "loud.grit"), str(tmp_path / "loud.wav")]) == 0
    assert "dB beyond full scale, and is clipped there" in capsys.readouterr().err
    assert cli.main(["decompress", str(tmp_path / "soft.grit"), str(tmp_path / "soft.wav")]) == 0
    assert cli.main(["decompress", str(tmp_path / "loud.grit"), str(tmp_path / "x.raw"), "--raw", "f32le"]) == 0
    assert "full scale" not in capsys.readouterr().err
    assert np.abs(np.fromfile(tmp_path / "x.raw", "<f4")).max() > 1.06
