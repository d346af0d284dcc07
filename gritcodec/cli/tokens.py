"""The verbs for whole corpora: tokenize, detokenize."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gritcodec import messages
from gritcodec.cli import console, typed
from gritcodec.cli.options import Bitrate, Force, Model, bitrate_option, help_end, option, say
from gritcodec.errors import UsageError
from gritcodec.files import named
from gritcodec.messages import DAMAGED
from gritcodec.units import parse_size

_EXIT_CODES = (
    "Exit codes: 0 done; 1 the work stopped; 2 bad use, or OUT has codes of another model or bitrate; "
    "3 done, but some sources were refused, see OUT/refused.jsonl; 130 interrupted: the same command goes on."
)
TOKENIZE_HELP = help_end(
    "tokenize corpus/ tokens/ --bitrate 3 --jobs 8",
    "tokenize corpus/ tokens/ --format npz     # needs no Parquet",
    codes=_EXIT_CODES,
)
DETOKENIZE_HELP = help_end(
    "detokenize tokens/ sound/",
    "detokenize tokens/ sound/ --format flac --bitrate 1.5",
)


def tokenize(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... OUT",
            help="Folders, patterns, audio, lists (.txt), manifests (.jsonl, .tsv, .csv, wav.scp, lhotse's cuts), "
            "WebDataset tars, Parquet with a column of sound; then the folder for the shards.",
        ),
    ],
    bitrate: Bitrate = None,
    layout: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            autocompletion=typed.one_of("parquet", "webdataset", "lhotse", "npz"),
            help="parquet, webdataset, lhotse or npz.",
        ),
    ] = "parquet",
    model: Model = "speech-16k",
    channels: Annotated[
        str, typer.Option("--channels", metavar="WHICH", help="Of several: mix them, refuse, or one's number from 0.")
    ] = "mix",
    shard_items: Annotated[int, typer.Option(min=1, metavar="N", help="Pieces in a shard, at most.")] = 1000,
    shard_size: Annotated[
        Any, option(parse_size, "--shard-size", metavar="SIZE", help="Of the sources of a shard, about: 100MB, 1G ...")
    ] = "256MB",
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, metavar="N", help="Workers. [default: 1; with --ray, as many as cores]"),
    ] = None,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="ADDRESS", help="Of a cluster: HOST:PORT, auto, or local.")
    ] = None,
    engine: Annotated[str, typer.Option("--engine", metavar="NAME", help="auto, onnx or torch.")] = "auto",
    device: Annotated[str | None, typer.Option("--device", metavar="NAME", help="Of torch: cpu, cuda, cuda:1.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Make shards with refused sources again.")] = False,
) -> None:
    """Turn a corpus into shards of codes, for training on; what is done already is skipped."""
    from gritcodec.tokens import run
    from gritcodec.tokens.plan import Sizes
    from gritcodec.tokens.shards import Setup

    sources, out = _split(paths, "name the sources, and then the folder for the shards")
    setup = Setup(model, bitrate, engine, device, channels)
    sizes = Sizes(shard_items, shard_size)
    workers = jobs if jobs is not None else 0 if ray is not None else 1
    with console.progress("tokenizing") as progress:
        seconds = 0.0

        def told(record: dict[str, Any]) -> None:
            nonlocal seconds
            seconds += sum(record["seconds"])
            for refused in record["refused"]:
                messages.warn(f"{refused['source']}: refused: {refused['reason']}")
            progress(seconds, None, 0)

        found = run.tokenize(sources, out, setup, layout, sizes, workers, ray, retry, told)
    for line in () if messages.is_quiet() else found.lines():
        print(line)
    if found.refused:
        raise typer.Exit(DAMAGED)


def _split(paths: list[str], wanted: str) -> tuple[list[str], str]:
    if len(paths) < 2:
        raise UsageError(wanted)
    for path in paths:
        named(path)
    return paths[:-1], paths[-1]


def detokenize(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="IN... OUT", help="Folders of tokens, or shards; then the folder for the sound."),
    ],
    model: Model = "speech-16k",
    ending: Annotated[str, typer.Option("--format", metavar="NAME", help="wav or flac.")] = "wav",
    only: Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="One row alone; repeatable.")] = None,
    bitrate: Annotated[
        float | None,
        bitrate_option("Leave out what is beyond it, in kilobits a second for each channel. [default: all there is]"),
    ] = None,
    force: Force = False,
) -> None:
    """Turn shards of codes back into sound, a file a row."""
    from gritcodec.codec.codec import load
    from gritcodec.tokens import undo

    given, out = _split(paths, "name the shards, and then the folder for the sound")
    codec = load(model)
    stages = None if bitrate is None else codec.stages_for(bitrate)
    sources = [Path(path) for path in given]
    written = skipped = 0
    seconds = 0.0
    with console.progress("detokenizing") as progress:
        for done in undo.detokenize(codec, sources, out, ending, only or (), stages, force):
            skipped += done.skipped
            written += not done.skipped
            seconds += done.seconds
            progress(seconds, None, 0)
    left = f", {skipped:,} were there already" if skipped else ""
    say(Path(out), f"{messages.counted(written, 'file')}{left}", console.describe_seconds(seconds))
