"""Sound through pipes: raw PCM and wav as they come, everything else after it has come."""

import struct
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from gritcodec.bitstream import MAX_CHANNELS, MAX_SAMPLE_RATE
from gritcodec.errors import UsageError
from gritcodec.files import PathLike
from gritcodec.sound import behind
from gritcodec.sound.audio import AudioReader
from gritcodec.sound.inputs import PIPE as PIPE
from gritcodec.sound.inputs import open_input
from gritcodec.sound.layouts import ALAW, ULAW, Layout
from gritcodec.sound.waveforms import Waveform, as_pcm16, as_pcm24

RAW_FORMATS = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}
# Of telephones and old recorders; they are read alone.
_RAW_INPUTS = {**RAW_FORMATS, "mulaw": ULAW, "alaw": ALAW, "u8": "u1", "s8": "<i1"}
_WAV_PCM, _WAV_FLOAT = 1, 3
# Of a file what tells that it has a header.
_HEAD = 64


@dataclass(frozen=True)
class RawFormat:
    """Samples without a header, channels interleaved.

    Attributes:
        name: s16le, s32le or f32le; of input also mulaw, alaw, u8 or s8.
        sample_rate: Hz; None only for output, which has the recording's.
        channels: 1 to 255.
    """

    name: str
    sample_rate: int | None = None
    channels: int = 1

    def check(self, for_input: bool) -> None:
        """Refuse what makes no sense, with UsageError."""
        known = _RAW_INPUTS if for_input else RAW_FORMATS
        if self.name not in known:
            what = "raw format" if for_input or self.name not in _RAW_INPUTS else "raw output"
            raise UsageError(f"there is no {what} '{self.name}'; there are {', '.join(known)}")
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


def open_audio(source: PathLike, raw: RawFormat | None = None, track: int | None = None) -> AudioReader:
    """Open sound for reading: an audio file, raw samples, or - for standard input.

    Raises:
        UsageError: no such file, or the raw format makes no sense.
        AudioError: it cannot be read as audio.
    """
    if raw is None:
        return AudioReader(source, open_input(source), track)
    raw.check(for_input=True)
    layout = Layout("raw", _RAW_INPUTS[raw.name], raw.sample_rate or 0, raw.channels)
    opened = open_input(source, may_be_empty=True)
    # A pipe is not kept waiting for it.
    has_header = opened.path is not None and behind.is_met(opened.peek(_HEAD), 0)
    reader = AudioReader(source, opened, layout=layout)
    if has_header:
        reader.notes.append(
            "it begins as a file with a header, which --raw takes for samples: leave --raw out to read it"
        )
    return reader


class PcmWriter:
    """Sound into a stream as it is decoded: wav, or raw samples."""

    def __init__(
        self,
        stream: Any,
        raw: RawFormat | None,
        sample_rate: int,
        channels: int,
        num_samples: int | None,
        samples: str = "16",
    ) -> None:
        """Begin; a wav header says the length, or that nobody knows it. `samples` are of wav: 16, 24 or float."""
        self._stream, self._kind = stream, _KINDS[raw.name if raw else samples]
        self._layout = sample_rate, channels, raw is None
        self._said, self._written = num_samples, 0
        if raw is None:
            stream.write(_wav_header(sample_rate, channels, num_samples, self._kind))

    def write(self, waveform: Waveform) -> None:
        """Append float32 [channels, samples]; integers are rounded and clipped."""
        self._written += waveform.shape[1]
        self._stream.write(_encoded(waveform, self._kind))
        self._stream.flush()

    def finish(self) -> None:
        """Say the right length in the header, where the stream is a file that can go back; a pipe cannot."""
        rate, channels, is_wav = self._layout
        stream = self._stream
        if is_wav and self._written != self._said and getattr(stream, "patch", None) is not None:
            stream.patch(_wav_header(rate, channels, self._written, self._kind))


_KINDS = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4", "16": "<i2", "24": "<i3", "float": "<f4"}


def _encoded(waveform: Waveform, kind: str) -> bytes:
    if kind == "<f4":
        return np.ascontiguousarray(waveform.T, dtype="<f4").tobytes()
    if kind == "<i3":
        return as_pcm24(waveform).astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    data = as_pcm16(waveform)
    return data.astype("<i2").tobytes() if kind == "<i2" else (data.astype("<i4") << 16).tobytes()


def binary_output() -> Any:
    """Return standard output for bytes; UsageError where it is a terminal."""
    if sys.stdout.isatty():
        raise UsageError("this would write bytes to the terminal: redirect the output, or name a file")
    sys.stdout.flush()
    return sys.stdout.buffer


def _wav_header(sample_rate: int, channels: int, num_samples: int | None, kind: str) -> bytes:
    width = int(kind[-1])
    size = None if num_samples is None else width * channels * num_samples
    known = size is not None and size < (1 << 32) - 64
    data, riff = (size, size + 36) if known and size is not None else (0xFFFFFFFF, 0xFFFFFFFF)
    code = _WAV_FLOAT if kind == "<f4" else _WAV_PCM
    layout = struct.pack(
        "<HHIIHH", code, channels, sample_rate, width * channels * sample_rate, width * channels, 8 * width
    )
    return (
        b"RIFF"
        + struct.pack("<I", riff)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + layout
        + b"data"
        + struct.pack("<I", data)
    )
