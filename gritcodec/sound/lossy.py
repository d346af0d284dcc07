"""Outputs that are coded a second time, for those who must hand sound on: m4a, mp3 and opus through PyAV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from gritcodec.errors import AudioError, OutputError, UsageError
from gritcodec.files import PathLike
from gritcodec.sound import endings
from gritcodec.sound.resampling import Resampler
from gritcodec.sound.tags import chapter_comments
from gritcodec.sound.waveforms import Waveform

# Encoder, container, and kbps a channel that suits speech.
CODECS = {".m4a": ("aac", "ipod", 48), ".mp3": ("libmp3lame", "mp3", 48), ".opus": ("libopus", "opus", 24)}
_MOST_CHANNELS = {".m4a": 8, ".mp3": 2, ".opus": 2}
_RATES = {
    ".m4a": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
    ".mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    ".opus": (8000, 12000, 16000, 24000, 48000),
}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
# Of MPEG 1, 2 and 2.5 by their lowest rate: the least and the most that a frame holds.
_MP3_KBPS = ((32_000, 32, 320), (16_000, 8, 160), (0, 8, 64))
# A channel of a frame of AAC holds no more; by rates, what FFmpeg's encoder makes of less, measured.
_AAC_FRAME_BITS = 6144
_AAC_LEAST = ((32_000, 16), (22_050, 12), (0, 8))
_MILLISECOND = Fraction(1, 1000)


def check(path: PathLike, ending: str, sample_rate: int, channels: int, kbps: float | None = None) -> None:
    """Refuse what cannot be written, with UsageError or AudioError."""
    if not endings.loads_av():
        raise UsageError(f"writing {ending} needs PyAV: pip install 'gritcodec[av]'")
    if channels > _MOST_CHANNELS[ending]:
        raise AudioError(f"cannot write {path}: {ending} does not hold {channels} channels; name it .wav instead")
    least, most = _range(ending, _rate(ending, sample_rate), channels)
    if kbps is not None and not least <= kbps <= most:
        raise UsageError(
            f"--out-bitrate of {ending} is from {least:g} to {most:g} kbps at {_rate(ending, sample_rate):,} Hz with "
            f"{channels} channel{'s' if channels > 1 else ''}, not {kbps:g}"
        )


def _rate(ending: str, sample_rate: int) -> int:
    """Return the nearest rate above that a format has, or its highest."""
    return next((rate for rate in _RATES[ending] if rate >= sample_rate), _RATES[ending][-1])


def _range(ending: str, rate: int, channels: int) -> tuple[float, float]:
    """Return the kbps between which an encoder does what it is told; others it refuses, or takes for the nearest."""
    if ending == ".opus":
        return 4, 256 * channels
    if ending == ".mp3":
        return next(((least, most) for lowest, least, most in _MP3_KBPS if rate >= lowest))
    least = next(least for lowest, least in _AAC_LEAST if rate >= lowest)
    return least * (1 if channels == 1 else 0.75 * channels), min(_AAC_FRAME_BITS * rate * channels // 1_024_000, 512)


@contextmanager
def open_writer(
    path: Path,
    temporary: Path,
    ending: str,
    sample_rate: int,
    channels: int,
    kbps: float | None,
    tags: Sequence[tuple[str, str]],
    chapters: Sequence[tuple[float, str]],
) -> Iterator[Encoder]:
    """Give what sound is written to; tags and chapters (seconds, name) stand at the beginning of the file.

    Raises:
        OutputError: the file system refuses.
        AudioError: the encoder does.
    """
    import av

    try:
        encoder = Encoder(temporary, ending, sample_rate, channels, kbps)
        try:
            encoder.describe(tags, chapters)
            yield encoder
            encoder.finish()
        finally:
            encoder.close()
    except OSError as error:
        # PyAV's errors of the system are those of Python too.
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise AudioError(f"cannot write {path}: {error}") from error


class Encoder:
    """A file that is being coded."""

    def __init__(self, temporary: Path, ending: str, sample_rate: int, channels: int, kbps: float | None) -> None:
        """Begin; at the nearest rate above that the format has."""
        import av

        codec, container, usual = CODECS[ending]
        self._rates = sample_rate, _rate(ending, sample_rate)
        self._layout = _LAYOUTS[channels]
        self._resampler = Resampler(*self._rates, channels)
        self._taken = self._given = 0
        # PyAV closes a container on its way out: what was not finished then is removed with the temporary file.
        self._container: Any = av.open(str(temporary), "w", format=container)
        bit_rate = round(1000 * (usual * channels if kbps is None else kbps))
        self._stream: Any = self._container.add_stream(
            codec, rate=self._rates[1], layout=self._layout, bit_rate=bit_rate
        )

    def write(self, waveform: Waveform) -> None:
        """Append float32 [channels, samples], clipped to -1 to 1."""
        self._taken += waveform.shape[1]
        self._put(self._resampler.push(waveform))

    def describe(self, tags: Sequence[tuple[str, str]], chapters: Sequence[tuple[float, str]]) -> None:
        """Say what the file says of itself, before the first sound."""
        # Ogg keeps what its stream says, the others what the container says, and the stream of its language.
        if self._container.format.name in ("ogg", "opus"):
            # FFmpeg writes chapters into Ogg a second late where they begin in the second half of one.
            self._stream.metadata.update(dict([*tags, *chapter_comments(chapters)]))
            return
        self._container.metadata.update(dict(tags))
        self._stream.metadata.update({name: value for name, value in tags if name.lower() == "language"})
        if chapters and hasattr(self._container, "set_chapters"):
            starts = [round(1000 * seconds) for seconds, _ in chapters]
            ends = [*starts[1:], starts[-1] + 1]
            self._container.set_chapters(
                [
                    {"id": n, "start": start, "end": end, "time_base": _MILLISECOND, "metadata": {"title": name}}
                    for n, (start, end, (_, name)) in enumerate(zip(starts, ends, chapters, strict=True), 1)
                ]
            )

    def finish(self) -> None:
        """Write the rest."""
        total = -(-self._taken * self._rates[1] // self._rates[0])
        self._put(self._resampler.finish(total))
        for packet in self._stream.encode(None):
            self._container.mux(packet)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _put(self, waveform: Waveform) -> None:
        import av

        if not waveform.shape[1]:
            return
        data = np.ascontiguousarray(waveform.clip(-1, 1), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(data, format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rates[1], self._given, Fraction(1, self._rates[1])
        self._given += data.shape[1]
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
