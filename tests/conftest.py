"""Fixtures that every part of the tests shares."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

# Before torch is imported: tests run beside each other, and small networks gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def _save_tiny(folder: Path, seed: int) -> Path:
    import torch

    from gritcodec.engine import store
    from gritcodec.nn.autoencoder import Autoencoder
    from gritcodec.nn.config import NetworkConfig, QuantizerConfig

    config = NetworkConfig(
        encoder_fine=16,
        encoder_fine_blocks=1,
        encoder_coarse=24,
        encoder_coarse_blocks=1,
        decoder_coarse=24,
        decoder_coarse_blocks=1,
        decoder_fine=16,
        decoder_fine_blocks=1,
        quantizer=QuantizerConfig(dim=8),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        store.save(folder, Autoencoder(config))
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small model with random weights: the right shapes, in no time, and no quality."""
    return _save_tiny(tmp_path_factory.mktemp("models") / "tiny", seed=1)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model like tiny_model with other weights."""
    return _save_tiny(tmp_path_factory.mktemp("models") / "other", seed=2)


@pytest.fixture
def command(capsys, tiny_model):
    """Run a verb with the tiny model; returns exit code, stdout, stderr."""

    def run(verb, *arguments):
        from gritcodec.cli import app as cli

        model = ["--model", str(tiny_model)] if verb in ("compress", "decompress", "roundtrip") else []
        code = cli.main([verb, *map(str, arguments), *model])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def heed_interrupts() -> None:
    """Run in a new process: SIGINT as at a terminal, also where tests run in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def tone(channels: int, samples: int, rate: int, level: float = 0.3) -> np.ndarray:
    """A voice-like sound float32 [channels, samples]: harmonics of 120 Hz, a slow envelope, some noise."""
    time = np.arange(samples) / rate
    voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 12))
    noise = np.random.default_rng(samples).standard_normal((channels, samples))
    waveform = level * (0.4 * voice * np.abs(np.sin(2 * np.pi * 1.5 * time)) + 0.02 * noise)
    return waveform.astype(np.float32)
