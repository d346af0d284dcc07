"""What the verbs of the command line do to files, apart from parsing and printing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gritcodec import bitstream, messages, model_store
from gritcodec.cli import console
from gritcodec.cli.batch import Done
from gritcodec.cli.naming import Job
from gritcodec.cli.options import require_samples
from gritcodec.codec.settings import Settings, bitrate_notes
from gritcodec.containers import remux
from gritcodec.errors import UsageError

if TYPE_CHECKING:
    from gritcodec.codec.codec import Codec
    from gritcodec.codec.settings import Progress
    from gritcodec.codec.transfer import Outcome, Tell
    from gritcodec.sound.pipes import RawFormat
    from gritcodec.sound.writing import Form

PIPE = "-"


@dataclass(frozen=True)
class Compress:
    """How to compress; called with a job it does it, in whichever process.

    Attributes:
        model: name or folder.
        settings: of `transfer.compress`.
    """

    model: str
    settings: Settings

    def __call__(self, job: Job) -> Done:
        """Do one of many jobs."""
        told: list[str] = []
        outcome = self.with_codec(_codec(self.model), job.source, job.target, None, told.append)
        status = "damaged" if outcome.damage else "done"
        return Done(job, status, outcome.seconds, outcome.size, "; ".join([*outcome.damage, *told]))

    def check(self) -> None:
        """Refuse a model, bitrate, packet or effort that there is none of before any file is read, with UsageError."""
        from gritcodec.codec.refining import check_effort

        check_effort(self.settings.effort)
        codec = _codec(self.model)
        codec.stages_for(self.settings.bitrate)
        codec.frames_in_packet(self.settings.packet_seconds)

    def difference(self, job: Job) -> str | None:
        """Return how the result that is there is another than the one asked for, as far as it tells."""
        from gritcodec.cli import kept

        return kept.difference(job.source, job.target, self.settings, _codec(self.model))

    def with_codec(
        self, codec: Codec, source: Path, target: Path, progress: Progress | None, tell: Tell | None
    ) -> Outcome:
        """Compress one file or pipe; errors as in `transfer.compress`."""
        from gritcodec.codec import transfer

        return transfer.compress(codec, source, target, self.settings, progress, tell)


@dataclass(frozen=True)
class Decompress:
    """How to decompress; called with a job it does it, in whichever process.

    Attributes:
        model: name or folder; None: the shipped model that made the file.
        span: start and duration in seconds; None for the duration: to the end.
        raw: write samples without a header.
        strict: whether damage is an error.
        force: whether results may be replaced.
        form: how sound is written.
        carry: whether tags and marks go along.
    """

    model: str | None
    span: tuple[float, float | None]
    raw: RawFormat | None
    strict: bool
    force: bool
    form: Form
    carry: bool = True

    def __call__(self, job: Job) -> Done:
        """Do one of many jobs."""
        size = job.source.stat().st_size
        outcome = self.one(job.source, job.target, None)
        status = "damaged" if outcome.damage else "done"
        return Done(job, status, outcome.seconds, size, "; ".join([*outcome.damage, *outcome.notes]))

    def one(self, source: Path, target: Path, progress: Progress | None) -> Outcome:
        """Decompress one file or pipe; what can go wrong without the network goes wrong before it is loaded."""
        from gritcodec.codec import transfer
        from gritcodec.sound import audio, lossy

        with transfer.open_grit(source, self.strict) as reader:
            header = reader.header
            require_samples(self.span[1], header.sample_rate)
            form = replace(self.form, like=None if str(source) == PIPE else source)
            if self.raw is None and str(target) != PIPE:
                kind = audio.check_audio_output(target, header.sample_rate, header.channels, header.num_samples, form)
                if self.carry and kind in lossy.CODECS and form.like is not None and self.span == (0, None):
                    # Their chapters stand before the sound.
                    form = replace(form, marks=transfer.marks_of(source))
            else:
                form.check("" if self.raw else ".wav")
            model: str | Path | None = self.model
            if model is None:
                model = model_store.find(header)
            codec = _codec(model)
            from gritcodec.codec.playback import Span

            part, raw = Span(*self.span), self.raw
            return transfer.decompress(codec, reader, target, part, raw, self.force, progress, form, self.carry)


def roundtrip(
    load: Callable[[], Codec], source: Path, target: Path | None, bitrate: float | None, effort: int, force: bool
) -> list[str]:
    """Compress and decompress an audio file, and print what it costs and how good it is.

    Returns a line for everything that is missing in the file.

    Args:
        load: gives the codec; called once it is known that the rest can be done.
        source: an audio file.
        target: where what is heard goes; None: nowhere.
        bitrate, effort: as in `Codec.compress`.
        force: whether `target` may be replaced.
    """
    from gritcodec.sound import audio

    with messages.about(source), audio.AudioReader(source) as reader:
        waveform, rate, damage = reader.whole(), reader.sample_rate, reader.damage
    if target is not None:
        audio.check_audio_output(target, rate, *waveform.shape)
    codec = load()
    codec.stages_for(bitrate)
    times = [time.perf_counter()]
    with messages.about(source):
        data = codec.compress(waveform, rate, bitrate, effort=effort)
    times.append(time.perf_counter())
    decoded = codec.decompress(data)[0]
    times.append(time.perf_counter())
    if target is not None:
        audio.write(target, decoded, rate, force)
    header, _ = bitstream.parse_header(data)
    if not messages.is_quiet():
        seconds = header.seconds or 0.0
        length = console.describe_seconds(seconds)
        print(f"{'input':<11}{messages.visible(str(source))}: {length}, {header.channels} x {rate:,} Hz")
        print(f"{'compressed':<11}{console.describe_size(header, len(data))}")
        print(f"{'encode':<11}{console.describe_speed(seconds, times[1] - times[0])}")
        print(f"{'decode':<11}{console.describe_speed(seconds, times[2] - times[1])}", flush=True)
        if target is not None:
            print(f"{'output':<11}{messages.visible(str(target))}")
        console.print_quality(waveform, decoded.clip(-1, 1), rate)
    for line in bitrate_notes(header, bitrate):
        messages.note(f"{source}: {line}")
    for line in damage:
        messages.warn(f"{source}: {line}")
    return damage


def container(name: str | None, target: Path | None) -> str:
    """Return the container that is asked for by name, else by the ending of the output; UsageError: there is none."""
    if name is not None and name not in remux.CONTAINERS:
        raise UsageError(f"there is no container '{name}': take one of {', '.join(remux.CONTAINERS)}")
    return name or remux.container_for("" if target is None else target.name)


@cache
def _codec(model: str | Path) -> Codec:
    from gritcodec.codec.codec import load

    return load(model)
