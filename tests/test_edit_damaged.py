"""What `truncate`, `cut` and `join` make of damaged files: what is whole, and a word about what is lost."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from sounds import AUSTEN

from gritcodec import bitstream
from gritcodec.cli import app as cli
from gritcodec.errors import CorruptFileError

RATE, SAMPLES = 16_000, 113_600
# The packet that is damaged is the third one.
LOST = slice(2 * 64 * 320, 3 * 64 * 320)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The clip as a file and as a live stream, whole, with a byte of a packet changed, and cut inside one."""
    folder = tmp_path_factory.mktemp("files")
    assert cli.main(["compress", str(AUSTEN), str(folder / "whole.grit"), "--bitrate", "3"]) == 0
    whole = (folder / "whole.grit").read_bytes()
    contents = bitstream.read_contents(whole)
    writer = bitstream.Writer(replace(contents.header, num_samples=None))
    live = b"".join([writer.begin(), *map(writer.add, contents.parts), writer.finish(SAMPLES)])
    for name, data in (("", whole), ("live-", live)):
        ends = np.cumsum([bitstream.read_contents(data).header_bytes] + [item.size for item in contents.items])
        (folder / f"{name}whole.grit").write_bytes(data)
        (folder / f"{name}hurt.grit").write_bytes(data[: ends[2] + 50] + b"\xff\0\xff" + data[ends[2] + 53 :])
        (folder / f"{name}cut.grit").write_bytes(data[: ends[3] + 50])
        (folder / f"{name}head.grit").write_bytes(data[:7] + bytes([data[7] ^ 1]) + data[8:])
    (folder / "nothing.grit").write_bytes(whole[:60])
    return folder


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def verb(*arguments):
        code = cli.main([str(each) for each in arguments])
        return code, capsys.readouterr().err

    return verb


@pytest.fixture
def heard(run, tmp_path):
    def of(path, expected=None):
        code, _ = run("decompress", path, tmp_path / "heard.wav", "--force")
        assert expected is None or code == expected
        return soundfile.read(tmp_path / "heard.wav", dtype="float32")[0]

    return of


@pytest.mark.parametrize("kind", ["", "live-"])
def test_truncate_keeps_what_is_whole(files, run, heard, kind):
    code, err = run("truncate", files / f"{kind}hurt.grit", "small.grit", "--bitrate", "1.5")
    assert code == 3 and err.count("\n") == 1 and "(at 2.56 s to 3.84 s)" in err
    assert run("truncate", files / f"{kind}whole.grit", "whole.grit", "--bitrate", "1.5")[0] == 0
    found, whole = heard("small.grit", 3), heard("whole.grit", 0)
    assert found.shape == whole.shape == (SAMPLES,)
    # What is lost stays lost, and buys nothing for what is left.
    assert np.array_equal(found[: LOST.start - 2000], whole[: LOST.start - 2000])
    assert not np.abs(found[LOST.start + 4000 : LOST.stop - 2000]).max() > 0.01
    assert run("info", "small.grit")[0] == 3


@pytest.mark.parametrize("kind", ["", "live-"])
def test_truncate_of_a_file_that_is_cut(files, run, heard, kind):
    expected = heard(files / f"{kind}cut.grit", 3)
    code, err = run("truncate", files / f"{kind}cut.grit", "small.grit", "--bitrate", "1.5")
    assert code == 3 and err.count("\n") == 1 and "cut short" in err
    assert heard("small.grit", 3).shape == expected.shape
    code, err = run("truncate", files / f"{kind}cut.grit", "smaller.grit", "--target-size", "900")
    assert (code == 3) == (kind == "") and err.count("\n") == 1
    assert code == 3 or "give a bitrate" in err


