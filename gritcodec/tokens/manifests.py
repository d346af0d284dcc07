"""Lists of sound that people keep: plain lists, JSONL, TSV, Kaldi's wav.scp, lhotse's cuts -> items.

Paths in them are relative to the folder of the list, or else to the current one.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from gritcodec.errors import AudioError
from gritcodec.tokens.items import ARK, FILE, Item

# What others call the columns, the first that is there: NeMo, Hugging Face, Common Voice, LJ Speech ...
PATHS = ("audio_filepath", "path", "file_name", "audio", "wav", "file", "audio_path", "filename")
STARTS = ("offset", "start", "start_time")
ENDS = ("end", "end_time")
IDS = ("id", "utt_id", "utterance_id", "key", "segment_id")
TEXTS = ("text", "transcript", "transcription", "sentence", "normalized_text", "raw_text")
SPEAKERS = ("speaker", "speaker_id", "spk_id", "client_id", "spk")

# Of a piece of a longer file, roughly.
_BYTES_A_SECOND = 32000
_MOST_SECONDS = 1e9


def size_of(path: str) -> int:
    """Return the bytes of a file; 0 where there is none, which reading it will tell."""
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except (OSError, ValueError):
        return 0


def first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first of some columns that says something, or None."""
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def said(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the first of some columns as text, or None."""
    value = first(row, names)
    return None if value is None else str(value)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", newline="") as lines:
            yield lines
    except UnicodeDecodeError as error:
        raise AudioError(f"{path} is no text in UTF-8: {error.reason}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise AudioError(f"cannot read {path}: {error}") from error
    except csv.Error as error:
        raise AudioError(f"{path} is no table: {error}") from error


def _found(listed: str, folder: Path) -> str:
    """Return the path of a file that a list in a folder names."""
    # Common Voice keeps its files in clips/ beside the tables.
    places = (folder / listed, Path(listed), folder / "clips" / listed)
    return str(next((place for place in places if place.exists()), places[0]))


def _stem(path: str) -> str:
    return Path(path).stem


def list_items(path: Path) -> Iterator[Item]:
    """Yield the items of a text file with a path a line."""
    with _opened(path) as lines:
        for line in map(str.strip, lines):
            if line and not line.startswith("#"):
                found = _found(line, path.parent)
                yield Item(_stem(line), found, size=size_of(found))


def jsonl_items(path: Path) -> Iterator[Item]:
    """Yield the items of a file with a JSON object a line: NeMo's manifests, Hugging Face's metadata, lhotse's."""
    with _opened(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                assert isinstance(row, dict)
            except (ValueError, AssertionError, RecursionError) as error:
                raise AudioError(f"{path}, line {number}: not a JSON object") from error
            if isinstance(row.get("recording"), Mapping) or isinstance(row.get("sources"), list):
                yield _of_lhotse(row, path, number)
            else:
                yield _of_row(row, path, number)


def table_items(path: Path) -> Iterator[Item]:
    """Yield the items of a table with a line of names, or of fairseq's: a folder, then paths and samples."""
    with _opened(path) as lines:
        # Quotes in .tsv are part of the text.
        tabs = path.suffix.lower() == ".tsv"
        style: Any = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {}
        head = lines.readline().rstrip("\r\n")
        names = next(csv.reader([head], **style), [])
        if len(names) == 1 and names[0] and names[0] not in PATHS and (path.parent / names[0]).is_dir():
            for row in csv.reader(lines, **style):
                if row:
                    found = str(path.parent / names[0] / row[0])
                    yield Item(row[0].rpartition(".")[0] or row[0], found, size=size_of(found))
            return
        if first(dict.fromkeys(names, 1), PATHS) is None:
            raise AudioError(f"{path}: its first line names no column {', '.join(PATHS)}")
        for number, row in enumerate(csv.reader(lines, **style), 2):
            if row:
                yield _of_row(dict(zip(names, row, strict=False)), path, number)


def _of_row(row: Mapping[str, Any], path: Path, number: int) -> Item:
    listed = first(row, PATHS)
    if isinstance(listed, Mapping):
        listed = listed.get("path")
    text, speaker, given = said(row, TEXTS), said(row, SPEAKERS), said(row, IDS) or ""
    if not isinstance(listed, str):
        return _broken(given, path, number, "names no audio file")
    try:
        start, duration = _span_of_row(row)
    except (TypeError, ValueError) as error:
        return _broken(given, path, number, f"says no time in it: {error}")
    name = given or _stem(listed) + (f"-{round(1000 * start):08d}" if start else "")
    found = _found(listed, path.parent)
    size = size_of(found)
    if duration is not None:
        # Else each of a thousand pieces of one file would fill a shard.
        size = min(size, round(_BYTES_A_SECOND * duration))
    about: dict[str, Any] = {"text": text, "speaker": speaker, "given": given}
    return Item(name, found, start=start, duration=duration, size=size, **about)


def _broken(given: str, path: Path, number: int, why: str) -> Item:
    # The line is its place: each of several is refused by itself.
    name = given or f"line-{number}"
    return Item(name, str(path), place=(number,), given=name, problem=f"line {number} {why}")


def _span_of_row(row: Mapping[str, Any]) -> tuple[float, float | None]:
    start, length, end = first(row, STARTS), first(row, ("duration",)), first(row, ENDS)
    if start is None and end is None:
        # The duration alone is that of the whole file, rounded.
        return 0.0, None
    begin = float(start or 0)
    if length is None and end is None:
        return _span(begin, None)
    return _span(begin, float(length) if length is not None else float(end) - begin)


def _span(start: float, duration: float | None) -> tuple[float, float | None]:
    """Return where a piece begins and how long it is, seconds; ValueError where no sound can be there."""
    if not 0 <= start < _MOST_SECONDS or not (duration is None or 0 < duration < _MOST_SECONDS):
        raise ValueError(f"from {start:g} s on" + ("" if duration is None else f", {duration:g} s long"))
    return start, duration


def kaldi_items(path: Path) -> Iterator[Item]:
    """Yield the items of a wav.scp, or of the `segments` beside it; `text` and `utt2spk` too where they are."""
    texts, speakers = (_kaldi_table(path.with_name(name)) for name in ("text", "utt2spk"))
    recordings = _kaldi_table(path)
    segments = path.with_name("segments")
    spans = _kaldi_table(segments).items() if segments.is_file() else ((name, name) for name in recordings)
    for name, span in spans:
        recording, *times = span.split() or [""]
        item = _kaldi_item(name, recordings.get(recording), path)
        changes: dict[str, Any] = {"text": texts.get(name), "speaker": speakers.get(name), "given": name}
        if segments.is_file() and item.problem is None:
            try:
                begin, end = map(float, times)
                # Kaldi writes -1 for the end of the recording.
                start, duration = _span(begin, None if end < 0 else end - begin)
                changes |= {"start": start, "duration": duration, "size": round(_BYTES_A_SECOND * (duration or 0))}
            except ValueError:
                changes["problem"] = f"not a segment: {name} {span}"
        yield replace(item, **changes)


def _kaldi_item(name: str, listed: str | None, path: Path) -> Item:
    if not listed:
        return Item(name, str(path), problem=f"{path.name} has no recording for {name}")
    if listed.endswith("|") or listed.startswith("|"):
        return Item(name, listed, problem="it is a command: write its output to a file, no command is run from here")
    place = listed.rpartition(":")
    if place[0] and place[2].isdigit():
        return Item(name, _found(place[0], path.parent), ARK, place=(int(place[2]),))
    found = _found(listed, path.parent)
    return Item(name, found, size=size_of(found))


def _kaldi_table(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with _opened(path) as lines:
        pairs = ([*line.split(None, 1), ""] for line in lines if line.strip())
        return {name: rest.strip() for name, rest, *_ in pairs}


def _of_lhotse(row: dict[str, Any], path: Path, number: int) -> Item:
    """Return the item of a cut or a recording of lhotse, as its manifests have them."""
    try:
        return _of_cut(row, path.parent)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        why = f"is no cut or recording as lhotse writes them: {type(error).__name__}: {error}"
        return _broken(said(row, IDS) or "", path, number, why)


def _of_cut(row: dict[str, Any], folder: Path) -> Item:
    recording = row.get("recording", row)
    name = str(row.get("id"))
    said_there = row.get("supervisions") or [{}]
    text = " ".join(part["text"] for part in said_there if part.get("text")) or None
    speakers = {part["speaker"] for part in said_there if part.get("speaker")}
    speaker = speakers.pop() if len(speakers) == 1 else None
    about: dict[str, Any] = {"text": text, "speaker": speaker, "given": name}
    sources = recording.get("sources") or [{}]
    # Lists of channels are of MultiCut.
    channel = row.get("channel") if recording is not row else None
    problem = None
    if len(sources) != 1 or sources[0].get("type") != "file" or not isinstance(channel, int | None):
        problem = "lhotse has it in several sources or channels, or not in a file"
    elif recording.get("transforms"):
        problem = "lhotse would change it on loading: store the changed recording first"
    source = _found(str(sources[0].get("source", "")), folder)
    if recording is row:
        return Item(name, source, size=size_of(source), problem=problem, **about)
    start, duration = _span(float(row.get("start", 0)), float(row["duration"]))
    assert duration is not None
    channels = sources[0].get("channels", [0])
    if len(channels) > 1 and channel in channels:
        about["channel"] = channels.index(channel)
    if not start and abs(duration - recording.get("duration", 0)) < 1e-3:
        return Item(name, source, FILE, size=size_of(source), problem=problem, **about)
    size = round(_BYTES_A_SECOND * duration)
    return Item(name, source, start=start, duration=duration, size=size, problem=problem, **about)
