"""Input and output spectrogram side by side, as README shows it.

Run as `python -m gritcodec.evaluate.picture IN OUT.png --bitrate 3`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer


def spectrogram(waveform: np.ndarray, window: int = 512) -> np.ndarray:
    """Level in dB relative to full scale of [samples], as [bins, frames], a quarter of the window apart."""
    padded = np.pad(waveform, (0, max(window - len(waveform), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[:: window // 4]
    hann = np.hanning(window)
    return 20 * np.log10(np.abs(np.fft.rfft(frames * hann)).T / hann.sum() * 2 + 1e-6)


def draw(panels: list[tuple[str, np.ndarray]], sample_rate: int, target: Path) -> None:
    """Write a PNG with one spectrogram a panel, on one colour scale.

    Args:
        panels: title and waveform [samples] of each.
        sample_rate: Hz.
        target: the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(panels), figsize=(6 * len(panels), 3.4), sharey=True, squeeze=False)
    for axis, (title, waveform) in zip(axes[0], panels, strict=True):
        seconds = len(waveform) / sample_rate
        image = axis.imshow(
            spectrogram(waveform),
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, sample_rate / 2000),
            vmin=-90,
            vmax=-20,
            cmap="magma",
        )
        axis.set_title(title)
        axis.set_xlabel("seconds")
    axes[0][0].set_ylabel("kHz")
    figure.colorbar(image, ax=axes[0].tolist(), label="dB", pad=0.01)
    figure.savefig(target, dpi=90, bbox_inches="tight")
    plt.close(figure)


def main(
    source: Annotated[Path, typer.Argument(help="Audio file.", exists=True, dir_okay=False)],
    target: Annotated[Path, typer.Argument(help="PNG to write.")],
    bitrate: Annotated[list[float] | None, typer.Option(help="kbps, repeatable.")] = None,
    model: Annotated[str, typer.Option(help="Model name or folder.")] = "speech-16k",
) -> None:
    """Draw a clip's spectrogram beside those of its decoded versions."""
    import gritcodec
    from gritcodec.sound import audio

    waveform, rate = audio.read(source)
    codec = gritcodec.load(model)
    panels = [(f"input, {waveform.shape[0] * rate * 16 / 1000:.0f} kbps", waveform.mean(0))]
    for kbps in bitrate or [3.0]:
        data = codec.compress(waveform, rate, bitrate=kbps)
        decoded, _ = codec.decompress(data)
        true = len(data) * 8 / waveform.shape[1] * rate / 1000
        panels.append((f"gritcodec, {true:.2f} kbps", decoded.mean(0)))
    draw(panels, rate, target)


if __name__ == "__main__":
    typer.run(main)
