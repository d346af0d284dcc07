"""Corpora to shards: the codes of each file, resume, refusals, shards that are whole."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import token_corpora
import typer
from conftest import tone

import gritcodec
from gritcodec import messages
from gritcodec.cli import tokens as verbs
from gritcodec.errors import OutputError, UsageError
from gritcodec.sound import audio
from gritcodec.tokens import listing
from gritcodec.tokens.layouts import parquet
from gritcodec.tokens.plan import Folder, Sizes
from gritcodec.tokens.run import tokenize
from gritcodec.tokens.shards import Coder, Maker, Setup


@pytest.fixture
def setup(tiny_model):
    return Setup(str(tiny_model))


@pytest.fixture
def corpus(tmp_path):
    return token_corpora.make(tmp_path / "corpus")


def said(folder):
    return [json.loads(line) for line in (folder / "refused.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("layout", ["parquet", "webdataset", "lhotse", "npz"])
def test_the_codes_of_a_corpus_are_those_of_each_file(tmp_path, corpus, setup, tiny_model, layout):
    found = tokenize([str(corpus)], tmp_path / "out", setup, layout, Sizes(2))
    assert (found.items, found.shards, found.refused) == (5, 3, 0)
    rows = token_corpora.rows(tmp_path / "out")
    assert set(rows) == set(token_corpora.LENGTHS)
    for name, row in rows.items():
        codes = token_corpora.wanted(tiny_model, corpus / f"{name}.wav")
        assert row.codes.dtype == np.int16 and np.array_equal(row.codes, codes)
        assert (row.num_samples, row.sample_rate) == (token_corpora.LENGTHS[name], 16000)
        assert row.source == str(corpus / f"{name}.wav")


def test_a_second_run_makes_nothing_again_and_new_files_new_shards(tmp_path, corpus, setup):
    out = tmp_path / "out"
    tokenize([str(corpus)], out, setup, sizes=Sizes(2))
    before = {path: path.stat().st_mtime_ns for path in (out / "data").iterdir()}
    assert tokenize([str(corpus)], out, setup, sizes=Sizes(2)).run_items == 0
    audio.write(corpus / "aa.wav", tone(1, 999, 16000), 16000)
    again = tokenize([str(corpus)], out, setup, sizes=Sizes(2))
    assert (again.run_items, again.items, again.shards) == (1, 6, 4)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


def test_a_shard_that_is_lost_with_its_record_comes_back_with_the_same_bytes(tmp_path, corpus, setup):
    out = tmp_path / "out"
    tokenize([str(corpus)], out, setup, sizes=Sizes(2))
    whole = token_corpora.shard_bytes(out)
    (out / "data" / "tokens-000001.parquet").unlink()
    # Killed between the shard and its record.
    (out / "work" / "records" / "000002.json").unlink()
    assert tokenize([str(corpus)], out, setup).run_items == 3
    assert token_corpora.shard_bytes(out) == whole


def test_a_shard_appears_whole_or_not_at_all(tmp_path, corpus, setup, monkeypatch):
    out = tmp_path / "out"
    tokenize([str(corpus / "sub")], out, setup, sizes=Sizes(1))
    import pyarrow.parquet as pq

    def half(table, where, **settings):
        where.write_bytes(b"PAR1 and then no space")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", half)
    with pytest.raises(OutputError, match="No space left"):
        tokenize([str(corpus)], out, setup, sizes=Sizes(1))
    assert len(token_corpora.shard_bytes(out)) == 3
    monkeypatch.undo()
    assert tokenize([str(corpus)], out, setup, sizes=Sizes(1)).items == 5


@pytest.mark.parametrize(
    ("change", "why"),
    [({"bitrate": 1.0}, "bitrate 3.0"), ({"mixing": "0"}, "mixing"), ({"engine": "torch"}, "engine")],
)
def test_other_settings_are_refused(tmp_path, corpus, tiny_model, setup, change, why):
    tokenize([str(corpus)], tmp_path / "out", setup)
    with pytest.raises(UsageError, match=why):
        tokenize([str(corpus)], tmp_path / "out", Setup(**{"model": str(tiny_model), **change}))


def test_other_models_and_folders_of_other_things_are_refused(tmp_path, corpus, other_model, tiny_model, setup):
    tokenize([str(corpus)], tmp_path / "out", setup)
    with pytest.raises(UsageError, match="model"):
        tokenize([str(corpus)], tmp_path / "out", Setup(str(other_model)))
    twin = shutil.copytree(other_model, tmp_path / "twin" / tiny_model.name)
    with pytest.raises(UsageError, match="fingerprint"):
        tokenize([str(corpus)], tmp_path / "out", Setup(str(twin)))
    with pytest.raises(UsageError, match="layout"):
        tokenize([str(corpus)], tmp_path / "out", setup, "npz")
    before = sorted(corpus.iterdir())
    with pytest.raises(UsageError, match="no folder of tokens"):
        tokenize([str(corpus)], corpus, setup)
    assert sorted(corpus.iterdir()) == before


def test_a_folder_that_was_begun_and_no_more(tmp_path, corpus, setup):
    """As of one who was killed right after the start."""
    out = tmp_path / "out"
    tokenize([str(corpus)], tmp_path / "whole", setup)
    out.mkdir()
    (out / ".gritcodec-0123.part").write_bytes(b"{")
    assert tokenize([str(corpus)], out, setup).items == 5
    shutil.rmtree(out / "data")
    shutil.rmtree(out / "work")
    (out / "work" / "fresh" / "left").mkdir(parents=True)
    (out / "work" / "fresh" / "left" / "half.parquet").write_bytes(b"PAR1")
    assert tokenize([str(corpus)], out, setup).run_items == 5
    assert token_corpora.shard_bytes(out) == token_corpora.shard_bytes(tmp_path / "whole")
    assert not list((out / "work" / "fresh").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_two_runs_at_once_in_one_folder(tmp_path, corpus, setup):
    def told(record):
        with pytest.raises(UsageError, match="another run is at work"):
            tokenize([str(corpus)], tmp_path / "out", setup, sizes=Sizes(2))

    assert tokenize([str(corpus)], tmp_path / "out", setup, sizes=Sizes(2), told=told).items == 5


_FIRST = """
import os, signal, sys
from gritcodec.tokens.plan import Sizes
from gritcodec.tokens.run import tokenize
from gritcodec.tokens.shards import Setup

