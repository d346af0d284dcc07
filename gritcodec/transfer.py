"""From a file or pipe to a file or pipe: what the command line does with a codec."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gritcodec import audio, files
from gritcodec.bitstream import Header, Reader, parse_header
from gritcodec.files import PathLike
from gritcodec.pipes import PIPE, PcmWriter, RawFormat, binary_output, open_audio

if TYPE_CHECKING:
    from gritcodec.codec import Codec
    from gritcodec.playback import Span

# Called with the seconds of audio done so far, where they are known those of the whole signal, and the bytes that the
# part done takes in the .grit file.
Progress = Callable[[float, float | None, int], None]


@dataclass(frozen=True)
class Outcome:
    """What was done.

    Attributes:
        header: of the .grit file, with the number of samples.
        seconds: of audio that went through.
        size: bytes written.
        took: seconds of work, the loading of the model not counted.
        damage: a line for everything that was wrong with the .grit file that was read.
    """

    header: Header
    seconds: float
    size: int
    took: float
    damage: tuple[str, ...] = ()


def compress(
    codec: Codec,
    source: PathLike,
    target: PathLike,
    bitrate: float | None = None,
    size_limit: int | None = None,
    raw: RawFormat | None = None,
    tags: Sequence[tuple[str, str]] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
    effort: int = 0,
) -> Outcome:
    """Compress sound.

    Args:
        codec: the model.
        source: an audio file, or - for standard input.
        target: a file that appears when it is whole; or - for standard output, where the first bytes come
            after the first second or two of sound, or six with effort.
        bitrate: kbps a channel, see `Codec.compress`.
        size_limit: bytes that the file may have, instead of a bitrate.
        raw: how samples lie in a source without a header.
        tags: (name, value) pairs for the header.
        overwrite: whether `target` may be replaced.
        progress: called as the work goes on.
        effort: as in `Codec.encode`.

    Raises:
        UsageError, AudioError, OutputError: as in `Codec.compress_file`.
    """
    if PIPE not in (str(source), str(target)):
        files.require_distinct(source, target)
    done, size, began = 0, 0, time.perf_counter()
    with open_audio(source, raw) as reader:
        rate, channels = reader.sample_rate, reader.channels

        def counted() -> Iterator[audio.Waveform]:
            nonlocal done
            for block in reader.blocks():
                done += block.shape[1]
                yield block
                if progress:
                    progress(done / rate, reader.expected_seconds, size)

        def coded(so_far: int) -> None:
            nonlocal size
            size = so_far

        if str(target) == PIPE and size_limit is None:
            output = binary_output()
            head = b""
            for piece in codec.compress_live(counted(), rate, channels, bitrate, tags, effort):
                head = head or piece
                output.write(piece)
                output.flush()
                size += len(piece)
        else:
            with _whole_output(target, overwrite) as write:
                data = codec.compress_blocks(counted(), rate, channels, bitrate, size_limit, tags, coded, effort)
                head, size = data, len(data)
                write(data)
    return Outcome(replace(parse_header(head)[0], num_samples=done), done / rate, size, time.perf_counter() - began)


@contextmanager
def open_grit(source: PathLike, strict: bool = False) -> Iterator[Reader]:
    """Open a .grit file, or - for standard input, and read its header; errors as in `bitstream.Reader`."""
    if str(source) == PIPE:
        yield Reader(sys.stdin.buffer, strict)
        return
    with files.open_bytes(source) as stream:
        reader = Reader(stream, strict)
        reader.learn_length()
        yield reader


def decompress(
    codec: Codec,
    reader: Reader,
    target: PathLike,
    span: Span | None = None,
    raw: RawFormat | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Decompress a .grit stream.

    Args:
        codec: the model that made it.
        reader: from `open_grit`.
        target: a .wav or .flac file that appears when it is whole; or - for standard output: wav, or raw.
        span: the part wanted; None: everything.
        raw: write samples in this format instead, without a header.
        overwrite: whether `target` may be replaced.
        progress: called as the work goes on.

    Raises:
        FormatError, WrongModelError, UsageError: as in `Codec.play`; and as in `Codec.decompress_file`.
    """
    playback = codec.play(reader, span)
    rate, channels = playback.sample_rate, playback.channels
    done, began = 0, time.perf_counter()
    expected = None if playback.num_samples is None else playback.num_samples / rate
    with _sound_output(target, rate, channels, playback.num_samples, raw, overwrite) as writer:
        for block in playback.blocks():
            writer.write(block)
            done += block.shape[1]
            if progress:
                progress(done / rate, expected, playback.size)
    return Outcome(
        reader.header, done / rate, 2 * channels * done, time.perf_counter() - began, tuple(playback.report())
    )


@contextmanager
def _whole_output(target: PathLike, overwrite: bool) -> Iterator[Callable[[bytes], Any]]:
    """Give a function that writes all bytes of an output at once."""
    if str(target) == PIPE:
        output = binary_output()
        yield output.write
        output.flush()
        return
    with files.atomic_output(target, overwrite) as temporary:

        def write(data: bytes) -> None:
            with files.system_errors(target):
                temporary.write_bytes(data)

        yield write


@contextmanager
def _sound_output(
    target: PathLike, rate: int, channels: int, num_samples: int | None, raw: RawFormat | None, overwrite: bool
) -> Iterator[Any]:
    if raw is not None:
        raw.check(for_input=False)
    if str(target) == PIPE:
        yield PcmWriter(binary_output(), raw, rate, channels, num_samples)
    elif raw is not None:
        with (
            files.atomic_output(target, overwrite) as temporary,
            files.system_errors(target),
            open(temporary, "wb") as stream,
        ):
            yield PcmWriter(stream, raw, rate, channels, num_samples)
    else:
        with audio.open_writer(target, rate, channels, num_samples, overwrite) as writer:
            yield writer
