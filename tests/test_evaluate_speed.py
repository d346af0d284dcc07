"""benchmarks/speed.py and recipes/evaluation-sounds: that they do what they say; no test looks at a time."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from conftest import tone

from gritcodec.cli import evaluation as command
from gritcodec.evaluate import results, tables
from gritcodec.train.packing import RecipeError

ROOT = Path(__file__).parents[1]


def script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"script_{Path(path).parent.name.replace('-', '_')}", ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_speed_and_memory_become_tables(tiny_model, tmp_path):
    speed = script("benchmarks/speed.py")
    rows = [speed.measure_own(str(tiny_model), 1.0, 1, as_codes) for as_codes in (True, False)]
    assert [row["name"] for row in rows] == ["gritcodec tiny, codes", "gritcodec tiny, files"]
    assert speed.measure_own(str(tiny_model), 1.0, 1, False, 2)["name"] == "gritcodec tiny, files, effort 2"
    assert min(row[key] for row in rows for key in ("encode", "decode", "load")) > 0
    memory = speed.measure_memory(1 / 60, str(tiny_model))
    assert [each["length"] for each in memory] == ["1 minute"] and memory[0]["compress"] > 10
    found = {"machine": speed.machine(), "threads": 1, "seconds": 1.0, "codecs": rows, "memory": memory}
    (tmp_path / "speed.json").write_text(json.dumps(found))
    run = results.Results("set", "tiny", [], [], {"lsd": "1"}, [], speed=command.read_speed(tmp_path / "speed.json"))
    titles = [table.title for table in tables.tables(run)]
    assert titles[-2:] == ["Speed", "Peak memory against length"]


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """What the package holds, shorter."""
    recipe = script("recipes/evaluation-sounds/prepare.py")
    for kind, names in (("sounds", recipe.NOISE), ("music", recipe.MUSIC)):
        (tmp_path / "content" / kind).mkdir(parents=True)
        for name in names:
            soundfile.write(tmp_path / "content" / kind / f"{name}.ogg", tone(2, 44100 * 2, 44100).T, 44100)
    return tmp_path / "content"


def test_noise_and_music_are_cut_out_of_the_package(content, tmp_path):
    recipe = script("recipes/evaluation-sounds/prepare.py")
    recipe.build(content, tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "music" / "manifest.json").read_text())
    assert len(rows) == len(recipe.MUSIC) and all("CC-BY-SA" in row["licence"] for row in rows)
    samples, rate = soundfile.read(tmp_path / "out" / "noise" / "tavern.flac")
    assert rate == 16000 and samples.shape == (32000,) and np.abs(samples).max() > 0.01


def test_the_package_is_fetched_for_a_relative_folder_too(content, tmp_path, monkeypatch):
    recipe = script("recipes/evaluation-sounds/prepare.py")
    tools = tmp_path / "tools"
    tools.mkdir()
    unpacked = f"unpacked/{recipe._AUDIO}"
    for name, does in (
        ("apt-get", f"touch {recipe.PACKAGE}_1_all.deb"),
        ("dpkg-deb", f'test -f "$2" && mkdir -p {unpacked} && cp -r {content}/* {unpacked}'),
    ):
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.chdir(tmp_path)
    assert recipe.main(["--out", "data/sounds"]) == 0
    assert (tmp_path / "data" / "sounds" / "noise" / "tavern.flac").is_file()


def test_the_recipe_says_what_is_wrong_in_a_line(content, tmp_path, capsys):
    recipe = script("recipes/evaluation-sounds/prepare.py")
    (content / "sounds" / "tavern.ogg").unlink()
    with pytest.raises(RecipeError, match=r"the package holds no tavern.ogg"):
        recipe.build(content, tmp_path / "out")
    assert recipe.main(["--out", str(tmp_path / "sounds"), "--deb", str(tmp_path / "none.deb")]) == 1
    assert capsys.readouterr().err.startswith("prepare.py: there is no file ")
    assert recipe.main(["--out", str(content)]) == 1
    assert "exists already" in capsys.readouterr().err and not list(tmp_path.glob(".evaluation-sounds-*"))
