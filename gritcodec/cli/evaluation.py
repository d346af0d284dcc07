"""The verb `gritcodec evaluate`: what it takes, and the order of its work. Knows nothing heavy until it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gritcodec import files, messages
from gritcodec.cli import typed
from gritcodec.cli.options import help_end, name_option, named_path
from gritcodec.errors import UsageError
from gritcodec.files import named

if TYPE_CHECKING:
    from gritcodec.evaluate.plan import Plan
    from gritcodec.evaluate.results import Results

HELP = help_end(
    "evaluate clips/ --out scores/",
    "evaluate clips/ --codec speech-16k:3 --codec opus:6 --measure pesq --condition none",
    "evaluate --listen --out scores/    # a blind listening test of the last results",
    codes="Exit codes: 0 done; 1 bad input; 2 bad use, or something asked for by name is not installed; "
    "3 done, but some clip cannot be read, or a measure has no answer for it: stderr and the report name it; "
    "130 interrupted.",
)

_Set = Annotated[
    Path | None,
    typer.Argument(
        metavar="[SET]", help="Folder of clips; with manifest.json, as LibriSpeech is, or any.", parser=named_path
    ),
]
_Out = Annotated[Path, name_option(named_path, "--out", "-o", metavar="DIR", help="Results, and the cache of scores.")]
_Size = Annotated[str, typer.Option("--size", help="five-minutes or nightly.")]
_Models = Annotated[
    list[str] | None,
    name_option(
        named,
        "--model",
        "-m",
        metavar="NAME|PATH",
        autocompletion=typed.models,
        help="Repeatable. [default: speech-16k]",
    ),
]
_Codecs = Annotated[
    list[str] | None,
    typer.Option("--codec", "-c", metavar="NAME[:RATE]", help="opus:9, codec2, speech-16k:3 ...; only these."),
]
_Measures = Annotated[
    list[str] | None, typer.Option("--measure", metavar="NAME", help="pesq, visqol, wer ...; only these.")
]
_Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--condition",
        metavar="NAME",
        help="noisy, clipped, far-field, two-speakers, music, telephone; only these. none: clean clips alone.",
    ),
]
_Sounds = Annotated[
    Path | None,
    name_option(named_path, "--sounds", metavar="DIR", help="Noise and music, see recipes/evaluation-sounds."),
]
_Transcripts = Annotated[
    Path | None,
    name_option(named_path, "--transcripts", metavar="FILE", help="Lines of a clip's name and its words, for WER."),
]
_Weights = Annotated[
    list[str] | None, typer.Option("--weights", metavar="NAME=DIR", help="Of encodec, dac, mimi or snac.")
]
_Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="So many clean clips.")]
_Seed = Annotated[int, typer.Option("--seed", help="Of every draw of clips.")]
_Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, metavar="N", help="[default: all cores]")]
_Speed = Annotated[
    Path | None, name_option(named_path, "--speed", metavar="FILE", help="Figures of benchmarks/speed.py, as a table.")
]
_Publish = Annotated[
    Path | None, name_option(named_path, "--publish", metavar="DIR", help="Write results.md and results.png there too.")
]
_Listen = Annotated[
    bool, typer.Option("--listen", help="Serve a blind listening test; without SET: of the last results.")
]
_Port = Annotated[int, typer.Option("--port", help="Of --listen.")]


def evaluate(
    folder: _Set = None,
    out: _Out = Path("runs/evaluate"),
    size: _Size = "five-minutes",
    model: _Models = None,
    codec: _Codecs = None,
    measure: _Measures = None,
    condition: _Conditions = None,
    sounds: _Sounds = None,
    transcripts: _Transcripts = None,
    weights: _Weights = None,
    limit: _Limit = None,
    seed: _Seed = 0,
    jobs: _Jobs = None,
    speed: _Speed = None,
    publish: _Publish = None,
    listen: _Listen = False,
    port: _Port = 7860,
) -> None:
    """Score models and peer codecs at true bytes on disk: tables, plots, a page to listen to, a blind test."""
    if folder is None and not listen:
        raise UsageError("give a folder of clips; --listen alone serves the last results")
    if folder is not None:
        from gritcodec.evaluate import plan

        chosen = plan.Plan(
            folder,
            out,
            size,
            tuple(model or ["speech-16k"]),
            tuple(codec or ()),
            tuple(measure or ()),
            None if condition is None else tuple(name for name in condition if name != "none"),
            limit,
            sounds,
            tuple(weights or ()),
            jobs or os.cpu_count() or 1,
            seed,
            transcripts,
        )
        failures = _run(chosen, speed, publish, _command(chosen))
        if failures and not listen:
            raise typer.Exit(messages.DAMAGED)
    if listen:
        from gritcodec.evaluate import listen as listening

        listening.serve(out, port)


def _run(plan: Plan, speed: Path | None, publish: Path | None, command: str) -> int:
    """Run a plan and write everything; return how many clips cannot be read and scores have no answer."""
    from gritcodec.evaluate import page, results
    from gritcodec.evaluate import plan as planning

    _require_matplotlib()
    figures = None if speed is None else read_speed(speed)
    if publish is not None and not publish.is_dir():
        raise UsageError(f"--publish {publish}: there is no such folder")
    found = planning.evaluate(plan, messages.note)
    found.speed, found.command = figures, command
    with files.new_folders(plan.out):
        results.save(found, plan.out)
        written = page.write(found, plan.out, publish, command)
    if not messages.is_quiet():
        _print_summary(found)
        for path in written:
            print(messages.visible(str(path)))
    failures = [f"cannot read: {line}" for line in found.unread] + [f"no score: {line}" for line in found.failures()]
    for line in failures:
        messages.warn(line)
    return len(failures)


def read_speed(path: Path) -> dict[str, object]:
    """Read the figures of benchmarks/speed.py; UsageError where the file is none."""
    import json

    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
        if not {"machine", "threads", "seconds", "codecs"} <= set(figures):
            raise ValueError("it lacks figures")
    except (OSError, ValueError) as error:
        raise UsageError(f"--speed {path}: not written by benchmarks/speed.py: {error}") from error
    return figures


def _require_matplotlib() -> None:
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise UsageError("plots need matplotlib: pip install 'gritcodec[evaluate]'")


def _print_summary(results: Results) -> None:
    """Print the first table to stdout, in columns."""
    from gritcodec.evaluate import tables

    table = tables.tables(results)[0]
    print(table.markdown())


def _command(plan: Plan) -> str:
    """Return the command, without what only says where things lie on this machine."""
    parts = ["gritcodec evaluate SET", f"--size {plan.size}"]
    if plan.models != ("speech-16k",):
        parts += [f"--model {Path(name).name}" for name in plan.models]
    parts += [f"--codec {name}" for name in plan.codecs] + [f"--measure {name}" for name in plan.measures]
    if plan.conditions is not None:
        parts += [f"--condition {name}" for name in plan.conditions or ("none",)]
    if plan.limit is not None:
        parts.append(f"--limit {plan.limit}")
    if plan.seed:
        parts.append(f"--seed {plan.seed}")
    if plan.transcripts is not None:
        parts.append(f"--transcripts {plan.transcripts.name}")
    return " ".join(parts + (["--sounds SOUNDS"] if plan.sounds else []))
