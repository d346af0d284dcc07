"""The verbs that make .grit files out of .grit files, or look into them: no sound, no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gritcodec import messages
from gritcodec.cli import console
from gritcodec.cli.options import (
    CONTAINER_ENDINGS,
    PIPE,
    Container,
    Duration,
    Force,
    PlayModel,
    Size,
    Start,
    Strict,
    bitrate_option,
    check_paths,
    help_end,
    name_of,
    names_folder,
    say,
    warn_all,
)
from gritcodec.errors import UsageError
from gritcodec.messages import DAMAGED

if TYPE_CHECKING:
    from gritcodec.cli.edits import Edit

TRUNCATE_HELP = help_end(
    "truncate talk.grit small.grit --bitrate 1.5",
    "truncate talk.grit mail.grit --target-size 100k",
    "truncate packed/ small/ --bitrate 1    # a folder, with all below it",
)
CUT_HELP = help_end(
    "cut talk.grit part.grit --start 1:30 --duration 20",
    "cut packed/ beginnings/ --duration 10s",
)
JOIN_HELP = help_end(
    "join one.grit two.grit both.grit",
    "join parts/ whole.grit                 # in the order of their names: part-2, part-10",
)
REMUX_HELP = help_end(
    "remux talk.grit talk.mka",
    "remux packed/ ogg/ --container ogg",
)
INFO_HELP = help_end(
    "info talk.grit",
    "info packed/                           # a row for each file",
    "info talk.grit --json",
    "info --quiet packed/ && echo all sound",
)

_Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="IN... OUT",
        help=".grit files, folders, patterns, or - for standard input; then a .grit file, a folder, or - for standard "
        "output.",
    ),
]


def truncate(
    paths: _Paths,
    bitrate: Annotated[
        float | None, bitrate_option("Kilobits a second, for each channel, to go down to: 1.5, 3kbps ...")
    ] = None,
    target_size: Size = None,
    strict: Strict = False,
    force: Force = False,
) -> None:
    """Lower a .grit file's bitrate by leaving out bytes: the very file that compressing at it would have given."""
    from gritcodec.cli import edits

    if (bitrate is None) == (target_size is None):
        raise UsageError("give --bitrate or --target-size")
    _edit(paths, edits.Truncate(force, bitrate, target_size, strict), ".grit")


def cut(
    paths: _Paths,
    start: Start = None,
    duration: Duration = None,
    model: PlayModel = None,
    strict: Strict = False,
    force: Force = False,
) -> None:
    """Cut a part out of a .grit file, exact to the sample, without decoding it."""
    from gritcodec.cli import edits

    _edit(paths, edits.Cut(force, (start or 0.0, duration), model, strict), ".grit")


def remux(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help=".grit, Ogg or Matroska files, folders, patterns, or - for standard input; then a file, a folder, or "
            "- for standard output.",
        ),
    ],
    container: Container = None,
    force: Force = False,
) -> None:
    """Put a .grit stream into another container: .grit, Ogg (.oga, .ogg) or Matroska (.mka), codes unchanged."""
    from gritcodec.cli import edits, verbs

    kind = verbs.container(container, Path(paths[-1]))
    _edit(paths, edits.Remux(force, kind), CONTAINER_ENDINGS[kind])


def _edit(paths: list[str], task: Edit, ending: str) -> None:
    """Make one file of one, or many of many, and say what came of it."""
    from gritcodec.cli import batch, naming

    kind = naming.grit_to_grit(ending)
    sources, target, many = naming.split(paths, kind)
    if many:
        raise typer.Exit(batch.run(naming.plan(sources, target, kind, ending), task, 1, task.force))
    _check_name(target, ending)
    target = check_paths(sources[0], target, None, task.force)
    made = task.one(sources[0], target)
    say(target, console.describe_size(made.header, made.size), console.describe_length(made.header))
    for line in made.notes:
        messages.note(f"{name_of(sources[0])}: {line}")
    warn_all(sources[0], made.damage)
    if made.damage:
        raise typer.Exit(DAMAGED)


