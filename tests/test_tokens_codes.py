"""The codes of a signal are its own, in every way of making them; patterns for language models, and back."""

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import tone
from hypothesis import given, settings
from hypothesis import strategies as st

import gritcodec
from gritcodec.errors import AudioError, UsageError
from gritcodec.sound import audio
from gritcodec.tokens import Pattern, Tokenizer
from gritcodec.tokens.batching import Batching, Refused, encode_all
from gritcodec.tokens.items import Item
from gritcodec.tokens.layouts.rows import about_from
from gritcodec.tokens.reading import Sound
from gritcodec.tokens.shards import Coder, Setup

sys.path[:0] = [str(Path(__file__).parent.parent / "benchmarks")]
import tokens as benchmark  # noqa: E402


@pytest.mark.slow
def test_no_code_differs_in_twenty_ways(tmp_path):
    """benchmarks/tokens.py over short clips of three rates; run by hand it takes the public set."""
    waveform, rate = audio.read(benchmark.CLIP)
    for k, (start, length, to) in enumerate(((0, 1.1, rate), (2, 0.7, 44100), (3, 1.3, 8000))):
        piece = waveform[:, start * rate : int((start + length) * rate)]
        audio.write(tmp_path / f"{k}.wav", piece, to)
    found = benchmark.misses(tmp_path)
    assert len(found) >= 20
    assert all(differ == 0 and codes > 100 for differ, codes in found.values()), found


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 40000), min_size=1, max_size=9),
    st.integers(1, 9),
    st.integers(1, 700),
    st.sampled_from([8000, 16000, 22050]),
)
def test_rows_of_any_length_go_together(tiny_model, lengths, rows, step, rate):
    coder, codec = Coder(Setup(str(tiny_model))), gritcodec.load(tiny_model)
    clips = [(tone(1, length, rate), rate) for length in lengths]
    for codes, clip in zip(benchmark.batched(coder, clips, rows, step), clips, strict=True):
        assert np.array_equal(codes, codec.encode(*clip).indices[0])


@pytest.mark.parametrize("readers", [1, 4])
def test_a_signal_that_breaks_off_takes_no_other_with_it(tiny_model, readers):
    coder, codec = Coder(Setup(str(tiny_model))), gritcodec.load(tiny_model)
    clips = [tone(1, 20000 + k, 16000) for k in range(6)]

    def opened(item):
        def blocks():
            yield from audio.in_blocks(clips[item.place[0]][:, :16000], 16000)
            if item.place[0] == 2:
                raise AudioError("broken")
            if item.place[0] == 3:
                raise ZeroDivisionError("of some library")
            yield clips[item.place[0]][:, 16000:]

        if item.place[0] == 4:
            raise AudioError("never opened")
        return Sound(item, 16000, 1, blocks())

    items = [Item(str(k), "", place=(k,)) for k in range(6)]
    found = {one.number: one for one in encode_all(coder.engine, items, opened, 6, Batching(4, 64, readers))}
    assert [found[k].reason for k in (2, 3, 4) if isinstance(found[k], Refused)] == [
        "broken",
        "ZeroDivisionError: of some library",
        "never opened",
    ]
    for k in (0, 1, 5):
        assert np.array_equal(found[k].codes, codec.encode(clips[k], 16000).indices[0])


def test_torch_codes_in_batches_too(tiny_model):
    coder = Coder(Setup(str(tiny_model), engine="torch"))
    clips = [(tone(1, length, 16000), 16000) for length in (4000, 30000, 9000)]
    alone = [benchmark.batched(coder, [clip], 1, 64)[0] for clip in clips]
    for codes, wanted in zip(benchmark.batched(coder, clips, 3, 64), alone, strict=True):
        # Rows beside a row may change its last bits there: near ties can fall the other way.
        assert codes.shape == wanted.shape and (codes != wanted).mean() < 0.01


