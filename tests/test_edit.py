"""Files out of files: fewer stages, joined without gaps, cut to the sample; the sound is what it was."""

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import tone
from grit_files import FINGERPRINT, Pipe, contents_of, make, mixed, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gritcodec
from gritcodec import bitstream, model_store
from gritcodec.bitstream import Chunk, Header
from gritcodec.bitstream.items import MARK, SPLICE, read_mark, splice_payload
from gritcodec.cli import app as cli
from gritcodec.codec.about import About
from gritcodec.codec.playback import Span
from gritcodec.errors import CorruptFileError, UsageError


@pytest.fixture(scope="module")
def codec(tiny_model):
    return gritcodec.load(tiny_model)


def clock_of(codec, rate):
    return model_store.clock(codec._model.folder, rate)


def heard(codec, data, span=None):
    playback = codec.play(bitstream.Reader(io.BytesIO(data), strict=True), span)
    return np.concatenate([np.zeros((playback.channels, 0), np.float32), *playback.blocks()], axis=1)


def speech_and_pauses(samples, rate, channels=1, seed=0):
    """A voice with half a second and more of digital silence here and there."""
    sound = tone(channels, samples, rate)
    draw = np.random.default_rng(seed)
    for _ in range(1 + samples // (2 * rate)):
        start = int(draw.integers(0, max(samples, 1)))
        sound[:, start : start + int(draw.integers(rate // 2, 2 * rate))] = 0
    return sound


def marks_of(data):
    items = bitstream.read_contents(data, strict=True).items
    return [read_mark(item.payload) for item in items if isinstance(item, Chunk) and item.mark == MARK]


def test_truncating_to_a_size():
    _, _, data = make(stages=12, frames=2000)
    for limit in (20_000, 12_345, 4000):
        assert limit - 90 < len(bitstream.truncate(data, limit=limit)) <= limit
    with pytest.raises(UsageError, match="at least"):
        bitstream.truncate(data, limit=2000)


def test_truncating_refuses():
    _, _, data = make(stages=6, frames=2000)
    for kbps in (0.4, 3.6, 7.0):
        with pytest.raises(UsageError, match="can be cut to"):
            bitstream.truncate(data, kbps)
    with pytest.raises(CorruptFileError):
        bitstream.truncate(data[:-1], 1.0)
    with pytest.raises(CorruptFileError, match="join makes one file of them"):
        bitstream.truncate(data + data, 1.0)


@pytest.mark.parametrize("lengths", [(70, 130), (64, 64), (1, 1, 1, 70), (0, 10), (10, 0), (5,), (0,), (0, 0)])
def test_join_keeps_codes(lengths):
    parts = [make(2, 4, frames, seed=frames) for frames in lengths]
    header, codes = read(bitstream.join([data for _, _, data in parts]))
    expected = np.concatenate([part[1] for part in parts], axis=2)
    assert np.array_equal(codes, expected if expected.size else expected[:, :1])
    assert header.num_samples == sum(lengths) * 320


def test_join_keeps_packets_as_they_are():
    many, few = make(1, 6, 80), make(1, 2, 80, packet_frames=80)
    joined = bitstream.read_contents(bitstream.join([many[2], few[2]]), strict=True)
    assert [(body.stages, body.frames) for body in joined.bodies] == [(6, 64), (6, 16), (2, 80)]
    before = [body for _, _, data in (many, few) for body in bitstream.read_contents(data).bodies]
    assert joined.bodies == before and (joined.header.packet_frames, joined.header.stages) == (80, 6)


def test_join_refuses_what_differs():
    first = make()[2]
    for other, words in (
        (make(rate=8000)[2], "sample rate is 8000, not 16000"),
        (make(channels=2)[2], "number of channels"),
        (make(bits=9)[2], "width of codes"),
        (make(frame_rate=7500)[2], "frame rate"),
        (make(key_frames=8)[2], "distance of key frames"),
    ):
        with pytest.raises(UsageError, match=f"file 2 .*{words}"):
            bitstream.join([first, other])
    with pytest.raises(UsageError, match="model"):
        bitstream.join([first, bitstream.assemble(Header(bytes(8), 16000, 1, 0, 1), [])])
    with pytest.raises(CorruptFileError):
        bitstream.join([first, first[:-1]])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text("ppfsnmux", max_size=12), st.integers(0, 99)), min_size=1, max_size=4))
def test_joins_of_joins_are_joins(files):
    made = [bitstream.assemble(*mixed(kinds, seed)) for kinds, seed in files]
    whole = bitstream.join(made)
    assert bitstream.join([whole]) == whole
    assert bitstream.join([bitstream.join(made[:2]), *made[2:]]) == whole
    assert bitstream.join([made[0], bitstream.join(made[1:])] if made[1:] else made) == whole
    contents = bitstream.read_contents(whole, strict=True)
    segments = bitstream.segments_of(contents)
    frames = [sum(part.frames for part in mixed(*file)[1]) for file in files]
    assert [segment.num_samples for segment in segments] == ([320 * count for count in frames if count] or [0])
    kept = [part for kinds, seed in files if (parts := mixed(kinds, seed)[1]) and _lasts(parts) for part in parts]
    kept = [what for what in contents_of(kept) if what[:2] != ("chunk", 0x35) and what[:2] != ("chunk", MARK)]
    found = [what for what in contents_of(contents.items) if what[:2] not in (("chunk", SPLICE), ("chunk", MARK))]
    assert found == kept


def _lasts(parts):
    return any(part.frames for part in parts)


def test_a_file_whose_parts_do_not_add_up_is_refused(codec):
    sound = codec.compress(tone(1, 40_000, 16000), 16000, 1.0)
    contents = bitstream.read_contents(bitstream.join([sound, sound]))
    for samples, trim in ((39_999, 0), (40_001, 0), (2**42 - 2, 0), (2**42 - 1, 0)):
        parts = [
            replace(part, payload=splice_payload(samples, trim)) if isinstance(part, Chunk) else part
            for part in contents.parts
        ]
        data = bitstream.assemble(contents.header, parts)
        with pytest.raises(CorruptFileError):
            codec.decompress(data)
        with pytest.raises(CorruptFileError):
            bitstream.join([data, sound])
    for payload in (b"", b"\x05", b"\x80\x80"):
        parts = [replace(part, payload=payload) if isinstance(part, Chunk) else part for part in contents.parts]
        with pytest.raises(CorruptFileError):
            codec.decompress(bitstream.assemble(contents.header, parts))


@pytest.mark.parametrize(
    ("rate", "channels", "tolerance"), [(16000, 1, 0), (16000, 2, 0), (44100, 2, 1e-4), (8000, 1, 1e-4)]
)
def test_joined_sound_is_the_parts_one_after_the_other(codec, rate, channels, tolerance):
    lengths = (20_001, 1, 70_000, 319)
    files = [codec.compress(speech_and_pauses(n, rate, channels, n), rate, 2.0) for n in lengths]
    expected = np.concatenate([heard(codec, data) for data in files], axis=1)
    for joined in (bitstream.join(files), bitstream.join([bitstream.join(files[:2]), bitstream.join(files[2:])])):
        assert bitstream.whole_header(joined).num_samples == sum(lengths)
        found = heard(codec, joined)
        assert found.shape == (channels, sum(lengths))
        assert np.abs(found - expected).max() <= tolerance


def test_live_and_whole_files_are_joined(codec):
    waveform = tone(1, 50_001, 16000)
    live = b"".join(codec.compress_live(iter([waveform]), 16000, 1, 3.0))
    whole = codec.compress(waveform[:, :30_000], 16000, 3.0)
    for files in ((live, whole), (whole, live), (live, live)):
        joined = heard(codec, bitstream.join(files))
        assert np.array_equal(joined, np.concatenate([heard(codec, data) for data in files], axis=1))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 99), st.data())
