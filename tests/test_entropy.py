"""Entropy coding: a decoder written from docs/bitstream.md alone, exactness, peeling, damage, and files of a model."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_by_the_book import Bytes

import gritcodec
from gritcodec import bitstream, model_store
from gritcodec.bitstream import Body, ContextModel, Header
from gritcodec.bitstream.rangecoder import Decoder, Encoder
from gritcodec.errors import CorruptFileError, ModelError, WrongModelError

HERE = Path(__file__).parent
CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"
sys.path.insert(0, str(HERE / "golden"))

import contexts as golden  # noqa: E402

FINGERPRINT = bytes.fromhex("0123456789abcdef")


def header_for(channels=1, stages=3, bits=6, frames=40, **fields):
    return Header(FINGERPRINT, 16000, channels, frames * 320, stages, bits, coding=bitstream.ENTROPY, **fields)


def weights_by_the_book(tensors, codes, stage, t):
    """f[k] of one frame, in Python's integers; codes: [stages][frames]."""
    _, size, dim = tensors["vectors"].shape
    frames = len(codes[0])

    def v(s, at):
        if not 0 <= at < frames:
            return [0] * dim
        return [int(x) << int(tensors["vector_shift"][s]) for x in tensors["vectors"][s][codes[s][at]]]

    def p(at):
        return [sum(column) for column in zip(*(v(s, at) for s in range(stage)), strict=True)]

    if stage == 0:
        rows = [v(0, t - back) for back in range(1, 7)]
    else:
        rows = [p(t + offset) for offset in (-2, -1, 0, 1, 2)] + [v(stage - 1, t)]
    x = [number for row in rows for number in row]

    def layer(name, numbers):
        matrix, bias = tensors[name][stage].tolist(), tensors[f"{name}_bias"][stage].tolist()
        shift = int(tensors[f"{name}_shift"][stage])
        return [
            sum(a * row[j] for a, row in zip(numbers, matrix, strict=True)) + b >> shift for j, b in enumerate(bias)
        ]

    h = [min(max(number, 0), 1023) for number in layer("hidden", x)]
    logits = layer("output", h)
    d = [max(logits) - number for number in logits]
    r = [round(2**20 * 2 ** (-number / 64)) if number < 1344 else 0 for number in d]
    w = [number * (2**24 - size) // sum(r) for number in r]
    w[logits.index(max(logits))] += 2**24 - size - sum(w)
    return [number + 1 for number in w]


def body_by_the_book(tensors, body, channels, stages, frames, bits):
    """Codes [channels][stages][frames] from the body of a packet, with nothing but the words of the document."""
    data = Bytes(body)
    plain = math.ceil(channels * frames * bits / 8)
    lengths = [plain - data.varint() for _ in range(stages)]
    codes = [[[0] * frames for _ in range(stages)] for _ in range(channels)]
    for stage, length in enumerate(lengths):
        block = data.take(length)
        if length == plain:
            number, left = int.from_bytes(block, "big"), 8 * plain
            for channel in range(channels):
                for t in range(frames):
                    left -= bits
                    codes[channel][stage][t] = number >> left & (2**bits - 1)
            continue
        stream, at = block + bytes(4 * channels * frames + 8), 8
        low, size, point = 0, 2**64 - 1, int.from_bytes(stream[:8], "big")
        for channel in range(channels):
            for t in range(frames):
                f = weights_by_the_book(tensors, codes[channel], stage, t)
                unit = size >> 24
                place, k, below = (point - low) % 2**64 // unit, 0, 0
                while below + f[k] <= place:
                    below += f[k]
                    k += 1
                codes[channel][stage][t] = k
                low, size = (low + unit * below) % 2**64, unit * f[k]
                if size < 2**32:
                    size, low = size << 32, (low << 32) % 2**64
                    point = (point << 32) % 2**64 + int.from_bytes(stream[at : at + 4], "big")
                    at += 4
    assert data.at == len(body)
    return codes


@pytest.mark.parametrize("bias", [0, 2**31 - 200_000])  # small numbers go through float32, large ones through float64
@pytest.mark.parametrize("channels, stages, frames", [(1, 3, 12), (2, 2, 7), (1, 1, 1)])
def test_a_decoder_written_from_the_document_reads_the_same_codes(channels, stages, frames, bias):
    tensors = golden.tensors()
    tensors["output_bias"] += np.int32(bias)
    model = ContextModel(tensors)
    codes = golden.likely_codes(model, channels, stages, frames)
    body = bitstream.coding_for(header_for(channels), model).pack(codes)
    assert body_by_the_book(tensors, body, channels, stages, frames, 6) == codes.tolist()


# Vectors that share a factor are multiplied without it, in float32; those too far apart in size for that, in float64.
@pytest.mark.parametrize("shift, kind", [((9, 9, 9), np.float32), ((0, 9, 3), np.float64), ((12, 0, 2), np.float64)])
def test_vectors_of_any_size_give_the_weights_of_the_document(shift, kind):
    tensors = golden.tensors()
    tensors["vector_shift"][:] = shift
    tensors["hidden_shift"] += np.uint8(8)
    model = ContextModel(tensors)
    assert model._vectors.dtype == kind
    codes = np.random.default_rng(3).integers(0, 64, (3, 9))
    seen = set()
    for stage in range(3):
        weights = model.weights(codes, stage).astype(int) + 1
        seen |= {tuple(row) for row in weights.tolist()}
        assert weights.tolist() == [weights_by_the_book(tensors, codes.tolist(), stage, t) for t in range(9)]
    assert len(seen) > 9


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 64),
    st.integers(0, 2**32),
    st.sampled_from(["any", "likely", "one"]),
)
def test_round_trip_and_peeling(channels, stages, frames, seed, kind):
    model = golden.model()
    if kind == "likely":
        codes = golden.likely_codes(model, channels, stages, frames, seed)
    else:
        codes = np.random.default_rng(seed).integers(0, 64 if kind == "any" else 1, (channels, stages, frames))
    header = header_for(channels)
    coding = bitstream.coding_for(header, model)
    body = coding.pack(codes)
    assert np.array_equal(coding.unpack(body, stages, frames), codes)
    assert len(body) <= stages * (header.block_bytes(frames) + 1)
    assert coding.length(body[: 3 * stages], stages, frames) == len(body)
    without = bitstream.coding_for(header)
    for keep in range(1, stages + 1):
        shorter = coding.pack(codes[:, :keep])
        assert without.cut(body, stages, frames, keep) == shorter
        assert without.sizes(body, stages, frames)[keep - 1] == len(shorter)
    with pytest.raises(WrongModelError):
        without.unpack(body, stages, frames)


