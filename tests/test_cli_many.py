"""Many files and odd names: what is done to folders, how it is told, and what stays unsaid."""

import json

import pytest
import soundfile
from conftest import tone

from gritcodec import bitstream
from gritcodec.cli import console


@pytest.fixture
def here(tmp_path, monkeypatch, command):
    """A folder of three recordings, one of them below, and the .grit files of all."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("part-2", "part-10", "deep/part-1"), start=1):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / f"{name}.wav", tone(1, 16_000 * number, 16_000).T, 16_000)
    assert command("compress", "in", "out", "-b", "6")[0] == 0
    return tmp_path


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_second_run_is_one_line(command, here):
    code, out, err = command("compress", "in", "out", "-b", "6")
    assert (code, out) == (0, "") and err.count("\n") == 1
    assert err.startswith("3 files in ") and ": 3 skipped (" in err and "--force" in err
    soundfile.write("in/new.wav", tone(1, 8_000, 16_000).T, 16_000)
    code, _, err = command("compress", "in", "out", "-b", "6")
    lines = err.splitlines()
    assert code == 0 and len(lines) == 3 and lines[0].startswith("file ") and lines[1].startswith("in/new.wav ")
    assert lines[2].startswith("4 files in ") and lines[2].endswith("3 skipped, 1 done")


def test_results_that_are_others_are_named_while_they_are_few(command, here):
    code, _, err = command("compress", "in", "out", "-b", "1")
    assert code == 0 and err.count("--force makes it again\n") == 3 and err.count("\n") == 4 and ": 3 kept (" in err
    soundfile.write("in/new.wav", tone(1, 8_000, 16_000).T, 16_000)
    assert command("compress", "in/new.wav", "out/new.grit", "-b", "6")[0] == 0
    code, _, err = command("compress", "in", "out", "-b", "1")
    assert code == 0 and err.count("\n") == 2 and "(and so with 3 others): --force makes it again" in err


@pytest.mark.parametrize(
    ("arguments", "alone"),
    [
        (("truncate", "--bitrate", "1"), lambda data: bitstream.truncate(data, 1)),
        (("truncate", "--target-size", "400"), lambda data: bitstream.truncate(data, None, 400)),
        (("remux",), lambda data: data),
    ],
)
def test_folders_of_grit_files(command, here, arguments, alone):
    verb, *options = arguments
    for sources, new in (("out", "new"), ("out/**/*.grit", "newer")):
        code, _, err = command(verb, sources, new, *options)
        assert code == 0 and "3 done" in err, err
        assert tree(here / new) == ["deep/part-1.grit", "part-10.grit", "part-2.grit"]
        for name in tree(here / new):
            assert (here / new / name).read_bytes() == alone((here / "out" / name).read_bytes())
        assert ": 3 skipped (" in command(verb, sources, new, *options)[2]
        assert "3 done" in command(verb, sources, new, *options, "--force")[2]
    code, _, err = command(verb, "out/part-2.grit", "out/part-10.grit", "one.grit", *options)
    assert code == 2 and "several results need a folder" in err
    code, _, err = command(verb, "out/part-2.grit", *options)
    assert code == 2 and "is one path" in err


@pytest.mark.parametrize("verb", ["compress", "decompress", "tokenize"])
def test_no_jobs_are_refused_for_one_file_too(command, here, verb):
    code, _, err = command(verb, "out/part-2.grit", "new", "--jobs", "0")
    assert code == 2 and "--jobs" in err and err.count("\n") == 1 and not (here / "new").exists()


def test_cut_of_a_folder(command, here, tiny_model):
    assert command("cut", "out", "new/", "--duration", "500ms", "--model", tiny_model)[0] == 0
    facts = json.loads(command("info", "new", "--json")[1])
    assert [each["seconds"] for each in facts] == [0.5] * 3


def test_other_containers_of_a_folder_are_read(command, here):
    assert command("remux", "out", "ogg", "--container", "ogg")[0] == 0
    assert tree(here / "ogg") == ["deep/part-1.oga", "part-10.oga", "part-2.oga"]
    soundfile.write("ogg/music.oga", tone(1, 16_000, 16_000).T, 16_000, format="OGG", subtype="VORBIS")
    assert command("decompress", "ogg", "back")[0] == 0
    assert tree(here / "back") == ["deep/part-1.wav", "part-10.wav", "part-2.wav"]
    code, _, err = command("compress", "ogg", "again")
    assert code == 0 and tree(here / "again") == ["music.grit"] and "failed" not in err


def test_one_of_many_that_is_none_stops_nothing(command, here):
    (here / "out" / "bad.grit").write_bytes(b"no such thing")
    code, _, err = command("truncate", "out", "new", "-b", "1")
    assert code == 1 and "out/bad.grit: failed: not a .grit file" in err and "1 failed" in err and "3 done" in err
    assert len(tree(here / "new")) == 3
    code, out, err = command("info", "out")
    assert code == 1 and err == "gritcodec: out/bad.grit: not a .grit file: it does not begin as one\n"
    assert out.splitlines()[-1].endswith("1 unreadable, 3 sound")
    code, out, err = command("info", "out", "-q")
    assert (code, out) == (1, "") and "out/bad.grit" in err


def test_a_newline_in_a_name_breaks_no_line(command, here, tiny_model):
    (here / "out" / "two\nlines.grit").write_bytes((here / "out" / "part-2.grit").read_bytes())
    assert command("truncate", "out", "new", "-b", "1")[0] == 0
    code, _, err = command("cut", "out", "late", "--start", "1:00", "--model", tiny_model)
    assert code == 1 and "out/two\\nlines.grit: failed: the recording is " in err and "nothing is at 60 s" in err
    code, _, err = command("cut", "out/two\nlines.grit", "late.grit", "--start", "1:00", "--model", tiny_model)
    assert code == 2 and err.startswith("gritcodec: error: out/two\\nlines.grit: the recording is ")


def test_a_cut_says_what_stands_before_it(command, here, tiny_model):
    code, out, err = command("cut", "out/part-10.grit", "later.grit", "--start", "0.5", "--model", tiny_model)
    assert (code, err) == (0, "") and " s before it, which are decoded and not heard)" in out
    assert (
        "before it"
        not in command("cut", "out/part-10.grit", "first.grit", "--duration", "0.5", "--model", tiny_model)[1]
    )


def test_info_of_several_files(command, here):
    code, out, err = command("info", "out/part-10.grit", "out/deep")
    lines = out.splitlines()
    assert (code, err) == (0, "") and len(lines) == 4 and lines[0].split()[:4] == ["file", "seconds", "bytes", "kbps"]
    assert lines[1].split()[:2] == ["out/part-10.grit", "2.0"] and lines[3].split()[:2] == ["2", "files"]
    facts = json.loads(command("info", "out", "--json")[1])
    assert [each["file"] for each in facts] == ["out/deep/part-1.grit", "out/part-2.grit", "out/part-10.grit"]
    assert isinstance(json.loads(command("info", "out/part-2.grit", "--json")[1]), dict)
    assert command("info", "out/deep")[1].splitlines()[-1].startswith("1 file ")
    assert "one.grit: 1 file, " in command("join", "out/deep", "one.grit")[1]
    whole = (here / "out" / "part-2.grit").read_bytes()
    (here / "out" / "part-2.grit").write_bytes(whole[:-1])
    code, out, err = command("info", "out")
    assert code == 3 and "gritcodec: out/part-2.grit: " in err and "1 damaged" in out.splitlines()[-1]
    for row in out.splitlines()[1:-1]:
        seconds, size, kbps = (float(figure.replace(",", "")) for figure in row.split()[1:4])
        assert kbps == pytest.approx(8 * size / seconds / 1000, abs=0.01)


def test_values_of_info_stand_below_each_other(command, here):
    lines = command("info", "out/part-2.grit")[1].splitlines()
    starts = {len(line) - len(line.split("  ", 1)[1].lstrip()) for line in lines}
    assert len(starts) == 1 and any(line.startswith("entropy coding saves percent  ") for line in lines)


def test_join_of_a_folder_is_by_name_as_people_count(command, here):
    parts = [(here / "out" / name).read_bytes() for name in ("deep/part-1.grit", "part-2.grit", "part-10.grit")]
    for sources in (["out"], ["out/**/part-*.grit"], ["out/deep", "out/part-2.grit", "out/part-10.grit"]):
        code, out, _ = command("join", *sources, "all.grit", "--force")
        assert code == 0 and ": 3 files, " in out and (here / "all.grit").read_bytes() == bitstream.join(parts)
    # Into the folder itself: what came of it is no part of the next one.
    for _ in range(2):
        assert command("join", "out", "out/all.grit", "--force")[0] == 0
        assert (here / "out" / "all.grit").read_bytes() == bitstream.join(parts)
    code, _, err = command("join", "out/all.grit", "out/part-2.grit", "out/all.grit", "-f")
    assert code == 2 and "same file" in err


def test_join_names_the_file_that_does_not_fit(command, here):
    soundfile.write("wide.wav", tone(1, 44_100, 44_100).T, 44_100)
    assert command("compress", "wide.wav", "out/z.grit", "-b", "6")[0] == 0
    code, _, err = command("join", "out", "all.grit")
    assert code == 2 and "out/z.grit cannot be joined to the first: its sample rate is 44100, not 16000" in err
    (here / "out" / "z.grit").write_bytes(b"nothing")
    code, _, err = command("join", "out", "all.grit")
    assert code == 1 and "out/z.grit: not a .grit file" in err


def test_quiet_says_errors_and_losses_alone(command, here):
    verbs = (
        ("compress", "in/part-2.wav", "q/a.grit"),
        ("compress", "in", "q/b", "-b", "1.3"),
        ("decompress", "q/a.grit", "q/a.wav"),
        ("truncate", "q/a.grit", "q/c.grit", "-b", "1.3"),
        ("join", "q/a.grit", "q/a.grit", "q/d.grit"),
        ("remux", "q/a.grit", "q/e.oga"),
        ("info", "q/a.grit"),
        ("info", "q"),
        ("roundtrip", "in/part-2.wav", "q/f.wav"),
    )
    (here / "q").mkdir()
    for arguments in verbs:
        assert command(*arguments, "--quiet") == (0, "", ""), arguments
    assert command("-q", "--version")[1] != ""
    code, out, err = command("compress", "none.wav", "-q")
    assert (code, out) == (2, "") and "there is no file none.wav" in err
    (here / "q" / "a.grit").write_bytes((here / "q" / "a.grit").read_bytes()[:-1])
    code, out, err = command("decompress", "q/a.grit", "-q", "-f")
    assert (code, out) == (3, "") and err.startswith("gritcodec: q/a.grit: ")
    # The next one speaks again.
    assert command("info", "q/c.grit")[1] != ""


def test_control_characters_break_no_table(command, here):
    name = "in/a\nb\x1b[31m\r\tc.wav"
    (here / "in" / "part-2.wav").rename(here / name)
    code, _, err = command("compress", "in", "new")
    assert code == 0 and err.count("\n") == 5 and "\x1b" not in err and "\r" not in err and "\t" not in err
    assert "in/a\\nb\\x1b[31m\\r\\tc.wav " in err
    code, out, _ = command("info", "new")
    assert code == 0 and out.count("\n") == 5 and "\x1b" not in out
    for arguments in (("compress", name, "x.grit"), ("roundtrip", name), ("truncate", "new", "low", "-b", "1")):
        code, out, err = command(*arguments)
        assert code == 0 and "\x1b" not in out + err and "\r" not in out + err
    code, _, err = command("compress", name, name, "-f")
    assert code == 2 and err.count("\n") == 1 and "\x1b" not in err


@pytest.mark.parametrize(
    ("seconds", "took", "said"),
    [
        (1.0, 0.9, "1.1 times"),
        (1.0, 3.0, "0.33 times"),
        (1.0, 100.0, "0.01 times"),
        (3.0, 1.0, "3 times"),
        (9.96, 1.0, "10 times"),
        (56.7, 1.0, "57 times"),
        (3600.0, 1.0, "3,600 times"),
    ],
)
def test_times_real_time_have_two_figures_at_least(seconds, took, said):
    assert console.times(seconds, took) == f"{said} real time"


def test_of_nothing_no_figures_are_told(command, here):
    soundfile.write("zero.wav", tone(1, 0, 16_000).T, 16_000)
    for arguments in (("roundtrip", "zero.wav", "back.wav"), ("compress", "zero.wav")):
        code, out, err = command(*arguments)
        assert (code, err) == (0, "") and "times" not in out and "kbps" not in out
    assert "there is nothing to hear" in command("roundtrip", "zero.wav")[1]
    assert soundfile.info("back.wav").frames == 0


def test_a_name_that_promises_something_else_is_refused(command, here):
    for name, words in (("x.wav", "decompress makes sound"), ("x.mp4", "decompress makes sound"), ("x.oga", "remux")):
        for verb in (("truncate", "out/part-2.grit", name, "-b", "1"), ("join", "out/part-2.grit", "out", name)):
            code, out, err = command(*verb)
            assert (code, out) == (2, "") and f"cannot write {name}: this makes .grit files; {words}" in err
    assert "this makes .mka files" in command("remux", "out/part-2.grit", "x.oga", "--container", "matroska")[2]
    assert "this makes .grit files" in command("remux", "out/part-2.grit", "x.mp3")[2]
    # Who names two files means to join them, and not to write the first over the second.
    code, _, err = command("join", "out/part-2.grit", "out/part-10.grit")
    assert code == 2 and "the last name is that of the file to write" in err and "--force" not in err
    assert not list(here.glob("x.*"))


def test_containers_of_ours_are_no_sound_to_read(command, here):
    assert command("remux", "out/part-2.grit", "x.mka")[0] == 0
    code, _, err = command("roundtrip", "x.mka")
    assert code == 1 and err.startswith("gritcodec: error: cannot read x.mka as audio")


@pytest.mark.parametrize("text", ["yesterday", "1e300", "nan", "inf"])
def test_what_is_no_start_time(command, here, text):
    code, _, err = command("compress", "in/part-2.wav", "x.grit", "--start-time", text)
    assert code == 2 and err.startswith(f"gritcodec: error: --start-time: '{text}' is no time: write now")
