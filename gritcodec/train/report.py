"""What a run keeps of its measurements: metrics.jsonl and TensorBoard. What it shows while it goes: `progress`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gritcodec import messages


class Report:
    """Writes measurements of one run; only the main process has one.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.lines = open(folder / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115
        self.board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"))
        except ImportError:
            messages.note("tensorboard is not installed: metrics.jsonl only")

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """One line in metrics.jsonl, scalars in TensorBoard."""
        self.lines.write(json.dumps({"step": step, **values}) + "\n")
        self.lines.flush()
        if self.board:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def codebooks(self, step: int, usage: Tensor, perplexity: Tensor) -> None:
        """Per-stage code usage (share of codes in use) and perplexity."""
        if not self.board:
            return
        threshold = 0.01 / usage.shape[1]
        for stage, (share, value) in enumerate(zip(usage, perplexity, strict=True), 1):
            used = float((share > threshold).float().mean())
            self.board.add_scalar(f"usage/stage-{stage:02d}", used, step)
            self.board.add_scalar(f"perplexity/stage-{stage:02d}", float(value), step)

    def audio(self, step: int, name: str, waveform: Tensor, sample_rate: int) -> None:
        """A clip [1, T] and its spectrogram."""
        if not self.board:
            return
        self.board.add_audio(name, waveform.clamp(-1, 1), step, sample_rate)
        self.board.add_image(f"{name}-spectrogram", spectrogram_image(waveform[0]), step, dataformats="HW")

    def close(self) -> None:
        self.lines.close()
        if self.board:
            self.board.close()


def spectrogram_image(waveform: Tensor, window: int = 512) -> np.ndarray:
    """Log spectrogram of [T] as [bins, frames] in 0 to 1, low frequencies at the bottom, 80 dB deep."""
    if waveform.numel() < window:
        waveform = torch.nn.functional.pad(waveform, (0, window - waveform.numel()))
    frames = waveform.float().unfold(0, window, window // 4) * torch.hann_window(window, device=waveform.device)
    level = 20 * torch.log10(torch.fft.rfft(frames).abs().clamp_min(1e-6)).T.flip(0)
    return ((level - level.max() + 80) / 80).clamp(0, 1).cpu().numpy()
