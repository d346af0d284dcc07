"""Folders and names: no input is written over, nothing is passed over in silence, trees are kept."""

import os
import shutil
import stat
import subprocess

import pytest
import soundfile
from conftest import tone
from sounds import wav_of
from tools import tool

from gritcodec.cli import naming


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav"):
        soundfile.write(name, tone(1, 16_000, 16_000).T, 16_000)
    return tmp_path


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_pattern_of_the_shell_is_no_output(command, here):
    before = {name: (here / name).read_bytes() for name in ("a.wav", "b.wav")}
    for options in ((), ("-f",)):
        assert command("compress", *options, "a.wav", "b.wav")[0] == 0
        assert tree(here) == ["a.grit", "a.wav", "b.grit", "b.wav"]
    assert before == {name: (here / name).read_bytes() for name in before}
    for name in ("a.wav", "b.wav"):
        (here / name).unlink()
    assert command("decompress", "a.grit", "b.grit")[0] == 0
    assert tree(here) == ["a.grit", "a.wav", "b.grit", "b.wav"]


def test_an_output_has_the_ending_of_one(command, here):
    for name in ("x.wav", "x.mp3", "x", "x.git"):
        code, _, err = command("compress", "a.wav", name, "-f")
        assert code == 2 and "must end in" in err and ".grit" in err and err.count("\n") == 1
    for last in ("x.grit", "-"):
        code, _, err = command("compress", "a.wav", "b.wav", last)
        assert code == 2 and "need a folder" in err
    code, _, err = command("compress", "a.wav", "a.wav", "-f")
    assert code == 2 and "same file" in err
    assert tree(here) == ["a.wav", "b.wav"]


def test_audio_is_never_replaced(command, here):
    """Not as .oga beside the source, which --container ogg names so, not as a link."""
    soundfile.write("c.oga", tone(1, 16_000, 16_000).T, 16_000, format="OGG", subtype="VORBIS")
    before = (here / "c.oga").read_bytes()
    for arguments in (("c.oga", "--container", "ogg"), ("a.wav", "c.oga"), (".", "--container", "ogg")):
        code, _, err = command("compress", *arguments, "-f")
        assert (here / "c.oga").read_bytes() == before
        assert code in (0, 2), err
    (here / "b.grit").symlink_to("b.wav")
    code, _, err = command("compress", "a.wav", "b.grit", "-f")
    assert code == 2 and "is audio" in err and soundfile.info("b.wav").frames == 16_000
    # A stream of ours is replaced, in its container too.
    for name in ("x.grit", "x.mka"):
        assert command("compress", "a.wav", name)[0] == 0
        assert command("compress", "b.wav", name)[0] == 2 and command("compress", "b.wav", name, "-f")[0] == 0


def test_what_is_passed_over_is_said(command, here):
    (here / "in").mkdir()
    for name in ("notes.txt", "cover.jpg", "b.jpg"):
        (here / "in" / name).write_text("no sound")
    shutil.copy("a.wav", "in/a.wav")
    (here / "in" / ".hidden.wav").write_text("")
    code, _, err = command("compress", "in", "out")
    assert code == 0 and "1 done" in err and "passed over: 2 .jpg, 1 .txt (not by an ending of sound)" in err
    assert command("compress", "in", "out")[0] == 0


def test_endings_that_folders_know(command, here):
    (here / "in").mkdir()
    for form, ending in (("sph", "sph"), ("voc", "voc"), ("caf", "caf"), ("w64", "w64"), ("aiff", "aifc")):
        subprocess.run([tool("sox"), "-D", "a.wav", "-t", form, f"in/{form}.{ending}"], check=True)
    soundfile.write("in/big.rf64", tone(1, 16_000, 16_000).T, 16_000, format="RF64")
    for codec, ending in (("mp2", "mp2"), ("libgsm", "gsm"), ("aac", "m4a")):
        rate = "8000" if codec == "libgsm" else "16000"
        command_line = [
            tool("ffmpeg"),
            "-v",
            "error",
            "-i",
            "a.wav",
            "-ar",
            rate,
            "-c:a",
            codec,
            f"in/{codec}.{ending}",
        ]
        subprocess.run(command_line, check=True)
    code, _, err = command("compress", "in", "out")
    assert code == 0 and "9 done" in err and "passed over" not in err and len(tree(here / "out")) == 9


