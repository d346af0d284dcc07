"""What the verbs of the command line do to files, apart from parsing and printing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gritcodec import bitstream, console, files, model_store
from gritcodec.batch import Done, Job
from gritcodec.bitstream import Contents, Header
from gritcodec.errors import UsageError

if TYPE_CHECKING:
    from gritcodec.codec import Codec
    from gritcodec.pipes import RawFormat
    from gritcodec.transfer import Outcome, Progress

PIPE = "-"
_CODINGS = {bitstream.PLAIN: "plain", bitstream.ENTROPY: "entropy"}


@dataclass(frozen=True)
class Compress:
    """How to compress; called with a job it does it, in whichever process.

    Attributes:
        model: name or folder.
        bitrate: kbps a channel; None: the default.
        size_limit: bytes, instead of a bitrate.
        raw: how samples lie in sources without a header.
        tags: (name, value) pairs.
        force: whether results may be replaced.
        effort: steps of refinement.
    """

    model: str
    bitrate: float | None
    size_limit: int | None
    raw: RawFormat | None
    tags: tuple[tuple[str, str], ...]
    force: bool
    effort: int = 0

    def __call__(self, job: Job) -> Done:
        """Do one of many jobs."""
        outcome = self.with_codec(_codec(self.model), job.source, job.target, None)
        return Done(job, "done", outcome.seconds, outcome.size)

    def with_codec(self, codec: Codec, source: Path, target: Path, progress: Progress | None) -> Outcome:
        """Compress one file or pipe; errors as in `transfer.compress`."""
        from gritcodec import transfer

        return transfer.compress(
            codec, source, target, self.bitrate, self.size_limit, self.raw, self.tags, self.force, progress, self.effort
        )


@dataclass(frozen=True)
class Decompress:
    """How to decompress; called with a job it does it, in whichever process.

    Attributes:
        model: name or folder; None: the shipped model that made the file.
        span: start and duration in seconds; None for the duration: to the end.
        raw: write samples without a header.
        strict: whether damage is an error.
        force: whether results may be replaced.
    """

    model: str | None
    span: tuple[float, float | None]
    raw: RawFormat | None
    strict: bool
    force: bool

    def __call__(self, job: Job) -> Done:
        """Do one of many jobs."""
        size = job.source.stat().st_size
        outcome = self.one(job.source, job.target, None)
        status = "damaged" if outcome.damage else "done"
        return Done(job, status, outcome.seconds, size, "; ".join(outcome.damage))

    def one(self, source: Path, target: Path, progress: Progress | None) -> Outcome:
        """Decompress one file or pipe; what can go wrong without the network goes wrong before it is loaded."""
        from gritcodec import audio, transfer

        with transfer.open_grit(source, self.strict) as reader:
            header = reader.header
            if self.raw is None and str(target) != PIPE:
                audio.check_audio_output(target, header.sample_rate, header.channels, header.num_samples)
            model: str | Path | None = self.model
            if model is None:
                model = model_store.find(header.fingerprint)
            codec = _codec(model)
            from gritcodec.playback import Span

            return transfer.decompress(codec, reader, target, Span(*self.span), self.raw, self.force, progress)


def parse_tag(text: str) -> tuple[str, str]:
    """Return name and value of NAME=TEXT, with UsageError where it is not one."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise UsageError(f"'{text}' is not a tag: write NAME=TEXT")
    return name, value


def roundtrip(
    load: Callable[[], Codec], source: Path, target: Path | None, bitrate: float | None, effort: int, force: bool
) -> None:
    """Compress and decompress an audio file, and print what it costs and how good it is.

    Args:
        load: gives the codec; called once it is known that the rest can be done.
        source: an audio file.
        target: where what is heard goes; None: nowhere.
        bitrate, effort: as in `Codec.compress`.
        force: whether `target` may be replaced.
    """
    from gritcodec import audio

    waveform, rate = audio.read(source)
    if target is not None:
        audio.check_audio_output(target, rate, *waveform.shape)
    codec = load()
    times = [time.perf_counter()]
    data = codec.compress(waveform, rate, bitrate, effort=effort)
    times.append(time.perf_counter())
    decoded = codec.decompress(data)[0].numpy()
    times.append(time.perf_counter())
    header, _ = bitstream.parse_header(data)
    seconds = header.seconds or 0.0
    print(f"{'input':<11}{source}: {console.describe_seconds(seconds)}, {header.channels} x {rate:,} Hz")
    print(f"{'compressed':<11}{console.describe_size(header, len(data))}")
    print(f"{'encode':<11}{console.describe_speed(seconds, times[1] - times[0])}")
    print(f"{'decode':<11}{console.describe_speed(seconds, times[2] - times[1])}", flush=True)
    if target is not None:
        audio.write(target, decoded, rate, force)
        print(f"{'output':<11}{target}")
    console.print_quality(waveform, decoded.clip(-1, 1), rate)


