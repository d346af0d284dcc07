"""What others load: the loaders of docs/tokens.md, run as they stand there."""

import json
import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import token_corpora
from conftest import tone

from gritcodec.errors import FormatError, UsageError
from gritcodec.sound import audio
from gritcodec.tokens import read_shard
from gritcodec.tokens.layouts import LAYOUTS
from gritcodec.tokens.run import tokenize
from gritcodec.tokens.shards import Setup

PAGE = Path(__file__).parent.parent / "docs" / "tokens.md"
NAMES = ("one", "two.and", "deep/three")


def programs():
    """The page's programs, by the heading that they are under."""
    parts = re.split(r"^##+ (.*)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = zip(parts[::2], (re.findall(r"```python\n(.*?)```", body, re.DOTALL) for body in parts[1::2]), strict=True)
    return {head: code[0] for head, code in found if code}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    """A folder in which the page's programs find what they name; and the codes of each id."""
    home = tmp_path_factory.mktemp("loaders")
    rows = []
    for k, name in enumerate(NAMES):
        audio.write(home / f"{k}.wav", tone(1, 16000 + 3333 * k, 16000), 16000)
        rows.append({"path": f"{k}.wav", "id": name, "text": f"text {k}" if k else None, "speaker": "s"})
    (home / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for layout in LAYOUTS:
        tokenize([str(home / "list.jsonl")], home / f"tokens-{layout}", Setup(str(tiny_model)), layout)
    return home, {name: token_corpora.wanted(tiny_model, home / f"{k}.wav") for k, name in enumerate(NAMES)}


def loaded(folder, head, monkeypatch):
    """Run a program; return its names, after the last turn of its loop."""
    home, _ = folder
    monkeypatch.chdir(home)
    # Nothing is fetched, and nothing left in the home folder.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(home / "cache"), "HF_HOME": str(home / "cache")}
    space = {}
    exec(next(code for name, code in programs().items() if name.startswith(head)), space)
    return space


def test_hugging_face(folder, monkeypatch):
    pytest.importorskip("datasets")
    space = loaded(folder, "Hugging Face", monkeypatch)
    found = {row["id"]: row for row in space["rows"]}
    assert [row["text"] for row in found.values()] == [None, "text 1", "text 2"]
    for name, codes in folder[1].items():
        assert np.array_equal(found[name]["codes"].numpy(), codes)
    assert space["rows"].features["codes"].feature.feature.dtype == "int16"


def test_webdataset(folder, monkeypatch):
    pytest.importorskip("webdataset")
    space = loaded(folder, "WebDataset", monkeypatch)
    found = {about["id"]: (codes, about) for codes, about in space["rows"]}
    for name, codes in folder[1].items():
        assert np.array_equal(found[name][0], codes) and found[name][0].dtype == np.int16
        assert found[name][1]["fingerprint"] and found[name][1]["speaker"] == "s"


def test_lhotse(folder, monkeypatch):
    pytest.importorskip("lhotse")
    space = loaded(folder, "lhotse", monkeypatch)
    cuts = {cut.id: cut for cut in space["cuts"]}
    assert space["text"] == "text 2"
    for name, codes in folder[1].items():
        assert np.array_equal(cuts[name].codes.load().T, codes)
        within = cuts[name].load_codes().T
        assert np.array_equal(within, codes[:, : within.shape[1]]) and codes.shape[1] - within.shape[1] in (0, 1, 2)
        part = cuts[name].truncate(offset=0.2, duration=0.5)
        assert np.array_equal(part.load_codes().T, codes[:, 10:35])


def test_torch(folder, monkeypatch):
    space = loaded(folder, "torch", monkeypatch)
    found = dict(iter(space["rows"]))
    for name, codes in folder[1].items():
        assert np.array_equal(found[name].numpy(), codes)


def test_language_models(folder, monkeypatch):
    loaded(folder, "For language models", monkeypatch)


def test_shards_that_are_damaged_or_none(folder, tmp_path):
    home, _ = folder
    names = {
        "parquet": "tokens-000000.parquet",
        "webdataset": "tokens-000000.tar",
        "npz": "tokens-000000.npz",
        "lhotse": "cuts.000000.jsonl.gz",
    }
    for layout, name in names.items():
        whole = (home / f"tokens-{layout}" / "data" / name).read_bytes()
        (tmp_path / "codes.000000.tar").write_bytes(b"")
        # A tar is padded with zeros: the last of them are not missed.
        for size in (0, len(whole) // 3, 512 * (len(whole) // 1024)):
            (tmp_path / name).write_bytes(whole[:size])
            with pytest.raises(FormatError):
                list(read_shard(tmp_path / name)[1])
    random = np.random.default_rng(0)
    for layout, name in names.items():
        whole = (home / f"tokens-{layout}" / "data" / name).read_bytes()
        (tmp_path / "codes.000000.tar").write_bytes((home / "tokens-lhotse" / "data" / "codes.000000.tar").read_bytes())
        for _ in range(60):
            data = bytearray(whole)
            data[random.integers(len(data))] ^= 1 << random.integers(8)
            (tmp_path / name).write_bytes(data)
            # Nothing else is ever raised, whichever library stumbles over it.
            with suppress(FormatError):
                list(read_shard(tmp_path / name)[1])
    np.savez(tmp_path / "other.npz", codes=np.zeros(3))
    with pytest.raises(FormatError):
        read_shard(tmp_path / "other.npz")
    for name in ("nothing.npz", "notes.md"):
        (tmp_path / "notes.md").write_text("")
        with pytest.raises(UsageError):
            read_shard(tmp_path / name)
