"""The `gritcodec` command: parse, call the library, print.

Heavy modules are imported inside the verbs, so that `--help` answers at once. Results go to stdout, progress
to stderr; an error is one line on stderr. `console.EXIT_CODES` lists what the command ends with.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gritcodec import __version__, console
from gritcodec.console import DAMAGED, EXIT_CODES
from gritcodec.errors import UsageError
from gritcodec.evaluate import command as evaluation
from gritcodec.units import parse_size, parse_time

if TYPE_CHECKING:
    from gritcodec.codec import Codec

_PIPE = Path("-")
_SPINS = "1000"  # with 10,000 a busy machine is as slow as with the default of 300,000

app = typer.Typer(
    help="A neural speech codec: audio to a few kilobits per second, and back.",
    epilog=EXIT_CODES,
    add_completion=False,
    # Plain help: rich takes a while to import, and boxes are in the way in a pipe.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Audio = Annotated[Path, typer.Argument(metavar="IN", help="Audio file: wav, flac, ogg, opus, mp3 ...")]
_Grit = Annotated[Path, typer.Argument(metavar="IN", help="A .grit file, or - for standard input.")]
_Bitrate = Annotated[
    float | None,
    typer.Option(
        "--bitrate",
        "-b",
        metavar="KBPS",
        help="Kilobits a second, for each channel, that the file may cost. [default: 3]",
    ),
]
_Size = Annotated[
    str | None, typer.Option("--target-size", metavar="SIZE", help="Size that the file may have: 100kB, 1.5MB ...")
]
_Effort = Annotated[
    int,
    typer.Option("--effort", "-e", metavar="N", help="Steps of refinement, 0 to 100: slower, better at the same size."),
]
_Model = Annotated[str, typer.Option("--model", "-m", metavar="NAME|PATH", help="A shipped model or a folder.")]
_Force = Annotated[bool, typer.Option("--force", "--overwrite", "-f", help="Replace OUT if it exists.")]
_Raw = Annotated[
    str | None, typer.Option("--raw", metavar="FORMAT", help="Samples without a header: s16le, s32le or f32le.")
]
_Jobs = Annotated[int, typer.Option("--jobs", "-j", metavar="N", help="Files to work on at once.")]
_Strict = Annotated[bool, typer.Option("--strict", help="Treat damage as an error: exit code 1, no output.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"gritcodec {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print it.", is_eager=True, callback=_version)] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error; after any verb.")] = False,
) -> None:
    pass


@app.command(epilog=EXIT_CODES)
def compress(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN... [OUT]",
            help="Audio files (wav, flac, ogg, opus, mp3 ...), folders, patterns, or - for standard input; "
            "then a .grit file, a folder, or - for standard output. [default: IN with .grit]",
        ),
    ],
    bitrate: _Bitrate = None,
    target_size: _Size = None,
    effort: _Effort = 0,
    model: _Model = "speech-16k",
    raw: _Raw = None,
    rate: Annotated[int | None, typer.Option("--rate", metavar="HZ", help="Of raw input.")] = None,
    channels: Annotated[int, typer.Option("--channels", metavar="N", help="Of raw input.")] = 1,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME=TEXT", help="Keep a text in the file; repeatable.")
    ] = None,
    jobs: _Jobs = 1,
    force: _Force = False,
) -> None:
    """Compress audio into .grit files."""
    from gritcodec import batch, pipes, verbs

    if bitrate is not None and target_size is not None:
        raise UsageError("give --bitrate or --target-size, not both")
    sources, target = _split(paths)
    task = verbs.Compress(
        model,
        bitrate,
        None if target_size is None else parse_size(target_size),
        pipes.raw_format(raw, rate, channels),
        tuple(verbs.parse_tag(text) for text in tag or ()),
        force,
        effort,
    )
    if batch.is_batch(sources, target):
        raise typer.Exit(batch.run(batch.plan(sources, target, batch.AUDIO_ENDINGS, ".grit"), task, jobs, force))
    source = sources[0]
    target = _check_paths(source, target, ".grit", force)
    if raw is None and source != _PIPE:
        from gritcodec import audio

        # Opened and closed: torch need not be loaded to find that a file is no audio.
        audio.AudioReader(source).close()
    codec = _load(model)
    with console.progress("compressing") as progress:
        outcome = task.with_codec(codec, source, target, progress)
    speed = console.describe_speed(outcome.seconds, outcome.took)
    size, length = console.describe_size(outcome.header, outcome.size), console.describe_seconds(outcome.seconds)
    _say(f"{target}: {size}, {length}, {speed}", target)


@app.command(epilog=EXIT_CODES)
def decompress(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN... [OUT]",
            help=".grit files, folders, patterns, or - for standard input; then a .wav or .flac file, a folder, "
            "or - for standard output (wav). [default: IN with .wav]",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="[default: the shipped model that made IN]"),
    ] = None,
    start: Annotated[str, typer.Option("--start", metavar="TIME", help="Begin there: seconds, 1:30 ...")] = "0",
    duration: Annotated[str | None, typer.Option("--duration", metavar="TIME", help="So much of it.")] = None,
    raw: _Raw = None,
    strict: _Strict = False,
    jobs: _Jobs = 1,
    force: _Force = False,
) -> None:
    """Turn .grit files back into wav or flac."""
    from gritcodec import batch, pipes, verbs

    sources, target = _split(paths)
    span = parse_time(start), None if duration is None else parse_time(duration)
    task = verbs.Decompress(model, span, pipes.raw_format(raw, None, 1), strict, force)
    if batch.is_batch(sources, target):
        raise typer.Exit(batch.run(batch.plan(sources, target, batch.GRIT_ENDINGS, ".wav"), task, jobs, force))
    source = sources[0]
    target = _check_paths(source, target, ".wav", force)
    with console.progress("decompressing") as progress:
        outcome = task.one(source, target, progress)
    speed = console.describe_speed(outcome.seconds, outcome.took)
    _say(f"{target}: {outcome.size:,} bytes, {console.describe_seconds(outcome.seconds)}, {speed}", target)
    for line in outcome.damage:
        console.note(f"{source}: {line}")
    if outcome.damage:
        raise typer.Exit(DAMAGED)


@app.command(epilog=EXIT_CODES)
def truncate(
    source: _Grit,
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A .grit file, or - for standard output.")],
    bitrate: _Bitrate = None,
    target_size: _Size = None,
    force: _Force = False,
) -> None:
    """Lower a .grit file's bitrate by leaving out bytes: the very file that compressing at it would have given."""
    from gritcodec import verbs

    if (bitrate is None) == (target_size is None):
        raise UsageError("give --bitrate or --target-size")
    target = _check_paths(source, target, None, force)
    limit = None if target_size is None else parse_size(target_size)
    header, size = verbs.truncate(source, target, bitrate, limit, force)
    _say(f"{target}: {console.describe_size(header, size)}, {console.describe_seconds(header.seconds or 0)}", target)