def truncate(source: Path, target: Path, bitrate: float | None, limit: int | None, force: bool) -> tuple[Header, int]:
    """Lower a file's bitrate; return the header and the bytes of the result. Errors as in `bitstream.truncate`."""
    data = bitstream.truncate(_read(source), bitrate, limit)
    _write(target, data, force)
    return bitstream.whole_header(data), len(data)


def join(sources: Sequence[Path], target: Path, model: str | None, force: bool) -> tuple[Header, int]:
    """Join files; return the header and the bytes of the result. Errors as in `bitstream.join`."""
    parts = [_read(source) for source in sources]
    first = bitstream.whole_header(parts[0])
    contexts = None
    if first.coding == bitstream.ENTROPY:
        contexts = model_store.contexts(model_store.resolve(model) if model else model_store.find(first.fingerprint))
    data = bitstream.join(parts, contexts)
    _write(target, data, force)
    return bitstream.whole_header(data), len(data)


def info(source: Path, strict: bool) -> dict[str, Any]:
    """Return what there is to say about a file, in the order in which to say it.

    Raises:
        FormatError: not a .grit file; with `strict`, a damaged one.
    """
    data = _read(source)
    contents = bitstream.read_contents(data, strict)
    header = contents.header
    models = {model_store.fingerprint(model_store.resolve(name)): name for name in model_store.available()}
    return {
        "file": str(source),
        "bytes": len(data),
        "format_version": bitstream.VERSION,
        "model": models.get(header.fingerprint),
        "fingerprint": header.fingerprint.hex(),
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "samples": header.num_samples,
        "seconds": None if header.seconds is None else round(header.seconds, 6),
        **_costs(contents, len(data)),
        "tags": dict(header.tags),
        "damage": _damage(contents),
    }


def show(value: Any) -> str:
    """Return a value of `info` as text for people."""
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return ", ".join(f"{name}={text}" for name, text in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(value) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _costs(contents: Contents, size: int) -> dict[str, Any]:
    """Return what the bytes of a file are spent on."""
    header = contents.header
    bodies = [body for body in contents.bodies if body is not None]
    payload = sum(len(body.data) for body in bodies)
    frames = sum(body.frames for body in bodies)
    stages = sum(body.stages * body.frames for body in bodies) / max(frames, 1)

    plain = sum(body.stages * header.block_bytes(body.frames) for body in bodies)

    def percent(part: int) -> float:
        return round(100 * part / size, 2)

    return {
        "stages": header.stages,
        "mean_stages": round(stages, 3),
        "packets": len(contents.bodies),
        "frames": frames,
        "code_bits": header.code_bits,
        "coding": _CODINGS.get(header.coding, str(header.coding)),
        "payload_bytes": payload,
        "entropy_coding_saves_percent": round(100 * (1 - payload / plain), 2) if plain else 0.0,
        "header_bytes": contents.header_bytes,
        "check_bytes": contents.packet_bytes - payload,
        "end_bytes": contents.ending_bytes,
        "overhead_bytes": size - payload,
        "payload_percent": percent(payload),
        "header_percent": percent(contents.header_bytes),
        "check_percent": percent(contents.packet_bytes - payload),
        "end_percent": percent(contents.ending_bytes),
        "payload_kbps": console.kbps(header, payload),
        "kbps": console.kbps(header, size),
        "ratio": console.ratio(header, size),
    }


def _damage(contents: Contents) -> list[str]:
    """Return a line for everything that is wrong, with times as near as the header tells them."""
    seconds = 100 * contents.header.packet_frames / contents.header.frame_rate
    lines = []
    for damage in contents.damage:
        start = f"{damage.packet * seconds:.2f} s"
        if damage.packets:
            start += f" to {(damage.packet + damage.packets) * seconds:.2f} s"
        lines.append(f"{damage.what} (at {start})")
    return lines


def _read(source: Path) -> bytes:
    return sys.stdin.buffer.read() if str(source) == PIPE else files.read_bytes(source)


def _write(target: Path, data: bytes, force: bool) -> None:
    if str(target) == PIPE:
        from gritcodec.pipes import binary_output

        output = binary_output()
        output.write(data)
        output.flush()
    else:
        files.write_bytes(target, data, force)


@cache
def _codec(model: str | Path) -> Codec:
    from gritcodec.codec import load

    return load(model)
