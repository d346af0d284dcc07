"""Measures that are trained models, out of packages with their weights: ViSQOL, DNSMOS, DistillMOS, same voice.

All take mono [samples] at 16 kHz. Nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import sys
import types
import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.errors import AudioError
from gritcodec.evaluate.metrics import RATE
from gritcodec.messages import native_stderr_off

# DNSMOS looks at windows of 9.01 s; see `dnsmos`.
_DNSMOS_SAMPLES = math.ceil(9.01 * RATE)


def visqol(reference: NDArray[np.floating], degraded: NDArray[np.floating]) -> float:
    """ViSQOL in speech mode with its lattice model (Chinen et al. 2020), MOS-LQO 1 to 5.

    Raises:
        AudioError: ViSQOL has no answer, for instance for silence, which it would call good.
    """
    if not reference.any() or not degraded.any():
        raise AudioError("ViSQOL cannot rate this clip: silence")
    try:
        result = _visqol().measure_from_arrays(reference.astype(np.float64), degraded.astype(np.float64), RATE)
        score = float(result.moslqo)
    except (ValueError, IndexError, RuntimeError, ZeroDivisionError) as error:
        raise AudioError(f"ViSQOL cannot rate this clip: {error}") from error
    if not math.isfinite(score):
        raise AudioError("ViSQOL cannot rate this clip: no number")
    return score


def dnsmos(degraded: NDArray[np.floating]) -> float:
    """Overall quality of DNSMOS P.835 (Reddy et al. 2022), about 1 to 5; knows the decoded clip alone.

    A short clip is repeated until it fills one window of 9.01 s. The package repeats it to up to twice that and
    averages over windows a second apart: the same sound at nine times the work.

    Raises:
        AudioError: the clip is silent.
    """
    from speechmos import dnsmos as package

    if not degraded.any():
        raise AudioError("DNSMOS cannot rate this clip: silence")
    repeated = np.tile(degraded, math.ceil(_DNSMOS_SAMPLES / len(degraded)))
    clip = repeated[: max(_DNSMOS_SAMPLES, len(degraded))].clip(-1, 1).astype(np.float32)
    return float(package.run(clip, RATE, return_df=False)["ovrl_mos"])


def distillmos(degraded: NDArray[np.floating]) -> float:
    """DistillMOS (Stahl and Gamper 2025), 1 to 5; knows the decoded clip alone, at any level.

    Raises:
        AudioError: the clip is silent.
    """
    import torch

    if not degraded.any():
        raise AudioError("DistillMOS cannot rate this clip: silence")
    with torch.inference_mode():
        return float(_distillmos()(torch.from_numpy(degraded.astype(np.float32))[None]))


def speaker_similarity(reference: NDArray[np.floating], degraded: NDArray[np.floating]) -> float:
    """Cosine of Resemblyzer's voice embeddings (GE2E, Wan et al. 2018), 0 to 1.

    Raises:
        AudioError: one of the two has no voice to embed.
    """
    encoder = _voice_encoder()
    embeddings = [encoder.embed_utterance(_normalised(waveform)) for waveform in (reference, degraded)]
    score = float(embeddings[0] @ embeddings[1])
    if not math.isfinite(score):
        raise AudioError("speaker similarity cannot rate this clip: no voice in it")
    return score


def _normalised(waveform: NDArray[np.floating]) -> NDArray[np.float32]:
    """Bring a clip to -30 dBFS, as the embedding was trained; its package only ever raises the level."""
    level = float(np.sqrt(np.mean(np.square(waveform))))
    if level == 0:
        raise AudioError("speaker similarity cannot rate this clip: silence")
    return (waveform * max(10 ** (-30 / 20) / level, 1.0)).astype(np.float32)


@cache
def _visqol() -> Any:
    from visqol import VisqolApi

    # Without the lattice it falls back to a polynomial that is too kind by one or two points: asked for, it fails.
    logging.getLogger("visqol").setLevel(logging.ERROR)
    api = VisqolApi()
    sys.stderr.flush()
    with native_stderr_off():
        api.create(mode="speech", use_lattice_model=True)
    return api


@cache
def _distillmos() -> Any:
    # It imports torchaudio for its command alone, and beside a CPU build of torch that import ends with an OSError.
    there = "torchaudio" in sys.modules
    if not there:
        sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    try:
        import distillmos as package
    finally:
        if not there:
            del sys.modules["torchaudio"]
    with contextlib.redirect_stdout(io.StringIO()):
        return package.ConvTransformerSQAModel().eval()


@cache
def _voice_encoder() -> Any:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from resemblyzer import VoiceEncoder

        return VoiceEncoder("cpu", verbose=False)
