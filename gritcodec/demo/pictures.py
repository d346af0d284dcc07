"""Pictures as PNG: spectrograms, and the codes of a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream import Reader, truncate
from gritcodec.errors import CorruptFileError
from gritcodec.evaluate.picture import spectrogram

if TYPE_CHECKING:
    from gritcodec.codec import Codec

QUIET_DB, LOUD_DB = -90.0, -20.0
_WIDTH, _HEIGHT = 480, 150


def spectrogram_png(waveform: NDArray[np.floating], sample_rate: int) -> bytes:
    """Draw a spectrogram without axes: time to the right, 0 Hz to half the sample rate upwards.

    Args:
        waveform: [samples].
        sample_rate: Hz; windows are 32 ms long at any.
    """
    import matplotlib
    from PIL import Image

    window = max(1 << round(np.log2(sample_rate * 0.032)), 64)
    levels = np.nan_to_num(spectrogram(waveform, window), nan=QUIET_DB)
    scaled = np.clip((levels - QUIET_DB) / (LOUD_DB - QUIET_DB), 0, 1)[::-1]
    colours = (matplotlib.colormaps["magma"](scaled)[:, :, :3] * 255).astype(np.uint8)
    output = io.BytesIO()
    Image.fromarray(colours).resize((_WIDTH, _HEIGHT), Image.Resampling.BOX).save(output, "PNG")
    return output.getvalue()


def read_codes(codec: Codec, data: bytes, frames: int) -> NDArray[np.int64]:
    """Read the codes of a file's first channel.

    Args:
        codec: of the model that made the file.
        data: a .grit file; packets that are lost leave gaps.
        frames: at most so many.

    Returns:
        int64 [stages, frames], -1 where a stage was left out or a packet lost.
    """
    reader = Reader(io.BytesIO(data))
    # Whatever the codes are packed with, the reader knows it from here on.
    codec.play(reader)
    parts: list[NDArray[np.int64]] = []
    done = 0
    for packet in reader.packets():
        part = np.full((reader.header.stages, packet.frames), -1, dtype=np.int64)
        if packet.body is not None:
            part[: packet.stages] = reader.codes(packet)[0]
        parts.append(part)
        done += packet.frames
        if done >= frames:
            break
    if not parts:
        raise CorruptFileError("this file has no packets to draw")
    return np.concatenate(parts, axis=1)[:, :frames]


def stages_kept(data: bytes, bitrates: Sequence[float], frames: int) -> NDArray[np.int64]:
    """Return how many stages a file keeps in each frame when it is truncated, int64 [bitrates, frames].

    Args:
        data: a sound file.
        bitrates: kbps a channel, none above what the file was made for; the last one stands for the file as it is.
        frames: at most so many.
    """
    return np.stack([_stages(each, frames) for each in (*(truncate(data, rate) for rate in bitrates[:-1]), data)])


def _stages(data: bytes, frames: int) -> NDArray[np.int64]:
    kept: list[int] = []
    for packet in Reader(io.BytesIO(data)).packets():
        kept += [packet.stages] * packet.frames
        if len(kept) >= frames:
            break
    return np.array(kept[:frames], dtype=np.int64)


def codes_png(
    codes: NDArray[np.int64], kept: NDArray[np.int64], bitrates: Sequence[float], chosen: int, frame_rate: float
) -> bytes:
    """Draw codes, stages by time, and below them which stages each bitrate keeps.

    Args:
        codes: int64 [stages, frames], -1 for none.
        kept: int64 [bitrates, frames].
        bitrates: kbps, ascending.
        chosen: the row of `kept` whose limit is drawn into the codes.
        frame_rate: frames a second.
    """
    # Figure alone, without pyplot: that one keeps a global state, and pages draw in several threads.
    from matplotlib.figure import Figure

    stages, frames = codes.shape
    seconds = frames / frame_rate
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 2))
    extent = (0.0, seconds, stages + 0.5, 0.5)
    shown = np.ma.masked_less(codes, 0)
    image = upper.imshow(shown, aspect="auto", extent=extent, cmap="viridis", interpolation="nearest")
    time = np.arange(frames + 1) / frame_rate
    limit = np.append(kept[chosen], kept[chosen][-1:]) + 0.5
    upper.step(time, limit, where="post", color="#ff3d68", linewidth=2.5)
    upper.set_ylabel("stage (coarse to fine)")
    upper.set_title(f"every code of the file; {bitrates[chosen]:g} kbps keeps what is above the red line", loc="left")
    figure.colorbar(image, ax=upper, label="number of the code", pad=0.01)
    rows = lower.imshow(
        kept, aspect="auto", extent=(0.0, seconds, len(bitrates) - 0.5, -0.5), cmap="YlGnBu", vmin=0, vmax=stages,
        interpolation="nearest",
    )  # fmt: skip
    lower.set_yticks(range(len(bitrates)), [f"{rate:g}" for rate in bitrates], fontsize=8)
    lower.axhline(chosen, color="#ff3d68", linewidth=1.2, linestyle=":")
    lower.set_ylabel("kbps")
    lower.set_xlabel("seconds")
    lower.set_title("stages that each bitrate keeps, packet by packet", loc="left")
    figure.colorbar(rows, ax=lower, label="stages", pad=0.01)
    output = io.BytesIO()
    figure.savefig(output, format="png", dpi=100)
    return output.getvalue()
