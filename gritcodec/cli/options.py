"""Arguments that several verbs of the command line share, and what they do with paths."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gritcodec import messages, units
from gritcodec.cli import console, typed
from gritcodec.errors import UsageError
from gritcodec.files import named
from gritcodec.messages import EXIT_CODES

PIPE = Path("-")
# What a shell or the system calls the standard streams: as files they would be opened anew, or written over.
_STREAMS = {
    f"{folder}/{name}": number
    for number, name in enumerate(("stdin", "stdout"))
    for folder, name in (("/dev", name), ("/dev/fd", str(number)), ("/proc/self/fd", str(number)))
}
Value = TypeVar("Value")


def option(parse: Callable[[str], Value], *names: str, **more: Any) -> Any:
    """Return an option whose text `parse` reads; what it refuses is told with the option's name."""

    def read(text: str) -> Value:
        try:
            return parse(typed.text(text))
        except UsageError as error:
            raise UsageError(f"{names[0]}: {error}") from error

    return typer.Option(*names, parser=read, **more)


def bitrate_option(text: str) -> Any:
    """Return the option of a bitrate; `text` says of what."""
    return option(units.parse_bitrate, "--bitrate", "-b", metavar="KBPS", autocompletion=typed.bitrates, help=text)


def help_end(*examples: str, codes: str = EXIT_CODES) -> str:
    """Return what stands at the end of a verb's help: examples, one a line, and exit codes."""
    # The mark tells the parser's library to leave the lines as they are.
    return "\n".join(["\b", "Examples:", *(f"  gritcodec {example}" for example in examples), "", codes])


def named_path(text: str) -> Path:
    """Return the path of a file or folder; UsageError where it is empty."""
    return Path(named(text))


def name_option(parse: Callable[[str], Value], *names: str, **more: Any) -> Any:
    """Return an option that names a file, folder or model, UTF-8 or not; `parse` is `named` or `named_path`."""

    def read(text: str) -> Value:
        try:
            return parse(text)
        except UsageError as error:
            raise UsageError(f"{names[0]}: {error}") from error

    return typer.Option(*names, parser=read, **more)


def plain_path(text: str) -> str:
    """Return a path as typed, - for what the system calls standard input and output; UsageError where it is empty."""
    return "-" if named(text) in _STREAMS else text


def names_folder(text: str) -> bool:
    """Whether a path can only be a folder's, as with a slash at its end."""
    return os.path.basename(text) in ("", os.curdir)  # noqa: PTH119 - a Path has forgotten the slash


def file_path(text: str) -> Path:
    """Return the path of a file; UsageError where it ends as only a folder's does."""
    plain = plain_path(text)
    if names_folder(text):
        raise UsageError(f"'{text}' names a folder: name a file")
    return Path(plain)


def parse_duration(text: str) -> float:
    """Return seconds, more than none: nobody wants a file of nothing."""
    seconds = units.parse_time(text)
    if not seconds:
        raise UsageError(f"'{text}' holds no sample")
    return seconds


def require_samples(duration: float | None, rate: int) -> None:
    """Refuse a duration that is shorter than a sample, with UsageError."""
    if duration is not None and round(duration * rate) == 0:
        raise UsageError(f"--duration is {duration:g} s: that holds no sample")


