"""What is written and where: audio stays, with --force too, and what fails leaves nothing that was not there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from conftest import tone

from gritcodec.containers import ebml
from gritcodec.containers.matroska_names import Name

resource = pytest.importorskip("resource", reason="needs a Unix")
# Verbs that make a .grit stream, with what they need.
VERBS = [("remux",), ("truncate", "-b", "1"), ("cut", "--duration", "0.5"), ("join",), ("compress",)]


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model):
    """A recording and its .grit file, at 6 kbps."""
    from gritcodec.cli import app

    folder = tmp_path_factory.mktemp("made")
    soundfile.write(folder / "talk.wav", tone(1, 16_000, 16_000).T, 16_000)
    model = ["--model", str(tiny_model)]
    assert app.main(["compress", str(folder / "talk.wav"), str(folder / "talk.grit"), "-b", "6", "-q", *model]) == 0
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of both, beside each other."""
    monkeypatch.chdir(tmp_path)
    for path in made.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def forced(command, tiny_model):
    """Run a verb of VERBS with --force on a file, or a folder of .grit files."""

    def run(verb, source, target):
        name, *options = verb
        if name == "cut":
            options += ["--model", tiny_model]
        sources = [source, source] if name == "join" else [source]
        return command(name, *sources, target, *options, "-f")

    return run


def sound_in(path, kind, coding):
    soundfile.write(path, tone(1, 16_000, 16_000).T, 16_000, format=kind, subtype=coding)


def film(path, *codings, more=b""):
    """Write the beginning of a film, with a track of each coding, and one more."""
    tracks = [
        ebml.master(Name.TRACK_ENTRY, ebml.element(Name.TRACK_NUMBER, b"\1"), ebml.element(Name.CODEC_ID, coding))
        for coding in codings
    ]
    head = ebml.master(Name.EBML, ebml.element(Name.DOC_TYPE, b"matroska"))
    path.write_bytes(head + ebml.master(Name.SEGMENT, ebml.master(Name.TRACKS, *tracks, more)))


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_replaces_audio(forced, here, verb):
    sound_in("f.ogg", "OGG", "VORBIS")
    sound_in("g.oga", "OGG", "OPUS")
    sound_in("wav.grit", "WAV", "PCM_16")
    sound_in("h.grit", "FLAC", "PCM_16")
    film(here / "film.mkv", b"V_VP9", b"A_AAC")
    film(here / "film.mka", b"V_VP9")
    # What only FFmpeg reads, and nothing can play: an mp4 without its index, a wav file without samples.
    (here / "phone.grit").write_bytes(b"\0\0\0\x18ftypM4A \0\0\0\0M4A isom" + b"\0\0\0\x40mdat" + bytes(56))
    (here / "torn.grit").write_bytes((here / "wav.grit").read_bytes()[:40])
    # A head of Vorbis with nothing behind it: nobody can read that, and it is none of ours.
    (here / "cut.oga").write_bytes((here / "f.ogg").read_bytes()[:100])
    whole = {path.name: path.read_bytes() for path in here.iterdir()}
    source = "talk.wav" if verb == ("compress",) else "talk.grit"
    others = {"f.ogg", "g.oga", "wav.grit", "h.grit", "film.mkv", "film.mka", "cut.oga", "phone.grit", "torn.grit"}
    if verb[0] != "remux":
        # The others cannot be named as outputs; with `compress` they are more to read.
        others = {name for name in others if name.endswith(".grit")}
    for name in sorted(others):
        code, out, err = forced(verb, source, name)
        assert (code, out) == (2, "") and err.count("\n") == 1, (name, err)
        assert "audio: it is not replaced by a .grit stream, with --force either" in err and name in err
    assert {path.name: path.read_bytes() for path in here.iterdir()} == whole


def test_folders_replace_no_audio_either(command, here):
    for folder in ("in", "out", "low"):
        (here / folder).mkdir()
    shutil.copy("talk.grit", "in/talk.grit")
    sound_in("out/talk.oga", "OGG", "FLAC" if "FLAC" in soundfile.available_subtypes("OGG") else "VORBIS")
    sound_in("low/talk.grit", "WAV", "PCM_16")
    before = Path("out/talk.oga").read_bytes(), Path("low/talk.grit").read_bytes()
    for arguments in (("remux", "in", "out", "--container", "ogg"), ("truncate", "in", "low", "-b", "1")):
        code, _, err = command(*arguments, "-f")
        assert code == 1 and "failed: " in err and "is audio: it is not replaced" in err
    assert (Path("out/talk.oga").read_bytes(), Path("low/talk.grit").read_bytes()) == before


