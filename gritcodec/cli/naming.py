"""From what is typed to files: which paths are read, which is written, and what results are called."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gritcodec.cli.options import PIPE, names_folder, plain_path
from gritcodec.containers import remux
from gritcodec.errors import FormatError, UsageError
from gritcodec.files import require_file
from gritcodec.sound import endings

GRIT_ENDINGS = frozenset(remux.ENDINGS)
_GRIT_ALONE = frozenset({".grit"})


@dataclass(frozen=True)
class Job:
    """One file to make from another."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Kind:
    """What a verb reads and writes.

    Attributes:
        inputs: endings of the files to take out of folders, in lower case.
        outputs: endings that a result may have; None: any.
        ending: that it gets where it has no name.
        reads_grit: whether inputs are .grit streams: then an existing one is no output.
        last_is_output: whether the last of several paths is the output, whatever it is.
    """

    inputs: frozenset[str]
    outputs: frozenset[str] | None
    ending: str
    reads_grit: bool
    last_is_output: bool = False

    def is_input(self, path: Path) -> bool:
        """Whether an existing file is what this reads, and so is not to be written over."""
        return path.is_file() and is_grit(path) == self.reads_grit

    def takes(self, path: Path) -> bool:
        """Whether a file of a folder is to be read: by its ending, and where that is of a container, by what it is."""
        ending = path.suffix.lower()
        if self.reads_grit:
            return ending in self.inputs or (ending in GRIT_ENDINGS and is_grit(path))
        return ending in self.inputs and not (ending in GRIT_ENDINGS and is_grit(path))


def audio_to_grit(ending: str, container: str | None = None) -> Kind:
    """Return what `compress` reads and writes; in one container, where it is named, and so under that one's endings."""
    outputs = frozenset(name for name, kind in remux.ENDINGS.items() if container in (None, kind))
    return Kind(endings.readable(), outputs, ending, False)


def grit_to_audio(any_name: bool) -> Kind:
    """Return what `decompress` reads and writes."""
    from gritcodec.sound.writing import ENDINGS

    return Kind(_GRIT_ALONE, None if any_name else frozenset(ENDINGS), ".wav", True)


def grit_to_grit(ending: str = ".grit") -> Kind:
    """Return what the verbs read and write that make .grit streams of .grit streams."""
    return Kind(_GRIT_ALONE, None, ending, True, last_is_output=True)


def split(paths: Sequence[str], kind: Kind) -> tuple[list[Path], Path | None, bool]:
    """Return inputs and output, as cp takes them: the last of several paths; and whether there are many results.

    A last path that is an input itself is no output: each then gets its result beside it.

    Raises:
        UsageError: the output cannot be one, or many results are to go into one file.
    """
    sources = [Path(plain_path(path)) for path in paths]
    last = sources[-1]
    if len(paths) == 1 and kind.last_is_output:
        raise UsageError(f"{last} is one path: name what to read, and then a file or a folder to write")
    if len(paths) == 1:
        return sources, None, is_batch(sources, None)
    if names_folder(paths[-1]) or last.is_dir():
        return sources[:-1], last, True
    if any(path.exists() and last.exists() and path.samefile(last) for path in sources[:-1]):
        raise UsageError(f"input and output are the same file: {last}")
    if not kind.last_is_output and (kind.reads_grit or last.suffix.lower() != ".grit") and kind.is_input(last):
        return sources, None, True
    sources = sources[:-1]
    many = is_batch(sources, None)
    known = kind.outputs is None or last.suffix.lower() in kind.outputs or last == PIPE
    if many:
        if last == PIPE or (last.suffix and known) or last.exists():
            raise UsageError(f"several results need a folder, not {last}: name one, as in {last}/")
        return sources, last, True
    if not known and (last.is_file() or not last.exists()):
        names = ", ".join(sorted(kind.outputs or ()))
        raise UsageError(f"cannot write {last}: the name must end in one of {names}; a folder's ends in /")
    return sources, last, False


def is_grit(path: Path) -> bool:
    """Whether a file is a .grit stream, in whatever container."""
    from gritcodec.bitstream import Reader

    try:
        with open(path, "rb") as stream:
            Reader(remux.opened(stream))
    except (OSError, FormatError):
        return False
    return True


def is_batch(sources: Sequence[Path], target: Path | None) -> bool:
    """Whether arguments name more than one file to read, or a folder to write to."""
    return (
        len(sources) > 1
        or any(source.is_dir() or is_pattern(source) for source in sources)
        or (target is not None and target.is_dir())
    )


def is_pattern(path: Path) -> bool:
    """Whether a path is none, and a pattern such as 'talks/**/*.wav'."""
    return not path.exists() and glob.has_magic(str(path))


def listed(sources: Sequence[Path], kind: Kind) -> list[Path]:
    """Return the files that folders and patterns stand for, by name: part-2 comes before part-10.

    Raises:
        UsageError: there is none.
    """
    found = [
        path
        for source in sources
        for path, _ in sorted(_found([source], kind), key=lambda pair: _by_numbers(str(pair[0])))
    ]
    if not found:
        raise UsageError(_nothing(sources, kind))
    return found