@app.command(epilog=EXIT_CODES)
def join(
    paths: Annotated[
        list[Path], typer.Argument(metavar="IN... OUT", help=".grit files of one model, rate and number of channels.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="[default: the shipped model that made the first]"),
    ] = None,
    force: _Force = False,
) -> None:
    """Put .grit files one after the other, without decoding them."""
    from gritcodec import verbs

    if len(paths) < 2:
        raise UsageError("join needs files to read and one to write")
    *sources, target = paths
    for source in sources:
        _check_paths(source, target, None, force)
    header, size = verbs.join(sources, target, model, force)
    _say(f"{target}: {console.describe_size(header, size)}, {console.describe_seconds(header.seconds or 0)}", target)


@app.command(epilog=EXIT_CODES)
def info(
    source: _Grit,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    strict: _Strict = False,
) -> None:
    """Check a .grit file and say what is in it and what it costs."""
    import json

    from gritcodec import verbs

    facts = verbs.info(source, strict)
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        for name, value in facts.items():
            print(f"{name.replace('_', ' '):<18}{verbs.show(value)}")
    for line in facts["damage"]:
        console.note(f"{source}: {line}")
    if facts["damage"]:
        raise typer.Exit(DAMAGED)


@app.command()
def roundtrip(
    source: _Audio,
    target: Annotated[Path | None, typer.Argument(metavar="OUT", help="A .wav or .flac file.")] = None,
    bitrate: _Bitrate = None,
    effort: _Effort = 0,
    model: _Model = "speech-16k",
    force: _Force = False,
) -> None:
    """Compress and decompress an audio file, and say what it costs and how good it is."""
    target = _check_paths(source, target, None, force)
    from gritcodec import verbs

    verbs.roundtrip(lambda: _load(model), source, target, bitrate, effort, force)


@app.command()
def models() -> None:
    """List the models that come with this installation."""
    from gritcodec import model_store

    names = model_store.available()
    if not names:
        print("no models come with this installation: give --model a folder")
    for name in names:
        codec = _load(name)
        rates = f"{codec.bitrates[0]:g} to {codec.bitrates[-1]:g} kbps"
        delay = f"{1000 * codec.algorithmic_delay:g} ms delay"
        print(f"{name}  {codec.sample_rate:,} Hz  {rates}  {delay}  {codec.fingerprint}")


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, see recipes/.")],
    smoke: Annotated[bool, typer.Option("--smoke", help="A dozen small steps on the bundled clip.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the run's last checkpoint.")] = True,
    minutes: Annotated[float | None, typer.Option(help="Stop after that long, with a checkpoint.")] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Leave accelerators alone.")] = False,
) -> None:
    """Train a model as a YAML file says."""
    with console.needing("train", "training"):
        from gritcodec.train import run

        folder = run.main(config, smoke=smoke, resume=resume, minutes=minutes, cpu=cpu)
    print(folder)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training run.")],
    out: Annotated[Path | None, typer.Argument(metavar="OUT", help="The model's folder. [default: in RUN]")] = None,
    force: _Force = False,
) -> None:
    """Make a model folder to ship of a run's best weights."""
    from gritcodec.train.export import export as write

    print(write(run, out, force))


