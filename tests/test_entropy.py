"""Entropy coding: a decoder written from docs/entropy-coding.md alone, exactness, peeling, damage, files of a model."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import entropy_by_the_book as book
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_by_the_book import Bytes, crc_by_the_book

import gritcodec
from gritcodec import bitstream, model_store
from gritcodec.bitstream import Body, ContextModel, Header, savings
from gritcodec.bitstream.frequencies import SHARES, weights, weights_of_one
from gritcodec.bitstream.rangecoder import Decoder, Encoder
from gritcodec.bitstream.symbols import Symbols
from gritcodec.engine import store
from gritcodec.errors import CorruptFileError, ModelError, WrongModelError

HERE = Path(__file__).parent
CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"
sys.path.insert(0, str(HERE / "golden"))

import contexts as golden  # noqa: E402

FINGERPRINT = bytes.fromhex("0123456789abcdef")


def header_for(channels=1, stages=3, bits=6, frames=40, **fields):
    return Header(FINGERPRINT, 16000, channels, frames * 320, stages, bits, coding=bitstream.ENTROPY, **fields)


def blocks_of(body, channels, stages, frames, bits):
    """Cut a body of coding 1 into its blocks."""
    plain = -(-channels * frames * bits // 8)
    halves = [half for byte in body for half in (byte >> 4, byte & 15)]
    at, saving, lengths = 0, plain // 3, []
    for _ in range(stages):
        difference = halves[at] - 7
        at += 1
        if difference == 8:
            zigzag = shift = 0
            while True:
                zigzag += (halves[at] & 7) << shift
                shift += 3
                at += 1
                if halves[at - 1] < 8:
                    break
            difference = zigzag // 2 if zigzag % 2 == 0 else -(zigzag + 1) // 2
        saving += difference
        lengths.append(plain - saving)
    data = Bytes(body, -(-at // 2))
    blocks = [data.take(length) for length in lengths]
    assert data.at == len(body)
    return blocks


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1 << 20), st.data())
def test_savings_of_any_size_are_told(plain, draw):
    told = draw.draw(st.lists(st.integers(0, plain), min_size=1, max_size=63))
    data = savings.write(told, plain)
    assert savings.read(data + b"more", len(told), plain) == (told, len(data)) and len(data) <= 4 * len(told)
    for size in range(len(data)):
        with pytest.raises(CorruptFileError):
            savings.read(data[:size], len(told), plain)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.integers(1, 63), st.integers(1, 1000))
def test_no_bytes_tell_savings_that_cannot_be(data, stages, plain):
    with contextlib.suppress(CorruptFileError):
        told, size = savings.read(data, stages, plain)
        assert all(0 <= saving <= plain for saving in told) and len(told) == stages and size <= len(data)


# Small numbers go through float32, large ones through float64.
@pytest.mark.parametrize("layers, kind", [((), np.float32), (("hidden", "group", "place"), np.float64)])
@pytest.mark.parametrize("channels, stages, frames, bits", [(1, 3, 14, 6), (2, 2, 7, 5), (1, 1, 1, 7), (3, 3, 2, 2)])
def test_a_decoder_written_from_the_document_reads_the_same_codes(channels, stages, frames, bits, layers, kind):
    tensors = golden.tensors(bits=bits)
    for name in layers:
        tensors[f"{name}_bias"] += np.int32(2**31 - 2**22)
    model = ContextModel(tensors)
    assert {model.hidden[0].dtype, model.heads.dtype, model.place.dtype} == {np.dtype(kind)}
    codes = golden.likely_codes(model, channels, stages, frames)
    body = bitstream.coding_for(header_for(channels, stages, bits), model).pack(codes)
    assert book.read_blocks(tensors, blocks_of(body, channels, stages, frames, bits), channels, frames, bits) == (
        codes.tolist()
    )


def test_the_largest_numbers_that_tables_may_hold_stay_exact_and_larger_ones_are_refused():
    tensors = golden.tensors()
    for name in ("vectors", "narrow", "hidden", "group", "middle", "place"):
        tensors[name] = np.where(tensors[name] < 0, -127, 127).astype(np.int8)
    tensors["vector_shift"][:] = tensors["narrow_shift"][:] = 3
    for name, largest, axis in (("hidden", 511, 1), ("group", 1023, 1), ("middle", 1023, 1), ("place", 1023, 3)):
        room = 2**31 - 1 - largest * np.abs(tensors[name].astype(np.int64)).sum(axis)
        signs = np.where(tensors[f"{name}_bias"] < 0, -1, 1)
        tensors[f"{name}_bias"] = (signs * room).astype(np.int32)
    model = ContextModel(tensors)
    codes = np.random.default_rng(4).integers(0, 64, (1, 3, 5))
    coding = bitstream.coding_for(header_for(), model)
    network = book.Network(tensors)
    known = {t: codes[0, :, t].tolist() for t in range(5)}
    prepared = Symbols(model, codes)
    for t in range(5):  # the last stage sees all that it may
        f, middle = network.groups(known, 2, t, 5)
        assert (prepared._group_weights[2][0, t] == np.array(f) * 256 - 1).all()
        group = int(prepared._groups[2][0, t])
        assert (prepared._place_weights[2][0, t] == np.array(network.places(middle, 2, group)) * 256 - 1).all()
    assert np.array_equal(coding.unpack(coding.pack(codes), 3, 5), codes)
    tensors["place_bias"][1, 2, 3] = 2**31 - 1
    with pytest.raises(ModelError, match="sums of place"):
        ContextModel(tensors)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([2, 3, 32, 256]), st.integers(0, 20), st.integers(1, 30))
def test_frequencies_are_those_of_the_document_one_row_or_many(seed, count, shift, bits):
    draw = np.random.default_rng(seed)
    rows = draw.integers(-(2**bits), 2**bits, (3, count))
    wanted = [book.frequencies(row.tolist(), shift) for row in rows]
    scaled = rows / 2.0**shift
    single = np.float32 if bits < 23 else np.float64
    assert (weights(scaled.astype(single)) == np.array(wanted) * 256 - 1).all()
    for row, f in zip(scaled.astype(single), wanted, strict=True):
        assert (weights_of_one(row)[0] == np.array(f) * 256 - 1).all()


def test_the_table_of_shares_has_the_checksum_of_the_document():
    text = (HERE.parent / "docs" / "entropy-coding.md").read_text(encoding="utf-8")
    assert f"0x{crc_by_the_book(SHARES[:-1].astype('<u2').tobytes()):08X}" in text
    assert SHARES[:-1].tolist() == book.R


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
    assert len(body) <= stages * (header.block_bytes(frames) + 1) + 3
    assert coding.length(body[: 4 * stages], stages, frames) == len(body)
    without = bitstream.coding_for(header)
    for keep in range(1, stages + 1):
        shorter = coding.pack(codes[:, :keep])
        assert without.cut(body, stages, frames, keep) == shorter
        assert without.sizes(body, stages, frames)[keep - 1] == len(shorter)
    with pytest.raises(WrongModelError):
        without.unpack(body, stages, frames)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 2), st.integers(0, 2**32), st.lists(st.integers(1, 3), min_size=1, max_size=20), st.integers(1, 20)
)
def test_packets_side_by_side_are_what_they_are_alone(channels, seed, stages, frames):
    model = golden.model()
    coding = bitstream.coding_for(header_for(channels), model)
    draw = np.random.default_rng(seed)
    packets = [golden.likely_codes(model, channels, count, frames, seed + at) for at, count in enumerate(stages)]
    for packet in packets:
        if draw.random() < 0.3:
            packet[:, -1] = draw.integers(0, 64, packet[:, -1].shape)  # too dear: stored plain
    bodies = [coding.pack(packet) for packet in packets]
    assert coding.pack_many(packets) == bodies
    for packet, found in zip(packets, coding.unpack_many(bodies, stages, frames), strict=True):
        assert np.array_equal(found, packet)
    broken = bodies[0] + b"x"
    assert coding.unpack_many([broken, *bodies[1:]], stages, frames)[0] is None


def test_likely_codes_are_cheap_and_their_price_is_their_information():
    model = golden.model()
    codes = golden.likely_codes(model, 1, 3, 64)
    prepared = Symbols(model, codes)
    bits = 0.0
    for stage in range(3):
        for symbols, rows in (
            (prepared._groups[stage], prepared._group_weights[stage]),
            (prepared._places[stage], prepared._place_weights[stage]),
        ):
            chosen = np.take_along_axis(rows.astype(np.float64), symbols[..., None], axis=2) + 1
            bits -= float(np.log2(chosen / 2**24).sum())
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
    for name, shift in (("group_shift", 21), ("narrow_shift", 4)):
        with pytest.raises(ModelError, match=name):
            ContextModel({**golden.tensors(), name: np.full(3, shift, dtype=np.uint8)})
    order = golden.tensors()["order"]
    order[1, 0] = order[1, 1]
    with pytest.raises(ModelError, match="order"):
        ContextModel({**golden.tensors(), "order": order})


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


def test_entropy_coded_files_are_joined_without_their_contexts():
    model = golden.model()
    codes = golden.likely_codes(model, 2, 3, 150)
    header = header_for(2, frames=150)
    data = bitstream.assemble(header, file_of(header, model, codes))
    contents = bitstream.read_contents(bitstream.join([data, data]))
    coding = bitstream.coding_for(contents.header, model)
    found = [coding.unpack(body.data, body.stages, body.frames) for body in contents.bodies]
    assert np.array_equal(np.concatenate(found, axis=2), np.concatenate([codes, codes], axis=2))


@pytest.fixture(scope="module")
def models(tiny_model, tmp_path_factory):
    """Folders of a small network, first with random contexts of its sizes, then without any."""
    from gritcodec.train.contexts import write

    network = store.load(tiny_model)
    coded, plain = tmp_path_factory.mktemp("coded"), tmp_path_factory.mktemp("plain")
    for folder in (coded, plain):
        store.save(folder, network)
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
        assert bitstream.join([data, data])
    with pytest.raises(WrongModelError):
        plain.decompress(files[0])


def test_bytes_do_not_depend_on_the_number_of_threads(models, tmp_path):
    script = (
        "import sys, hashlib, numpy as np; from pathlib import Path; from gritcodec import bitstream, model_store\n"
        "model = model_store.contexts(Path(sys.argv[1]))\n"
        "codes = np.random.default_rng(1).integers(0, 1024, (1, 12, 64))\n"
        "header = bitstream.Header(bytes(8), 16000, 1, 0, 12, coding=bitstream.ENTROPY)\n"
        "coding = bitstream.coding_for(header, model)\n"
        "print(hashlib.sha256(coding.pack(codes)).hexdigest())\n"
        "assert 'torch' not in sys.modules\n"
    )
    found = set()
    for threads in ("1", "2"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        command = [sys.executable, "-c", script, str(models[0])]
        found.add(subprocess.run(command, env=os.environ | limits, capture_output=True, check=True).stdout)
    assert len(found) == 1


@pytest.mark.slow
def test_contexts_are_fitted_to_a_model_and_save_bytes(models, tmp_path):
    """The command, on a corpus of one clip; what it says it saves is what files of that clip lose."""
    folder = tmp_path / "model"
    store.save(folder, store.load(models[1]))
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
        "--wide",
        "6",
        "--rate-weight",
        "0.01",
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    assert "12 stages: " in done.stdout and "entropy of the codes" in done.stderr
    quantizer = store.load(folder).quantizer
    assert quantizer.rate_weight == 0.01 and quantizer.usage.sum(-1) == pytest.approx(np.ones(12), abs=1e-4)
    assert (quantizer.perplexity() < 1000).all()
    assert model_store.tensors(folder, "contexts.vectors")["contexts.vectors"].shape == (12, 1024, 6)
    target = tmp_path / "a.grit"
    run = [sys.executable, "-m", "gritcodec"]
    subprocess.run([*run, "compress", str(CLIP), str(target), "--model", str(folder), "--bitrate", "6"], check=True)
    told = subprocess.run([*run, "info", str(target), "--json"], capture_output=True, text=True, check=True)
    facts = json.loads(told.stdout)
    assert facts["coding"] == "entropy" and facts["entropy_coding_saves_percent"] > 2
    with pytest.raises(WrongModelError):
        gritcodec.load(models[1]).decompress(target.read_bytes())
