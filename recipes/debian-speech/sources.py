"""What to fetch: the description of the sources (sources.yaml), and the audio that is never taken."""

from __future__ import annotations

import dataclasses
import difflib
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import yaml

from gritcodec.train.clips import Checks, Level
from gritcodec.train.packing import RecipeError

# Reserved for evaluation. The list stands in code, not in the YAML file, so that no edit of the sources can
# bring a test voice into the training data by accident.
RESERVED_PACKAGES = (
    "asterisk-core-sounds-it*",
    "asterisk-prompt-it*",
    "nexuiz*",
    "0ad*",
    "pocketsphinx*",
    "unknown-horizons*",
    "planetblupi*",
)
RESERVED_FILES = (
    ("tuxpaint*", "*desc_be.*"),
    ("tuxpaint*", "*desc_da.*"),
    ("hedgewars*", "*/Data/Music/*"),
)


def refuse_reserved_package(package: str) -> None:
    """Raise RecipeError when `package` is reserved for evaluation."""
    if any(fnmatchcase(package, pattern) for pattern in RESERVED_PACKAGES):
        raise RecipeError(f"package {package} is reserved for evaluation and is never used for training")


def refuse_reserved_file(package: str, path: str) -> None:
    """Raise RecipeError when the file `path` of `package` is reserved for evaluation."""
    for package_pattern, path_pattern in RESERVED_FILES:
        if fnmatchcase(package, package_pattern) and fnmatchcase(path, path_pattern):
            raise RecipeError(f"{path} of {package} is reserved for evaluation: take it out of the sources")


@dataclasses.dataclass(frozen=True)
class Join:
    """How short clips of one voice become longer pieces."""

    below_seconds: float = 3.0
    target_seconds: float = 4.0
    min_piece_seconds: float = 1.0
    gap_ms: tuple[float, float] = (50.0, 150.0)
    fade_ms: float = 10.0
    seed: int = 1


@dataclasses.dataclass(frozen=True)
class VoiceRule:
    """Names the voice and the language of the files whose path matches."""

    match: str
    voice: str
    language: str

    def apply(self, path: str) -> tuple[str, str] | None:
        """Return (voice, language) for `path`, or None when the rule does not match."""
        found = re.search(self.match, path)
        if found is None:
            return None
        groups = found.groupdict()
        language = self.language.format_map(groups).replace("_", "-")
        return self.voice.format_map(groups), language


@dataclasses.dataclass(frozen=True)
class Source:
    """One Debian package and the speech in it."""

    name: str
    package: str
    licence: str
    include: tuple[str, ...]
    voices: tuple[VoiceRule, ...]
    exclude: tuple[str, ...] = ()
    bandwidth_hz: int | None = None
    weight: float = 1.0

    def select(self, root: Path) -> list[str]:
        """List the audio files of the package unpacked at `root`, as sorted relative paths.

        Raises:
            RecipeError: when the globs reach a file reserved for evaluation.
        """
        real_root = root.resolve()
        chosen = []
        for file in root.rglob("*"):
            path = file.relative_to(root).as_posix()
            if not any(fnmatchcase(path, glob) for glob in self.include):
                continue
            if any(fnmatchcase(path, glob) for glob in self.exclude):
                continue
            # A link may lead to a reserved file under another name, or out of the package altogether.
            target = file.resolve()
            if not target.is_file() or not target.is_relative_to(real_root):
                continue
            refuse_reserved_file(self.package, path)
            refuse_reserved_file(self.package, target.relative_to(real_root).as_posix())
            chosen.append(path)
        return sorted(chosen)

    def voice_of(self, path: str) -> tuple[str, str]:
        """Return (voice, language) of the file at `path` inside the package."""
        for rule in self.voices:
            named = rule.apply(path)
            if named is not None:
                return named
        raise RecipeError(f"source {self.name}: no voice rule matches {path}")


@dataclasses.dataclass(frozen=True)
class Spec:
    """The whole of sources.yaml."""

    sources: tuple[Source, ...]
    rate: int = 16000
    checks: Checks = dataclasses.field(default_factory=Checks)
    level: Level = dataclasses.field(default_factory=Level)
    join: Join = Join()
    valid: dict[str, float | None] = dataclasses.field(default_factory=dict)

    @property
    def packages(self) -> list[str]:
        """The packages to fetch, each once, in the order of the sources."""
        return list(dict.fromkeys(source.package for source in self.sources))


T = TypeVar("T")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _build(cls: type[T], given: Any, where: str) -> T:
    """Make the dataclass `cls` from a YAML mapping; unknown and missing keys are refused by name."""
    if not isinstance(given, dict):
        raise RecipeError(f"{where}: expected a mapping, got {type(given).__name__}")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in given:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            raise RecipeError(f"{where}: unknown key {key!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in given:
            raise RecipeError(f"{where}: {name!r} is missing")
        default = field.default
        if isinstance(default, int | float) and name in given and not _is_number(given[name]):
            raise RecipeError(f"{where}: {name!r} must be a number, got {given[name]!r}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


def _build_source(given: Any, where: str) -> Source:
    """Make one Source, its globs and its voice rules checked."""
    given = dict(given) if isinstance(given, dict) else given
    if isinstance(given, dict):
        for key in ("include", "exclude", "voices"):
            if not isinstance(given.get(key, []), list):
                raise RecipeError(f"{where}: {key!r} must be a list")
        given["voices"] = [
            _build(VoiceRule, rule, f"{where}, voice rule {number}")
            for number, rule in enumerate(given.get("voices", []), 1)
        ]
    source = _build(Source, given, where)
    for rule in source.voices:
        try:
            groups = re.compile(rule.match).groupindex
            f"{rule.voice} {rule.language}".format_map(groups)
        except re.error as error:
            raise RecipeError(f"{where}: {rule.match!r} is not a regular expression: {error}") from error
        except KeyError as error:
            raise RecipeError(f"{where}: {rule.match!r} has no group named {error.args[0]!r}") from error
    refuse_reserved_package(source.package)
    return source


def read_spec(path: Path) -> Spec:
    """Read sources.yaml.

    Args:
        path: the YAML file.

    Returns:
        The checked description.

    Raises:
        RecipeError: when the file cannot be read, has unknown keys, or names a reserved package.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict) or not isinstance(given.get("sources"), list) or not given["sources"]:
        raise RecipeError(f"{path}: expected a list under 'sources'")
    given = dict(given)
    given["sources"] = [_build_source(entry, f"{path}, source {n}") for n, entry in enumerate(given["sources"], 1)]
    for key, cls in (("checks", Checks), ("level", Level), ("join", Join)):
        if key in given:
            given[key] = _build(cls, given[key], f"{path}, {key}")
    valid = given.get("valid", {})
    if not isinstance(valid, dict) or not all(m is None or _is_number(m) for m in valid.values()):
        raise RecipeError(f"{path}: 'valid' must map voices to minutes (or null)")
    gap = given["join"].gap_ms if "join" in given else Join.gap_ms
    if not (isinstance(gap, tuple) and len(gap) == 2 and all(map(_is_number, gap)) and 0 <= gap[0] <= gap[1]):
        raise RecipeError(f"{path}: 'gap_ms' must be two numbers, the smaller one first")
    spec = _build(Spec, given, str(path))
    names = [source.name for source in spec.sources]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise RecipeError(f"{path}: source name {doubled[0]!r} is used twice")
    return spec
