"""One excerpt at every bitrate, and what PESQ, STOI and Opus say to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gritcodec import bitstream
from gritcodec.demo import opus, pictures
from gritcodec.errors import AudioError, GritcodecError
from gritcodec.sound import audio

if TYPE_CHECKING:
    from gritcodec.codec.codec import Codec
    from gritcodec.demo.coding import Watch
    from gritcodec.sound.audio import Waveform

# Two files of Opus nearer to each other than this sound the same, and one of them says it all.
_SAME = 0.02


@dataclass(frozen=True)
class Column:
    """One way to hear the excerpt.

    Attributes:
        codec: "original", "gritcodec" or "Opus".
        name: what sets it apart from the others of that codec; empty for the original.
        wav: the sound.
        picture: its spectrogram, PNG.
        size: bytes of the file, or of the WAV file for the original.
        kbps: what they come to, all channels together.
        pesq: PESQ-WB, or None where it cannot be had.
        stoi: STOI, likewise.
        least: whether its codec goes no lower.
        asked: of gritcodec's, the bitrates that give these bytes, kbps a channel.
    """

    codec: str
    name: str
    wav: Path
    picture: Path
    size: int
    kbps: float
    pesq: float | None = None
    stoi: float | None = None
    least: bool = False
    asked: tuple[float, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The whole view.

    Attributes:
        original: the excerpt itself.
        columns: gritcodec's and Opus's, by what they cost; what is the same under two bitrates is there once.
        seconds: length of the excerpt.
        channels: 1 or more.
    """

    original: Column
    columns: list[Column]
    seconds: float
    channels: int

    @property
    def least(self) -> Column | None:
        """Opus at the least it can be asked for, if that is more than what some of gritcodec's cost."""
        return next((column for column in self.columns if column.least), None)


def compare(codec: Codec, original: Path, folder: Path, watch: Watch) -> Comparison:
    """Code an excerpt at every bitrate, and with Opus at the true bitrates that come nearest.

    Args:
        codec: the model.
        original: the excerpt, a 16-bit WAV file.
        folder: an empty one for results.
        watch: called with columns done and columns to do.

    Raises:
        AudioError: the excerpt is empty.
    """
    waveform, rate = audio.read(original)
    if not waveform.shape[1]:
        raise AudioError("there is no sound in this recording")
    seconds = waveform.shape[1] / rate
    columns: list[Column] = []
    peers: list[Column] = []
    made = _by_bytes(codec, codec.compress(waveform, rate, codec.bitrates[-1]))
    for done, (data, asked) in enumerate(made):
        watch("bitrates measured", done, len(made))
        decoded = codec.decompress(data)[0].clip(-1, 1)
        wav = folder / f"grit-{asked[0]:g}.wav"
        audio.write(wav, decoded, rate)
        kbps = 8 * len(data) / seconds / 1000
        name = _name(asked, waveform.shape[0])
        column = _column("gritcodec", name, wav, len(data), kbps, waveform, decoded, rate)
        columns.append(replace(column, asked=tuple(asked)))
        if opus.available():
            peers += _peer(peers, original, waveform, rate, kbps, folder)
    size = original.stat().st_size
    first = _column("original", "", original, size, 8 * size / seconds / 1000, None, waveform, rate)
    # At the same price ours stands first.
    return Comparison(first, sorted([*columns, *peers], key=lambda it: it.kbps), seconds, waveform.shape[0])


def measures() -> tuple[str, ...]:
    """Return which of "PESQ" and "STOI" can be had here."""
    return tuple(name for name, package in (("PESQ", "pesq"), ("STOI", "pystoi")) if find_spec(package))


def _by_bytes(codec: Codec, everything: bytes) -> list[tuple[bytes, list[float]]]:
    """Return what each bitrate leaves of a file, with all the bitrates that leave the same."""
    made: list[tuple[bytes, list[float]]] = []
    for asked in codec.bitrates:
        # Leaving out bytes gives the very file that compressing at this bitrate gives.
        data = everything if asked == codec.bitrates[-1] else bitstream.truncate(everything, asked)
        if made and made[-1][0] == data:
            made[-1][1].append(asked)
        else:
            made.append((data, [asked]))
    return made


def _name(asked: Sequence[float], channels: int) -> str:
    rates = f"{asked[0]:g}" if len(asked) == 1 else f"{asked[0]:g} to {asked[-1]:g}"
    return f"{channels} x {rates} kbps" if channels > 1 else f"{rates} kbps"


def _peer(
    peers: list[Column], original: Path, waveform: Waveform, rate: int, kbps: float, folder: Path
) -> list[Column]:
    """Return Opus's column nearest to a bitrate, or nothing if there is one already or it cannot be had."""
    asked = opus.possible(kbps, waveform.shape[0])
    least = asked > kbps
    if any(abs(known.kbps - asked) < _SAME * asked or (least and known.least) for known in peers):
        return []
    try:
        take = opus.nearest(original, asked, folder / f"opus-{len(peers)}.wav")
    except GritcodecError:
        # A rate or channel count that Opus does not take.
        return []
    if any(abs(known.kbps - take.kbps) < _SAME * take.kbps for known in peers):
        return []
    decoded, _ = audio.read(take.wav)
    name = f"{take.kbps:.2f} kbps"
    return [_column("Opus", name, take.wav, take.size, take.kbps, waveform, decoded, rate, least)]


def _column(
    codec: str,
    name: str,
    wav: Path,
    size: int,
    kbps: float,
    reference: Waveform | None,
    decoded: Waveform,
    rate: int,
    least: bool = False,
) -> Column:
    picture = wav.with_suffix(".png")
    picture.write_bytes(pictures.spectrogram_png(decoded.mean(0), rate))
    pesq, stoi = (None, None) if reference is None else _measure(reference, decoded, rate)
    return Column(codec, name, wav, picture, size, kbps, pesq, stoi, least)


def _measure(reference: np.ndarray, decoded: np.ndarray, rate: int) -> tuple[float | None, float | None]:
    from gritcodec.evaluate import metrics

    values: list[float | None] = []
    for name, measure in (("PESQ", metrics.pesq_wb), ("STOI", metrics.stoi)):
        try:
            values.append(measure(reference, decoded, rate) if name in measures() else None)
        except AudioError:
            # Silence, or too little speech: no number is better than a false one.
            values.append(None)
    return values[0], values[1]