@app.command()
def demo(
    model: _Model = "speech-16k",
    host: Annotated[str, typer.Option(help="Address; the default is for this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 7860,
    show: Annotated[bool | None, typer.Option("--open/--no-open", help="A browser. [default: on a screen]")] = None,
    max_upload: Annotated[str, typer.Option(metavar="SIZE", help="Of one file.")] = "1GB",
    max_minutes: Annotated[float, typer.Option(min=0.1, help="Of one recording.")] = 90,
    effort: _Effort = 0,
) -> None:
    """Open a page to listen to the codec, compare it and play with it; nothing leaves this machine."""
    from gritcodec.demo.limits import Limits

    limits = Limits(upload_bytes=parse_size(max_upload), seconds=60 * max_minutes, effort=effort)
    with console.needing("demo", "the page"):
        from gritcodec.demo import server
        from gritcodec.refine import check_effort

        check_effort(effort)

        server.run(model, host, port, show, limits)


app.command(epilog=evaluation.EXIT_CODES)(evaluation.evaluate)


def _split(paths: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Return inputs and output, as cp takes them: the last of several paths is the output."""
    return ([paths[0]], None) if len(paths) == 1 else (list(paths[:-1]), paths[-1])


def _check_paths(source: Path, target: Path | None, ending: str | None, force: bool) -> Any:
    """Return the output, after the checks that need no model: a typing slip should not cost seconds."""
    from gritcodec import files

    if source != _PIPE:
        files.require_file(source)
    if target is None and ending is not None:
        target = _PIPE if source == _PIPE else source.with_suffix(ending)
    if target is not None and target != _PIPE:
        files.require_distinct(source, target)
        files.check_output(target, force)
    return target


def _say(text: str, target: Path) -> None:
    """Print a result: on stderr where stdout carries the output."""
    print(text, file=sys.stderr if target == _PIPE else sys.stdout)


def _load(model: str | Path) -> "Codec":
    from gritcodec.codec import load

    return load(model)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes them from the process.

    Returns:
        The exit code, see `console.EXIT_CODES`.
    """
    console.open_standard_streams()
    if "OMP_WAIT_POLICY" not in os.environ:
        # torch's threads wait for each other by spinning, some milliseconds at a time: where another program wants the
        # same cores, each waits for one that does not run. OpenMP reads this when torch is imported.
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        # So that `finally` removes temporary files when the process is asked to end.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    try:
        return _run(given or ["--help"])
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
        return console.report(error)
    except KeyboardInterrupt:
        print("gritcodec: interrupted", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        # Not command.main(): it prints errors in several lines and ends with 1 after Ctrl-C and closed pipes.
        with command.make_context("gritcodec", arguments) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    finally:
        sys.stdout.flush()
    return 0
