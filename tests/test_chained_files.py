"""Files one behind the other, as cat makes them: both play, and what cannot be played is told."""

import io
import json
import sys

import numpy as np
import pytest
import soundfile
from conftest import tone
from grit_files import Pipe, damaged, make

import gritcodec
from gritcodec import bitstream
from gritcodec.bitstream import Reader
from gritcodec.bitstream.crc import crc32c
from gritcodec.cli import app as cli
from gritcodec.errors import CorruptFileError, GritcodecError


@pytest.fixture(scope="module")
def codec(tiny_model):
    return gritcodec.load(tiny_model)


@pytest.fixture(scope="module")
def files(codec):
    """A file, a live one, and one with a pause."""
    sounds = [tone(1, samples, 16_000) for samples in (30_001, 50_000, 64_000)]
    sounds[2][:, 16_000:48_000] = 0
    live = b"".join(codec.compress_live(iter([sounds[1]]), 16_000, 1, 2.0))
    return [codec.compress(sounds[0], 16_000, 3.0), live, codec.compress(sounds[2], 16_000, 1.0)]


@pytest.fixture
def decompress(tiny_model, tmp_path, monkeypatch, capsys):
    """Run the command on bytes, by file and by pipe; return exit codes, samples and what was said on stderr."""

    def run(data, *options):
        source, found = tmp_path / "x.grit", []
        source.write_bytes(data)
        for name in (str(source), "-"):
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Pipe(data))))
            target = tmp_path / "x.wav"
            target.unlink(missing_ok=True)
            code = cli.main(["decompress", name, str(target), "--model", str(tiny_model), *options])
            sound = soundfile.read(target, dtype="int16")[0] if target.exists() else None
            found.append(
                (
                    code,
                    sound,
                    capsys.readouterr().err.replace(str(source), "IN").replace("gritcodec: -:", "gritcodec: IN:"),
                )
            )
        return found

    return run


def pcm(codec, *files):
    sound = np.concatenate([codec.decompress(data)[0] for data in files], axis=1)
    return np.clip(np.rint(sound[0] * 32768), -32768, 32767).astype(np.int16)


def test_chained_files_play_one_after_the_other(codec, files, decompress):
    for order in ((0, 1), (1, 0), (2, 1, 0), (0, 0)):
        chosen = [files[number] for number in order]
        expected = pcm(codec, *chosen)
        for code, sound, err in decompress(b"".join(chosen)):
            assert code == 0 and err == "" and np.array_equal(sound, expected), order
        whole, rate = codec.decompress(b"".join(chosen))
        assert rate == 16_000 and whole.shape[1] == len(expected)


def test_chained_files_by_reader(files):
    contents = list(bitstream.read_all(b"".join(files), strict=True))
    assert [each.items for each in contents] == [bitstream.read_contents(data).items for data in files]
    with pytest.raises(CorruptFileError, match=r"other \.grit files follow"):
        bitstream.read_contents(files[0] + files[1], strict=True)
    assert bitstream.join([files[0] + files[1]]) == bitstream.join([files[0], files[1]])


def test_a_file_of_another_rate_or_model_is_not_played(codec, files, other_model, decompress):
    expected = pcm(codec, files[0])
    other_rate = codec.compress(tone(1, 8000, 8000), 8000, 1.0)
    stereo = codec.compress(tone(2, 8000, 16_000), 16_000, 1.0)
    other = gritcodec.load(other_model)
    foreign = other.compress(tone(1, 8000, 16_000), 16_000, 1.0)
    for second, words in ((other_rate, "8,000 Hz"), (stereo, "2 x 16,000 Hz"), (foreign, other.fingerprint)):
        for code, sound, err in decompress(files[0] + second + files[1]):
            assert code == 3 and np.array_equal(sound, expected)
            assert err.count("\n") == 1 and "another .grit file follows, and is not played" in err and words in err
        with pytest.raises(GritcodecError):
            codec.decompress(files[0] + second)


@pytest.mark.parametrize("junk", [b"\0", b"junk", b"\xf5GRIT", b"RIFF" * 1000, bytes(100_000)])
def test_junk_behind_the_end(codec, files, decompress, junk):
    expected = pcm(codec, files[0])
    for code, sound, err in decompress(files[0] + junk):
        assert code == 3 and np.array_equal(sound, expected)
        assert err.count("\n") == 1 and "follows the end" in err
    for code, sound, err in decompress(files[0] + junk, "--strict"):
        assert code == 1 and sound is None and err.count("\n") == 1


def test_a_damaged_end_does_not_swallow_the_next_file(codec, files, decompress):
    """Both play in full, wherever in the end a byte is changed, lost or added."""
    start = files[0].rindex(b"\x80\xf5GRIT")
    expected = bitstream.read_contents(files[0]).items, bitstream.read_contents(files[1]).items
    for at in range(start, len(files[0])):
        for broken in damaged(files[0], at):
            first, second = bitstream.read_all(broken + files[1])
            assert (first.items, second.items) == expected and first.damage and not second.damage, at
    broken = files[0][: start + 20] + bytes(5) + files[0][start + 25 :]
    sound = pcm(codec, *files[:2])
    for code, found, err in decompress(broken + files[1]):
        assert code == 3 and np.array_equal(found, sound) and err.count("\n") == 1
        assert "the end of the file is damaged; no sound is lost" in err


