"""Where corpora come from: lists, manifests, Kaldi, lhotse, tars, Parquet; pieces of files."""

import gzip
import io
import json
import os
import shutil
import tarfile

import numpy as np
import pytest
import token_corpora
from conftest import tone

import gritcodec
from gritcodec.errors import AudioError, UsageError
from gritcodec.sound import audio
from gritcodec.tokens import listing, undo
from gritcodec.tokens.layouts import LAYOUTS
from gritcodec.tokens.run import tokenize
from gritcodec.tokens.shards import Setup


@pytest.fixture
def corpus(tmp_path):
    return token_corpora.make(tmp_path / "corpus")


@pytest.fixture
def made(tmp_path, tiny_model):
    """Tokenize sources; returns the rows by id, and why others were refused."""

    def run(*sources, mixing="mix"):
        out = tmp_path / "out"
        tokenize([str(source) for source in sources], out, Setup(str(tiny_model), mixing=mixing))
        refused = [json.loads(line) for line in (out / "refused.jsonl").read_text().splitlines()]
        return token_corpora.rows(out), {one["id"]: one["reason"] for one in refused}

    return run


def same(row, model, path, start=0, end=None):
    waveform, rate = audio.read(path)
    return np.array_equal(row.codes, gritcodec.load(model).encode(waveform[:1, start:end], rate).indices[0])


def test_patterns_and_lists(corpus, made, tiny_model):
    (corpus / "all.txt").write_text("# some\nsub/b.wav\n\nsub/deep/d.wav\nnowhere.wav\n")
    rows, refused = made(corpus / "**" / "[ae].*", corpus / "a*.txt")
    assert set(rows) == {"a", "e", "b", "d"} and "no file" in refused["nowhere"]
    assert same(rows["b"], tiny_model, corpus / "sub" / "b.wav")


def test_hidden_files_and_other_things_are_left_out(corpus):
    (corpus / ".cache").mkdir()
    (corpus / ".cache" / "x.wav").write_bytes(b"")
    (corpus / "sub" / "notes.txt").write_text("no sound")
    assert [item.id for item in listing.items([str(corpus)])] == ["a", "e", "sub/b", "sub/c", "sub/deep/d"]