def test_cut_tells_what_is_lost_in_the_part(files, run, heard):
    whole = heard(files / "whole.grit", 0)
    for start, duration, expected in ((0, 2, 0), (2, 3, 3), (5, 2, 0)):
        code, err = run("cut", files / "hurt.grit", "part.grit", "--start", start, "--duration", duration, "--force")
        assert (code, err.count("\n")) == (expected, expected // 3)
        found = heard("part.grit", expected)
        assert found.shape == (duration * RATE,)
        if not expected:
            assert np.abs(found - whole[start * RATE : (start + duration) * RATE]).max() < 1e-3


@pytest.mark.parametrize("kind", ["", "live-"])
def test_cut_of_a_file_that_is_cut(files, run, heard, kind):
    there = heard(files / f"{kind}cut.grit", 3)
    for start, duration, expected in ((1, 1, 0), (1, 5, 3)):
        code, err = run("cut", files / f"{kind}cut.grit", "part.grit", "--start", start, "--duration", duration, "-f")
        assert (code, err.count("\n")) == (expected, expected // 3)
        found = heard("part.grit", 0)
        assert np.abs(found - there[start * RATE : (start + duration) * RATE]).max() < 1e-3
    code, err = run("cut", files / f"{kind}cut.grit", "none.grit", "--start", 6)
    assert code == 2 and "the recording is 3.83 s long: nothing is at 6 s" in err


@pytest.mark.parametrize("kind", ["", "live-"])
def test_join_of_damaged_files(files, run, heard, kind):
    whole, there = heard(files / "whole.grit", 0), heard(files / f"{kind}cut.grit", 3)
    names = [f"{kind}hurt.grit", f"{kind}cut.grit", "whole.grit"]
    code, err = run("join", *(files / name for name in names), "all.grit")
    assert code == 3 and err.count("\n") == 2
    assert f"{names[0]}: packets are damaged" in err and f"{names[1]}: the file is cut short" in err
    found = heard("all.grit", 3)
    # Where one was cut the next begins; what is lost in the middle is as long as it was.
    assert len(found) == len(whole) + len(there) + len(whole)
    assert np.array_equal(found[: LOST.start - 2000], whole[: LOST.start - 2000])
    assert np.abs(found[-len(whole) + 2000 :] - whole[2000:]).max() < 1e-3
    assert not np.abs(found[LOST.start + 4000 : LOST.stop - 2000]).max() > 0.01


@pytest.mark.parametrize("verb", [("truncate", "--bitrate", "1.5"), ("cut", "--start", "1"), ("join",)])
def test_a_header_that_was_repaired_loses_nothing(files, run, heard, verb):
    code, err = run(verb[0], files / "head.grit", "a.grit", *verb[1:])
    assert code == 3 and "was repaired" in err
    assert run(verb[0], files / "whole.grit", "b.grit", *verb[1:])[0] == 0
    assert (run("info", "a.grit")[0], heard("a.grit", 0).shape) == (0, heard("b.grit", 0).shape)


@pytest.mark.parametrize("verb", [("truncate", "--bitrate", "1.5"), ("cut", "--start", "1"), ("join",)])
def test_what_is_refused(files, run, tmp_path, verb):
    for name, options in (("hurt", ["--strict"]), ("cut", ["--strict"]), ("head", ["--strict"]), ("nothing", [])):
        code, err = run(verb[0], files / f"{name}.grit", "out.grit", *verb[1:], *options)
        assert code == 1 and err.count("\n") == 1 and "damaged" in err
        assert not (tmp_path / "out.grit").exists()


def test_two_that_are_chained_are_refused_though_the_first_is_damaged(files, run, tmp_path):
    data = (files / "hurt.grit").read_bytes() + (files / "whole.grit").read_bytes()
    (tmp_path / "chain.grit").write_bytes(data)
    code, err = run("truncate", "chain.grit", "out.grit", "--bitrate", "1")
    assert code == 1 and "join makes one file of them" in err
    code, err = run("join", "chain.grit", "out.grit")
    assert code == 3 and err.count("\n") == 1


def test_a_folder(files, run, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("whole", "hurt"):
        shutil.copy(files / f"{name}.grit", tmp_path / "in")
    code, err = run("truncate", "in", "out", "--bitrate", "1")
    assert code == 3 and "hurt.grit" in err and len(list((tmp_path / "out").iterdir())) == 2


def test_the_library_takes_whole_files_unless_told(files):
    hurt, seen = (files / "hurt.grit").read_bytes(), []
    with pytest.raises(CorruptFileError):
        bitstream.truncate(hurt, 1.0)
    with pytest.raises(CorruptFileError):
        bitstream.join([hurt])
    assert bitstream.truncate(hurt, 1.0, damaged=seen.append) and len(seen) == 1
