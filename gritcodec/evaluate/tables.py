"""The tables of a run, as Markdown or as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gritcodec.evaluate.measures import MEASURES
from gritcodec.evaluate.results import Entry, Results
from gritcodec.evaluate.sets import CLEAN
from gritcodec.evaluate.statistics import Estimate

_FIRST = ("pesq", "estoi", "visqol")
_WORST = 3


@dataclass(frozen=True)
class Table:
    """A title, what has to be known to read it, and cells."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def markdown(self) -> str:
        """Return it as Markdown."""
        lines = [f"## {self.title}", "", *([self.note, ""] if self.note else [])]
        lines += [_line(self.head), _line(["---"] * len(self.head)), *map(_line, self.rows)]
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """Return it as HTML."""
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in self.head)
        body = "\n".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows
        )
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return f"<h2>{html.escape(self.title)}</h2>{note}<table><tr>{head}</tr>{body}</table>"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def tables(results: Results) -> list[Table]:
    """Return every table of a run."""
    others = [name for name in results.measures if name not in _FIRST]
    first = [name for name in _FIRST if name in results.measures]
    found = [_quality(results, "Quality against rate", first, _quality_note(results), peers_only=True)]
    if others:
        note = "Higher is better, but for WER, mel distance and LSD. The original's row is the most a measure can say."
        found.append(_quality(results, "More measures", others, note))
    if len(results.languages()) > 1:
        found += [_by_language(results, name) for name in first[:2]]
    if len(results.conditions()) > 1:
        found += [_by_condition(results, name) for name in first]
    if "pesq" in results.measures:
        found.append(_worst(results))
    if results.speed:
        found += _speed(results.speed)
    return found


def _quality_note(results: Results) -> str:
    clean = [clip for clip in results.clips if clip.condition == CLEAN]
    seconds = sum(clip.seconds for clip in clean)
    faint = sum(clip.faint for clip in clean)
    note = (
        f"Mean over the {len(clean)} clean clips of the set ({seconds:.0f} s), in brackets its 95% bootstrap interval "
        "over clips. kbps: the bits of each clip's file on disk, headers and container included, over its seconds, "
        "mean over clips; long: the same for all clips joined into one file, where a header hardly counts. lag: how "
        "late what comes back is, in samples at 16 kHz: median over audible clips, in brackets least and most. It is "
        "measured on every clip and removed; gritcodec's files are to keep time, and are scored as they come back."
    )
    if faint:
        note += f" {faint} clips are below -70 dBFS and hold no speech: the audible column leaves them out."
    return note


def _quality(results: Results, title: str, measures: Sequence[str], note: str, peers_only: bool = False) -> Table:
    faint = any(clip.faint for clip in results.clips) and "pesq" in measures
    head = ["codec", "kbps", "long", *(["lag"] if peers_only else []), *(MEASURES[name].title for name in measures)]
    table = Table(title, note, head + (["PESQ-WB, audible"] if faint else []))
    for entry in _ordered(results):
        if peers_only and entry.name == "original":
            continue
        cells = [results.estimate(entry.label, name) for name in measures]
        row = [_title(entry), *_rates(results, entry), *([_lag(results, entry)] if peers_only else [])]
        row += [_cell(cell, MEASURES[name].digits) for cell, name in zip(cells, measures, strict=True)]
        if faint:
            row.append(_cell(results.estimate(entry.label, "pesq", audible=True), 2))
        table.rows.append(row)
    return table


def _by_language(results: Results, measure: str) -> Table:
    languages = results.languages()
    counts = {
        language: sum(clip.condition == CLEAN and clip.language == language for clip in results.clips)
        for language in languages
    }
    head = [f"{language or 'unknown'} ({counts[language]})" for language in languages]
    note = "Clean clips by language, as the set's manifest names it; in brackets how many clips."
    table = Table(f"{MEASURES[measure].title} by language", note, ["codec", "kbps", *head])
    for entry in _ordered(results):
        if entry.name != "original":
            cells = [results.estimate(entry.label, measure, language=language) for language in languages]
            table.rows.append([_title(entry), _rates(results, entry)[0], *_means(cells, measure)])
    return table


