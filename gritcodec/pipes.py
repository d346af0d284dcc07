"""Sound through pipes: raw PCM and wav as they come, everything else after it has come."""

import io
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.audio import AudioReader, ClosesOnExit, Waveform, as_pcm16, require_sound
from gritcodec.bitstream import MAX_CHANNELS, MAX_SAMPLE_RATE
from gritcodec.errors import AudioError, UsageError
from gritcodec.files import PathLike, require_file

PIPE = "-"
RAW_FORMATS = {"s16le": ("<i2", 1 / 32768), "s32le": ("<i4", 1 / 2147483648), "f32le": ("<f4", 1.0)}
_WAV_PCM, _WAV_FLOAT, _WAV_EXTENSIBLE = 1, 3, 0xFFFE
_READ = 1 << 16
# What a wav header says where its writer could not go back to fill in the length.
_UNKNOWN_BYTES = (0, 0x7FFFFFFF, 0xFFFFFFFF)


@dataclass(frozen=True)
class RawFormat:
    """Samples without a header, channels interleaved.

    Attributes:
        name: s16le, s32le or f32le.
        sample_rate: Hz; None only for output, which has the recording's.
        channels: 1 to 255.
    """

    name: str
    sample_rate: int | None = None
    channels: int = 1

    def check(self, for_input: bool) -> None:
        """Refuse what makes no sense, with UsageError."""
        if self.name not in RAW_FORMATS:
            raise UsageError(f"there is no raw format '{self.name}'; there are {', '.join(RAW_FORMATS)}")
        if for_input and self.sample_rate is None:
            raise UsageError("raw input needs --rate")
        if not 1 <= (self.sample_rate or 1) <= MAX_SAMPLE_RATE or not 1 <= self.channels <= MAX_CHANNELS:
            raise UsageError(f"rate must be 1 to {MAX_SAMPLE_RATE:,} Hz, channels 1 to {MAX_CHANNELS}")


def raw_format(name: str | None, rate: int | None, channels: int) -> RawFormat | None:
    """Return how raw samples lie; UsageError where only their rate or channels are given."""
    if name is None:
        if rate is not None or channels != 1:
            raise UsageError("--rate and --channels describe raw input: give --raw too")
        return None
    return RawFormat(name, rate, channels)


class PcmReader(ClosesOnExit):
    """Interleaved samples from a stream, as they come; used as `AudioReader` is.

    Attributes:
        sample_rate: Hz.
        channels: of the sound.
        expected_seconds: None: nobody knows.
    """

    expected_seconds: float | None = None

    def __init__(
        self, stream: Any, kind: str, scale: float, sample_rate: int, channels: int, size: int | None = None
    ) -> None:
        """Read samples of numpy type `kind`, times `scale`, from `stream`; `size`: bytes at most."""
        self.sample_rate, self.channels = sample_rate, channels
        self._stream, self._kind, self._scale, self._left = stream, kind, scale, size

    def close(self) -> None:
        """Close the stream, unless it is standard input."""
        if self._stream is not sys.stdin.buffer:
            self._stream.close()

    def blocks(self) -> Iterator[Waveform]:
        """Yield blocks float32 [channels, samples] as soon as they are there.

        Raises:
            AudioError: samples that are NaN or infinite, or the end lies inside a sample.
        """
        width = _width(self._kind) * self.channels
        rest = b""
        read = getattr(self._stream, "read1", self._stream.read)
        while self._left != 0:
            data = read(_READ if self._left is None else min(self._left, _READ))
            if not data:
                break
            if self._left is not None:
                self._left -= len(data)
            data = rest + data
            whole = len(data) - len(data) % width
            rest = data[whole:]
            if whole:
                block = _samples(data[:whole], self._kind).astype(np.float32) * np.float32(self._scale)
                block = np.ascontiguousarray(block.reshape(-1, self.channels).T)
                require_sound(block, self.sample_rate)
                yield block
        if rest:
            raise AudioError(f"the input ends inside a sample: {len(rest)} of {width} bytes are there")


def open_audio(source: PathLike, raw: RawFormat | None = None) -> AudioReader | PcmReader:
    """Open sound for reading: an audio file, raw samples, or - for standard input.

    Raises:
        UsageError: no such file, or the raw format makes no sense.
        AudioError: it cannot be read as audio.
    """
    if raw is not None:
        raw.check(for_input=True)
        kind, scale = RAW_FORMATS[raw.name]
        stream: Any = sys.stdin.buffer
        if str(source) != PIPE:
            require_file(source)
            stream = Path(source).open("rb")  # noqa: SIM115 - the reader closes it
        return PcmReader(stream, kind, scale, raw.sample_rate or 0, raw.channels)
    if str(source) != PIPE:
        return AudioReader(source)
    start = sys.stdin.buffer.read(12)
    if start[:4] in (b"RIFF", b"RF64") and start[8:] == b"WAVE":
        return _wav_reader(sys.stdin.buffer)
    # Other formats are read by libsndfile, which wants to go back and forth.
    return AudioReader("standard input", io.BytesIO(start + sys.stdin.buffer.read()))


