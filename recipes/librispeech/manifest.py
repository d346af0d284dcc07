"""What makes a corpus of its parts: the held-out voices, the manifest, the summary."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layouts import LAYOUTS
from parts import RECORDS, Part, Settings

from gritcodec.train.packing import AUDIO, MANIFEST, REFUSED, SUMMARY, RecipeError, write_text

VALID_SHARE = 0.02
VALID_MOST = 20


@dataclass(frozen=True)
class Holding:
    """Which voices are held out for validation.

    Attributes:
        seed: of the choice.
        voices: how many; None takes 2 % of them, at least one and at most 20.
    """

    seed: int = 0
    voices: int | None = None

    def choose(self, voices: list[str]) -> list[str]:
        """Choose the voices to hold out; at least one is left to train on."""
        wanted = min(max(round(VALID_SHARE * len(voices)), 1), VALID_MOST) if self.voices is None else self.voices
        # By digest, so that a voice's rank does not depend on the others.
        ranked = sorted(voices, key=lambda voice: hashlib.sha256(f"{self.seed}/{voice}".encode()).digest())
        return sorted(ranked[: min(wanted, len(voices) - 1)])


def clear(out: Path) -> None:
    """Take away what says that the corpus is whole, before its audio changes.

    Raises:
        RecipeError: the folder holds a corpus of another recipe.
    """
    if (out / MANIFEST).exists() and not (out / RECORDS).is_dir():
        raise RecipeError(f"{out} holds a corpus that another recipe made: choose another --out")
    for name in (SUMMARY, MANIFEST):
        (out / name).unlink(missing_ok=True)


def write(parts: list[Part], out: Path, settings: Settings, holding: Holding, key: str) -> dict[str, Any]:
    """Write manifest.jsonl, refused.jsonl and summary.json for parts that are all there.

    Args:
        parts: the parts, in order.
        out: the corpus's folder.
        settings: what they were made with.
        holding: the held-out voices.
        key: fingerprint for summary.json.

    Returns:
        The content of summary.json.

    Raises:
        RecipeError: nothing is left to train on.
    """
    layout = LAYOUTS[settings.layout]
    held = holding.choose(_voices(parts, out, settings))
    minutes: dict[str, dict[str, dict[str, float]]] = defaultdict(
        lambda: {kind: defaultdict(float) for kind in ("source", "speaker")}
    )
    refused: Counter[str] = Counter()
    samples = pieces = 0
    partial = {name: out / f"{name}.partial" for name in (MANIFEST, REFUSED)}
    with partial[MANIFEST].open("w", encoding="utf-8") as lines, partial[REFUSED].open("w", encoding="utf-8") as bad:
        for part, record in _records(parts, out):
            source = "/".join(filter(None, (layout.name, record["file"].split("/")[0] if layout.subsets else "")))
            if "reason" in record:
                refused[record["reason"]] += 1
                names = ("file", "seconds", "start", "channel", "reason", "detail")
                bad.write(_line({"source": source, **{name: record[name] for name in names}}))
                continue
            speaker = layout.speaker(record["file"])
            split = "valid" if speaker in held else "train"
            lines.write(_line(_entry(part, record, source, speaker, split)))
            samples += record["samples"]
            pieces += 1
            for kind, name in (("source", source), ("speaker", speaker)):
                minutes[split][kind][name] += record["samples"] / settings.rate / 60
    for name in (REFUSED, MANIFEST):
        partial[name].replace(out / name)
    summary = {
        "fingerprint": key,
        "rate": settings.rate,
        "samples": samples,
        "pieces": pieces,
        "layout": layout.name,
        "music": settings.music,
        "seed": holding.seed,
        "held_out": held,
        "minutes": {
            split: {
                kind: {name: round(value, 2) for name, value in sorted(table.items())} for kind, table in kinds.items()
            }
            for split, kinds in minutes.items()
        },
        "refused": dict(refused.most_common()),
    }
    write_text(out / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    _sweep(parts, out)
    return summary


def _voices(parts: list[Part], out: Path, settings: Settings) -> list[str]:
    """Return whoever has a clip that was not refused."""
    layout, voices, reasons = LAYOUTS[settings.layout], set(), Counter[str]()
    for _, record in _records(parts, out):
        if "reason" in record:
            reasons[record["reason"]] += 1
        else:
            voices.add(layout.speaker(record["file"]))
    if not voices:
        told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        raise RecipeError(f"every file was refused ({told})")
    return sorted(voices)


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _entry(part: Part, record: dict[str, Any], source: str, speaker: str, split: str) -> dict[str, Any]:
    entry: dict[str, Any] = {} if part.audio == AUDIO else {"audio": part.audio}
    entry |= {"offset": record["offset"], "samples": record["samples"], "source": source, "speaker": speaker}
    entry |= {"split": split, "weight": 1.0, "files": [record["file"]]}
    return {**entry, "text": record["text"]} if "text" in record else entry


def _records(parts: list[Part], out: Path) -> Iterator[tuple[Part, dict[str, Any]]]:
    """Yield every clip with its part; the second and later copies of a recording as refused."""
    seen: dict[str, str] = {}
    for part in parts:
        with part.records(out).open(encoding="utf-8") as lines:
            next(lines)
            for line in lines:
                record = json.loads(line)
                first = seen.setdefault(record["digest"], record["file"])
                if first != record["file"] and "reason" not in record:
                    # In the folders of two voices it would stand in both splits.
                    record |= {"reason": "duplicate", "detail": f"same as {first}"}
                yield part, record


def _sweep(parts: list[Part], out: Path) -> None:
    """Delete parts of earlier runs that no longer belong to the corpus, and what interrupted ones left."""
    wanted = {part.records(out).name for part in parts}
    for records in (out / RECORDS).glob("*.jsonl"):
        if records.name not in wanted:
            (out / f"{records.stem}.int16").unlink(missing_ok=True)
            records.unlink()
    for partial in (*out.glob("audio*.int16.partial"), *(out / RECORDS).glob("*.partial")):
        partial.unlink()