def test_the_callable_takes_sound_in_every_column(tiny_model, tmp_path):
    pytest.importorskip("pyarrow")
    clips = [tone(1, length, 16000) for length in (4000, 9000)]
    paths = [tmp_path / f"{k}.wav" for k in range(2)]
    for path, clip in zip(paths, clips, strict=True):
        audio.write(path, clip, 16000)
    data = [path.read_bytes() for path in paths]
    clips = [audio.read(path)[0] for path in paths]
    wanted = [gritcodec.load(tiny_model).encode(clip, 16000, 3).indices[0].tolist() for clip in clips]
    held = np.empty(2, object)
    held[:] = clips
    columns = [
        {"audio": np.array([{"bytes": one, "path": None} for one in data])},
        {"audio": np.array([{"bytes": None, "path": str(path)} for path in paths])},
        {"bytes": np.array(data, dtype=object)},
        {"path": np.array([str(path) for path in paths])},
        {"amplitude": held, "sample_rate": np.array([16000, 16000])},
    ]
    coder = Tokenizer(str(tiny_model), 3)
    for column in columns:
        table = coder({**column, "label": np.array([5, 6])})
        assert table["codes"].to_pylist() == wanted
        assert table["label"].to_pylist() == [5, 6] and table["num_samples"].to_pylist() == [4000, 9000]
        assert not set(column) & set(table.column_names) - {"sample_rate"}
    bad = coder({"bytes": np.array([data[0], b"no sound", None], dtype=object)})
    assert [bool(reason) for reason in bad["refused"].to_pylist()] == [False, True, True]
    assert bad["codes"].to_pylist() == [wanted[0], None, None]
    assert (
        about_from(bad.schema.metadata[b"gritcodec"], "a table").fingerprint == gritcodec.load(tiny_model).fingerprint
    )
    with pytest.raises(AudioError, match="no column of sound"):
        coder({"label": np.array([1])})


@given(
    st.sampled_from(["flat", "parallel", "delay"]),
    st.integers(1, 6),
    st.integers(0, 9),
    st.booleans(),
    st.integers(0, 5),
    st.data(),
)
def test_patterns_come_back(kind, stages, frames, offsets, first, data):
    pattern = Pattern(kind, stages, 16, offsets, first)
    values = data.draw(st.lists(st.integers(0, 15), min_size=stages * frames, max_size=stages * frames))
    codes = np.array(values, np.int16).reshape(stages, frames)
    tokens = pattern.apply(codes)
    assert np.array_equal(pattern.undo(tokens), codes)
    assert not tokens.size or first <= tokens.min() <= tokens.max() < pattern.vocabulary


def test_patterns_by_hand():
    codes = np.array([[1, 2, 3], [4, 5, 6]], np.int16)
    assert Pattern("flat", 2, 10).apply(codes).tolist() == [1, 14, 2, 15, 3, 16]
    assert Pattern("flat", 2, 10, offsets=False, first=3).apply(codes).tolist() == [4, 7, 5, 8, 6, 9]
    assert Pattern("parallel", 2, 10).apply(codes).tolist() == [[1, 2, 3], [14, 15, 16]]
    assert Pattern("delay", 2, 10, offsets=False).apply(codes).tolist() == [[1, 2, 3, 10], [10, 4, 5, 6]]
    assert Pattern("flat", 1, 10).apply(codes).tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", ["flat", "parallel", "delay"])
def test_patterns_of_nothing(kind):
    """An empty list is floating point to numpy."""
    pattern = Pattern(kind, 2, 10)
    tokens = pattern.apply([[], []])
    assert tokens.size == 0 and pattern.undo(tokens.tolist()).shape == (2, 0)


def test_what_a_language_model_breaks_off():
    flat, delay = Pattern("flat", 2, 10), Pattern("delay", 2, 10)
    assert flat.undo([1, 14, 2], strict=False).tolist() == [[1], [4]]
    assert flat.undo([1, 14, 15, 2, 3, 13], strict=False).tolist() == [[1], [4]]
    assert delay.undo([[1, 2, 20, 20], [20, 14, 15, 20]], strict=False).tolist() == [[1, 2], [4, 5]]
    for tokens, why in (([1, 14, 2], "1 tokens are left over"), ([14, 1], "frame 0")):
        with pytest.raises(UsageError, match=why):
            flat.undo(tokens)
    for kind, codes in (("flat", [[1, 2]]), ("delay", [[1], [99]]), ("parallel", [[1.0], [2.0]])):
        with pytest.raises(UsageError):
            Pattern(kind, 2, 10).apply(codes)
    with pytest.raises(UsageError, match="no pattern"):
        Pattern("braid", 2)