def test_likely_codes_are_cheap_and_their_price_is_their_information():
    model = golden.model()
    codes = golden.likely_codes(model, 1, 3, 64)
    bits = 0.0
    for stage in range(3):
        weights = model.weights(codes[0], stage)[np.arange(64), codes[0, stage]] + 1
        bits -= float(np.log2(weights / 2**24).sum())
    body = bitstream.coding_for(header_for(), model).pack(codes)
    assert bits / 8 < 120 < 3 * 48 and len(body) <= bits / 8 + 3 * 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 80), st.sampled_from([2, 17, 256, 4096]))
def test_range_coding_ends_within_a_byte_of_the_information(seed, count, size):
    draw = np.random.default_rng(seed)
    shares = draw.dirichlet(np.full(size, draw.choice([0.01, 1.0, 50.0])), count)
    weights = np.floor(shares * (2**24 - size)).astype(np.int64)
    if count:
        weights[np.arange(count), weights.argmax(1)] += 2**24 - size - weights.sum(1)
    symbols = draw.integers(0, size, count)
    encoder = Encoder()
    encoder.push(symbols[: count // 2], weights[: count // 2])
    encoder.push(symbols[count // 2 :], weights[count // 2 :])
    block = encoder.finish()
    decoder = Decoder(block)
    found = [decoder.take(weights[i : i + 1])[0] for i in range(count // 2)]
    assert [*found, *decoder.take(weights[count // 2 :])] == symbols.tolist()
    information = -np.log2((weights[np.arange(count), symbols] + 1) / 2**24).sum()
    assert 8 * len(block) <= information + 9


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120), st.integers(1, 3), st.integers(1, 40))
def test_any_bytes_are_codes_or_an_error(data, stages, frames):
    coding = bitstream.coding_for(header_for(), golden.model())
    try:
        codes = coding.unpack(data, stages, frames)
    except CorruptFileError:
        return
    assert codes.shape == (1, stages, frames) and codes.max() < 64


def test_tables_that_do_not_fit_are_refused():
    for name, tensor in golden.tensors().items():
        for wrong in (tensor[..., :-1], tensor.astype(np.float32), None):
            with pytest.raises(ModelError, match="table of contexts is damaged"):
                ContextModel({**golden.tensors(), name: wrong} if wrong is not None else {"vectors": tensor})
    with pytest.raises(ModelError, match="output_shift"):
        ContextModel({**golden.tensors(), "output_shift": np.full(3, 21, dtype=np.uint8)})


def file_of(header, model, codes):
    coding = bitstream.coding_for(header, model)
    parts = [codes[:, :, start : start + 64] for start in range(0, codes.shape[2], 64)]
    return [Body(part.shape[1], part.shape[2], coding.pack(part)) for part in parts]


def test_savings_buy_stages_within_the_budget_and_truncated_files_are_those_of_the_lower_bitrate():
    model = golden.model()
    codes = golden.likely_codes(model, 1, 3, 900)
    header = header_for(frames=900)
    bodies = file_of(header, model, codes)
    plain = replace(header, coding=bitstream.PLAIN)
    whole = bitstream.assemble_within(header, bodies, 0.9)
    for kbps in (0.3, 0.45, 0.6, 0.75):
        data = bitstream.assemble_within(header, bodies, kbps)
        assert len(data) * 8 / 18000 <= kbps or max(body.stages for body in bitstream.read_contents(data).bodies) == 1
        assert bitstream.truncate(whole, kbps) == data
        same = bitstream.assemble_within(plain, file_of(plain, None, codes), kbps)
        stages = [sum(b.stages for b in bitstream.read_contents(each).bodies) for each in (data, same)]
        assert stages[0] > stages[1]


def test_entropy_coded_files_are_joined_with_their_contexts_alone():
    model = golden.model()
    codes = golden.likely_codes(model, 2, 3, 150)
    header = header_for(2, frames=150)
    data = bitstream.assemble(header, file_of(header, model, codes))
    with pytest.raises(WrongModelError):
        bitstream.join([data, data])
    contents = bitstream.read_contents(bitstream.join([data, data], model))
    coding = bitstream.coding_for(contents.header, model)
    found = [coding.unpack(body.data, body.stages, body.frames) for body in contents.bodies]
    assert np.array_equal(np.concatenate(found, axis=2), np.concatenate([codes, codes], axis=2))


@pytest.fixture(scope="module")
def models(tiny_model, tmp_path_factory):
    """Folders of a small network, first with random contexts of its sizes, then without any."""
    from gritcodec.train.contexts import write

    network = model_store.load(tiny_model).network
    coded, plain = tmp_path_factory.mktemp("coded"), tmp_path_factory.mktemp("plain")
    for folder in (coded, plain):
        model_store.save(folder, network)
    write(coded, network, golden.tensors(12, 10, 8, 8))
    return coded, plain


def test_files_of_a_model_with_and_without_contexts_hold_the_same_codes(models):
    coded, plain = (gritcodec.load(folder) for folder in models)
    waveform, rate = soundfile.read(CLIP, dtype="float32", always_2d=True)
    waveform = waveform.T
    assert coded.fingerprint != plain.fingerprint
    files = coded.compress(waveform, rate, 3), plain.compress(waveform, rate, 3)
    contents = [bitstream.read_contents(data) for data in files]
    for body, other in zip(*(each.bodies for each in contents), strict=True):
        stages = min(body.stages, other.stages)
        codes = bitstream.coding_for(contents[0].header, coded.contexts).unpack(body.data, body.stages, body.frames)
        same = bitstream.coding_for(contents[1].header).unpack(other.data, other.stages, other.frames)
        assert stages >= 5 and np.array_equal(codes[:, :stages], same[:, :stages])
    assert coded.decompress(files[0])[0].shape == plain.decompress(files[1])[0].shape == waveform.shape
    assert [bitstream.whole_header(data).coding for data in files] == [bitstream.ENTROPY, bitstream.PLAIN]
    for codec, data in zip((coded, plain), files, strict=True):
        assert bitstream.truncate(codec.compress(waveform, rate, 6), 3) == data
        assert bitstream.join([data, data], model_store.contexts(Path(models[0])))
    with pytest.raises(WrongModelError):
        plain.decompress(files[0])


def test_bytes_do_not_depend_on_the_number_of_threads(models, tmp_path):
    script = (
        "import sys, hashlib, numpy as np; from pathlib import Path; from gritcodec import bitstream, model_store\n"
        "model = model_store.contexts(Path(sys.argv[1]))\n"
        "codes = np.random.default_rng(1).integers(0, 1024, (1, 12, 64))\n"
        "header = bitstream.Header(bytes(8), 16000, 1, 0, 12, coding=bitstream.ENTROPY)\n"
        "coding = bitstream.coding_for(header, model)\n"
        "weights = [model.weights(codes[0], stage).tobytes() for stage in range(12)]\n"
        "print(hashlib.sha256(b''.join([coding.pack(codes), *weights])).hexdigest())\n"
        "assert 'torch' not in sys.modules\n"
    )
    found = set()
    for threads in ("1", "2"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        command = [sys.executable, "-c", script, str(models[0])]
        found.add(subprocess.run(command, env=os.environ | limits, capture_output=True, check=True).stdout)
    assert len(found) == 1


def test_contexts_are_fitted_to_a_model_and_save_bytes(models, tmp_path):
    """The command, on a corpus of one clip; what it says it saves is what files of that clip lose."""
    folder = tmp_path / "model"
    model_store.save(folder, model_store.load(models[1]).network)
    command = [sys.executable, "-m", "gritcodec.train.contexts", str(folder), "--corpus", str(CLIP)]
    options = [
        "--hours",
        "0.02",
        "--steps",
        "25",
        "--batch",
        "2",
        "--check",
        "8",
        "--hidden",
        "16",
        "--rate-weight",
        "0.01",
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    assert "12 stages: " in done.stdout and "entropy of the codes" in done.stderr
    quantizer = model_store.load(folder).network.quantizer
    assert quantizer.rate_weight == 0.01 and quantizer.usage.sum(-1) == pytest.approx(np.ones(12), abs=1e-4)
    assert (quantizer.perplexity() < 1000).all()
    target = tmp_path / "a.grit"
    run = [sys.executable, "-m", "gritcodec"]
    subprocess.run([*run, "compress", str(CLIP), str(target), "--model", str(folder), "--bitrate", "6"], check=True)
    told = subprocess.run([*run, "info", str(target), "--json"], capture_output=True, text=True, check=True)
    facts = json.loads(told.stdout)
    assert facts["coding"] == "entropy" and facts["entropy_coding_saves_percent"] > 2
    with pytest.raises(WrongModelError):
        gritcodec.load(models[1]).decompress(target.read_bytes())
