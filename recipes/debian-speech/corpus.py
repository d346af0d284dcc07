"""The corpus: clips joined to pieces, one packed int16 file, its manifest and its summary."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sources import Join, Source, Spec
from store import ClipStore, Record

from gritcodec.train.packing import AUDIO, MANIFEST, REFUSED, SUMMARY, RecipeError, write_text

SUMMARY_TEXT = "summary.md"

Samples = npt.NDArray[np.int16]


@dataclasses.dataclass(frozen=True)
class Piece:
    """One entry of the manifest, before it has an offset: clips of one voice, one after another."""

    source: str
    speaker: str
    language: str
    files: tuple[str, ...]
    samples: Samples


def faded(clip: Samples, length: int) -> Samples:
    """Return the clip with its ends faded to zero over `length` samples."""
    length = min(length, len(clip) // 2)
    if length == 0:
        return clip
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)
    result = clip.astype(np.float32)
    result[:length] *= ramp
    result[-length:] *= ramp[::-1]
    return np.round(result).astype("<i2")


def group_short(lengths: list[int], target: int, order: Iterable[int]) -> list[list[int]]:
    """Put clips together, in `order`, until each group has `target` samples; a rest joins the last group."""
    groups: list[list[int]] = []
    current: list[int] = []
    for index in order:
        current.append(index)
        if sum(lengths[i] for i in current) >= target:
            groups.append(current)
            current = []
    if current:
        if groups:
            groups[-1] += current
        else:
            groups.append(current)
    return groups


class Corpus:
    """Collects pieces from the stores and writes them.

    Files appear in the output folder under their final names only when whole, summary.json last: while the
    corpus is being replaced there is no manifest, never one that belongs to other audio.
    """

    def __init__(self, spec: Spec, out: Path) -> None:
        self.spec = spec
        self.out = out
        self.refused: list[dict[str, Any]] = []
        self.minutes: dict[str, dict[str, dict[str, float]]] = {}
        self.pieces = 0
        self.samples = 0
        self._seen: dict[str, str] = {}
        self._voices: set[str] = set()
        self._unused: dict[str, float] = defaultdict(float)

    def write(self, stores: list[tuple[Source, ClipStore]], extra: dict[str, Any]) -> dict[str, Any]:
        """Write all files of the corpus.

        Args:
            stores: each source with its converted clips.
            extra: entries for summary.json that tell where the corpus comes from.

        Returns:
            The content of summary.json.

        Raises:
            RecipeError: when a held-out voice does not occur, or nothing is left to train on.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        partial = {name: self.out / f"{name}.partial" for name in (AUDIO, MANIFEST, REFUSED)}
        try:
            with partial[AUDIO].open("wb") as audio, partial[MANIFEST].open("w", encoding="utf-8") as lines:
                for source, store in stores:
                    for piece in self._pieces(source, store):
                        entry = self._entry(source, piece)
                        audio.write(piece.samples.tobytes())
                        lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._check(stores)
            with partial[REFUSED].open("w", encoding="utf-8") as lines:
                lines.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in self.refused)
            for name in (SUMMARY, SUMMARY_TEXT, MANIFEST):
                (self.out / name).unlink(missing_ok=True)
            for name in (AUDIO, REFUSED, MANIFEST):
                partial[name].replace(self.out / name)
        finally:
            for file in partial.values():
                file.unlink(missing_ok=True)
        summary = self._summary(extra)
        write_text(self.out / SUMMARY_TEXT, summary_markdown(summary))
        write_text(self.out / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
        return summary

    def _check(self, stores: list[tuple[Source, ClipStore]]) -> None:
        # With --allow-missing a held-out voice may be among the packages that are not there.
        complete = {source.name for source, _ in stores} == {source.name for source in self.spec.sources}
        unknown = sorted(set(self.spec.valid) - self._voices)
        if unknown and complete:
            raise RecipeError(f"held-out voice {unknown[0]!r} does not occur in any source")
        if "train" not in self.minutes:
            raise RecipeError("every clip was refused or held out, nothing is left to train on")

    def _refuse(self, source: Source, record: Record, reason: str, detail: str) -> None:
        entry = {"source": source.name, "file": record.path, "seconds": record.seconds}
        self.refused.append({**entry, "reason": reason, "detail": detail})

    def _accepted(self, source: Source, store: ClipStore) -> dict[tuple[str, str], list[Record]]:
        """Sort the good clips of a source by (voice, language), every recording once."""
        voices: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in store.records():
            voice = source.voice_of(record.path)
            self._voices.add(voice[0])
            if record.reason is not None:
                self._refuse(source, record, record.reason, record.detail)
            elif record.digest in self._seen:
                # The same file in two places; were it in two voices, it could stand in both splits.
                self._refuse(source, record, "duplicate", f"same as {self._seen[record.digest]}")
            else:
                self._seen[record.digest] = f"{source.package}: {record.path}"
                voices[voice].append(record)
        return voices

    def _pieces(self, source: Source, store: ClipStore) -> Iterator[Piece]:
        """Yield the pieces of one source, deterministic for given clips and seed."""
        audio = store.samples()
        for (speaker, language), records in sorted(self._accepted(source, store).items()):
            pieces = self._pieces_of_voice(source, speaker, language, records, audio)
            limit = self.spec.valid.get(speaker)
            if limit is None:
                yield from pieces
                continue
            kept = 0
            # Shuffled, so that the part of the voice that fits is a mixture of its pieces.
            for index in self._rng(speaker).permutation(len(pieces)):
                if kept < limit * 60 * self.spec.rate:
                    kept += len(pieces[index].samples)
                    yield pieces[index]
                else:
                    self._unused[speaker] += len(pieces[index].samples) / self.spec.rate / 60

    def _rng(self, speaker: str) -> np.random.Generator:
        return np.random.default_rng([self.spec.join.seed, zlib.crc32(speaker.encode())])

    def _pieces_of_voice(
        self, source: Source, speaker: str, language: str, records: list[Record], audio: Samples
    ) -> list[Piece]:
        join, rate = self.spec.join, self.spec.rate
        long = [record for record in records if record.samples >= join.below_seconds * rate]
        short = [record for record in records if record.samples < join.below_seconds * rate]
        rng = self._rng(speaker)
        groups = [[record] for record in long]
        order = [int(index) for index in rng.permutation(len(short))]
        lengths = [record.samples for record in short]
        for group in group_short(lengths, round(join.target_seconds * rate), order):
            if sum(lengths[i] for i in group) < join.min_piece_seconds * rate:
                for i in group:
                    self._refuse(source, short[i], "leftover", f"voice {speaker} has too little for one piece")
            else:
                groups.append([short[i] for i in group])
        return [
            Piece(
                source.name,
                speaker,
                language,
                tuple(r.path for r in group),
                joined(group, audio, join, rate, rng),
            )
            for group in groups
        ]

    def _entry(self, source: Source, piece: Piece) -> dict[str, Any]:
        """Give the piece its place, count it, and return its line of the manifest."""
        split = "valid" if piece.speaker in self.spec.valid else "train"
        count = len(piece.samples)
        entry = {
            "offset": self.samples,
            "samples": count,
            "source": source.name,
            "speaker": piece.speaker,
            "language": piece.language,
            "licence": source.licence,
            "split": split,
            "weight": source.weight,
            "bandwidth_hz": source.bandwidth_hz,
            "files": list(piece.files),
        }
        self.samples += count
        self.pieces += 1
        for kind in ("source", "language", "licence", "speaker"):
            cell = self.minutes.setdefault(split, {}).setdefault(kind, {})
            name = str(entry[kind])
            cell[name] = cell.get(name, 0.0) + count / self.spec.rate / 60
        return entry

    def _summary(self, extra: dict[str, Any]) -> dict[str, Any]:
        refused: dict[str, dict[str, int]] = {}
        for entry in self.refused:
            cell = refused.setdefault(entry["source"], {})
            cell[entry["reason"]] = cell.get(entry["reason"], 0) + 1
        minutes = {
            split: {kind: {k: round(v, 2) for k, v in table.items()} for kind, table in kinds.items()}
            for split, kinds in self.minutes.items()
        }
        return {
            **extra,
            "rate": self.spec.rate,
            "samples": self.samples,
            "pieces": self.pieces,
            "minutes": minutes,
            "held_out_unused_minutes": {k: round(v, 2) for k, v in self._unused.items()},
            "refused": refused,
        }


def joined(records: list[Record], audio: Samples, join: Join, rate: int, rng: np.random.Generator) -> Samples:
    """Return the clips one after another, with gaps of random length and faded ends."""
    fade = round(join.fade_ms * rate / 1000)
    parts: list[Samples] = []
    for number, record in enumerate(records):
        clip = np.asarray(audio[record.offset : record.offset + record.samples])
        if number > 0:
            parts.append(np.zeros(round(rng.uniform(*join.gap_ms) * rate / 1000), "<i2"))
        parts.append(faded(clip, fade) if len(records) > 1 else clip)
    return np.concatenate(parts)


def _total(minutes: dict[str, Any], split: str, kind: str = "source") -> float:
    return float(sum(minutes.get(split, {}).get(kind, {}).values()))


def summary_markdown(summary: dict[str, Any]) -> str:
    """Render summary.json as Markdown tables."""
    minutes = summary["minutes"]
    lines = [
        "# Corpus summary",
        "",
        f"{_total(minutes, 'train'):.1f} minutes to train on, {_total(minutes, 'valid'):.1f} minutes of "
        f"held-out voices, {summary['pieces']} pieces, {summary['rate']} Hz mono.",
    ]
    for kind in ("source", "language", "licence"):
        names = sorted({name for split in minutes.values() for name in split.get(kind, {})})
        lines += ["", f"| {kind} | train, min | valid, min |", "| --- | ---: | ---: |"]
        for name in names:
            cells = [minutes.get(split, {}).get(kind, {}).get(name, 0.0) for split in ("train", "valid")]
            lines.append(f"| {name} | {cells[0]:.1f} | {cells[1]:.1f} |")
    lines += ["", "| held-out voice | valid, min | used for neither, min |", "| --- | ---: | ---: |"]
    for name, value in sorted(minutes.get("valid", {}).get("speaker", {}).items()):
        lines.append(f"| {name} | {value:.1f} | {summary['held_out_unused_minutes'].get(name, 0.0):.1f} |")
    lines += ["", "| source | refused clips |", "| --- | --- |"]
    for name, reasons in sorted(summary["refused"].items()):
        lines.append(f"| {name} | {', '.join(f'{reason} {count}' for reason, count in sorted(reasons.items()))} |")
    return "\n".join(lines) + "\n"
