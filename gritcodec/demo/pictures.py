"""Pictures as PNG: spectrograms, and the codes of a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream import Packet, Reader, truncate
from gritcodec.errors import CorruptFileError
from gritcodec.evaluate.picture import spectrogram

if TYPE_CHECKING:
    from gritcodec.codec.codec import Codec

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
        int64 [stages, frames], -1 where a stage was left out or a packet lost, and in pauses.
    """
    reader = Reader(io.BytesIO(data))
    # Whatever the codes are packed with, the reader knows it from here on.
    codec.play(reader)
    parts: list[NDArray[np.int64]] = []
    done = 0
    for item in reader.items():
        part = np.full((reader.header.stages, item.frames), -1, dtype=np.int64)
        codes = reader.codes(item) if isinstance(item, Packet) else None
        if codes is not None:
            part[: codes.shape[1]] = codes[0]
        parts.append(part)
        done += item.frames
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
    for item in Reader(io.BytesIO(data)).items():
        kept += [item.stages if isinstance(item, Packet) else 0] * item.frames
        if len(kept) >= frames:
            break
    return np.array(kept[:frames], dtype=np.int64)


def codes_png(codes: NDArray[np.int64]) -> bytes:
    """Draw codes, int64 [stages, frames], -1 for none: a pixel each, which the page makes as large as it likes."""
    return _cells(np.ma.masked_less(codes, 0) / max(int(codes.max(initial=0)), 1), "viridis")


def kept_png(kept: NDArray[np.int64], stages: int) -> bytes:
    """Draw how many of the stages are kept, int64 [bitrates, frames]: a pixel each."""
    return _cells(np.ma.masked_array(kept) / stages, "YlGnBu")


def _cells(values: np.ma.MaskedArray, colours: str) -> bytes:
    import matplotlib
    from PIL import Image

    # Masked ones are clear: 8-bit RGBA.
    pixels = matplotlib.colormaps[colours](values, bytes=True)
    output = io.BytesIO()
    Image.fromarray(pixels).save(output, "PNG")
    return output.getvalue()
