"""What came of a run: hours, speed, what was refused and why, how long the pieces are."""

from __future__ import annotations

import json
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gritcodec.files import atomic_output, system_errors, write_bytes
from gritcodec.messages import counted
from gritcodec.tokens.plan import Folder

_PERCENTILES = (0, 10, 50, 90, 100)
# One that stands alone.
_NUMBER = re.compile(r"(?<!\w)\d+(?:[.,:]\d+)*(?!\w)")


@dataclass
class Made:
    """Adds up what a run makes.

    Attributes:
        seconds: of sound.
        items: pieces.
        took: seconds of work by its kind, over all workers.
        peak: the most memory that a worker had, MB.
    """

    seconds: float = 0.0
    items: int = 0
    took: dict[str, float] = field(default_factory=dict)
    peak: float = 0.0

    def add(self, record: dict[str, Any]) -> None:
        """Add a shard."""
        self.seconds += sum(record["seconds"])
        self.items += record["items"]
        for name, took in record.get("took", {}).items():
            self.took[name] = self.took.get(name, 0.0) + took
        self.peak = max(self.peak, record.get("peak_kb", 0) / 1024)


@dataclass(frozen=True)
class Summary:
    """What a folder of tokens holds, and what the last run did.

    Attributes:
        shards: in the folder.
        items: pieces with codes.
        hours: of sound.
        refused: pieces without codes.
        reasons: how often the most frequent ones were given, names and numbers left out.
        lengths: of the pieces, seconds: the shortest, deciles 1, 5 and 9, the longest.
        mean_length: seconds.
        run_items: made by this run.
        run_hours: made by this run.
        run_seconds: that it took.
        hours_per_hour: of sound, in one of work.
        work_seconds: of all workers, by kind.
        worker_peak_mb: memory.
    """

    shards: int
    items: int
    hours: float
    refused: int
    reasons: dict[str, int]
    lengths: list[float]
    mean_length: float
    run_items: int
    run_hours: float
    run_seconds: float
    hours_per_hour: float
    work_seconds: dict[str, float]
    worker_peak_mb: float

    def lines(self) -> Iterator[str]:
        """Yield it for people."""
        yield (
            f"{counted(self.items, 'piece')}, {self.hours:.2f} hours in {counted(self.shards, 'shard')}; "
            f"this run: {self.run_items:,}, "
            f"{self.run_hours:.2f} hours in {self.run_seconds:.1f} s ({self.hours_per_hour:.0f} hours an hour)"
        )
        if self.items:
            shown = " / ".join(f"{length:.2f}" for length in self.lengths)
            yield f"lengths: {shown} s (least, 10 %, half, 90 %, most), {self.mean_length:.2f} s in the mean"
        if self.refused:
            reasons = "; ".join(f"{count:,} x {reason}" for reason, count in self.reasons.items())
            yield f"{self.refused:,} refused, listed in refused.jsonl: {reasons}"


def sum_up(folder: Folder, made: Made, took: float) -> Summary:
    """Sum up a folder after a run that took so many seconds."""
    lengths, reasons = array("d"), Counter[str]()
    shards = 0
    for record in folder.all_records():
        shards += 1
        lengths.extend(record["seconds"])
        reasons.update(_kind(refused) for refused in record["refused"])
    found = np.frombuffer(lengths) if lengths else np.zeros(1)
    return Summary(
        shards,
        len(lengths),
        round(float(found.sum()) / 3600, 4),
        reasons.total(),
        dict(reasons.most_common(5)),
        [round(float(length), 2) for length in np.percentile(found, _PERCENTILES)],
        round(float(found.mean()), 2),
        made.items,
        round(made.seconds / 3600, 4),
        round(took, 2),
        round(made.seconds / max(took, 1e-9), 1),
        {name: round(seconds, 2) for name, seconds in made.took.items()},
        round(made.peak, 1),
    )


def _kind(refused: dict[str, Any]) -> str:
    """Return a reason without what is this piece's own."""
    text = str(refused["reason"]).replace(str(refused["source"]), "").strip()
    words = [word for word in text.split() if "/" not in word]
    # mp3 and the like are words.
    return _NUMBER.sub("N", " ".join(words))[:80]


def write(folder: Folder, found: Summary) -> None:
    """Write summary.json and refused.jsonl."""
    write_bytes(folder.path / "summary.json", (json.dumps(asdict(found), indent=1) + "\n").encode())
    target = folder.path / "refused.jsonl"
    with atomic_output(target) as temporary, system_errors(target), open(temporary, "w", encoding="utf-8") as lines:
        for record in folder.all_records():
            lines.writelines(json.dumps(refused, ensure_ascii=False) + "\n" for refused in record["refused"])
