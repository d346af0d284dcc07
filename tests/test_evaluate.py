"""The evaluation protocol: which clips, through what, and what it does with those that nothing can rate."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

import gritcodec
from gritcodec.errors import AudioError, UsageError
from gritcodec.evaluate import protocol

CLIP = Path(gritcodec.__file__).parent / "clips" / "austen.flac"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as test-clean is: speaker/chapter/utterance.flac and transcripts."""
    folder = tmp_path_factory.mktemp("test-clean")
    waveform, rate = soundfile.read(CLIP, dtype="float32")
    for number in range(3):
        path = folder / "61" / f"7{number}" / f"61-7{number}-0000.flac"
        path.parent.mkdir(parents=True)
        soundfile.write(path, waveform[number * rate : (number + 2) * rate], rate)
        (path.parent / f"61-7{number}.trans.txt").write_text(f"{path.stem} WORDS\n")
    return folder


def test_clips_are_found_at_any_depth_and_the_same_ones_drawn(clips):
    everything = protocol.choose_clips(clips, None, 0)
    assert [clip.stem for clip in everything] == ["61-70-0000", "61-71-0000", "61-72-0000"]
    drawn = protocol.choose_clips(clips, 2, 5)
    assert drawn == protocol.choose_clips(clips, 2, 5) and len(drawn) == 2
    assert len({tuple(protocol.choose_clips(clips, 1, seed)) for seed in range(20)}) == 3
    assert protocol.choose_clips(clips, 100, 0) == everything


def test_the_draw_does_not_depend_on_where_the_folder_lies(clips, tmp_path):
    shutil.copytree(clips, tmp_path / "elsewhere")
    here, there = protocol.choose_clips(clips, 2, 3), protocol.choose_clips(tmp_path / "elsewhere", 2, 3)
    assert [clip.name for clip in here] == [clip.name for clip in there]


def test_library_and_command_give_the_same_scores(clips, tiny_model):
    (clip,) = protocol.choose_clips(clips, 1, 0)
    coders = [make(str(tiny_model)) for make in (protocol.library_coder, protocol.command_coder)]
    rows = [protocol.score_clip(clip, "x", 6.0, code) for code in coders]
    # FFTs differ in the last bit with where their arrays lie in memory.
    a, b = (asdict(row) for row in rows)
    assert a.pop("clip") == b.pop("clip") and a == pytest.approx(b)


def test_clips_that_cannot_be_rated_are_left_out_and_named(clips, tiny_model, tmp_path, capsys):
    shutil.copytree(clips, tmp_path / "set")
    soundfile.write(tmp_path / "set" / "silence.wav", np.zeros(32000), 16000)
    (tmp_path / "set" / "broken.flac").write_bytes(b"fLaC and no more")
    code = protocol.library_coder(str(tiny_model))
    rows = protocol.score_clips(tmp_path / "set", protocol.choose_clips(tmp_path / "set", None, 0), 6.0, code)
    assert [row.clip for row in rows] == [f"61/7{number}/61-7{number}-0000.flac" for number in range(3)]
    told = capsys.readouterr().err
    assert "left out: silence.wav: " in told and "left out: broken.flac: " in told
    with pytest.raises(AudioError, match="none of the 1 clips"):
        protocol.score_clips(tmp_path / "set", [tmp_path / "set" / "silence.wav"], 6.0, code)


@pytest.mark.parametrize("way", ["--in-process", pytest.param("--no-in-process", marks=pytest.mark.slow)])
def test_means_without_some_clips_end_with_3(clips, tiny_model, tmp_path, way):
    clip = next(clips.rglob("*.flac"))
    waveform, rate = soundfile.read(clip)
    for name in ("whole", "cut"):
        soundfile.write(tmp_path / f"{name}.wav", waveform, rate)
    data = (tmp_path / "cut.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 2])
    command = [sys.executable, "-m", "gritcodec.evaluate.protocol", str(tmp_path), "--bitrate", "6", way]
    command += ["--model", str(tiny_model), "--json", str(tmp_path / "scores.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert "left out: cut.wav: " in done.stderr and "cut off: " in done.stderr and "| 6 |" in done.stdout
    assert [score["clip"] for score in json.loads((tmp_path / "scores.json").read_text())] == ["whole.wav"]
    (tmp_path / "cut.wav").unlink()
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_a_command_that_fails_tells_why_in_a_line(clips, tmp_path):
    with pytest.raises(UsageError, match=r"^no model 'nothing'"):
        protocol.score_clip(next(clips.rglob("*.flac")), "x", 6.0, protocol.command_coder("nothing"))
    with pytest.raises(UsageError, match="no audio in"):
        protocol.choose_clips(tmp_path, None, 0)


def test_several_folders_give_a_table_each(clips, tiny_model, tmp_path):
    shutil.copytree(clips / "61", tmp_path / "dev-clean")
    command = [sys.executable, "-m", "gritcodec.evaluate.protocol", str(clips), str(tmp_path / "dev-clean")]
    command += ["--model", str(tiny_model), "--bitrate", "6", "--bitrate", "3", "--limit", "1", "--in-process"]
    done = subprocess.run([*command, "--json", str(tmp_path / "s.json")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| asked kbps") == 2 and "1 clips, drawn with seed 0" in done.stdout
    scores = json.loads((tmp_path / "s.json").read_text())
    assert [(score["folder"], score["asked_kbps"]) for score in scores] == [
        (clips.name, 6.0),
        (clips.name, 3.0),
        ("dev-clean", 6.0),
        ("dev-clean", 3.0),
    ]