def test_a_cut_is_the_slice_of_the_whole(codec, seed, data):
    """At the model's rate bit for bit, across splices and pauses, and cuts of cuts."""
    draw = np.random.default_rng(seed)
    lengths = [int(n) for n in draw.integers(1, 120_000, int(draw.integers(1, 4)))]
    files = [codec.compress(speech_and_pauses(n, 16000, seed=seed), 16000, 1.0) for n in lengths]
    file = bitstream.join(files) if len(files) > 1 else files[0]
    whole, clock = heard(codec, file), clock_of(codec, 16000)
    total = whole.shape[1]
    first = data.draw(st.integers(0, total - 1))
    count = data.draw(st.none() | st.integers(1, total))
    part = bitstream.cut(file, first, count, clock)
    expected = whole[:, first : total if count is None else first + count]
    assert bitstream.whole_header(part).num_samples == expected.shape[1]
    assert np.array_equal(heard(codec, part), expected)
    again = data.draw(st.integers(0, expected.shape[1] - 1))
    assert np.array_equal(heard(codec, bitstream.cut(part, again, None, clock)), expected[:, again:])
    # Both sides of a cut, joined again, are what was cut.
    sides = [bitstream.cut(file, 0, first, clock)] if first else []
    sides.append(bitstream.cut(file, first, None, clock))
    assert np.array_equal(heard(codec, bitstream.join(sides)), whole)


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 48_000, 16_001])
def test_cuts_at_other_rates(codec, rate):
    files = [codec.compress(speech_and_pauses(n * rate, rate, 2, n), rate, 1.0) for n in (7, 9)]
    joined = bitstream.join(files)
    whole, clock = heard(codec, joined), clock_of(codec, rate)
    for first, count in ((0, 1), (0, rate), (5 * rate + 77, 4 * rate), (10 * rate + 1, None), (12 * rate, 100)):
        found = heard(codec, bitstream.cut(joined, first, count, clock))
        expected = whole[:, first : None if count is None else first + count]
        assert found.shape == expected.shape
        # What a resampler makes of the last samples depends on what follows, as at the end of any recording.
        sure = expected.shape[1] - (0 if count is None else rate // 100)
        assert np.abs(found - expected)[:, : max(sure, 0)].max(initial=0) < 1e-4, (first, count)


def test_a_cut_leaves_out_bytes(codec):
    data = codec.compress(tone(1, 60 * 16000, 16000), 16000, 3.0)
    part = bitstream.cut(data, 30 * 16000, 16000, clock_of(codec, 16000))
    # A second and what the decoder needs before it: a packet on either side at most.
    assert len(part) < len(data) * 5 / 60
    for first, count in ((-1, 5), (60 * 16000, None), (0, 0), (5, 0)):
        with pytest.raises(UsageError, match="none are from"):
            bitstream.cut(data, first, count, clock_of(codec, 16000))


def test_start_time_and_marks_move(codec):
    marks = [(0, "zero"), (30_000, "middle"), (49_999, ""), (50_000, "end")]
    beyond = [*marks, (10**9, "far away")]  # left out
    about = About(tags=[("a", "b")], start_time=1_700_000_000_000_000, gain=-3.5, channel_mask=4, marks=beyond)
    data = codec.compress(tone(1, 50_000, 16000), 16000, 1.0, about=about)
    assert marks_of(data) == sorted(marks)
    clock = clock_of(codec, 16000)
    part = bitstream.cut(data, 16_001, 20_000, clock)
    header = bitstream.whole_header(part)
    assert header.start_time == about.start_time + 16_001 * 1_000_000 // 16000
    assert header.tags == (("a", "b"),) and header.gain == round(-3.5 * 256) and header.channel_mask == 4
    assert marks_of(part) == [(30_000 - 16_001, "middle")]
    joined = bitstream.join([data, part, data])
    assert bitstream.whole_header(joined).start_time == about.start_time
    moved = [(50_000 + 13_999, "middle"), *((70_000 + sample, name) for sample, name in sorted(marks))]
    assert marks_of(joined) == [*sorted(marks), *moved]
    # Marks stand where their samples are: a cut of the joined file has those of its part.
    assert marks_of(bitstream.cut(joined, 50_000, 20_000, clock))[-1:] == [(13_999, "middle")]
    assert marks_of(bitstream.cut(joined, 70_000, 50_000, clock)) == [(0, "zero"), (30_000, "middle"), (49_999, "")]


def test_spans_of_joined_files(codec):
    files = [codec.compress(speech_and_pauses(n, 16000, seed=n), 16000, 1.0) for n in (200_001, 5, 150_000)]
    data = bitstream.join(files)
    whole = heard(codec, data)
    for start, duration in ((0, 1), (3, 2.5), (12.4, 0.5), (12.5, None), (12.6, 3), (20, None)):
        first = round(start * 16000)
        end = None if duration is None else first + round(duration * 16000)
        assert np.array_equal(heard(codec, data, Span(start, duration)), whole[:, first:end]), start


def test_the_command_cuts_and_starts_in_joined_files(codec, tiny_model, tmp_path, monkeypatch, capsys):
    files = []
    for number, samples in enumerate((150_001, 200_000)):
        data = codec.compress(tone(1, samples, 16000), 16000, 1.0, about=About(start_time=10**15))
        files.append(tmp_path / f"{number}.grit")
        files[-1].write_bytes(data)

    def run(*arguments, data=None):
        pipe = io.BufferedReader(Pipe(data or b""))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        assert cli.main([*map(str, arguments)]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    joined, part, raw = tmp_path / "joined.grit", tmp_path / "part.grit", tmp_path / "out.raw"
    run("join", *files, joined)
    whole = np.concatenate([heard(codec, file.read_bytes()) for file in files], axis=1)
    assert np.array_equal(heard(codec, joined.read_bytes()), whole)
    model = ["--model", tiny_model]
    out = run("cut", joined, part, "--start", "0:08.5", "--duration", "2.25", *model)
    assert "2.25 s of audio" in out
    assert np.array_equal(heard(codec, part.read_bytes()), whole[:, 136_000:172_000])
    assert bitstream.whole_header(part.read_bytes()).start_time == 10**15 + 8_500_000
    for start, duration in (("8.5", "2.25"), ("15", "1"), ("9", "60")):
        first, count = round(float(start) * 16000), round(float(duration) * 16000)
        for source in (joined, "-"):
            data = joined.read_bytes() if source == "-" else None
            span = ["--start", start, "--duration", duration]
            run("decompress", source, raw, *span, "--raw", "f32le", "--force", *model, data=data)
            assert np.array_equal(np.fromfile(raw, "<f4"), whole[0, first : first + count]), (source, start)
    # The installed command, in a shell's pipe.
    cut = [sys.executable, "-m", "gritcodec", "cut", "-", "-", "--start"]
    options = ["--duration", "2.25", *map(str, model)]
    done = subprocess.run([*cut, "8.5", *options], input=joined.read_bytes(), capture_output=True, timeout=120)
    assert done.returncode == 0 and done.stdout == part.read_bytes() and b"2.25 s of audio" in done.stderr
    done = subprocess.run([*cut, "60", *options], input=joined.read_bytes(), capture_output=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and not done.stdout


def test_header_fields_of_a_join_are_the_first_file_s():
    first = make(tags=(("who", "one"),), start_time=5, gain=1, encoder="net")[2]
    second = make(tags=(("who", "two"),), start_time=9, gain=2, channel_mask=4)[2]
    header = bitstream.whole_header(bitstream.join([first, second]))
    assert (header.tags, header.start_time, header.gain) == ((("who", "one"),), 5, 1)
    assert (header.encoder, header.channel_mask, header.fingerprint) == ("net", None, FINGERPRINT)
