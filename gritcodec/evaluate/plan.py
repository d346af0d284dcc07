"""What one run of the bench covers, in two sizes, and the run itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gritcodec import model_store
from gritcodec.errors import AudioError, GritcodecError, UsageError
from gritcodec.evaluate import bench, conditions, contenders, measures, sets
from gritcodec.evaluate.contenders.base import Contender
from gritcodec.evaluate.measures import MEASURES, Measure
from gritcodec.evaluate.results import ClipFacts, Entry, Results, Sound
from gritcodec.evaluate.sets import CLEAN, Clip, Source
from gritcodec.messages import counted

# Clean clips that the page lets one hear, beside one of every other condition.
_HEARD = 4


@dataclass(frozen=True)
class Size:
    """How much is measured: clean clips (None: all), clips of every other condition, codecs, measures.

    `rates` are those of gritcodec's models, `refined` those that are measured with effort too.
    """

    clips: int | None
    others: int
    peers: tuple[str, ...]
    rates: tuple[str, ...]
    measures: tuple[str, ...]
    refined: tuple[str, ...] = ()


SIZES = {
    "five-minutes": Size(
        6,
        2,
        (
            "original",
            *("opus:6", "opus:8", "opus:12", "opus-nolace:7"),
            *("codec2:1300", "codec2:3200", "speex:2", "amr-wb:6.6", "lc3:16"),
        ),
        ("1.5", "3", "6"),
        ("pesq", "estoi", "stoi", "visqol", "sisdr", "mel", "lsd"),
    ),
    "nightly": Size(
        None,
        8,
        (
            "original",
            *("opus", "opus-1.6", "opus-wide", "opus-lace", "opus-nolace"),
            *("codec2", "speex", "amr-wb", "lc3", "mp3"),
        ),
        ("0.5", "1", "1.5", "2", "3", "4", "6", "7"),
        tuple(MEASURES),
        ("1.5", "3", "6"),
    ),
}

# Steps of refinement of gritcodec's models where they are measured with effort.
EFFORT = 3


@dataclass(frozen=True)
class Plan:
    """What to run, as on the command line; see `gritcodec evaluate --help`.

    Attributes:
        folder: the set.
        out: receives clips, cache and results.
        size: one of `SIZES`.
        models: shipped names or folders; each at the size's rates.
        codecs: names as `contenders.parse` takes them, instead of the size's peers and the models.
        measures: names, instead of the size's.
        conditions: names, instead of all.
        limit: clean clips, instead of the size's.
        sounds: folder with noise and music.
        weights: folders of neural codecs' weights.
        jobs: processes.
        seed: of every draw.
        transcripts: file of what clips say, see `sets.read_set`.
    """

    folder: Path
    out: Path
    size: str = "five-minutes"
    models: tuple[str, ...] = ("speech-16k",)
    codecs: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    conditions: tuple[str, ...] | None = None
    limit: int | None = None
    sounds: Path | None = None
    weights: tuple[str, ...] = ()
    jobs: int = 1
    seed: int = 0
    transcripts: Path | None = None


def evaluate(plan: Plan, tell: Callable[[str], None]) -> Results:
    """Run a plan; what cannot be measured is told at once and listed in the results.

    Args:
        plan: what to do.
        tell: called with a line for whatever the user should know.

    Raises:
        UsageError: something that was asked for by name is unknown or not installed.
        AudioError: no clip can be read.
    """
    if plan.size not in SIZES:
        raise UsageError(f"no size {plan.size!r}: there are {', '.join(SIZES)}")
    sources = sets.read_set(plan.folder, plan.transcripts)
    missing: list[str] = []

    def lacks(line: str) -> None:
        missing.append(line)
        tell(line)

    takers = _measures(plan, lacks)
    runners = _contenders(plan, lacks)
    shutil.rmtree(plan.out / "clips", ignore_errors=True)
    clips, unread = _clips(plan, sources, lacks)
    cache = plan.out / "cache"
    audible = [clip for clip in clips if clip.condition == CLEAN and not clip.faint]
    long_clip = bench.join_clips(audible, plan.out / "clips" / "long.wav") if audible else None
    entries: list[tuple[Contender, Entry]] = []
    for contender in runners:
        try:
            entries.append((contender, bench.describe(contender, cache, long_clip)))
        except GritcodecError as error:
            lacks(f"{contender.label}: {error}")
    heard = heard_clips(clips, plan.seed)
    tasks = [
        bench.Task(clip, contender, entry, _names(takers, clip), cache, clip in heard)
        for contender, entry in entries
        for clip in clips
    ]
    tell(f"{counted(len(clips), 'clip')} x {counted(len(entries), 'codec')}, {plan.jobs} at a time")
    scores = bench.run(tasks, plan.jobs, tell)
    facts = [ClipFacts(clip.name, clip.condition, clip.language, clip.seconds, clip.level_db) for clip in clips]
    versions = {measure.name: measure.version() for measure in takers}
    kept = [(task, task.path.with_suffix(".flac")) for task in tasks if task.keep_audio]
    sounds = [
        Sound(task.entry.label, task.clip.name, task.clip.condition, path.relative_to(plan.out).as_posix())
        for task, path in kept
        if path.is_file()
    ]
    name, found = plan.folder.resolve().name, [entry for _, entry in entries]
    return Results(name, plan.size, facts, found, versions, scores, missing, sounds, unread=unread)


def heard_clips(clips: Sequence[Clip], seed: int) -> list[Clip]:
    """Return the clips that the page and the listening test play: some clean ones, one of every other condition."""
    audible = [clip for clip in clips if not clip.faint]
    chosen = sets.spread([clip for clip in audible if clip.condition == CLEAN], _HEARD, seed)
    for condition in dict.fromkeys(clip.condition for clip in audible):
        if condition != CLEAN:
            chosen.append(next(clip for clip in audible if clip.condition == condition))
    return chosen


def _names(takers: Sequence[Measure], clip: Clip) -> tuple[str, ...]:
    """Return what is measured on a clip: not everything is defined, or worth its time, everywhere."""
    return tuple(
        each.name
        for each in takers
        if not (each.clean_only and clip.condition != CLEAN) and not (each.speech_only and clip.condition == "music")
    )


def _measures(plan: Plan, lacks: Callable[[str], None]) -> list[Measure]:
    chosen = measures.choose(plan.measures or SIZES[plan.size].measures)
    there = []
    for measure in chosen:
        why = measure.missing()
        if why is None:
            there.append(measure)
        elif plan.measures:
            raise UsageError(f"{measure.name}: {why}")
        else:
            lacks(f"{measure.name} is not measured: {why}")
    return there


def _contenders(plan: Plan, lacks: Callable[[str], None]) -> list[Contender]:
    size = SIZES[plan.size]
    own = [f"{model}:{rate}" for model in plan.models for rate in _rates(model, size.rates)]
    own += [f"{model}@{EFFORT}:{rate}" for model in plan.models for rate in _rates(model, size.refined)]
    weights = contenders.parse_weights(plan.weights)
    names = plan.codecs or (*own, *size.peers, *weights)
    there = []
    for contender in contenders.contenders(names, weights):
        why = contender.missing()
        if why is None:
            there.append(contender)
        elif plan.codecs or contender.label in own:
            raise UsageError(f"{contender.label}: {why}")
        else:
            lacks(f"{contender.label} is not measured: {why}")
    if not plan.codecs:
        for name in contenders.NEURAL:
            if name not in weights:
                lacks(f"{name} is not measured: give its weights with --weights {name}=FOLDER")
    return there


def _rates(model: str, rates: Sequence[str]) -> list[str]:
    """Return those bitrates that a model has: another's may begin higher, or end lower."""
    there = model_store.read(model_store.resolve(model)).bitrates
    return [rate for rate in rates if there[0] <= float(rate) <= there[-1]]


def _clips(plan: Plan, sources: list[Source], lacks: Callable[[str], None]) -> tuple[list[Clip], list[str]]:
    """Return the clips of all conditions, and a line for each file that cannot be read: the others are scored."""
    size, folder = SIZES[plan.size], plan.out / "clips"
    limit = size.clips if plan.limit is None else plan.limit
    if limit is not None:
        sources = sets.spread(sources, limit, plan.seed)
    clean: list[Clip] = []
    unread: list[str] = []
    for source in sources:
        try:
            clean.append(sets.write_clip(sets.load(source), source, CLEAN, folder))
        except AudioError as error:
            unread.append(f"{source.name}: {error}")
    if not clean:
        raise AudioError(f"none of the {len(sources)} clips in {plan.folder} can be read; the first: {unread[0]}")
    made = list(clean)
    for name in conditions.CONDITIONS if plan.conditions is None else plan.conditions:
        why = conditions.missing(name, plan.sounds)
        if why is None:
            made += conditions.build(name, clean, size.others, plan.sounds, folder, plan.seed)
        elif plan.conditions is not None:
            raise UsageError(f"{name}: {why}")
        else:
            lacks(f"{name} clips are not measured: {why}")
    return made, unread