def _by_condition(results: Results, measure: str) -> Table:
    known = [
        name
        for name in results.conditions()
        if any(results.estimate(entry.label, measure, name) for entry in results.entries)
    ]
    counts = {name: sum(clip.condition == name for clip in results.clips) for name in known}
    note = (
        "Against what went in: noise, echo and the second voice are to be kept. noisy: 10 dB above recorded noise; "
        "clipped: cut off 12 dB below the peak; far-field: a simulated living room, 3 m away; two-speakers: another "
        "voice as loud; telephone: 300 to 3400 Hz at 8 kHz, clips by turns as samples, mu-law, A-law, GSM and AMR; "
        "music: no voice."
    )
    head = ["codec", "kbps, clean", *(f"{name} ({counts[name]})" for name in known)]
    table = Table(f"{MEASURES[measure].title} by condition", note, head)
    for entry in _ordered(results):
        if entry.name != "original":
            cells = [results.estimate(entry.label, measure, name) for name in known]
            table.rows.append([_title(entry), _rates(results, entry)[0], *_means(cells, measure)])
    return table


def _worst(results: Results) -> Table:
    table = Table("Worst clips", "The clean clips with the lowest PESQ-WB.", ["codec", "clips"])
    for entry in _ordered(results):
        if entry.name != "original":
            clips = ", ".join(f"{name} {value:.2f}" for name, value in results.worst(entry.label, "pesq", _WORST))
            table.rows.append([_title(entry), clips or "-"])
    return table


def _speed(speed: dict[str, Any]) -> list[Table]:
    """Return the tables of benchmarks/speed.py's figures."""
    note = (
        f"benchmarks/speed.py on {speed['machine']}: {speed['threads']} thread, {speed['seconds']:g} s of audio, all "
        "in the same run; times real time, the median of several. Random weights cost the same time as trained ones. "
        "Codes: waveform to codes and back, as for the peers; files: with entropy coding, container and checksums."
    )
    codecs = Table("Speed", note, ["network", "encode", "decode", "load, s", "parameters, M"])
    for row in speed["codecs"]:
        rates = [f"{row[name]:.1f}" for name in ("encode", "decode")]
        codecs.rows.append([row["name"], *rates, f"{row['load']:.2f}", f"{row['millions']:.1f}"])
    memory = Table(
        "Peak memory against length",
        "The whole process, in MB, for one file through the command.",
        ["audio", "compress", "decompress"],
        [[row["length"], f"{row['compress']:.0f}", f"{row['decompress']:.0f}"] for row in speed.get("memory", [])],
    )
    return [codecs, *([memory] if memory.rows else [])]


def _ordered(results: Results) -> list[Entry]:
    return [entry for name in results.names() for entry in results.of(name)]


def _title(entry: Entry) -> str:
    return f"{entry.name} {entry.setting}".strip()


def _rates(results: Results, entry: Entry) -> list[str]:
    kbps = results.kbps(entry.label)
    return ["-" if rate is None else f"{rate:.2f}" for rate in (kbps, entry.long_kbps)]


def _lag(results: Results, entry: Entry) -> str:
    lags = results.lags(entry.label)
    if not lags:
        return "-"
    middle = f"{lags[len(lags) // 2]}"
    return middle if lags[0] == lags[-1] else f"{middle} ({lags[0]} to {lags[-1]})"


def _means(cells: Sequence[Estimate | None], measure: str) -> list[str]:
    return [_count("-" if cell is None else f"{cell.mean:.{MEASURES[measure].digits}f}", cell) for cell in cells]


def _cell(cell: Estimate | None, digits: int) -> str:
    if cell is None:
        return "-"
    return _count(f"{cell.mean:.{digits}f} ({cell.low:.{digits}f} to {cell.high:.{digits}f})", cell)


def _count(text: str, cell: Estimate | None) -> str:
    """Tell where a mean does not stand for every clip."""
    return text if cell is None or cell.count == cell.wanted else f"{text}, {cell.count} of {cell.wanted} clips"