@pytest.mark.parametrize("verb", VERBS)
def test_streams_of_ours_are_replaced(forced, command, here, verb):
    names = ("x.oga", "x.mka") if verb[0] in ("remux", "compress") else ("x.grit",)
    source = "talk.wav" if verb == ("compress",) else "talk.grit"
    for name in names:
        assert command("remux", "talk.grit", name)[0] == 0
        assert forced(verb, source, name)[0] == 0
        assert command("info", name)[0] == 0


def test_what_is_beside_a_stream_of_ours_stays(command, here):
    """A chain of Ogg with music in it, a film whose sound is ours."""
    assert command("remux", "talk.grit", "ours.oga")[0] == 0
    sound_in("music.oga", "OGG", "VORBIS")
    Path("both.oga").write_bytes(Path("ours.oga").read_bytes() + Path("music.oga").read_bytes())
    assert command("remux", "talk.grit", "ours.mka")[0] == 0
    ours = Path("ours.mka").read_bytes()
    _, at = ebml.name_at(ours, ours.rindex(ebml.identifier(Name.TRACKS)))
    length, at = ebml.number(ours, at)
    track = next(child for child in ebml.children(ours[at : at + length]) if child.name == Name.TRACK_ENTRY)
    film(here / "film.mkv", b"V_VP9", more=ebml.element(track.name, track.data))
    assert command("info", "film.mkv")[0] in (0, 3)
    for name in ("both.oga", "film.mkv"):
        before = Path(name).read_bytes()
        code, _, err = command("remux", "talk.grit", name, "-f")
        assert code == 2 and "audio: it is not replaced" in err and Path(name).read_bytes() == before


@pytest.mark.parametrize("verb", ["cut", "decompress"])
def test_a_part_of_nothing_is_refused(command, here, tiny_model, verb):
    target = "part.grit" if verb == "cut" else "part.wav"
    for source, out in (("talk.grit", target), (".", "parts/")):
        code, said, err = command(verb, source, out, "--duration", "0", "--model", tiny_model)
        assert (code, said) == (2, "") and err == "gritcodec: error: --duration: '0' holds no sample\n"
    code, _, err = command(verb, "talk.grit", target, "--duration", "0.00001", "--model", tiny_model)
    assert code == 2 and "that holds no sample" in err and "talk.grit" in err
    assert not Path(target).exists() and not Path("parts").exists()


def test_a_pipe_among_several_has_no_name(command, here):
    shutil.copy("talk.wav", "more.wav")
    before = sorted(here.iterdir())
    for arguments in (("-", "talk.wav"), ("more.wav", "-", "talk.wav"), ("-", "out/")):
        code, out, err = command("compress", *arguments)
        assert (code, out) == (2, "") and err.count("\n") == 1 and "what comes from a pipe has no name" in err
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("verb", ["compress", "decompress", "truncate", "remux", "cut"])
def test_the_only_file_is_not_there(command, here, verb):
    options = ("-b", "1") if verb == "truncate" else ()
    (here / "there").mkdir()
    for out in ("out/", "there"):
        code, said, err = command(verb, "none.grit", out, *options)
        assert (code, said, err) == (2, "", "gritcodec: error: there is no file none.grit\n")
    assert not (here / "out").exists()
    # Of several the others are done.
    if verb != "cut":
        source = "talk.wav" if verb == "compress" else "talk.grit"
        code, _, err = command(verb, "none.grit", source, "out/", *options)
        assert code == 1 and "none.grit: failed: " in err and "1 done" in err


def full_disk():
    """Run in a new process: files may have 20,000 bytes, as where a disk is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def on_a_full_disk(*arguments):
    command = [sys.executable, "-m", "gritcodec", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, preexec_fn=full_disk)


def test_a_page_on_a_full_disk_leaves_nothing(here):
    done = on_a_full_disk("page", "new/deep")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "cannot write new/deep/" in done.stderr
    assert not (here / "new").exists()
    (here / "old").mkdir()
    (here / "old" / "index.html").write_text("mine")
    assert on_a_full_disk("page", "old", "--force").returncode == 1
    assert [path.name for path in (here / "old").rglob("*")] == ["index.html"]
    assert (here / "old" / "index.html").read_text() == "mine"


def test_evaluate_on_a_full_disk_leaves_nothing(here):
    pytest.importorskip("matplotlib")
    done = on_a_full_disk("evaluate", ".", "--out", "new/deep", "--codec", "original")
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "cannot write new/deep/clips/" in done.stderr and "File too large" in done.stderr
    assert not (here / "new").exists()


def test_folders_for_results_that_fail_go_again(command, here):
    (here / "in" / "deep").mkdir(parents=True)
    (here / "in" / "deep" / "a.grit").write_bytes(b"none of ours")
    (here / "kept").mkdir()
    for out in ("new/out", "kept"):
        assert command("decompress", "in", out)[0] == 1
    assert not (here / "new").exists() and list((here / "kept").iterdir()) == []
