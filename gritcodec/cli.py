"""The `gritcodec` command: parse, call the library, print.

Heavy modules are imported inside the verbs, so that `--help` answers at once. Results go to stdout, progress
to stderr; an error is one line on stderr, with exit code 2 for bad use, 1 for bad input, 130 after Ctrl-C.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gritcodec import __version__
from gritcodec.errors import AudioError, GritcodecError, UsageError

if TYPE_CHECKING:
    from gritcodec.bitstream import Header
    from gritcodec.codec import Codec, Progress

# Audio shorter than this is done before a progress bar could be read.
_LONG_SECONDS = 20.0
# How often a line says how far the work is where there is no terminal for a bar.
_LINE_SECONDS = 30.0

app = typer.Typer(
    help="A neural speech codec: audio to a few kilobits per second, and back.",
    add_completion=False,
    # Plain help: rich takes a while to import, and boxes are in the way in a pipe.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Audio = Annotated[Path, typer.Argument(metavar="IN", help="Audio file: wav, flac, ogg, opus, mp3 ...")]
_Grit = Annotated[Path, typer.Argument(metavar="IN", help="A .grit file.")]
_Bitrate = Annotated[
    float | None,
    typer.Option("--bitrate", "-b", metavar="KBPS", help="Kilobits a second, for each channel. [default: 3]"),
]
_Model = Annotated[str, typer.Option("--model", "-m", metavar="NAME|PATH", help="A shipped model or a folder.")]
_Force = Annotated[bool, typer.Option("--force", "--overwrite", "-f", help="Replace OUT if it exists.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"gritcodec {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error; after any verb.")] = False,
) -> None:
    pass


@app.command()
def compress(
    source: _Audio,
    target: Annotated[Path | None, typer.Argument(metavar="OUT", help="[default: IN with .grit]")] = None,
    bitrate: _Bitrate = None,
    model: _Model = "speech-16k",
    force: _Force = False,
) -> None:
    """Compress an audio file into a .grit file."""
    target = _check_paths(source, target, ".grit", force)
    from gritcodec import audio

    # Opened and closed: torch need not be loaded to find that a file is no audio.
    audio.AudioReader(source).close()
    codec = _load(model)
    began = time.perf_counter()
    with _progress("compressing") as progress:
        header = codec.compress_file(source, target, bitrate, force, progress)
    took = time.perf_counter() - began
    size = target.stat().st_size
    print(f"{target}: {_size(header, size)}, {_seconds(header)}, {_speed(header.seconds, took)}")


@app.command()
def decompress(
    source: _Grit,
    target: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="A .wav or .flac file. [default: IN with .wav]")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="[default: the shipped model that made IN]"),
    ] = None,
    force: _Force = False,
) -> None:
    """Turn a .grit file back into wav or flac."""
    target = _check_paths(source, target, ".wav", force)
    from gritcodec import bitstream, files

    # Everything that can go wrong without the network goes wrong before it is loaded.
    header, _ = bitstream.parse(files.read_bytes(source))
    from gritcodec import audio
    from gritcodec.codec import find_model

    audio.check_audio_output(target, header.sample_rate, header.channels, header.num_samples)
    codec = _load(find_model(header) if model is None else model)
    began = time.perf_counter()
    with _progress("decompressing") as progress:
        codec.decompress_file(source, target, force, progress)
    took = time.perf_counter() - began
    print(f"{target}: {target.stat().st_size:,} bytes, {_seconds(header)}, {_speed(header.seconds, took)}")


@app.command()
def info(
    source: _Grit,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a .grit file and say what is in it."""
    from gritcodec import bitstream, files, model_store

    data = files.read_bytes(source)
    header, payload = bitstream.parse(data)
    models = {model_store.fingerprint(model_store.resolve(name)): name for name in model_store.available()}
    facts: dict[str, Any] = {
        "file": str(source),
        "bytes": len(data),
        "format_version": bitstream.VERSION,
        "model": models.get(header.fingerprint),
        "fingerprint": header.fingerprint.hex(),
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "samples": header.num_samples,
        "seconds": round(header.seconds, 6),
        "stages": header.stages,
        "frames": header.frames,
        "code_bits": header.code_bits,
        "payload_bytes": len(payload),
        "overhead_bytes": len(data) - len(payload),
        "kbps": _kbps(header, len(data)),
        "ratio": _ratio(header, len(data)),
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        shown = "unknown" if value is None else f"{value:,}" if isinstance(value, int) else value
        print(f"{name.replace('_', ' '):<16}{shown}")


@app.command()
def roundtrip(
    source: _Audio,
    target: Annotated[Path | None, typer.Argument(metavar="OUT", help="A .wav or .flac file.")] = None,
    bitrate: _Bitrate = None,
    model: _Model = "speech-16k",
    force: _Force = False,
) -> None:
    """Compress and decompress an audio file, and say what it costs and how good it is."""
    target = _check_paths(source, target, None, force)
    from gritcodec import audio, bitstream

    waveform, rate = audio.read(source)
    if target is not None:
        audio.check_audio_output(target, rate, *waveform.shape)
    codec = _load(model)
    times = [time.perf_counter()]
    data = codec.compress(waveform, rate, bitrate)
    times.append(time.perf_counter())
    decoded = codec.decompress(data)[0].numpy()
    times.append(time.perf_counter())
    header, _ = bitstream.parse(data)
    print(f"{'input':<11}{source}: {_seconds(header)}, {header.channels} x {rate:,} Hz")
    print(f"{'compressed':<11}{_size(header, len(data))}")
    print(f"{'encode':<11}{_speed(header.seconds, times[1] - times[0])}")
    print(f"{'decode':<11}{_speed(header.seconds, times[2] - times[1])}", flush=True)
    if target is not None:
        audio.write(target, decoded, rate, force)
        print(f"{'output':<11}{target}")
    _print_quality(waveform, decoded.clip(-1, 1), rate)


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
    try:
        from gritcodec.train import run

        folder = run.main(config, smoke=smoke, resume=resume, minutes=minutes, cpu=cpu)
    except ModuleNotFoundError as error:
        if (error.name or "gritcodec").partition(".")[0] == "gritcodec":
            raise
        raise UsageError(f"training needs {error.name}: pip install 'gritcodec[train]'") from error
    print(folder)


def _check_paths(source: Path, target: Path | None, ending: str | None, force: bool) -> Any:
    """Return the output, after the checks that need no model: a typing slip should not cost seconds."""
    from gritcodec import files

    files.require_file(source)
    if target is None and ending is not None:
        target = source.with_suffix(ending)
    if target is not None:
        files.require_distinct(source, target)
        files.check_output(target, force)
    return target


def _load(model: str | Path) -> "Codec":
    from gritcodec.codec import load

    return load(model)


def _kbps(header: "Header", size: int) -> float | None:
    return round(8 * size / header.seconds / 1000, 3) if header.num_samples else None


def _ratio(header: "Header", size: int) -> float:
    return round(2 * header.channels * header.num_samples / size, 1)


def _size(header: "Header", size: int) -> str:
    rate = f"{_kbps(header, size):.2f} kbps, " if header.num_samples else ""
    return f"{size:,} bytes, {rate}{_ratio(header, size):g} times smaller than 16-bit PCM"


def _seconds(header: "Header") -> str:
    return f"{header.seconds:.2f} s of audio"


def _speed(seconds: float, took: float) -> str:
    return f"in {took:.2f} s ({seconds / max(took, 1e-9):.0f} times real time)"


def _print_quality(reference: Any, degraded: Any, rate: int) -> None:
    from importlib.util import find_spec

    if find_spec("pesq") is None or find_spec("pystoi") is None:
        print("PESQ-WB and STOI: pip install 'gritcodec[evaluate]' to measure them")
        return
    from gritcodec.evaluate import metrics

    measures = (("PESQ-WB", metrics.pesq_wb), ("STOI", metrics.stoi), ("ESTOI", metrics.estoi))
    for name, measure in measures:
        try:
            print(f"{name:<11}{measure(reference, degraded, rate):.3f}")
        except AudioError as error:
            print(f"{name:<11}- ({error})")


@contextmanager
def _progress(verb: str) -> Iterator["Progress"]:
    """Give a callback that shows a bar on a terminal for long audio, and a line now and then elsewhere."""
    began = last = time.perf_counter()
    bar: Any = None
    task: Any = None

    def show(done: float, total: float | None) -> None:
        nonlocal bar, task, last
        now = time.perf_counter()
        speed = f"{done / max(now - began, 1e-9):.0f} times real time"
        if sys.stderr.isatty():
            if bar is None and (total is None or total > _LONG_SECONDS):
                from rich.console import Console
                from rich.progress import Progress

                bar = Progress(console=Console(stderr=True), transient=True)
                bar.start()
                task = bar.add_task(verb, total=total)
            if bar is not None:
                bar.update(task, completed=done, description=f"{verb}, {speed}")
        elif now - last > _LINE_SECONDS:
            last = now
            of = f" of {total:,.0f}" if total is not None else ""
            print(f"gritcodec: {verb}: {done:,.0f}{of} s, {speed}", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes them from the process.

    Returns:
        The exit code: 0, 2 for bad use, 1 for bad input and other errors, 130 when interrupted.
    """
    _open_standard_streams()
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
        return _report(error)
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


def _report(error: Exception) -> int:
    """Print one line about an error and return the exit code."""
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has left. Python flushes stdout once more at its end: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    # The parser's errors come from click, or from the copy of it inside typer: known by what they can do.
    parser_message = getattr(error, "format_message", None)
    if isinstance(error, GritcodecError):
        code, message = error.exit_code, str(error)
    elif callable(parser_message):
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        code, message = 2, f"{parser_message()}{hint}"
    elif isinstance(error, MemoryError):
        code, message = 1, "not enough memory"
    elif isinstance(error, OSError):
        code, message = 1, f"{error.filename or 'input or output'}: {error.strerror or error}"
    else:
        code, message = 1, f"this is a bug: {type(error).__name__}: {error} (--debug shows where)"
    print("gritcodec: error:", " ".join(message.split()), file=sys.stderr)
    return code


def _open_standard_streams() -> None:
    """Point closed standard streams at nothing: the next file opened would take their number and output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, "w"))
        elif hasattr(stream, "reconfigure"):
            # File names need not be valid text.
            stream.reconfigure(errors="backslashreplace")