def test_without_pyav_its_files_are_named(command, here, monkeypatch):
    from gritcodec.sound import endings

    monkeypatch.setattr(endings, "has_av", lambda: False)
    (here / "in").mkdir()
    shutil.copy("a.wav", "in/a.wav")
    (here / "in" / "b.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    code, _, err = command("compress", "in", "out")
    assert code == 0 and "passed over: 1 .m4a (pip install 'gritcodec[av]' to read them)" in err
    code, _, err = command("compress", "in/b.m4a")
    assert code == 1 and "pip install 'gritcodec[av]'" in err and err.count("\n") == 1
    code, _, err = command("compress", "a.wav", "--track", "2")
    assert code == 2 and "gritcodec[av]" in err


def test_results_of_other_settings_are_kept_and_told(command, tmp_path):
    (tmp_path / "in").mkdir()
    wav_of(tmp_path / "in")
    assert command("compress", tmp_path / "in", tmp_path / "out", "-b", "1")[0] == 0
    before = (tmp_path / "out" / "clip.grit").read_bytes()
    code, _, err = command("compress", tmp_path / "in", tmp_path / "out", "-b", "1")
    assert code == 0 and "1 skipped" in err and "kept" not in err
    for other in (["-b", "6"], ["-b", "0.5"], ["--target-size", "100"]):
        code, _, err = command("compress", tmp_path / "in", tmp_path / "out", *other)
        assert code == 0 and "1 kept" in err and "--force makes it again" in err
    assert (tmp_path / "out" / "clip.grit").read_bytes() == before
    os.utime(tmp_path / "in" / "clip.wav")
    assert "older than the recording" in command("compress", tmp_path / "in", tmp_path / "out", "-b", "1")[2]
    assert command("compress", tmp_path / "in", tmp_path / "out", "-b", "6", "-f")[0] == 0
    assert len((tmp_path / "out" / "clip.grit").read_bytes()) > 3 * len(before)


def test_trees_and_names_that_would_be_alike(command, here):
    for name in ("p/x/rec.wav", "p/y/rec.wav", "p/same.wav", "p/same.flac", "p/one.wav"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(name, tone(1, 4_000, 16_000).T, 16_000)
    assert command("compress", "p/**/*.*", "out")[0] == 0
    expected = ["one.grit", "same.flac.grit", "same.wav.grit", "x/rec.grit", "y/rec.grit"]
    assert tree(here / "out") == expected
    assert command("compress", "p", "again")[0] == 0 and tree(here / "again") == expected
    assert command("compress", "p/x/rec.wav", "p/y/rec.wav", "two")[0] == 0
    assert tree(here / "two") == ["x/rec.wav.grit", "y/rec.wav.grit"]
    assert command("compress", "p/one.wav", "p/same.wav", "--keep-ending", "three/")[0] == 0
    assert tree(here / "three") == ["one.wav.grit", "same.wav.grit"]
    assert command("compress", "p/one.wav", "--keep-ending")[0] == 0 and (here / "p" / "one.wav.grit").exists()


def test_permissions_as_cp_gives_them(command, here):
    def mode(name):
        return oct(stat.S_IMODE((here / name).stat().st_mode))

    mask = os.umask(0o022)
    try:
        (here / "a.wav").chmod(0o600)
        assert command("compress", "a.wav")[0] == 0 and mode("a.grit") == "0o600"
        assert command("decompress", "a.grit", "back.wav")[0] == 0 and mode("back.wav") == "0o600"
        (here / "b.wav").chmod(0o666)
        assert command("compress", "b.wav")[0] == 0 and mode("b.grit") == "0o644"
        (here / "b.grit").chmod(0o600)
        assert command("compress", "b.wav", "-f")[0] == 0 and mode("b.grit") == "0o600"
        for name in ("x.flac", "x.mp3"):
            assert command("decompress", "b.grit", name)[0] == 0 and mode(name) == "0o600"
    finally:
        os.umask(mask)


def test_what_is_no_file_is_passed_over(command, tmp_path):
    """A pipe would be waited for, and a link that leads nowhere is no recording: both are said."""
    wav_of(tmp_path, 0.5)
    os.mkfifo(tmp_path / "pipe.wav")
    os.mkfifo(tmp_path / "pipe.grit")
    (tmp_path / "link.wav").symlink_to("nowhere.wav")
    code, _, err = command("compress", tmp_path, tmp_path / "out")
    assert code == 0 and "passed over: 3 that are no files" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip.grit"]


def test_a_folder_that_is_closed_is_said(tmp_path, monkeypatch):
    """Not by permissions, which the superuser has anyway: as the system would refuse it."""
    closed = tmp_path / "closed"
    closed.mkdir()
    real = os.scandir

    def scandir(path):
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert list(naming.passed_over([tmp_path], frozenset())) == [f"passed over: the folder {closed}: Permission denied"]