Audio = Annotated[
    Path, typer.Argument(metavar="IN", help="Audio file: wav, flac, ogg, opus, mp3 ...", parser=file_path)
]
Grit = Annotated[Path, typer.Argument(metavar="IN", help="A .grit file, or - for standard input.", parser=file_path)]
GritOut = Annotated[
    Path, typer.Argument(metavar="OUT", help="A .grit file, or - for standard output.", parser=file_path)
]
Bitrate = Annotated[
    float | None,
    bitrate_option("Kilobits a second, for each channel, that the file may cost: 3, 1.5, 6kbps ... [default: 3]"),
]
Size = Annotated[
    int | None,
    option(
        units.parse_size,
        "--target-size",
        metavar="SIZE",
        help="Size that the file may have: 3k (3,000 bytes), 100kB, 1.5MB ...",
    ),
]
Start = Annotated[
    float | None, option(units.parse_time, "--start", metavar="TIME", help="Begin there: seconds, 1:30, 1m30s ...")
]
Duration = Annotated[
    float | None, option(parse_duration, "--duration", metavar="TIME", help="So much of it: seconds, 1:30, 90s ...")
]
Effort = Annotated[
    int,
    typer.Option("--effort", "-e", metavar="N", help="Steps of refinement, 0 to 100: slower, better at the same size."),
]
Model = Annotated[
    str,
    name_option(
        named, "--model", "-m", metavar="NAME|PATH", autocompletion=typed.models, help="A shipped model or a folder."
    ),
]
PlayModel = Annotated[
    str | None,
    name_option(
        named,
        "--model",
        "-m",
        metavar="NAME|PATH",
        autocompletion=typed.models,
        help="[default: the shipped model that made IN]",
    ),
]
OutBitrate = Annotated[
    float | None,
    option(
        units.parse_bitrate,
        "--out-bitrate",
        metavar="KBPS",
        help="Of .m4a, .mp3 or .opus: a second coding, which costs quality.",
    ),
]
Force = Annotated[bool, typer.Option("--force", "--overwrite", "-f", help="Replace OUT if it exists.")]
Tags = Annotated[
    list[Any] | None,
    option(typed.tag, "--tag", metavar="NAME=TEXT", help="Keep a text in the file; repeatable."),
]
StartTime = Annotated[
    int | None,
    option(typed.start_time, "--start-time", metavar="WHEN", help="Of the first sample: now, 2026-11-28T19:30:00Z ..."),
]
Marks = Annotated[
    list[Any] | None,
    option(
        typed.mark,
        "--mark",
        metavar="TIME=NAME",
        help="A chapter or other place; repeatable. Standard output then gets everything at the end.",
    ),
]
Gain = Annotated[
    float | None,
    option(
        units.parse_gain,
        "--gain",
        metavar="DB",
        help="What players are to amplify by, -128 to 127.996 dB; the sound stays as it is.",
    ),
]
Dtx = Annotated[
    bool, typer.Option("--dtx", help="Code steady noise between words as comfort noise; silence always is a pause.")
]
Packet = Annotated[
    float | None,
    option(
        units.parse_time,
        "--packet",
        metavar="TIME",
        help="Sound in a packet, 20ms to 10s: a pipe is late by it and damage costs it, and longer ones save 1 %. "
        "[default: 1.28]",
    ),
]
Rate = Annotated[
    int | None, option(units.parse_rate, "--rate", metavar="HZ", help="Of raw input: 16000, 16k, 44.1kHz ...")
]
Channels = Annotated[int, typer.Option("--channels", metavar="N", help="Of raw input.")]
Raw = Annotated[
    str | None,
    typer.Option(
        "--raw",
        metavar="FORMAT",
        autocompletion=typed.one_of("s16le", "s32le", "f32le", "mulaw", "alaw", "u8", "s8"),
        help="Samples without a header: s16le, s32le or f32le; of input also mulaw, alaw, u8 or s8.",
    ),
]
Container = Annotated[
    str | None,
    typer.Option(
        "--container",
        metavar="KIND",
        autocompletion=typed.one_of("grit", "ogg", "matroska"),
        help="grit, ogg or matroska. [default: by the ending of OUT]",
    ),
]
NoTags = Annotated[
    bool, typer.Option("--no-tags", help="Leave title, artist, chapters and other words of the source behind.")
]
Track = Annotated[
    int | None, typer.Option("--track", min=1, metavar="N", help="Of a film or the like: which track of sound, from 1.")
]
KeepEnding = Annotated[
    bool, typer.Option("--keep-ending", help="Name results as in talk.mp3.grit. [default: where two would be alike]")
]
CONTAINER_ENDINGS = {"grit": ".grit", "ogg": ".oga", "matroska": ".mka"}
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Files to work on at once.")]
Strict = Annotated[bool, typer.Option("--strict", help="Treat damage as an error: exit code 1, no output.")]


def check_paths(source: Path, target: Path | None, ending: str | None, force: bool) -> Any:
    """Return the output, after the checks that need no model: a typing slip should not cost seconds."""
    from gritcodec import files

    if source != PIPE:
        files.require_file(source)
    if target is None and ending is not None:
        target = PIPE if source == PIPE else source.with_suffix(ending)
    if target == PIPE:
        console.require_stdout()
    elif target is not None:
        files.require_distinct(source, target)
        files.check_output(target, force)
    return target


def say(target: Path, *facts: str) -> None:
    """Print a result: on stderr where stdout carries the output, and nothing where all is to be quiet."""
    if not messages.is_quiet():
        piped = target == PIPE
        name = "standard output" if piped else messages.visible(str(target))
        print(f"{name}: {', '.join(facts)}", file=sys.stderr if piped else sys.stdout)


def name_of(source: Path) -> str:
    """Return what an input is called, in one line."""
    return "standard input" if source == PIPE else messages.visible(str(source))


def warn_all(source: Path, lines: Sequence[str]) -> None:
    """Say what is damaged or lost."""
    for line in lines:
        messages.warn(f"{name_of(source)}: {line}")
