"""Running the bench: every clip through every codec, every measure, on all cores, keeping what is known already.

A score is kept under the samples of its clip, the codec's version and the measure's version: after a change of one
codec only its rows are computed again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gritcodec import files
from gritcodec.errors import AudioError, GritcodecError
from gritcodec.evaluate import align, recogniser, sets
from gritcodec.evaluate.contenders.base import RATE, Contender, pcm_file, read_pcm, resample_pcm, write_pcm
from gritcodec.evaluate.measures import MEASURES, Measure, Pair
from gritcodec.evaluate.results import Entry, Score
from gritcodec.evaluate.sets import Clip

# The clips of a set, joined up to this length, tell what a codec costs where a header hardly counts.
_LONG_SECONDS = 120.0
_TELL_SECONDS = 30.0


@dataclass(frozen=True)
class Task:
    """One clip through one codec, for a worker process; `keep_audio` keeps what came back as a flac file."""

    clip: Clip
    contender: Contender
    entry: Entry
    measures: tuple[str, ...]
    cache: Path
    keep_audio: bool

    @property
    def path(self) -> Path:
        """Where its score is kept, as .json; its sound lies beside it, as .flac."""
        identity = f"{self.entry.label}\n{self.entry.version}\n{self.entry.delay}\n{align.REVISION}"
        name = hashlib.sha256(identity.encode()).hexdigest()[:20]
        return self.cache / self.clip.digest / f"{name}.json"


def describe(contender: Contender, cache: Path, long_clip: Path | None) -> Entry:
    """Measure what no single clip tells: a codec's delay on the bundled clip, and its rate for a long file.

    Raises:
        AudioError: the codec does not work.
    """
    version = contender.version()
    known = _Known(cache / "codecs" / f"{_digest(contender.label, version, align.REVISION, _content(long_clip))}.json")
    if not known.data:
        with _work() as work:
            known.data["delay"] = 0 if contender.keeps_time else _measure_delay(contender, work)
            if long_clip is not None:
                contender.encode(long_clip, work / "long.bin")
                samples, rate = read_pcm(long_clip)
                size = (work / "long.bin").stat().st_size
                known.data["long_kbps"] = size * 8 / (len(samples) / rate) / 1000
        known.save()
    return Entry(
        contender.label,
        contender.name,
        contender.setting,
        version,
        known.data["delay"],
        known.data.get("long_kbps"),
    )


def join_clips(clips: Sequence[Clip], target: Path) -> Path:
    """Write the audible clean clips, one after the other, as one wav file."""
    pieces, length = [], 0
    for clip in clips:
        if not clip.faint and length < _LONG_SECONDS * RATE:
            pieces.append(read_pcm(clip.path)[0])
            length += len(pieces[-1])
    write_pcm(target, np.concatenate(pieces)[: round(_LONG_SECONDS * RATE)], RATE)
    return target


def run(tasks: Sequence[Task], jobs: int, tell: Callable[[str], None]) -> list[Score]:
    """Score clips side by side, in the order of the tasks.

    Args:
        tasks: what to do.
        jobs: processes; 1 works in this one.
        tell: called with a line now and then.
    """
    shown, before = time.monotonic(), 0
    scores: dict[int, Score] = {}
    for number, score in _results(tasks, jobs):
        scores[number] = score
        if time.monotonic() - shown > _TELL_SECONDS:
            # The pace of late: what was known already took no time.
            pace = (time.monotonic() - shown) / (len(scores) - before)
            shown, before = time.monotonic(), len(scores)
            tell(f"{before} of {len(tasks)} done, about {pace * (len(tasks) - before) / 60:.0f} minutes left")
    return [scores[number] for number in range(len(tasks))]


def _results(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[int, Score]]:
    if jobs == 1:
        yield from ((number, score_one(task)) for number, task in enumerate(tasks))
        return
    # Small networks side by side gain nothing from threads of their own.
    os.environ["OMP_NUM_THREADS"] = "1"
    waiting = deque(range(len(tasks)))
    while waiting:
        running: dict[Future[Score], int] = {}
        pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
        try:
            while waiting or running:
                while waiting and len(running) <= jobs:
                    running[pool.submit(score_one, tasks[waiting[0]])] = waiting[0]
                    waiting.popleft()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    score = future.result()
                    yield running.pop(future), score
        except BrokenProcessPool:
            # Somebody's native code took its process along: whoever was at work tries again, alone.
            for number in running.values():
                yield number, _alone(tasks[number])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _alone(task: Task) -> Score:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(score_one, task).result()
        except BrokenProcessPool:
            return _score(task, None, {}, {"codec": "the process that measured it died"})


def score_one(task: Task) -> Score:
    """Score one clip with one codec; what fails is in the score's errors, by measure or as "codec"."""
    known = _Known(task.path)
    kept: dict[str, Any] = known.data.setdefault("values", {})
    wanted = [MEASURES[name] for name in task.measures]
    stale = [each for each in wanted if kept.get(each.name, {}).get("version") != _version(each, task.clip)]
    errors: dict[str, str] = {}
    sound = task.path.with_suffix(".flac")
    if stale or "lag" not in known.data or (task.keep_audio and not sound.is_file()):
        try:
            decoded = _code(task, known)
        except GritcodecError as error:
            return _score(task, None, {}, {"codec": str(error)})
        pair = Pair(_floats(read_pcm(task.clip.path)[0]), decoded, task.clip.language, task.clip.text)
        for measure in stale:
            _take(measure, pair, task, kept, errors)
        known.save()
    taken = {each.name: kept[each.name] for each in wanted if each.name in kept and each.name not in errors}
    found = {name: entry for name, entry in taken.items() if entry["value"] is not None}
    return _score(
        task,
        known.data["size"],
        {name: entry["value"] for name, entry in found.items()},
        errors,
        {name: entry["weight"] for name, entry in found.items() if "weight" in entry},
        known.data["lag"],
    )