class PcmWriter:
    """Sound into a stream as it is decoded: wav, or raw samples."""

    def __init__(
        self, stream: Any, raw: RawFormat | None, sample_rate: int, channels: int, num_samples: int | None
    ) -> None:
        """Begin; a wav header says the length, or that nobody knows it."""
        self._stream, self._raw = stream, raw
        if raw is None:
            stream.write(_wav_header(sample_rate, channels, num_samples))

    def write(self, waveform: Waveform) -> None:
        """Append float32 [channels, samples]; integers are rounded and clipped."""
        name = "s16le" if self._raw is None else self._raw.name
        if name == "s16le":
            data = as_pcm16(waveform).astype("<i2").tobytes()
        elif name == "s32le":
            data = (as_pcm16(waveform).astype("<i4") << 16).tobytes()
        else:
            data = np.ascontiguousarray(waveform.T, dtype="<f4").tobytes()
        self._stream.write(data)
        self._stream.flush()


def binary_output() -> Any:
    """Return standard output for bytes; UsageError where it is a terminal."""
    if sys.stdout.isatty():
        raise UsageError("this would write bytes to the terminal: redirect the output, or name a file")
    sys.stdout.flush()
    return sys.stdout.buffer


def _wav_reader(stream: Any) -> PcmReader:
    """Return a reader for a wav stream of which the first 12 bytes are read already."""
    layout: tuple[int, int, int, int] | None = None
    while True:
        head = stream.read(8)
        if len(head) < 8:
            raise AudioError("standard input: the wav stream has no samples")
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            break
        chunk = stream.read(size + size % 2) if size < 1 << 20 else b""
        if len(chunk) < size:
            raise AudioError("standard input: the header of the wav stream is damaged or cut")
        if name == b"fmt " and size >= 16:
            kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
            if kind == _WAV_EXTENSIBLE and size >= 26:
                kind = int.from_bytes(chunk[24:26], "little")
            layout = kind, channels, rate, bits
    kinds = {
        (_WAV_PCM, 8): ("u1", 1 / 128),
        (_WAV_PCM, 16): ("<i2", 1 / 32768),
        (_WAV_PCM, 24): ("<i3", 1 / 8388608),
        (_WAV_PCM, 32): ("<i4", 1 / 2147483648),
        (_WAV_FLOAT, 32): ("<f4", 1.0),
        (_WAV_FLOAT, 64): ("<f8", 1.0),
    }
    if layout is None or (layout[0], layout[3]) not in kinds:
        raise AudioError("standard input: a wav stream of a kind that cannot be read from a pipe; name the file")
    _, channels, rate, _ = layout
    if not 1 <= channels <= MAX_CHANNELS or not 1 <= rate <= MAX_SAMPLE_RATE:
        raise AudioError(f"standard input: {channels} channels at {rate:,} Hz cannot be coded")
    numpy_kind, scale = kinds[layout[0], layout[3]]
    return PcmReader(stream, numpy_kind, scale, rate, channels, None if size in _UNKNOWN_BYTES else size)


def _width(kind: str) -> int:
    return int(kind[-1])


def _samples(data: bytes, kind: str) -> NDArray[Any]:
    if kind == "u1":
        return np.frombuffer(data, dtype=np.uint8).astype(np.int16) - 128
    if kind == "<i3":
        parts = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3).astype(np.int32)
        return (parts[:, 0] | parts[:, 1] << 8 | parts[:, 2] << 16) << 8 >> 8
    return np.frombuffer(data, dtype=kind)


def _wav_header(sample_rate: int, channels: int, num_samples: int | None) -> bytes:
    size = None if num_samples is None else 2 * channels * num_samples
    known = size is not None and size < (1 << 32) - 64
    data, riff = (size, size + 36) if known and size is not None else (0xFFFFFFFF, 0xFFFFFFFF)
    layout = struct.pack("<HHIIHH", _WAV_PCM, channels, sample_rate, 2 * channels * sample_rate, 2 * channels, 16)
    return (
        b"RIFF"
        + struct.pack("<I", riff)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + layout
        + b"data"
        + struct.pack("<I", data)
    )
