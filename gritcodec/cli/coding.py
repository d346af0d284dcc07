"""The verbs that turn sound into .grit files and back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from gritcodec import messages
from gritcodec.cli import console
from gritcodec.cli.options import (
    CONTAINER_ENDINGS,
    PIPE,
    Bitrate,
    Channels,
    Container,
    Dtx,
    Duration,
    Effort,
    Force,
    Gain,
    Jobs,
    KeepEnding,
    Marks,
    Model,
    NoTags,
    OutBitrate,
    Packet,
    PlayModel,
    Rate,
    Raw,
    Size,
    Start,
    StartTime,
    Strict,
    Tags,
    Track,
    check_paths,
    help_end,
    name_of,
    say,
    warn_all,
)
from gritcodec.errors import AudioError, FormatError, UsageError
from gritcodec.messages import DAMAGED

COMPRESS_HELP = help_end(
    "compress talk.mp3                         # talk.grit, at 3 kbps",
    "compress talk.mp3 small.grit -b 1.5",
    "compress talk.mp3 mail.grit --target-size 100k",
    "compress recordings/ packed/ --jobs 4     # a folder, with all below it",
    "compress - - < talk.wav > talk.grit       # pipes",
)
DECOMPRESS_HELP = help_end(
    "decompress talk.grit                      # talk.wav",
    "decompress talk.grit part.flac --start 1:30 --duration 20",
    "decompress packed/ sound/",
    "decompress talk.grit - | aplay",
)

if TYPE_CHECKING:
    from gritcodec.cli import verbs
    from gritcodec.cli.naming import Job
    from gritcodec.codec.codec import Codec


def compress(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... [OUT]",
            help="Audio files (wav, flac, ogg, opus, mp3; with gritcodec[av] also m4a, amr, wma, mp4, webm ...), "
            "folders, patterns, or - for standard input; then a .grit, .oga or .mka file, a folder, or - for standard "
            "output. A last file that is audio is one more to read. [default: IN with .grit]",
        ),
    ],
    bitrate: Bitrate = None,
    target_size: Size = None,
    effort: Effort = 0,
    model: Model = "speech-16k",
    raw: Raw = None,
    rate: Rate = None,
    channels: Channels = 1,
    track: Track = None,
    tag: Tags = None,
    no_tags: NoTags = False,
    start_time: StartTime = None,
    mark: Marks = None,
    gain: Gain = None,
    dtx: Dtx = False,
    packet: Packet = None,
    container: Container = None,
    keep_ending: KeepEnding = False,
    jobs: Jobs = 1,
    strict: Strict = False,
    force: Force = False,
) -> None:
    """Compress audio into .grit files, or Ogg or Matroska files with the same codes."""
    from gritcodec.cli import naming, verbs
    from gritcodec.codec.about import About
    from gritcodec.codec.settings import Settings
    from gritcodec.sound import pipes

    if bitrate is not None and target_size is not None:
        raise UsageError("give --bitrate or --target-size, not both")
    names = naming.audio_to_grit(CONTAINER_ENDINGS[verbs.container(container, None)], container)
    sources, target, many = naming.split(paths, names)
    kind = verbs.container(container, target)
    settings = Settings(
        bitrate,
        target_size,
        effort,
        dtx,
        About(tuple(tag or ()), start_time, gain),
        tuple(mark or ()),
        pipes.raw_format(raw, rate, channels),
        kind,
        force,
        track,
        not no_tags,
        strict,
        packet,
    )
    task = verbs.Compress(model, settings)
    if not many and settings.raw is None and sources[0].is_file() and naming.is_grit(sources[0]):
        raise AudioError(f"{sources[0]} is compressed already: decompress makes sound of it, truncate a smaller file")
    if many:
        plan = naming.plan(sources, target, names, CONTAINER_ENDINGS[kind], keep_ending)
        _compress_many(task, plan, naming.passed_over(sources, names.inputs), jobs)
    _compress(task, sources[0], _output(sources[0], target, CONTAINER_ENDINGS[kind], keep_ending, force))


def _compress_many(task: verbs.Compress, plan: list[Job], passed_over: Iterable[str], jobs: int) -> NoReturn:
    from gritcodec.cli import batch

    for line in passed_over:
        messages.note(line)
    task.check()
    raise typer.Exit(batch.run(plan, task, jobs, task.settings.overwrite, task.difference))


def _compress(task: verbs.Compress, source: Path, target: Path) -> None:
    from gritcodec.codec import outputs, refining

    refining.check_effort(task.settings.effort)
    if target != PIPE:
        outputs.refuse_audio(target)
    if task.settings.raw is None and source.is_file():
        from gritcodec.sound import audio

        # Opened and closed: the network need not be loaded to find that a file is no audio. Not a pipe.
        with messages.about(source), audio.AudioReader(source, track=task.settings.track) as reader:
            task.settings.check_marks(reader.expected_seconds)
    codec = _load(task.model)
    codec.stages_for(task.settings.bitrate)
    codec.frames_in_packet(task.settings.packet_seconds)
    with console.progress("compressing") as progress, messages.about(source, target):
        outcome = task.with_codec(
            codec, source, target, progress, lambda line: messages.note(f"{name_of(source)}: {line}")
        )
    speed = console.describe_speed(outcome.seconds, outcome.took)
    size, length = console.describe_size(outcome.header, outcome.size), console.describe_seconds(outcome.seconds)
    say(target, size, length, speed)
    _end(source, outcome.damage)


def decompress(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN... [OUT]",
            help=".grit, .oga or .mka files, folders, patterns, or - for standard input; then a .wav or .flac file, a "
            "folder, or - for standard output (wav). A file that ends in .m4a, .mp3, .opus or .ogg is coded a second "
            "time, and loses by it. [default: IN with .wav]",
        ),
    ],
    model: PlayModel = None,
    start: Start = None,
    duration: Duration = None,
    raw: Raw = None,
    samples: Annotated[str, typer.Option("--samples", metavar="KIND", help="Of wav and flac: 16, 24 or float.")] = "16",
    out_bitrate: OutBitrate = None,
    no_tags: NoTags = False,
    keep_ending: KeepEnding = False,
    strict: Strict = False,
    jobs: Jobs = 1,
    force: Force = False,
) -> None:
    """Turn .grit files back into wav or flac."""
    from gritcodec.cli import batch, naming, verbs
    from gritcodec.sound import pipes
    from gritcodec.sound.writing import Form

    kind = naming.grit_to_audio(any_name=True)
    sources, target, many = naming.split(paths, kind)
    span = start or 0.0, duration
    form = Form(samples, out_bitrate)
    task = verbs.Decompress(model, span, pipes.raw_format(raw, None, 1), strict, force, form, not no_tags)
    if many:
        plan = naming.plan(sources, target, kind, kind.ending, keep_ending)
        raise typer.Exit(batch.run(plan, task, jobs, force))
    source = sources[0]
    if target is None and source.suffix == kind.ending and source.is_file() and not naming.is_grit(source):
        raise FormatError(f"{source} is no .grit file: compress makes one of sound")
    target = _output(source, target, kind.ending, keep_ending, force)
    with console.progress("decompressing") as progress, messages.about(source, target):
        outcome = task.one(source, target, progress)
    speed = console.describe_speed(outcome.seconds, outcome.took)
    say(target, f"{outcome.size:,} bytes", console.describe_seconds(outcome.seconds), speed)
    for line in outcome.notes:
        messages.note(f"{name_of(source)}: {line}")
    _end(source, outcome.damage)


def _output(source: Path, target: Path | None, ending: str, keep_ending: bool, force: bool) -> Path:
    """Return the output of one input, checked."""
    if target is None and keep_ending and source != PIPE:
        target = source.with_name(source.name + ending)
    found: Path = check_paths(source, target, ending, force)
    return found


def _end(source: Path, damage: tuple[str, ...]) -> None:
    """Say what is damaged, and end accordingly."""
    warn_all(source, damage)
    if damage:
        raise typer.Exit(DAMAGED)


def _load(model: str) -> Codec:
    from gritcodec.codec.codec import load

    return load(model)
