"""Coding 2: packets that look back, read by the document alone, and what becomes of them when one is lost."""

import sys
from dataclasses import replace
from pathlib import Path

import entropy_by_the_book as book
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gritcodec import bitstream
from gritcodec.bitstream import Header
from gritcodec.bitstream.chained import Chain, PastMissingError
from gritcodec.errors import CorruptFileError, WrongModelError

sys.path.insert(0, str(Path(__file__).parent / "golden"))

import contexts as golden


def header_for(channels=1, key_frames=8):
    return Header(bytes(8), 16000, channels, None, 3, 6, coding=bitstream.CHAINED, key_frames=key_frames)


def packets_of(model, channels, shapes):
    """Codes of packets with (stages, frames), and where each begins."""
    start = 0
    for number, (stages, frames) in enumerate(shapes):
        yield start, golden.likely_codes(model, channels, stages, frames, number)
        start += frames


SHAPES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 12)), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 2), SHAPES, st.sampled_from([None, 3, 8, 1000]))
def test_packets_come_back_as_they_went_in_and_by_the_document(channels, shapes, key_frames):
    model, tensors = golden.model(), golden.tensors()
    header = header_for(channels, key_frames)
    writer, reader = Chain(header, model), Chain(header, model)
    past = [[] for _ in range(channels)]
    for start, codes in packets_of(model, channels, shapes):
        _, stages, frames = codes.shape
        block = writer.pack(codes, start)
        assert 1 <= len(block) <= header.body_bytes(stages, frames)
        assert np.array_equal(reader.unpack(block, stages, frames, start), codes)
        if start % (key_frames or 1) == 0:
            past = [[] for _ in range(channels)]
        assert book.read_chained(tensors, block, codes.shape, 6, past) == codes.tolist()
        for before, channel in zip(past, codes, strict=True):
            before += channel.T.tolist()


def test_the_past_makes_likely_codes_cheaper():
    model = golden.model()
    header = header_for()
    draw = bytes(4000)
    reader = Chain(header, model)
    codes = [reader.unpack(draw[start : start + 10], 3, 8, start, fresh=True) for start in range(0, 80, 8)]
    writer = Chain(header, model)
    assert sum(len(writer.pack(each, 8 * at)) for at, each in enumerate(codes)) < 80


def test_after_a_loss_reading_begins_again_at_the_next_key_packet():
    model = golden.model()
    header = header_for()
    writer, reader = Chain(header, model), Chain(header, model)
    packets = list(packets_of(model, 1, [(3, 2)] * 8))
    blocks = [writer.pack(codes, start) for start, codes in packets]
    outcomes = []
    for number, ((start, codes), block) in enumerate(zip(packets, blocks, strict=True)):
        if number == 1:
            reader.lost()
            continue
        try:
            assert np.array_equal(reader.unpack(block, 3, 2, start), codes)
            outcomes.append(start)
        except PastMissingError:
            assert start % 8
    assert outcomes == [0, 8, 10, 12, 14]


def test_a_packet_that_was_never_reported_lost_is_missed():
    model = golden.model()
    writer, reader = Chain(header_for(), model), Chain(header_for(), model)
    packets = list(packets_of(model, 1, [(3, 2)] * 3))
    blocks = [writer.pack(codes, start) for start, codes in packets]
    reader.unpack(blocks[0], 3, 2, 0)
    with pytest.raises(PastMissingError):
        reader.unpack(blocks[2], 3, 2, 4)


def test_a_writer_cannot_leave_packets_out_and_can_begin_afresh():
    model = golden.model()
    writer, reader = Chain(header_for(), model), Chain(header_for(), model)
    codes = golden.likely_codes(model, 1, 2, 3)
    with pytest.raises(ValueError, match="no key frame"):
        writer.pack(codes, 3)
    assert np.array_equal(reader.unpack(writer.pack(codes, 3, fresh=True), 2, 3, 3, fresh=True), codes)
    assert np.array_equal(reader.unpack(writer.pack(codes, 6), 2, 3, 6), codes)


def test_codes_that_are_too_dear_are_stored_plain():
    model = golden.model()
    header = header_for()
    codes = np.random.default_rng(1).integers(0, 64, (1, 3, 8))
    block = Chain(header, model).pack(codes, 0)
    assert block == bitstream.coding_for(replace(header, coding=bitstream.PLAIN)).pack(codes)
    assert np.array_equal(Chain(header, model).unpack(block, 3, 8, 0), codes)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 3), st.integers(1, 12))
def test_any_bytes_are_codes_or_an_error(data, stages, frames):
    chain = Chain(header_for(), golden.model())
    try:
        codes = chain.unpack(data, stages, frames, 0)
    except CorruptFileError:
        if frames % 8:
            with pytest.raises(PastMissingError):
                chain.unpack(data, stages, frames, frames)
        return
    assert codes.shape == (1, stages, frames) and codes.max() < 64


def test_the_coding_tells_lengths_without_a_model_and_reads_with_one():
    model = golden.model()
    header = header_for()
    codes = golden.likely_codes(model, 1, 3, 5)
    body = bitstream.coding_for(header, model).pack(codes)
    without = bitstream.coding_for(header)
    assert without.length(body[:2], 3, 5) == len(body) and without.length(b"", 3, 5) is None
    assert np.array_equal(bitstream.coding_for(header, model).unpack(body, 3, 5), codes)
    assert without.cut(body, 3, 5, 3) == body
    with pytest.raises(WrongModelError):
        without.unpack(body, 3, 5)