def _by_numbers(text: str) -> list[tuple[int, str]]:
    """Return what sorts text with numbers in it as people do."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def _nothing(sources: Sequence[Path], kind: Kind) -> str:
    """Say that folders and patterns hold nothing."""
    what = ".grit" if kind.reads_grit else "audio"
    return f"there are no {what} files in {', '.join(map(str, sources))}"


def plan(
    sources: Sequence[Path], target: Path | None, kind: Kind, new_ending: str, keep_ending: bool = False
) -> list[Job]:
    """Return what is to be done.

    Args:
        sources: files, folders (searched with all below them) and patterns such as 'talks/**/*.wav'.
        target: the folder for the results, created when it is missing; None: beside the sources.
        kind: which files are taken out of folders.
        new_ending: of the results.
        keep_ending: whether results keep the ending of their source before their own, as in talk.mp3.grit; where two
            sources would have one result, theirs do anyway.

    Raises:
        UsageError: nothing matches, a pipe among the sources, a target that is a file, or a source is in the way.
    """
    if PIPE in sources:
        instead = "" if target is None else ", not a folder"
        raise UsageError(f"what comes from a pipe has no name of its own: name the file to write{instead}")
    if target is not None and target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file: several results need a folder")
    if len(sources) == 1 and not is_pattern(sources[0]) and not sources[0].is_dir():
        require_file(sources[0])
    found = list(dict.fromkeys(_found(sources, kind)))
    if not found:
        raise UsageError(_nothing([source for source in sources if source != target], kind))
    whole = {source: source.name if keep_ending else source.stem for source, _ in found}
    places = {source: source.parent if target is None else target / source.parent.relative_to(b) for source, b in found}

    def results() -> dict[Path, Path]:
        return {source: places[source] / f"{whole[source]}{new_ending}" for source in places}

    counts = Counter(results().values())
    for source, result in results().items():
        if counts[result] > 1:
            whole[source] = source.name
    counts = Counter(results().values())
    alike = [source for source, result in results().items() if counts[result] > 1]
    if alike and target is not None:
        # rec.wav of two folders: as they lie below the folder that holds all of them.
        shared = Path(os.path.commonpath([source.absolute().parent for source in alike]))
        for source in alike:
            places[source] = target / source.absolute().parent.relative_to(shared)
    jobs = [Job(source, result) for source, result in results().items()]
    _refuse_clashes(jobs)
    return jobs


def passed_over(sources: Sequence[Path], inputs: frozenset[str]) -> Iterator[str]:
    """Yield lines about the files in folders that are not taken, and why."""
    closed: list[OSError] = []
    there = [path for source in sources if source.is_dir() for path in endings.visible_files(source, closed.append)]
    # A pipe among them would be waited for.
    files = [path for path in there if path.is_file()]
    others = Counter(
        path.suffix.lower()
        for path in files
        if path.suffix.lower() not in inputs and not (path.suffix.lower() in GRIT_ENDINGS and is_grit(path))
    )
    sound = {ending: count for ending, count in others.items() if ending in endings.WITH_AV | endings.BUILT_IN}
    rest = {ending: count for ending, count in others.items() if ending not in sound}
    for counted, why in ((sound, "pip install 'gritcodec[av]' to read them"), (rest, "not by an ending of sound")):
        if counted:
            listed = ", ".join(f"{count} {ending or 'without an ending'}" for ending, count in sorted(counted.items()))
            yield f"passed over: {listed} ({why})"
    for error in closed:
        yield f"passed over: the folder {error.filename}: {error.strerror}"
    if count := len(there) - len(files):
        yield f"passed over: {count} that are no files (links that lead nowhere, pipes ...)"


def _refuse_clashes(jobs: Sequence[Job]) -> None:
    inputs = {os.path.realpath(job.source) for job in jobs}
    seen: dict[str, Job] = {}
    for job in jobs:
        place = os.path.realpath(job.target)
        if place in inputs:
            raise UsageError(f"{job.target} is an input, and would be the result of {job.source}")
        if place in seen:
            raise UsageError(f"{seen[place].source} and {job.source} would both become {job.target}")
        seen[place] = job


def _found(sources: Sequence[Path], kind: Kind) -> Iterator[tuple[Path, Path]]:
    """Yield files, and the folder to which their place in the results is relative."""
    for source in sources:
        if source.is_dir():
            files = sorted(endings.visible_files(source))
            yield from ((f, source) for f in files if f.is_file() and kind.takes(f))
        elif is_pattern(source):
            files = sorted(map(Path, endings.matching(str(source))))
            base = _fixed_part(source)
            yield from ((f, base) for f in files if f.is_file() and kind.takes(f))
        else:
            yield source, source.parent


def _fixed_part(pattern: Path) -> Path:
    """Return the folder that a pattern names before its first wildcard: the tree below it is kept."""
    fixed = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed
