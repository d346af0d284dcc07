"""The blind listening test without its page: what is played in which order, and what becomes of the answers.

MUSHRA (ITU-R BS.1534): every codec of a clip beside a hidden reference and an anchor of 3.5 kHz, rated 0 to 100.
ABX: is X the original A or the decoded B? Nothing that a listener's browser sees tells which is which: sounds are
copied to names drawn at random.
"""

from __future__ import annotations

import csv
import random
import secrets
import shutil
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gritcodec import files
from gritcodec.errors import UsageError
from gritcodec.evaluate import page, statistics
from gritcodec.evaluate.results import Results

REFERENCE, ANCHOR = "reference", "anchor 3.5 kHz"
# BS.1534 allows twelve at once; reference and anchor are two of them.
MOST_STIMULI = 12
FIELDS = ("time", "session", "listener", "test", "clip", "condition", "codec", "score")
_ANCHOR_HZ = 3500.0
# BS.1534-3, 4.1.2: a listener who rates the hidden reference below 90 in more than 15% of the trials is left out.
_REFERENCE_AT_LEAST, _MAY_MISS = 90.0, 0.15


@dataclass(frozen=True)
class Trial:
    """What one step of the test plays.

    Attributes:
        test: "MUSHRA" or "ABX".
        clip, condition: what is heard.
        reference: the original's file.
        stimuli: (codec, file) in the order of the page; in ABX one, the codec whose turn it is.
        x_is_reference: what X is, in ABX.
    """

    test: str
    clip: str
    condition: str
    reference: Path
    stimuli: tuple[tuple[str, Path], ...]
    x_is_reference: bool = False


class Material:
    """The sounds of a run, under names that tell nothing."""

    def __init__(self, results: Results, out: Path) -> None:
        """Copy what is to be heard to OUT/listening.

        Raises:
            UsageError: the run kept no original, or nothing to compare with it.
        """
        self.folder = out / "listening" / f"sounds-{secrets.token_hex(4)}"
        self.clips: list[tuple[str, str, Path, tuple[tuple[str, Path], ...]]] = []
        with files.new_folders(self.folder):
            try:
                self._fill(results, out)
            except BaseException:
                shutil.rmtree(self.folder, ignore_errors=True)
                raise

    def _fill(self, results: Results, out: Path) -> None:
        labels = _labels(results)
        for (condition, clip), by_label in page.sounds(results).items():
            there = [label for label in labels if label in by_label]
            if "original" not in by_label or not there:
                continue
            reference = out / by_label["original"].path
            stimuli = [(REFERENCE, self._copy(reference)), (ANCHOR, self._anchor(reference))]
            stimuli += [(label, self._copy(out / by_label[label].path)) for label in there]
            self.clips.append((clip, condition, self._copy(reference), tuple(stimuli)))
        if not self.clips:
            raise UsageError(f"{out} holds no sounds to compare: run gritcodec evaluate with the codec original")

    def _copy(self, source: Path) -> Path:
        target = self.folder / f"{secrets.token_hex(6)}.flac"
        try:
            target.write_bytes(source.read_bytes())
        except FileNotFoundError as error:
            raise UsageError(f"{source} is gone: run gritcodec evaluate again") from error
        return target

    def _anchor(self, source: Path) -> Path:
        import soundfile

        samples, rate = soundfile.read(source)
        spectrum = np.fft.rfft(samples)
        spectrum[np.fft.rfftfreq(len(samples), 1 / rate) > _ANCHOR_HZ] = 0
        target = self.folder / f"{secrets.token_hex(6)}.flac"
        soundfile.write(target, np.fft.irfft(spectrum, len(samples)).clip(-1, 1), rate)
        return target

    def trials(self, test: str, session: str) -> list[Trial]:
        """Return the steps of a session in an order of its own."""
        rng = random.Random(session)
        steps = []
        for clip, condition, reference, stimuli in self.clips:
            if test == "MUSHRA":
                steps.append(Trial(test, clip, condition, reference, tuple(rng.sample(stimuli, len(stimuli)))))
            else:
                steps += [
                    Trial(test, clip, condition, reference, (stimulus,), rng.random() < 0.5)
                    for stimulus in stimuli
                    if stimulus[0] not in (REFERENCE, ANCHOR)
                ]
        rng.shuffle(steps)
        return steps


def _labels(results: Results) -> list[str]:
    """Return the codecs of the test: a few settings of ours, the lowest one of every peer."""
    chosen: dict[str, list[str]] = defaultdict(list)
    for entry in page.heard_entries(results):
        if entry.name != "original" and (entry.name.startswith("gritcodec") or not chosen[entry.name]):
            chosen[entry.name].append(entry.label)
    return [label for labels in chosen.values() for label in labels][: MOST_STIMULI - 2]


class Answers:
    """answers.csv and summary.md in OUT/listening."""

    def __init__(self, out: Path) -> None:
        """Go on with what is there."""
        self.path = out / "listening" / "answers.csv"
        self.summary_path = out / "listening" / "summary.md"
        self._lock = threading.Lock()

    def add(self, session: str, listener: str, trial: Trial, scores: list[float]) -> None:
        """Append a trial's answers: a rating for each stimulus, or 1 for a right answer and 0 for a wrong one."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S")
        name = " ".join(listener.split())[:40]
        with self._lock, files.new_folders(self.path.parent):
            begin = not self.path.is_file()
            with open(self.path, "a", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                if begin:
                    writer.writerow(FIELDS)
                for (label, _), score in zip(trial.stimuli, scores, strict=True):
                    writer.writerow([now, session, name, trial.test, trial.clip, trial.condition, label, f"{score:g}"])
            files.write_bytes(self.summary_path, self.summary().encode())

    def rows(self) -> list[dict[str, str]]:
        """Return every answer so far."""
        if not self.path.is_file():
            return []
        with open(self.path, newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def summary(self) -> str:
        """Return what the answers say, as Markdown."""
        rows = self.rows()
        return "\n".join(["# Listening test", "", *_mushra(rows), *_abx(rows)]).strip() + "\n"


def _mushra(rows: list[dict[str, str]]) -> list[str]:
    rows = [row for row in rows if row["test"] == "MUSHRA"]
    references: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if row["codec"] == REFERENCE:
            references[row["session"]].append(float(row["score"]) < _REFERENCE_AT_LEAST)
    out = {session for session, missed in references.items() if np.mean(missed) > _MAY_MISS}
    scores: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["session"] not in out:
            scores[row["codec"]].append(float(row["score"]))
    if not rows:
        return []
    kept = len(references) - len(out)
    lines = [
        f"## MUSHRA: {kept} sessions",
        "",
        f"{len(out)} more are left out: they did not hear the hidden reference (BS.1534-3, 4.1.2).",
        "",
        "| codec | mean | 95% interval | ratings |",
        "| --- | --- | --- | --- |",
    ]
    for label, values in sorted(scores.items(), key=lambda item: -float(np.mean(item[1]))):
        found = statistics.estimate(values)
        lines.append(f"| {label} | {found.mean:.1f} | {found.low:.1f} to {found.high:.1f} | {found.count} |")
    return [*lines, ""]


def _abx(rows: list[dict[str, str]]) -> list[str]:
    right: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row["test"] == "ABX":
            right[row["codec"]].append(int(float(row["score"])))
    if not right:
        return []
    lines = ["## ABX", "", "| codec | right | of | by chance, p |", "| --- | --- | --- | --- |"]
    for label, values in right.items():
        chance = statistics.sign_test(sum(values), len(values))
        lines.append(f"| {label} | {sum(values)} | {len(values)} | {chance:.3g} |")
    return [*lines, ""]
