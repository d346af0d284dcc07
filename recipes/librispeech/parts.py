"""The corpus in parts: each part is decoded, checked and written by one process, and made only once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from multiprocessing import Value
from pathlib import Path
from typing import Any

from layouts import LAYOUTS, Layout

from gritcodec.train.clips import Checks, Level, RefusedError, blocks, process
from gritcodec.train.packing import AUDIO, fingerprint, worker_pool

VERSION = 1  # raise it when the same files give other samples
PART_BYTES = 256 * 2**20  # of source files: minutes of work, so that stopping loses little
PART_FILES = 8192
RECORDS = "parts"  # folder of the parts' records
MAX_SECONDS = 60.0  # longer files are cut, so that a process holds a minute of audio at the most


@dataclasses.dataclass(frozen=True)
class Settings:
    """What decides about the samples, beside the files.

    Attributes:
        rate: Hz of the corpus.
        layout: name of the source's layout.
        music: channels become pieces of their own, at their own level, with their own ends.
        checks: what a clip must satisfy.
    """

    rate: int
    layout: str
    music: bool
    checks: Checks

    @property
    def level(self) -> Level | None:
        """The level that clips are brought to; None leaves them as they are."""
        return None if self.music else Level()


@dataclasses.dataclass(frozen=True)
class Part:
    """Files that become one file of samples, `audio` in the corpus's folder; `key` stands for all it is made from."""

    audio: str
    key: str
    files: tuple[str, ...]

    def records(self, out: Path) -> Path:
        """Return where the records of the part's clips are, after a head with `key`, `samples` and `files`."""
        return out / RECORDS / f"{Path(self.audio).stem}.jsonl"

    def is_done(self, out: Path) -> bool:
        """Tell whether the part is there, whole, and made from these files with these settings."""
        try:
            with self.records(out).open(encoding="utf-8") as lines:
                head = json.loads(next(lines))
            return bool(head["key"] == self.key and (out / self.audio).stat().st_size == 2 * head["samples"])
        except (OSError, ValueError, KeyError, StopIteration):
            return False


def plan(layout: Layout, base: Path, subsets: list[str], settings: Settings) -> list[Part]:
    """Divide the files among parts, which do not change when another subset is added."""
    groups: list[tuple[str, list[str]]] = []
    keys: list[str] = []
    for subset in subsets:
        current: list[tuple[str, int]] = []
        total, number = 0, 0
        files = layout.files(base, subset)
        for index, path in enumerate(files, 1):
            size = (base / path).stat().st_size
            current.append((path, size))
            total += size
            if total >= PART_BYTES or len(current) >= PART_FILES or index == len(files):
                name = "-".join(filter(None, ("audio", subset, f"{number:05d}")))
                groups.append((f"{name}.int16", [path for path, _ in current]))
                keys.append(fingerprint(VERSION, settings, current))
                current, total, number = [], 0, number + 1
    if len(groups) == 1:
        groups = [(AUDIO, groups[0][1])]
    return [Part(audio, key, tuple(files)) for (audio, files), key in zip(groups, keys, strict=True)]


_done: Any = Value("q", 0)  # files done in all processes
_stop: Any = Value("b", 0)


def _share(done: Any, stop: Any) -> None:
    global _done, _stop
    _done, _stop = done, stop


def build(
    parts: list[Part], base: Path, out: Path, settings: Settings, jobs: int, report: Callable[[int], None]
) -> None:
    """Make the parts that are not there.

    Args:
        parts: from `plan`.
        base: what the parts' paths are relative to.
        out: folder of the corpus.
        settings: as given to `plan`.
        jobs: processes at work.
        report: called about every second with the number of files done.

    Raises:
        RecipeError: a process died.
        OSError: the disk is full, or the like.
    """
    missing = [part for part in parts if not part.is_done(out)]
    if not missing:
        return
    with worker_pool(min(jobs, len(missing)), _share, _done, _stop) as pool:
        waiting = {pool.submit(build_part, part, base, out, settings) for part in missing}
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                report(_done.value)
        except BaseException:
            _stop.value = 1  # do not finish parts that nobody waits for
            raise


def build_part(part: Part, base: Path, out: Path, settings: Settings) -> None:
    """Write one part's samples and records; the records, which make it whole, come last."""
    layout = LAYOUTS[settings.layout]
    part.records(out).unlink(missing_ok=True)
    partial_audio, partial_records = out / f"{part.audio}.partial", part.records(out).with_suffix(".partial")
    samples, lines = 0, []
    with partial_audio.open("wb") as audio:
        for path in part.files:
            if _stop.value:
                return
            records = []
            for record, pcm in _clips(base, path, settings):
                audio.write(pcm)
                records.append({**record, "offset": samples, "samples": len(pcm) // 2})
                samples += len(pcm) // 2
            text = layout.text(base, path) if len(records) == 1 else None  # of a cut file nobody knows where
            for record in records:
                said = {"text": text} if text else {}
                lines.append(json.dumps({**record, **said}, ensure_ascii=False) + "\n")
            with _done.get_lock():
                _done.value += 1
        audio.flush()
        os.fsync(audio.fileno())  # the records must not outlive the samples in a power cut
    head = {"key": part.key, "samples": samples, "files": len(part.files)}
    partial_records.write_text(json.dumps(head) + "\n" + "".join(lines), encoding="utf-8")
    partial_audio.replace(out / part.audio)
    partial_records.replace(part.records(out))


def _clips(base: Path, path: str, settings: Settings) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield the clips of one file, refused ones without samples and with their reason."""
    with (base / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha1").hexdigest()
    start, rate = 0, settings.rate
    try:
        for waveform, rate in blocks(base / path, MAX_SECONDS):
            count = waveform.shape[1]
            items = [waveform[k : k + 1] for k in range(len(waveform))] if settings.music else [waveform]
            for channel, item in enumerate(items):
                record = {"file": path, "digest": digest, "seconds": round(count / rate, 3)}
                record |= {"start": round(start / rate, 3), "channel": channel}
                try:
                    yield record, process(item, rate, settings.rate, settings.checks, settings.level).tobytes()
                except RefusedError as refusal:
                    yield {**record, "reason": refusal.reason, "detail": str(refusal)}, b""
            start += count
    except RefusedError as refusal:
        record = {"file": path, "digest": digest, "seconds": 0.0, "start": round(start / rate, 3), "channel": 0}
        yield {**record, "reason": refusal.reason, "detail": str(refusal)}, b""


def done_files(parts: list[Part], out: Path) -> int:
    """Return how many files the parts that are there were made from."""
    return sum(len(part.files) for part in parts if part.is_done(out))
