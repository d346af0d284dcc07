"""What is reported of every run: reconstruction of unseen voices, use of the codes, and the gradient's steadiness."""

from __future__ import annotations

import torch
from torch import Tensor

from gritcodec.train.losses import mel_distances


def reconstruction(output: Tensor, target: Tensor, sample_rate: int) -> dict[str, float]:
    """Log-mel distance (natural log, mean over the six scales of training) and SI-SDR (dB) of [B, T] waveforms.

    SI-SDR: Le Roux et al., "SDR - half-baked or well done?", arXiv 1811.02508, auraloss's implementation.
    """
    from auraloss.time import SISDRLoss

    with torch.no_grad():
        scales = mel_distances(sample_rate)
        mel = torch.stack([scale(output, target) for scale in scales]).mean()
        loud = target.square().mean(-1) > 1e-6  # a silent segment has no SI-SDR
        sdr = -SISDRLoss()(output[loud][:, None], target[loud][:, None])
    return {"log_mel": float(mel), "si_sdr": float(sdr)}


def use_of_codes(codes: Tensor, size: int) -> dict[str, float]:
    """Share of codes used at all and perplexity over K, means over stages, of codes [..., stages]."""
    flat = codes.reshape(-1, codes.shape[-1])
    counts = torch.stack([torch.bincount(stage, minlength=size)[:size].float() for stage in flat.t()])
    share = counts / counts.sum(-1, keepdim=True)
    entropy = -(share * share.clamp_min(1e-12).log()).sum(-1)
    return {"usage": float((counts > 0).float().mean()), "perplexity": float(entropy.exp().mean() / size)}


def steadiness(norms: list[float]) -> dict[str, float]:
    """Mean of the gradient's norm over the second half of a run, and its variance over the squared mean."""
    late = torch.tensor(norms[len(norms) // 2 :])
    return {"gradient": float(late.mean()), "gradient_variance": float(late.var() / late.mean().square())}