def _score(
    task: Task,
    size: int | None,
    values: dict[str, float],
    errors: dict[str, str],
    weights: dict[str, float] | None = None,
    lag: int | None = None,
) -> Score:
    return Score(task.entry.label, task.clip.name, task.clip.condition, size, values, errors, weights or {}, lag)


def _version(measure: Measure, clip: Clip) -> str:
    """Return what a score depends on beside samples and codec: the measure, and for WER the words, where known."""
    words = clip.text if measure.name == "wer" else None
    return measure.version() if words is None else f"{measure.version()} {_digest(words)}"


def _take(measure: Measure, pair: Pair, task: Task, kept: dict[str, Any], errors: dict[str, str]) -> None:
    """Take one measure of a clip; a measure that is not defined for it is kept as None."""
    kept.pop(measure.name, None)
    try:
        entry: dict[str, Any] = {"version": _version(measure, task.clip), "value": None}
        if measure.applies(pair):
            pair = _with_text(pair, task) if measure.name == "wer" else pair
            entry["value"] = measure.take(pair)
            if measure.weigh is not None:
                entry["weight"] = measure.weigh(pair)
        kept[measure.name] = entry
    except AudioError as error:
        errors[measure.name] = str(error)
    except Exception as error:
        # A measure is somebody else's code: what it stumbles over is a finding about one clip, not the end of a night.
        errors[measure.name] = f"{type(error).__name__}: {error}"


def _with_text(pair: Pair, task: Task) -> Pair:
    """Add what the recogniser hears in the original, where nobody tells what is said; once for all codecs."""
    if pair.text is not None:
        return pair
    known = _Known(task.cache / task.clip.digest / "transcript.json")
    version = MEASURES["wer"].version()
    if known.data.get("version") != version:
        known.data = {"version": version, "text": recogniser.transcribe(pair.reference)}
        known.save()
    return Pair(pair.reference, pair.decoded, pair.language, known.data["text"])


def _code(task: Task, known: _Known) -> np.ndarray:
    """Encode and decode; return float [samples] at 16 kHz, aligned and as long as the clip."""
    with _work() as work:
        packed, output = work / "clip.bin", work / "clip.wav"
        task.contender.encode(task.clip.path, packed)
        known.data["size"] = packed.stat().st_size
        task.contender.decode(packed, output)
        samples, rate = read_pcm(output)
    decoded, reference = resample_pcm(samples, rate, RATE), read_pcm(task.clip.path)[0]
    lag = align.delay(_floats(reference), _floats(decoded), task.entry.delay)
    known.data["lag"] = lag
    decoded = align.shift(decoded, 0 if task.contender.keeps_time else lag, len(reference))
    if task.keep_audio:
        path = task.path.with_suffix(".flac")
        with files.new_folders(path.parent):
            files.write_bytes(path, pcm_file(decoded, RATE, "FLAC"))
    return _floats(decoded)


def _measure_delay(contender: Contender, work: Path) -> int:
    clip = Path(__file__).parents[1] / "clips" / "austen.flac"
    reference = sets.load(sets.Source(clip.name, clip))
    write_pcm(work / "probe.wav", np.round(reference * 32767).astype(np.int16), RATE)
    contender.encode(work / "probe.wav", work / "probe.bin")
    contender.decode(work / "probe.bin", work / "probe-out.wav")
    samples, rate = read_pcm(work / "probe-out.wav")
    return align.delay(reference, _floats(resample_pcm(samples, rate, RATE)))


class _Known:
    """What is kept of earlier runs, in one small file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.data: dict[str, Any] = {}
        if path.is_file():
            # A file of another release, or one that somebody edited, counts for nothing.
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                data = {}
            self.data = data if isinstance(data, dict) else {}

    def save(self) -> None:
        """Write it back."""
        with files.new_folders(self._path.parent):
            files.write_bytes(self._path, json.dumps(self.data, indent=1).encode())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def _content(path: Path | None) -> str:
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def _floats(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.float64) / 32768


@contextmanager
def _work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gritcodec-evaluate-") as folder:
        yield Path(folder)
