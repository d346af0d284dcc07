"""What a run of the bench found, as one JSON file that tables, plots, pages and the listening test are made from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gritcodec import files
from gritcodec.errors import UsageError
from gritcodec.evaluate import statistics
from gritcodec.evaluate.sets import CLEAN, FAINT_DB
from gritcodec.evaluate.statistics import Estimate

RESULTS = "results.json"


@dataclass(frozen=True)
class ClipFacts:
    """A clip, as tables name it."""

    name: str
    condition: str
    language: str
    seconds: float
    level_db: float

    @property
    def faint(self) -> bool:
        """Whether it is too quiet to hold speech."""
        return self.level_db <= FAINT_DB


@dataclass(frozen=True)
class Entry:
    """A codec at one setting: its `delay` on the bundled clip, in samples, and `long_kbps` of all clips in one file."""

    label: str
    name: str
    setting: str
    version: str
    delay: int
    long_kbps: float | None = None


@dataclass(frozen=True)
class Score:
    """One clip through one codec: bytes on disk (None where it failed), measures, and what had no answer, and why.

    `weights`, by measure, say how much the clip counts in a mean; 1 where nothing is said. `lag` says how late the
    codec gave the clip back, in samples at 16 kHz.
    """

    label: str
    clip: str
    condition: str
    size: int | None
    values: dict[str, float]
    errors: dict[str, str]
    weights: dict[str, float] = field(default_factory=dict)
    lag: int | None = None


@dataclass(frozen=True)
class Sound:
    """What a codec made of a clip, to be heard: a flac file, relative to the folder of the results."""

    label: str
    clip: str
    condition: str
    path: str


@dataclass
class Results:
    """A run: which clips and codecs, every score, what could not be measured at all, and the `command` that does it.

    `unread` has a line for every file of the set that could not be read.
    """

    set_name: str
    size: str
    clips: list[ClipFacts]
    entries: list[Entry]
    measures: dict[str, str]
    scores: list[Score]
    missing: list[str] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    speed: dict[str, Any] | None = None
    command: str = ""
    unread: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Index clips and scores."""
        self._clips = {(clip.condition, clip.name): clip for clip in self.clips}
        self._rows: dict[tuple[str, str], list[Score]] = {}
        for score in self.scores:
            self._rows.setdefault((score.label, score.condition), []).append(score)

    def conditions(self) -> list[str]:
        """Return the conditions there are clips for, clean first."""
        found = dict.fromkeys(clip.condition for clip in self.clips)
        return sorted(found, key=lambda name: name != CLEAN)

    def languages(self) -> list[str]:
        """Return the languages of the clean clips."""
        return sorted({clip.language for clip in self.clips if clip.condition == CLEAN})

    def rows(
        self, label: str, condition: str = CLEAN, language: str | None = None, audible: bool = False
    ) -> list[tuple[ClipFacts, Score]]:
        """Return a codec's scores with their clips; of one language, or without the faint clips, where asked."""
        pairs = [(self._clips[condition, row.clip], row) for row in self._rows.get((label, condition), [])]
        return [
            (clip, row)
            for clip, row in pairs
            if (language is None or clip.language == language) and not (audible and clip.faint)
        ]

    def estimate(
        self, label: str, measure: str, condition: str = CLEAN, language: str | None = None, audible: bool = False
    ) -> Estimate | None:
        """Return mean and interval of a measure; None where no clip has it."""
        rows = self.rows(label, condition, language, audible)
        values = [row.values[measure] for _, row in rows if measure in row.values]
        weights = [row.weights.get(measure, 1.0) for _, row in rows if measure in row.values]
        applicable = sum(measure in row.values or measure in row.errors or row.size is None for _, row in rows)
        return statistics.estimate(values, applicable, weights) if values else None

    def kbps(self, label: str, condition: str = CLEAN) -> float | None:
        """Return the mean over clips of the bits of the file a second, in thousands."""
        rates = [row.size * 8 / clip.seconds / 1000 for clip, row in self.rows(label, condition) if row.size]
        return sum(rates) / len(rates) if rates else None

    def lags(self, label: str) -> list[int]:
        """Return by how many samples at 16 kHz the audible clean clips came back late, sorted."""
        return sorted(row.lag for _, row in self.rows(label, audible=True) if row.lag is not None)

    def worst(self, label: str, measure: str, count: int) -> list[tuple[str, float]]:
        """Return the clean clips a codec does worst on, PESQ's kind of measure: the higher the better."""
        rows = [(row.clip, row.values[measure]) for _, row in self.rows(label) if measure in row.values]
        return sorted(rows, key=lambda pair: pair[1])[:count]

    def failures(self) -> list[str]:
        """Return a line for every score that has no answer."""
        return [
            f"{score.condition} {score.clip}, {score.label}, {what}: {why}"
            for score in self.scores
            for what, why in score.errors.items()
        ]

    def names(self) -> list[str]:
        """Return the codecs' names, each once, in order."""
        return list(dict.fromkeys(entry.name for entry in self.entries))

    def of(self, name: str) -> list[Entry]:
        """Return a codec's settings, from few bits to many."""
        found = [entry for entry in self.entries if entry.name == name]
        return sorted(found, key=lambda entry: self.kbps(entry.label) or 0.0)


def save(results: Results, folder: Path) -> None:
    """Write results.json."""
    data = {name: _plain(value) for name, value in vars(results).items() if not name.startswith("_")}
    files.write_bytes(folder / RESULTS, (json.dumps(data, indent=1) + "\n").encode())


def load(folder: Path) -> Results:
    """Read results.json; UsageError where there is none, or it is of another release."""
    path = folder / RESULTS
    if not path.is_file():
        raise UsageError(f"there is no {path}: run gritcodec evaluate first")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        kinds: dict[str, type[Any]] = {"clips": ClipFacts, "entries": Entry, "scores": Score, "sounds": Sound}
        for name, kind in kinds.items():
            data[name] = [kind(**row) for row in data[name]]
        return Results(**data)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not what this release writes: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return asdict(value) if isinstance(value, ClipFacts | Entry | Score | Sound) else value