def test_a_file_that_is_cut_and_another_follows(codec, files, decompress):
    """What lies before the cut plays, then the other file: it is not taken for the rest of the first."""
    place = bitstream.parse_header(files[1])[1]
    for number, item in enumerate(bitstream.read_contents(files[1]).items):
        place += item.size
        if number == 1:
            break
    for keep in (place, place - 3):
        first, second = bitstream.read_all(files[1][:keep] + files[0])
        assert len(first.items) == 2 - (keep < place) and first.damage[-1].frames is None
        assert second.items == bitstream.read_contents(files[0]).items and not second.damage
    for code, sound, err in decompress(files[1][:place] + files[0]):
        assert code == 3 and "cut off at 2.56 s" in err
        assert np.array_equal(sound[-30_001:], pcm(codec, files[0]))


def test_the_header_of_the_second_may_be_damaged(files):
    size = bitstream.parse_header(files[1])[1]
    expected = bitstream.read_contents(files[1]).items
    for at in range(7, size):
        for broken in damaged(files[1], at):
            first, second = bitstream.read_all(files[0] + broken)
            assert not first.damage and second.items == expected, at
            assert second.damage[0].what == "the header is damaged, and was repaired"


@pytest.fixture
def info(tmp_path, capsys):
    """Run the command on bytes; return the exit code, what it printed, and what it said on stderr."""

    def run(data, *options):
        path = tmp_path / "x.grit"
        path.write_bytes(data)
        code = cli.main(["info", str(path), *options])
        return code, *capsys.readouterr()

    return run


def test_info_tells_of_chained_files(files, info):
    code, out, err = info(b"".join(files), "--json")
    facts = json.loads(out)
    assert code == 0 and err == "" and facts["damage"] == []
    assert facts["chained_files"] == 3 and facts["bytes"] == sum(map(len, files))
    assert facts["seconds"] == round((30_001 + 50_000 + 64_000) / 16_000, 6)
    for data, found in zip(files, facts["chain"], strict=True):
        alone = json.loads(info(data, "--json")[1])
        assert alone["chained_files"] == 1 and "chain" not in alone
        assert {**found, "file": alone["file"], "chained_files": 1} == alone
        assert sum(found[f"{part}_bytes"] for part in ("payload", "header", "check", "end")) <= len(data)
    code, out, err = info(b"".join(files))
    assert code == 0 and err == "" and [out.count(f"{number} of 3\n") for number in (1, 2, 3)] == [1, 1, 1]
    assert out.count("\n\n") == 3 and f"{'samples':<30}64,000" in out and f"{'pauses':<30}1" in out


def test_info_tells_which_of_chained_files_is_damaged(files, info):
    broken = bytearray(files[1])
    broken[len(broken) // 2] ^= 1
    code, out, err = info(files[0] + broken + files[2], "--json")
    facts = json.loads(out)
    assert code == 3 and err.count("\n") == len(facts["damage"]) == 1
    assert facts["damage"][0].startswith("file 2 of those chained: packets are damaged")
    assert [len(each["damage"]) for each in facts["chain"]] == [0, 1, 0]
    assert info(files[0] + broken + files[2], "--strict")[0] == 1
    later = bytearray(files[1])
    later[later.index(b"GRIT") - 1 + len(bitstream.MAGIC)] = 77
    crc = bitstream.parse_header(files[1])[1] - 4
    later[crc : crc + 4] = crc32c(bytes(later[:crc])).to_bytes(4, "little")
    code, out, err = info(files[0] + later, "--json")
    assert code == 3 and "another .grit file follows, and cannot be read" in err
    assert json.loads(out)["samples"] == 30_001


def test_a_span_is_of_the_first_file(codec, files, decompress):
    for code, sound, _ in decompress(files[0] + files[1], "--start", "1", "--duration", "0.5"):
        assert code == 0 and np.array_equal(sound, pcm(codec, files[0])[16_000:24_000])


def test_seeking_in_the_first_of_two(codec, files):
    """The last bytes are another file's: their index is not this one's."""
    _, codes, data = make(frames=64 * 40)
    reader = Reader(io.BytesIO(data + files[1]))
    reader.seek(64 * 30)
    packet = next(reader.packets())
    assert packet.start == 64 * 30 and np.array_equal(
        reader.codes(packet), codes[:, :, packet.start : packet.start + 64]
    )


def test_many_chained_files_do_not_nest(codec):
    empty = codec.compress(np.zeros((1, 0), np.float32), 16_000)
    assert codec.decompress(empty * 3000)[0].shape == (1, 0)
