"""The `gritcodec` command: parse, call the library, print.

Heavy modules are imported inside the verbs, so that `--help` answers at once. Results go to stdout, progress
to stderr; an error is one line on stderr. `messages.EXIT_CODES` lists what the command ends with.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperOption

from gritcodec import __version__, messages, units
from gritcodec.cli import coding, console, editing, evaluation, tokens, training
from gritcodec.cli.options import (
    Audio,
    Bitrate,
    Effort,
    Force,
    Model,
    check_paths,
    file_path,
    help_end,
    named_path,
    option,
)

if TYPE_CHECKING:
    from gritcodec.codec.codec import Codec

_NAME = "gritcodec"
_COMPLETE = "_GRITCODEC_COMPLETE"
_SPINS = "1000"  # with 10,000 a busy machine is as slow as with the default of 300,000

app = typer.Typer(
    help="A neural speech codec: audio to a few kilobits per second, and back.",
    epilog=help_end(
        "compress talk.mp3                # talk.grit, at 3 kbps",
        "decompress talk.grit heard.wav",
        "compress --help                  # every verb has examples",
    ),
    # Plain help: rich takes a while to import, and boxes are in the way in a pipe.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"gritcodec {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print it.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    pass


def roundtrip(
    source: Audio,
    target: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="A .wav or .flac file.", parser=file_path)
    ] = None,
    bitrate: Bitrate = None,
    effort: Effort = 0,
    model: Model = "speech-16k",
    force: Force = False,
) -> None:
    """Compress and decompress an audio file, and say what it costs and how good it is."""
    target = check_paths(source, target, None, force)
    from gritcodec.cli import verbs

    if verbs.roundtrip(lambda: _load(model), source, target, bitrate, effort, force):
        raise typer.Exit(messages.DAMAGED)


def models() -> None:
    """List the models that come with this installation."""
    from gritcodec import model_store

    names = model_store.available()
    if not names:
        print("no models come with this installation: give --model a folder")
    for name in names:
        if messages.is_quiet():
            print(name)
            continue
        model = model_store.read(model_store.resolve(name))
        rates = f"{model.bitrates[0]:g} to {model.bitrates[-1]:g} kbps"
        delay = f"{1000 * model.algorithmic_delay:g} ms delay"
        print(f"{name}  {model.config.sample_rate:,} Hz  {rates}  {delay}  {model.fingerprint.hex()}")


def page(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder, for any web server.", parser=named_path)],
    model: Model = "speech-16k",
    force: Force = False,
) -> None:
    """Write a page of static files that plays, peels and records .grit files in a browser, offline too."""
    from gritcodec.page.write import write

    size = sum(written.stat().st_size for written in write(out, model, force))
    if not messages.is_quiet():
        print(f"{messages.visible(str(out))}: {size / 1e6:.1f} MB; to look at it: python -m http.server -d {out}")


def demo(
    model: Model = "speech-16k",
    host: Annotated[str, typer.Option(help="Address; the default is for this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 7860,
    show: Annotated[bool | None, typer.Option("--open/--no-open", help="A browser. [default: on a screen]")] = None,
    max_upload: Annotated[
        Any, option(units.parse_size, "--max-upload", metavar="SIZE", help="Of one file: 500MB, 1GB ...")
    ] = "1GB",
    max_minutes: Annotated[
        Any, option(units.parse_minutes, "--max-minutes", metavar="TIME", help="Of one recording: 90, 90s, 2h ...")
    ] = "90",
    effort: Effort = 0,
) -> None:
    """Open a page to listen to the codec, compare it and play with it; nothing leaves this machine."""
    from gritcodec.demo.limits import Limits

    limits = Limits(upload_bytes=max_upload, seconds=60 * max_minutes, effort=effort)
    with messages.needing("demo", "the page"):
        from gritcodec.codec.refining import check_effort
        from gritcodec.demo import server

        check_effort(effort)

        server.run(model, host, port, show, limits)


_VERBS: tuple[tuple[Callable[..., None], str, str], ...] = (
    (coding.compress, "Turn audio into .grit files.", coding.COMPRESS_HELP),
    (coding.decompress, "Turn .grit files back into wav or flac.", coding.DECOMPRESS_HELP),
    (
        roundtrip,
        "Hear what a bitrate sounds like, and what it costs.",
        help_end("roundtrip talk.mp3 heard.wav --bitrate 6", "roundtrip talk.mp3"),
    ),
    (editing.info, "Check .grit files, and say what is in them.", editing.INFO_HELP),
    (editing.truncate, "Lower the bitrate of .grit files.", editing.TRUNCATE_HELP),
    (editing.cut, "Cut a part out of a .grit file.", editing.CUT_HELP),
    (editing.join, "Put .grit files one after the other.", editing.JOIN_HELP),
    (editing.remux, "Put .grit files into Ogg or Matroska, or back.", editing.REMUX_HELP),
    (models, "List the models that are there.", help_end("models", "models --quiet    # names alone")),
    (demo, "Listen and compare in the browser.", help_end("demo", "demo --port 8000 --no-open")),
    (page, "Write a web page that plays .grit files.", help_end("page site/", "page site/ --force    # a newer one")),
    (tokens.tokenize, "Turn a corpus into codes, to train on.", tokens.TOKENIZE_HELP),
    (tokens.detokenize, "Turn such codes back into sound.", tokens.DETOKENIZE_HELP),
    (evaluation.evaluate, "Score models and other codecs.", evaluation.HELP),
    (training.train, "Train a model.", training.TRAIN_HELP),
    (training.export, "Make a model folder of a training run.", training.EXPORT_HELP),
)
for verb, summary, end in _VERBS:
    app.command(short_help=summary, epilog=end)(verb)


def _load(model: str | Path) -> "Codec":
    from gritcodec.codec.codec import load

    return load(model)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes them from the process.

    Returns:
        The exit code, see `messages.EXIT_CODES`.
    """
    console.open_standard_streams()
    if "OMP_WAIT_POLICY" not in os.environ:
        # With effort torch comes in. Its threads wait for each other by spinning, some milliseconds at a time: where
        # another program wants the same cores, each waits for one that does not run.
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        # So that `finally` removes temporary files when the process is asked to end.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Looked for beforehand: what is typed wrong is an error before any option counts.
    options = given[: given.index("--")] if "--" in given else given
    debug = "--debug" in options
    messages.set_quiet(False)
    try:
        return _run(given or ["--help"])
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
        return messages.report(error)
    except KeyboardInterrupt:
        print("gritcodec: interrupted", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    command = _command()
    if _COMPLETE in os.environ:
        # A shell asks what could come next: answered, and ended, in there.
        command.main(prog_name=_NAME)
    # An error of the system without a file's name is one of printing: all else names its file.
    with messages.about("", "-"):
        try:
            # Not command.main(): it prints errors in several lines and ends with 1 after Ctrl-C and closed pipes.
            with command.make_context(_NAME, arguments) as context:
                command.invoke(context)
        except typer.Exit as end:
            return end.exit_code
        finally:
            sys.stdout.flush()
    return 0


def _command() -> Any:
    """Return the command, with the options that all verbs have."""
    command: Any = typer.main.get_command(app)
    for each in (command, *command.commands.values()):
        each.params += [
            TyperOption(
                param_decls=["--quiet", "-q"],
                is_flag=True,
                expose_value=False,
                callback=_set_quiet,
                help="Say nothing but errors and what is lost.",
            ),
            TyperOption(
                param_decls=["--debug"], is_flag=True, expose_value=False, help="Show a traceback with an error."
            ),
        ]
    return command


def _set_quiet(context: Any, option: Any, wanted: bool) -> None:
    if wanted:
        messages.set_quiet(True)