def _check_name(target: Path | None, ending: str) -> None:
    """Refuse a name that promises something else than what will be in the file, with UsageError."""
    from gritcodec.containers import remux
    from gritcodec.sound import endings

    own = target is not None and remux.container_for(target.name) == remux.container_for(f"x{ending}")
    found = "" if target is None else target.suffix.lower()
    if not own and found in remux.ENDINGS:
        raise UsageError(f"cannot write {target}: this makes {ending} files; remux puts them into other containers")
    if found in endings.BUILT_IN | endings.WITH_AV and found not in remux.ENDINGS:
        raise UsageError(f"cannot write {target}: this makes {ending} files; decompress makes sound of them")


def join(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help=".grit files of one model, rate and number of channels, or folders or patterns of them, which are "
            "taken by their names; then the file to write, or - for standard output.",
        ),
    ],
    model: PlayModel = None,
    strict: Strict = False,
    force: Force = False,
) -> None:
    """Put .grit files one after the other, without gaps and without decoding them."""
    from gritcodec.cli import edits, naming

    if len(paths) < 2:
        raise UsageError("join needs files to read and one to write")
    target = Path(naming.plain_path(paths[-1]))
    if names_folder(paths[-1]) or target.is_dir():
        raise UsageError(f"'{paths[-1]}' names a folder: name a file")
    _check_name(target, ".grit")
    given = [Path(naming.plain_path(path)) for path in paths[:-1]]
    if len(given) == 1 and given[0].is_file() and target.is_file() and not force:
        raise UsageError(f"the last name is that of the file to write, and {target} exists already")
    sources = naming.listed(given, naming.grit_to_grit())
    # The result of an earlier time lies among them where it is in the folder that is read.
    sources = [path for path in sources if path in given or not (target.exists() and path.samefile(target))]
    if not sources:
        raise UsageError(f"there is nothing to join but {target} itself")
    for source in sources:
        check_paths(source, target, None, force)
    made, damage = edits.join(sources, target, force, strict, model)
    length = console.describe_length(made.header)
    say(target, messages.counted(len(sources), "file"), console.describe_size(made.header, made.size), length)
    for source, lines in zip(sources, damage, strict=True):
        warn_all(source, lines)
    if any(damage):
        raise typer.Exit(DAMAGED)


def info(
    paths: Annotated[
        list[str], typer.Argument(metavar="IN...", help=".grit files, folders, patterns, or - for standard input.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object; of several files or a folder, a list of them.")
    ] = False,
    strict: Strict = False,
) -> None:
    """Check .grit files, chained ones too, and say what is in each and what it costs."""
    from gritcodec.cli import edits, facts, naming

    given = [Path(naming.plain_path(path)) for path in paths]
    if not naming.is_batch(given, None):
        if given[0] != PIPE:
            check_paths(given[0], None, None, False)
        found = [edits.info(given[0], strict)]
        _print(console.as_json(found[0]) if as_json else "\n".join(facts.lines_of(found[0])))
        warn_all(given[0], found[0]["damage"])
    else:
        found = [_facts_or_error(path, strict) for path in naming.listed(given, naming.grit_to_grit())]
        _print(console.as_json(found) if as_json else "\n".join(facts.rows_of(found)))
    if any("error" in each for each in found):
        raise typer.Exit(1)
    if any(each["damage"] for each in found):
        raise typer.Exit(DAMAGED)


def _facts_or_error(path: Path, strict: bool) -> dict[str, Any]:
    """Return the facts of one of several files; of one that is none, why."""
    from gritcodec.cli import edits

    try:
        found = edits.info(path, strict)
    except Exception as error:
        reason = messages.explain(error)[1]
        messages.warn(reason)
        return {"file": str(path), "error": reason, "damage": []}
    warn_all(path, found["damage"])
    return found


def _print(text: str) -> None:
    """Print what a verb has found, unless the exit code is all that is wanted."""
    if not messages.is_quiet():
        print(text)
