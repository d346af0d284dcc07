"""Sets of clips: a folder with a manifest.json, LibriSpeech's layout, or any folder of audio."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gritcodec import files
from gritcodec.errors import UsageError
from gritcodec.evaluate.contenders.base import RATE, pcm_file

# Clips below this hold no speech to rate: they count where every clip counts, and nowhere else.
FAINT_DB = -70.0
CLEAN = "clean"


@dataclass(frozen=True)
class Source:
    """A clip as it lies in its set: what it is called, where it is, its language and words if they are known."""

    name: str
    path: Path
    language: str = ""
    text: str | None = None


@dataclass(frozen=True)
class Clip:
    """A clip as codecs get it: a mono 16-bit wav file at 16 kHz.

    Attributes:
        name: as in its set, unique within its condition.
        condition: "clean", or what was done to it.
        language: of the manifest; empty where nobody says.
        path: the wav file.
        seconds: its length.
        level_db: its RMS in dBFS.
        digest: of its samples.
        text: what is said, where the set tells.
    """

    name: str
    condition: str
    language: str
    path: Path
    seconds: float
    level_db: float
    digest: str
    text: str | None = None

    @property
    def faint(self) -> bool:
        """Whether it is too quiet to hold speech."""
        return self.level_db <= FAINT_DB


def read_set(folder: Path, transcripts: Path | None = None) -> list[Source]:
    """List the clips of a set, sorted by name.

    Args:
        folder: the set.
        transcripts: a file of what English clips say, in LibriSpeech's form, beside what the set itself tells: a line
            for each clip, its name first, without its suffix; lines that begin with # are skipped.

    Raises:
        UsageError: no such folder, no audio in it, its manifest is not one, or the transcripts are of other clips.
    """
    sources = _list(folder)
    if transcripts is None:
        return sources
    try:
        texts = _lines(transcripts)
    except (OSError, ValueError) as error:
        raise UsageError(f"--transcripts {transcripts}: {error}") from error
    if not any(source.path.stem in texts for source in sources):
        raise UsageError(f"--transcripts {transcripts}: no line is of a clip of {folder}")
    found = {source.name: texts[source.path.stem] for source in sources if source.path.stem in texts}
    return [
        replace(source, language="en", text=found[source.name]) if source.name in found else source
        for source in sources
    ]


def _list(folder: Path) -> list[Source]:
    from gritcodec.sound.audio import audio_files

    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    manifest = folder / "manifest.json"
    if manifest.is_file():
        return _from_manifest(folder, manifest)
    paths = audio_files(folder)
    if not paths:
        raise UsageError(f"no audio in {folder}")
    texts = _transcripts(folder)
    return [
        Source(path.relative_to(folder).as_posix(), path, "en" if path.stem in texts else "", texts.get(path.stem))
        for path in paths
    ]


def _from_manifest(folder: Path, manifest: Path) -> list[Source]:
    try:
        rows = json.loads(manifest.read_text(encoding="utf-8"))
        sources = [Source(row["file"], folder / row["file"], row.get("language", ""), row.get("text")) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{manifest} is not a list of clips with a file each: {error}") from error
    for source in sources:
        if not source.path.is_file():
            raise UsageError(f"{manifest} names {source.name}, which is not there")
    return sorted(sources, key=lambda source: source.name)


def _transcripts(folder: Path) -> dict[str, str]:
    """Read LibriSpeech's *.trans.txt: a line for each utterance, its name first."""
    texts: dict[str, str] = {}
    for path in sorted(folder.rglob("*.trans.txt")):
        texts |= _lines(path)
    return texts


def _lines(path: Path) -> dict[str, str]:
    rows = [line.partition(" ") for line in path.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    return {name: text for name, _, text in rows if text.strip()}


Item = TypeVar("Item", Source, Clip)


def kind(name: str) -> str:
    """Return what clips of one voice share: the first folder, or the name up to its first digit."""
    first, slash, _ = name.partition("/")
    return first if slash else re.split(r"\d", name)[0]


def spread(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """Draw so many, as evenly over languages and kinds as can be, the same ones for a seed; sorted by name."""
    rng = random.Random(seed)
    kinds: dict[tuple[str, str], list[Item]] = {}
    for item in sorted(items, key=lambda item: item.name):
        kinds.setdefault((item.language, kind(item.name)), []).append(item)
    for members in kinds.values():
        rng.shuffle(members)
    drawn: list[Item] = []
    # The largest kinds first: they stand for most of the set where fewer clips than kinds are drawn.
    ordered = sorted(kinds.values(), key=len, reverse=True)
    while len(drawn) < min(count, len(items)):
        for members in ordered:
            if members and len(drawn) < count:
                drawn.append(members.pop())
    return sorted(drawn, key=lambda item: item.name)


def load(source: Source) -> NDArray[np.float32]:
    """Return a clip's samples, mono at 16 kHz; AudioError where it cannot be read."""
    from gritcodec.sound import audio
    from gritcodec.sound.resampling import resample

    waveform, rate = audio.read(source.path)
    mono = waveform.mean(0, keepdims=True)
    return resample(mono, rate, RATE, round(mono.shape[1] * RATE / rate))[0]


def write_clip(
    samples: NDArray[np.floating], source: Source, condition: str, folder: Path, name: str | None = None
) -> Clip:
    """Write samples as the wav file that codecs get, and describe it."""
    name = name or source.name
    path = folder / condition / f"{Path(name).with_suffix('').as_posix().replace('/', '_')}.wav"
    pcm = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
    with files.new_folders(path.parent):
        files.write_bytes(path, pcm_file(pcm, RATE))
    level = float(10 * np.log10(np.mean(np.square(pcm / 32768)) + 1e-12))
    digest = hashlib.sha256(pcm.tobytes()).hexdigest()[:20]
    text = source.text if condition == CLEAN else None
    return Clip(name, condition, source.language, path, len(pcm) / RATE, level, digest, text)