def test_jsonl_with_pieces_texts_and_speakers(corpus, made, tiny_model):
    lines = [
        {"audio_filepath": "sub/c.wav", "duration": 2.08, "text": "all of it", "speaker": 7},
        {"audio_filepath": "sub/c.wav", "offset": 0.5, "duration": 0.75, "text": "a piece"},
        {"file_name": "a.wav", "transcription": "of datasets", "id": "mine"},
        {"text": "no sound"},
        {"audio_filepath": "sub/c.wav", "offset": 2.0, "duration": 60, "id": "behind"},
    ]
    (corpus / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows, refused = made(corpus / "m.jsonl")
    assert (rows["c"].text, rows["c"].speaker, rows["c"].num_samples) == ("all of it", "7", 33333)
    assert rows["mine"].text == "of datasets" and rows["mine"].speaker is None
    piece = rows["c-00000500"]
    assert piece.num_samples == 12000 and same(piece, tiny_model, corpus / "sub" / "c.wav", 8000, 20000)
    assert "names no audio file" in refused["line-4"] and "before its piece" in refused["behind"]


def test_spans_of_rows_and_those_that_can_be_none(corpus, made, tiny_model):
    """A first piece is a piece too; `end` ends one; numbers that are none cost their line alone."""
    path = "sub/c.wav"
    good = {"offset": 0.0, "duration": 0.5}, {"start": 0.5, "end": 1.0}, {"start_time": "1", "end_time": "1.5"}
    odd = [(nan, 1) for nan in (float("nan"), float("inf"), -1, 1e300, "soon", [1])]
    odd += [(0.5, length) for length in (float("nan"), -1, 0, 1e300)]
    lines = [{"path": path, "id": f"g{k}", **span} for k, span in enumerate(good)]
    lines += [{"path": path, "offset": start, "duration": length} for start, length in odd]
    (corpus / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows, refused = made(corpus / "m.jsonl")
    for k in range(3):
        assert same(rows[f"g{k}"], tiny_model, corpus / "sub" / "c.wav", 8000 * k, 8000 * (k + 1))
    assert len(rows) == 3 and sorted(refused) == sorted(f"line-{4 + k}" for k in range(len(odd)))
    assert all(f"{name.replace('-', ' ')} says no time" in why for name, why in refused.items())


def test_pieces_fill_shards_by_their_own_length(corpus):
    lines = [{"path": "sub/c.wav", "offset": 0.1 * k, "duration": 0.1} for k in range(5)]
    (corpus / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [item.size for item in listing.items([str(corpus / "m.jsonl")])] == [3200] * 5


def test_sound_that_is_listed_under_two_ids_is_there_twice(corpus, made, tmp_path):
    lines = [{"path": "a.wav", "id": name, "text": name} for name in ("one", "two", "one")]
    (corpus / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for _ in range(2):
        rows, _ = made(corpus / "m.jsonl", corpus / "m.jsonl")
        assert {name: row.text for name, row in rows.items()} == {"one": "one", "two": "two"}


def test_names_that_no_layout_could_hold(corpus, tmp_path, tiny_model):
    shutil.copy(corpus / "a.wav", os.fsencode(corpus) + b"/b\xffd.wav")
    (corpus / os.fsdecode(b"bad\xfe.wav")).write_bytes(b"no sound")
    names = ["\ud800x", "a\0b", "x" * 300, "../up", "n\nl", "\u65e5", "e", "e.wav/c", " ", "."]
    lines = [{"path": "e.wav", "id": name, "text": "\udcff", "speaker": "\ud800"} for name in names]
    lines += [{"path": "a\0.wav"}, {"path": "\ud800.wav"}]
    (corpus / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ids = []
    for layout in LAYOUTS:
        out = tmp_path / layout
        found = tokenize([str(corpus / "m.jsonl"), str(corpus)], out, Setup(str(tiny_model)), layout)
        assert (found.items, found.refused) == (len(names) + 6, 3)
        rows = token_corpora.rows(out)
        assert rows["\\ud800x"].text == "\\udcff" and rows["b\\udcffd"].num_samples == 16000
        said = [json.loads(line)["id"] for line in (out / "refused.jsonl").read_text().splitlines()]
        assert said == ["a\\x00", "\\ud800", "bad\\udcfe"]
        back = list(undo.detokenize(gritcodec.load(tiny_model), [out], tmp_path / "back" / layout))
        assert len({done.path for done in back}) == len(rows) and all(done.path.is_file() for done in back)
        ids.append(set(rows))
    assert all(each == ids[0] for each in ids)


def test_rows_that_only_look_like_cuts(corpus, made):
    inside = {"sources": [{"type": "file", "source": "a.wav", "channels": [0]}], "duration": 1.0}
    lines = [
        {"recording": "a.wav"},
        {"sources": ["x"]},
        {"recording": {"sources": None}},
        {"id": "words", "recording": inside, "start": "x", "duration": 1},
        {"id": "nan", "recording": inside, "start": float("nan"), "duration": 1},
        {"id": "text", "supervisions": ["x"], **inside},
        {"id": "mixed", "type": "MixedCut", "tracks": []},
    ]
    (corpus / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows, refused = made(corpus / "m.jsonl")
    assert not rows and set(refused) == {"line-1", "line-2", "line-3", "words", "nan", "text", "mixed"}


def test_a_column_that_is_called_as_a_folder_is(corpus, made):
    (corpus / "audio").mkdir()
    (corpus / "m.csv").write_text("audio\na.wav\n")
    assert set(made(corpus / "m.csv")[0]) == {"a"}


def test_pieces_in_any_order_and_overlapping(corpus, made, tiny_model):
    spans = [(0.25, 0.5), (0.3, 0.5), (1.0, 0.25), (0.1, 1.9), (2.0, 0.05)]
    lines = [
        {"path": "sub/c.wav", "offset": start, "duration": length, "id": f"p{k}"}
        for k, (start, length) in enumerate(spans)
    ]
    (corpus / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows, _ = made(corpus / "m.jsonl")
    for k, (start, length) in enumerate(spans):
        first = round(16000 * start)
        assert same(rows[f"p{k}"], tiny_model, corpus / "sub" / "c.wav", first, first + round(16000 * length))


def test_tables(corpus, made):
    (corpus / "clips").mkdir()
    audio.write(corpus / "clips" / "voice.flac", tone(1, 4000, 16000), 16000)
    head = "client_id\tpath\tsentence\n"
    (corpus / "train.tsv").write_text(f'{head}x1\tvoice.flac\tShe said "no.\nx2\ta.wav\t\n')
    (corpus / "list.csv").write_text('file,text\ne.wav,"one, two"\n')
    (corpus / "fairseq.tsv").write_text("sub\nb.wav\t5000\ndeep/d.wav\t1\n")
    rows, _ = made(corpus / "train.tsv", corpus / "list.csv", corpus / "fairseq.tsv")
    assert (rows["voice"].text, rows["voice"].speaker) == ('She said "no.', "x1") and rows["a"].text is None
    assert rows["e"].text == "one, two" and {"b", "deep/d"} <= set(rows)


def test_kaldi(corpus, made, tiny_model):
    (corpus / "text").write_text("u1 hello there\nu2 and again\n")
    (corpus / "utt2spk").write_text("u1 s1\nu2 s1\n")
    (corpus / "wav.scp").write_text("r1 sub/c.wav\nr2 sph2pipe -f wav x.sph |\nr3 joined.ark:11\n")
    (corpus / "joined.ark").write_bytes(b"some bytes " + (corpus / "a.wav").read_bytes() + b"more")
    rows, refused = made(corpus / "wav.scp")
    assert set(rows) == {"r1", "r3"} and "command" in refused["r2"]
    assert same(rows["r3"], tiny_model, corpus / "a.wav")
    (corpus / "segments").write_text("u1 r1 0.25 1.0\nu2 r1 1.0 -1\nu3 r9 0 1\n")
    rows, refused = made(corpus / "wav.scp")
    assert same(rows["u1"], tiny_model, corpus / "sub" / "c.wav", 4000, 16000)
    assert same(rows["u2"], tiny_model, corpus / "sub" / "c.wav", 16000)
    assert (rows["u1"].text, rows["u2"].speaker) == ("hello there", "s1") and "no recording" in refused["u3"]


def test_kaldi_with_tabs_and_lines_that_break_off(corpus, made, tiny_model):
    (corpus / "wav.scp").write_text("r\tsub/c.wav\nnone\n")
    lines = ["t\tr\t0.5\t1.0", "u", "v r", "w r 1 nan", "x r 1 0.5", "y r 1 2 3", "z none 0 1"]
    (corpus / "segments").write_text("\n".join(lines))
    (corpus / "text").write_text("t\tby tab\n")
    rows, refused = made(corpus / "wav.scp")
    assert set(rows) == {"t"} and rows["t"].text == "by tab" and set(refused) == set("uvwxyz")
    assert same(rows["t"], tiny_model, corpus / "sub" / "c.wav", 8000, 16000)
    assert refused["u"] == "wav.scp has no recording for u" == refused["z"].replace("for z", "for u")


def test_cuts_of_lhotse(corpus, made, tiny_model):
    lhotse = pytest.importorskip("lhotse")
    both = np.concatenate([tone(1, 32000, 16000), tone(1, 32000, 16000, 0.1)[:, ::-1]])
    audio.write(corpus / "two.wav", both, 16000)
    recording = lhotse.Recording.from_file(corpus / "sub" / "c.wav")
    supervision = lhotse.SupervisionSegment("s", recording.id, 0.5, 0.5, text="said", speaker="who")
    whole = recording.to_cut()
    whole.supervisions = [supervision]
    piece = whole.truncate(offset=0.5, duration=1.0)
    piece.id = "piece"
    right = lhotse.Recording.from_file(corpus / "two.wav").to_cut()
    assert isinstance(right, lhotse.cut.MultiCut)
    right = lhotse.MonoCut("right", 0, 2.0, 1, recording=right.recording)
    louder = lhotse.Recording.from_file(corpus / "a.wav").perturb_volume(2.0).to_cut()
    louder.id = "louder"
    lhotse.CutSet.from_cuts([whole, piece, right, louder]).to_file(corpus / "cuts.jsonl.gz")
    rows, refused = made(corpus / "cuts.jsonl.gz")
    assert same(rows["piece"], tiny_model, corpus / "sub" / "c.wav", 8000, 24000)
    assert (rows["piece"].text, rows["piece"].speaker) == ("said", "who") and set(refused) == {"louder"}
    wanted = gritcodec.load(tiny_model).encode(audio.read(corpus / "two.wav")[0][1:], 16000).indices[0]
    assert np.array_equal(rows["right"].codes, wanted)
    assert same(rows[whole.id], tiny_model, corpus / "sub" / "c.wav")


def put(archive, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def test_shards_of_webdataset_also_one_that_breaks_off(corpus, made, tiny_model, tmp_path):
    with tarfile.open(tmp_path / "in-0.tar", "w") as archive:
        for name in token_corpora.LENGTHS:
            put(archive, f"{name}.wav", (corpus / f"{name}.wav").read_bytes())
            put(archive, f"{name}.json", json.dumps({"text": f"text of {name}", "speaker_id": 3}).encode())
        put(archive, "e2.txt", b"text alone")
    data = (tmp_path / "in-0.tar").read_bytes()
    (tmp_path / "in-1.tar").write_bytes(data[: 512 * 75 + 100])
    rows, refused = made(tmp_path / "in-*.tar")
    assert {name for name in rows if not name.endswith("-2")} == set(token_corpora.LENGTHS)
    for name in token_corpora.LENGTHS:
        assert same(rows[name], tiny_model, corpus / f"{name}.wav")
        assert (rows[name].text, rows[name].speaker) == (f"text of {name}", "3")
        assert rows[name].source == f"{tmp_path}/in-0.tar/{name}.wav"
    assert "a-2" in rows and refused
    with pytest.raises(UsageError, match="compressed"):
        (tmp_path / "x.tar.gz").write_bytes(gzip.compress(data))
        list(listing.items([str(tmp_path / "x.tar.gz")]))


@pytest.mark.parametrize(
    ("name", "there", "why"),
    [("header", 2, "header is damaged"), ("cut", 3, "end is missing"), ("cut-header", 3, "end is missing")],
)
def test_a_tar_that_tarfile_would_end_early(corpus, made, tmp_path, name, there, why):
    """findings/tarfile-silent-end.sh"""
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        for k in range(5):
            put(archive, f"{k}.wav", (corpus / "e.wav").read_bytes())
    with tarfile.open(tmp_path / "in.tar") as archive:
        member = archive.getmember(f"{there}.wav")
    data = bytearray((tmp_path / "in.tar").read_bytes())
    if name == "header":
        data[member.offset + 50] ^= 1
    else:
        del data[member.offset + (100 if name == "cut-header" else 0) :]
    (tmp_path / "in.tar").write_bytes(data)
    rows, refused = made(tmp_path / "in.tar")
    assert set(rows) == {str(k) for k in range(there)} and why in refused["in-rest"]


def test_sound_of_any_kind_in_a_tar_but_not_hidden_files(corpus, made, tmp_path):
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        put(archive, "a.aif", b"no sound")
        put(archive, "b.m4a", b"no sound")
        put(archive, "._c.wav", b"of macOS")
        put(archive, "c.wav", (corpus / "e.wav").read_bytes())
    rows, refused = made(tmp_path / "in.tar")
    assert set(rows) == {"c"} and set(refused) == {"a", "b"}


def test_parquet_of_hugging_face(corpus, made, tiny_model, tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    sounds = [{"bytes": (corpus / f"{name}.wav").read_bytes(), "path": f"{name}.wav"} for name in ("a", "e")]
    sounds += [{"bytes": None, "path": "corpus/sub/b.wav"}, {"bytes": None, "path": None}]
    table = pa.table({"audio": sounds, "sentence": ["one", "two", None, "four"], "speaker_id": [1, 2, 3, 4]})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=3)
    wav = pa.table({"wav": [(corpus / "a.wav").read_bytes()], "id": ["plain"]})
    pq.write_table(wav, tmp_path / "bytes.parquet")
    rows, refused = made(tmp_path / "in.parquet", tmp_path / "bytes.parquet")
    assert set(rows) == {"a", "e", "b", "plain"} and next(iter(refused.values())).endswith("a path in this row")
    assert (rows["e"].text, rows["e"].speaker, rows["b"].text) == ("two", "2", None)
    for name, place in (("a", "a"), ("e", "e"), ("b", "sub/b"), ("plain", "a")):
        assert same(rows[name], tiny_model, corpus / f"{place}.wav")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("x.jsonl", b"[1]\n", "line 1: not a JSON object"),
        ("x.tsv", b"one\ttwo\n", "names no column"),
        ("x.parquet", b"PAR1", "cannot read"),
        ("x.txt", b"\xff\xfe", "UTF-8"),
        ("x.jsonl.gz", b"no gzip", "cannot read"),
        ("x.bin", b"", "neither an audio file"),
        ("x.csv", b"path\n" + b"x" * 200_000, "no table"),
        ("y.jsonl", b'{"path": ' + b"[" * 100_000, "line 1: not a JSON object"),
    ],
)
def test_what_is_no_list(tmp_path, name, data, why):
    (tmp_path / name).write_bytes(data)
    with pytest.raises((AudioError, UsageError), match=why):
        list(listing.items([str(tmp_path / name)]))