if __name__ == "__main__":
    source, out, model = sys.argv[1:]
    tokenize([source], out, Setup(model), sizes=Sizes(1), jobs=2, told=lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_workers_leave_with_the_first_process_and_the_same_command_goes_on(tmp_path, corpus, setup, tiny_model):
    """Its output is at its end when all who could write to it are gone; before, they waited for work for ever."""
    out, script = tmp_path / "out", tmp_path / "first.py"
    script.write_text(_FIRST)
    first = subprocess.run([sys.executable, script, corpus, out, tiny_model], capture_output=True, timeout=300)
    assert first.returncode == -signal.SIGKILL
    assert 0 < tokenize([str(corpus)], out, setup).run_items < 5
    tokenize([str(corpus)], tmp_path / "whole", setup, sizes=Sizes(1))
    assert token_corpora.shard_bytes(out) == token_corpora.shard_bytes(tmp_path / "whole")


def test_thousands_of_files_of_one_name(tmp_path, setup):
    """Each looked for a free number from 1 on, so that time grew with the square."""
    (tmp_path / "list.txt").write_text("".join(f"{k}/audio.wav\n" for k in range(20_000)))
    folder = Folder(tmp_path / "out")
    folder.begin("npz", Coder(setup).about)
    folder.plan(listing.items([str(tmp_path / "list.txt")]), Sizes(30_000))
    (task,) = folder.tasks(parquet.names)
    ids = [item.id for item in folder.items(task)]
    assert ids[:2] == ["audio", "audio-2"] and ids[-1] == "audio-20000" and len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", ["", "missing", "missing*.wav", "notes.md"])
def test_a_slip_in_a_name_leaves_no_folder(tmp_path, setup, name):
    (tmp_path / "notes.md").write_text("no sound")
    with pytest.raises(UsageError):
        tokenize([str(tmp_path / name) if name else ""], tmp_path / "out", setup)
    assert not (tmp_path / "out").exists()


def test_a_package_that_is_missing_leaves_no_folder(tmp_path, corpus, setup, monkeypatch):
    """The folder was begun for Parquet, and then refused to have npz, which the help offers in its place."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="parquet needs pyarrow"):
        tokenize([str(corpus)], tmp_path / "out", setup)
    assert not (tmp_path / "out").exists()
    assert tokenize([str(corpus)], tmp_path / "out", setup, "npz").items == len(token_corpora.LENGTHS)


def test_bad_files_are_listed_with_a_reason_and_stop_nothing(tmp_path, corpus, setup, tiny_model):
    (corpus / "bad.wav").write_bytes(b"this is no sound")
    (corpus / "empty.flac").write_bytes(b"")
    audio.write(corpus / "nothing.wav", np.zeros((1, 0)), 16000)
    soundfile.write(corpus / "nan.wav", np.array([0.1] * 30000 + [np.nan]), 16000, subtype="FLOAT")
    whole = (corpus / "sub" / "c.wav").read_bytes()
    flac = corpus / "cut.flac"
    audio.write(flac, tone(1, 50000, 16000), 16000)
    flac.write_bytes(flac.read_bytes()[:20000])
    out = tmp_path / "out"
    found = tokenize([str(corpus)], out, setup)
    reasons = {refused["id"]: refused["reason"] for refused in said(out)}
    assert set(reasons) == {"bad", "empty", "nothing", "nan", "cut"} and found.refused == 5
    assert "NaN" in reasons["nan"] and "0 bytes" in reasons["empty"] and "no sound" in reasons["nothing"]
    assert set(token_corpora.rows(out)) == set(token_corpora.LENGTHS)
    # Mended, it is made by --retry.
    (corpus / "bad.wav").write_bytes(whole)
    assert tokenize([str(corpus)], out, setup).run_items == 0
    assert tokenize([str(corpus)], out, setup, retry=True).run_items == 6
    assert np.array_equal(token_corpora.rows(out)["bad"].codes, token_corpora.rows(out)["sub/c"].codes)
    assert len(said(out)) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes there")
def test_pipes_and_links_to_nowhere_are_refused_and_not_waited_for(tmp_path, corpus, setup):
    os.mkfifo(corpus / "pipe.wav")
    (corpus / "link.wav").symlink_to("nowhere.wav")
    os.mkfifo(tmp_path / "in.tar")
    found = tokenize([str(corpus)], tmp_path / "out", setup)
    reasons = {refused["id"]: refused["reason"] for refused in said(tmp_path / "out")}
    assert found.items == 5 and set(reasons) == {"pipe", "link"}
    assert "not a regular file" in reasons["pipe"] and "no file" in reasons["link"]
    with pytest.raises(UsageError, match="not a regular file"):
        tokenize([str(tmp_path / "in.tar")], tmp_path / "other", setup)


def test_files_of_one_name_have_ids_of_their_own(tmp_path, setup):
    for place in ("one/x.wav", "two/x.wav", "two/x.flac"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        audio.write(tmp_path / place, tone(1, 2000, 16000), 16000)
    tokenize([str(tmp_path / "one"), str(tmp_path / "two")], tmp_path / "out", setup, "webdataset")
    assert set(token_corpora.rows(tmp_path / "out")) == {"x", "x-2", "x-3"}


@pytest.mark.parametrize("mixing", ["mix", "refuse", "0", "1", "2"])
def test_several_channels(tmp_path, tiny_model, mixing):
    (tmp_path / "in").mkdir()
    both = np.concatenate([tone(1, 9000, 44100), 0.5 * tone(1, 9000, 44100, 0.1)[:, ::-1]])
    audio.write(tmp_path / "in" / "x.wav", both, 44100)
    tokenize([str(tmp_path / "in")], tmp_path / "out", Setup(str(tiny_model), mixing=mixing))
    rows = token_corpora.rows(tmp_path / "out")
    if mixing in ("refuse", "2"):
        assert not rows and "2 channels" in said(tmp_path / "out")[0]["reason"]
        return
    chosen, rate = audio.read(tmp_path / "in" / "x.wav")
    chosen = chosen.mean(axis=0, keepdims=True) if mixing == "mix" else chosen[int(mixing) : int(mixing) + 1]
    assert np.array_equal(rows["x"].codes, gritcodec.load(tiny_model).encode(chosen, rate).indices[0])
    assert rows["x"].channels == 2


def test_paths_are_found_again_from_elsewhere(tmp_path, corpus, setup, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tokenize(["corpus"], "out", setup)
    assert token_corpora.rows(tmp_path / "out")["a"].source == "corpus/a.wav"
    audio.write(corpus / "z.wav", tone(1, 999, 16000), 16000)
    monkeypatch.chdir(corpus)
    assert tokenize(["../corpus"], "../out", setup).run_items == 1


def test_processes_make_the_same_bytes_and_a_dead_worker_costs_its_shard_alone(tmp_path, corpus, setup):
    """The worker that makes the first shard is killed as soon as its record is there, in the midst of its next one."""
    tokenize([str(corpus)], tmp_path / "one", setup, sizes=Sizes(1))
    killed, shards = [], []

    def told(record):
        shards.append(record["shard"])
        if not killed:
            killed.append(record["worker"])
            os.kill(record["worker"], signal.SIGKILL)

    found = tokenize([str(corpus)], tmp_path / "two", setup, sizes=Sizes(1), jobs=2, told=told)
    assert found.items == 5 and set(shards) == set(range(5)) and len(killed) == 1
    assert token_corpora.shard_bytes(tmp_path / "one") == token_corpora.shard_bytes(tmp_path / "two")


def test_a_maker_needs_the_line_of_its_shard_alone(tmp_path, corpus, setup):
    out = tmp_path / "out"
    tokenize([str(corpus)], out, setup, sizes=Sizes(1))
    before = token_corpora.shard_bytes(out)
    for path in (out / "work" / "records").iterdir():
        path.unlink()
    for task in Folder(out).tasks(parquet.names)[::-1]:
        assert Maker(str(out), setup).make(task)["items"] == 1
    assert token_corpora.shard_bytes(out) == before


def verb(*arguments):
    """Run a verb as the command would; return the exit code."""
    app = typer.Typer()
    for each in (verbs.tokenize, verbs.detokenize):
        app.command()(each)
    command = typer.main.get_command(app)
    try:
        with command.make_context("gritcodec", list(map(str, arguments))) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except Exception as error:
        return messages.report(error)
    return 0


def test_the_verbs(tmp_path, corpus, tiny_model, capsys):
    out, back = tmp_path / "out", tmp_path / "back"
    model = ("--model", tiny_model)
    (corpus / "bad.wav").write_bytes(b"this is no sound")
    assert verb("tokenize", corpus, out, "--bitrate", 3, "--format", "npz", *model) == messages.DAMAGED
    told = capsys.readouterr()
    assert "5 pieces" in told.out and "1 refused" in told.out and "bad.wav: refused:" in told.err
    assert verb("detokenize", out, back, *model) == 0
    assert "5 files" in capsys.readouterr().out
    codec = gritcodec.load(tiny_model)
    for name in token_corpora.LENGTHS:
        waveform, rate = audio.read(corpus / f"{name}.wav")
        sound, _ = audio.read(back / f"{name}.wav")
        assert np.array_equal(audio.as_pcm16(sound), audio.as_pcm16(codec.decode(codec.encode(waveform, rate, 3))))
    assert verb("detokenize", out, back, *model) == 0 and "5 were there already" in capsys.readouterr().out
    assert verb("detokenize", out, tmp_path / "some", "--id", "e", "--bitrate", 1, "--format", "flac", *model) == 0
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["e.flac"]
    assert verb("detokenize", out, tmp_path / "none", "--id", "nobody", *model) == 2
    assert verb("tokenize", corpus, out, "--bitrate", 1, "--format", "npz", *model) == 2
    assert "bitrate" in capsys.readouterr().err


def test_sound_of_two_folders_of_tokens_and_places_for_it(tmp_path, corpus, setup, tiny_model, capsys):
    tokenize([str(corpus)], tmp_path / "one", setup)
    (tmp_path / "other").mkdir()
    audio.write(tmp_path / "other" / "a.wav", tone(1, 4000, 16000), 16000)
    tokenize([str(tmp_path / "other")], tmp_path / "two", setup)
    model = ("--model", tiny_model)
    assert verb("detokenize", tmp_path / "one", tmp_path / "two", tmp_path / "back", *model) == 0
    assert audio.read(tmp_path / "back" / "a.wav")[0].shape[1] == 16000
    assert audio.read(tmp_path / "back" / "a-2.wav")[0].shape[1] == 4000
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "taken" / "a.wav").mkdir(parents=True)
    before = sorted((tmp_path / "one").rglob("*"))
    for out, code, why in (
        ("one", 2, "has shards of tokens in it"),
        ("one/data", 2, "has shards of tokens in it"),
        ("file", 1, "cannot write"),
        ("file/sub", 1, "cannot write"),
        ("taken", 2, "not a regular file"),
    ):
        assert verb("detokenize", tmp_path / "one", tmp_path / out, *model) == code
        assert why in capsys.readouterr().err
    assert verb("detokenize", tmp_path / "one", tmp_path / "more", "--bitrate", 6, *model) == 2
    assert "3 kbps" in capsys.readouterr().err and not (tmp_path / "more").exists()
    for each in ("tokenize", "detokenize"):
        assert verb(each, tmp_path / "one", "", *model) == 2 and "empty" in capsys.readouterr().err
    assert sorted((tmp_path / "one").rglob("*")) == before and (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("which", ["-1", "x", "\u00b2", ""])
def test_channels_that_are_none(tmp_path, corpus, tiny_model, which):
    with pytest.raises(UsageError, match="--channels"):
        tokenize([str(corpus)], tmp_path / "out", Setup(str(tiny_model), mixing=which))


def test_ids_do_not_lead_out_of_the_folder():
    from gritcodec.tokens.items import as_name

    assert as_name("../../etc/passwd") == "etc/passwd"
    assert as_name("/a//b.c/./d.e") == "a/b.c/d_e"
    assert as_name("..") == "_" and as_name("C:\\x\n") == "C__x_"


def test_codes_of_another_model_are_not_played(tmp_path, corpus, setup, other_model, capsys):
    tokenize([str(corpus)], tmp_path / "out", setup)
    assert verb("detokenize", tmp_path / "out", tmp_path / "back", "--model", other_model) == 1
    assert "has codes of model tiny" in capsys.readouterr().err


def test_importing_costs_nothing():
    heavy = "('ray', 'pyarrow', 'torch', 'lhotse')"
    code = f"import sys, gritcodec.tokens.run, gritcodec.cli.tokens; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
