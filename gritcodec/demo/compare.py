"""One excerpt at every bitrate, and what PESQ, STOI and Opus say to it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gritcodec import audio, bitstream
from gritcodec.demo import opus, pictures
from gritcodec.errors import AudioError, GritcodecError

if TYPE_CHECKING:
    from gritcodec.audio import Waveform
    from gritcodec.codec import Codec
    from gritcodec.demo.coding import Watch


@dataclass(frozen=True)
class Column:
    """One way to hear the excerpt.

    Attributes:
        name: what it is.
        wav: the sound.
        picture: its spectrogram, PNG.
        size: bytes of the file, or of the WAV file for the original.
        kbps: what they come to.
        pesq: PESQ-WB, or None where it cannot be had.
        stoi: STOI, likewise.
    """

    name: str
    wav: Path
    picture: Path
    size: int
    kbps: float
    pesq: float | None = None
    stoi: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The whole view.

    Attributes:
        original: the excerpt itself.
        rows: for every bitrate of the model: kbps asked for, gritcodec's column and Opus's, if there is one.
        peers: Opus's columns, each once; empty without opusenc.
        seconds: length of the excerpt.
    """

    original: Column
    rows: list[tuple[float, Column, Column | None]]
    peers: list[Column]
    seconds: float


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
    rates = codec.bitrates
    everything = codec.compress(waveform, rate, rates[-1])
    rows: list[tuple[float, Column, Column | None]] = []
    peers: dict[float, Column] = {}
    for done, asked in enumerate(rates):
        watch("bitrates measured", done, len(rates))
        # Leaving out bytes gives the very file that compressing at this bitrate gives.
        data = everything if asked == rates[-1] else bitstream.truncate(everything, asked)
        decoded = codec.decompress(data)[0].numpy().clip(-1, 1)
        wav = folder / f"grit-{asked:g}.wav"
        audio.write(wav, decoded, rate)
        kbps = 8 * len(data) / seconds / 1000
        column = _column(f"gritcodec {asked:g} kbps", wav, len(data), kbps, waveform, decoded, rate)
        rows.append((asked, column, _peer(peers, original, waveform, rate, kbps, folder)))
    size = original.stat().st_size
    first = _column("original", original, size, 8 * size / seconds / 1000, None, waveform, rate)
    return Comparison(first, rows, list(peers.values()), seconds)


def missing_measures() -> list[str]:
    """Return the packages that would have to be installed to fill the whole table."""
    return [name for name in ("pesq", "pystoi") if find_spec(name) is None]


def _peer(
    peers: dict[float, Column], original: Path, waveform: Waveform, rate: int, kbps: float, folder: Path
) -> Column | None:
    """Return the Opus column nearest to a bitrate, after making it if there is none so far."""
    if not opus.available():
        return None
    asked = opus.possible(kbps, waveform.shape[0])
    if asked not in peers:
        try:
            take = opus.nearest(original, asked, folder / f"opus-{len(peers)}.wav")
        except GritcodecError:
            # A rate or channel count that Opus does not take: the column stays empty.
            return None
        decoded, _ = audio.read(take.wav)
        name = f"Opus {take.kbps:.2f} kbps"
        peers[asked] = _column(name, take.wav, take.size, take.kbps, waveform, decoded, rate)
    return peers[asked]


def _column(
    name: str, wav: Path, size: int, kbps: float, reference: Waveform | None, decoded: Waveform, rate: int
) -> Column:
    picture = wav.with_suffix(".png")
    picture.write_bytes(pictures.spectrogram_png(decoded.mean(0), rate))
    if reference is None:
        return Column(name, wav, picture, size, kbps)
    return Column(name, wav, picture, size, kbps, *_measure(reference, decoded, rate))


def _measure(reference: np.ndarray, decoded: np.ndarray, rate: int) -> tuple[float | None, float | None]:
    from gritcodec.evaluate import metrics

    values: list[float | None] = []
    for package, measure in (("pesq", metrics.pesq_wb), ("pystoi", metrics.stoi)):
        try:
            values.append(measure(reference, decoded, rate) if find_spec(package) else None)
        except AudioError:
            # Silence, or too little speech: no number is better than a false one.
            values.append(None)
    return values[0], values[1]
