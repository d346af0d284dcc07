"""Speech quality and intelligibility of a decoded waveform against its original."""

from __future__ import annotations

from typing import Any

import numpy as np

from gritcodec.errors import AudioError

RATE = 16000


def _mono_16k(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """[samples] or [channels, samples] at any rate -> mono [samples] float64 at 16 kHz."""
    import soxr

    mono = np.asarray(waveform, dtype=np.float64)
    if mono.ndim == 2:
        mono = mono.mean(0)
    return mono if sample_rate == RATE else soxr.resample(mono, sample_rate, RATE)


def _pair(reference: np.ndarray, degraded: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    if np.shape(reference)[-1] != np.shape(degraded)[-1]:
        raise AudioError(
            f"the two waveforms must be equally long: {np.shape(reference)[-1]} and {np.shape(degraded)[-1]} samples"
        )
    return _mono_16k(reference, sample_rate), _mono_16k(degraded, sample_rate)


def pesq_wb(reference: np.ndarray, degraded: np.ndarray, sample_rate: int) -> float:
    """Wide-band PESQ (ITU-T P.862.2), 1.0 to 4.64.

    Args:
        reference, degraded: [samples] or [channels, samples] (mixed to mono), equally long.
        sample_rate: Hz; resampled to 16 kHz.

    Raises:
        AudioError: PESQ has no answer, for instance for silence or a clip below a quarter of a second.
    """
    from pesq import PesqError, pesq

    original, decoded = _pair(reference, degraded, sample_rate)
    if not original.any():
        raise AudioError("PESQ cannot rate this clip: it is silent")
    try:
        return float(pesq(RATE, original.astype(np.float32), decoded.astype(np.float32), "wb"))
    except (PesqError, ValueError, ZeroDivisionError) as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise AudioError(f"PESQ cannot rate this clip: {reason}") from error


def stoi(reference: np.ndarray, degraded: np.ndarray, sample_rate: int, extended: bool = False) -> float:
    """Short-time objective intelligibility (Taal et al. 2011), about 0 to 1.

    Args:
        reference, degraded: [samples] or [channels, samples] (mixed to mono), equally long.
        sample_rate: Hz.
        extended: ESTOI (Jensen and Taal 2016).

    Raises:
        AudioError: less than 0.4 s of speech in the reference, or one of the two is silent: the measure is not defined.
    """
    import warnings

    import pystoi

    original, decoded = _pair(reference, degraded, sample_rate)
    if not original.any() or not decoded.any():
        # ESTOI would compare the dither that pystoi adds, and say anything from -0.1 to 0.1.
        raise AudioError("STOI cannot rate this clip: silence")
    with warnings.catch_warnings():
        # pystoi answers 1e-5 with a warning where it has too few frames: no number is better than a false one.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(original, decoded, RATE, extended=extended))
        except (RuntimeWarning, ValueError, IndexError) as error:
            raise AudioError("STOI cannot rate this clip: too little speech in it") from error


def estoi(reference: np.ndarray, degraded: np.ndarray, sample_rate: int) -> float:
    """Extended STOI; see stoi."""
    return stoi(reference, degraded, sample_rate, extended=True)


def si_sdr(reference: np.ndarray, degraded: np.ndarray, sample_rate: int) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), dB.

    It asks for the same waveform, which codecs of a few kbps do not try to give.

    Raises:
        AudioError: one of the two is silent.
    """
    import auraloss

    original, decoded = _sounding(reference, degraded, sample_rate)
    return -float(auraloss.time.SISDRLoss()(_tensor(decoded), _tensor(original)))


def mel_distance(reference: np.ndarray, degraded: np.ndarray, sample_rate: int) -> float:
    """Distance of mel spectrograms, spectral convergence and log magnitude, as auraloss defines it; 0 is best.

    Raises:
        AudioError: one of the two is silent.
    """
    import warnings

    import auraloss

    original, decoded = _sounding(reference, degraded, sample_rate)
    with warnings.catch_warnings():
        # librosa warns of mel bands between two bins: the low ones of any fine filter bank.
        warnings.simplefilter("ignore", UserWarning)
        return float(auraloss.freq.MelSTFTLoss(RATE)(_tensor(decoded), _tensor(original)))


def log_spectral_distance(reference: np.ndarray, degraded: np.ndarray, sample_rate: int) -> float:
    """Root mean square over frequency of the difference of log spectra, dB, averaged over frames of 32 ms.

    Levels more than 80 dB below the reference's loudest are taken for 80 dB below: what nobody hears does not count.

    Raises:
        AudioError: one of the two is silent.
    """
    original, decoded = _sounding(reference, degraded, sample_rate)
    powers = [_powers(waveform) for waveform in (original, decoded)]
    floor = 1e-8 * powers[0].max()
    first, second = (10 * np.log10(np.maximum(power, floor)) for power in powers)
    return float(np.sqrt(np.square(first - second).mean(1)).mean())


def _powers(waveform: np.ndarray, window: int = 512) -> np.ndarray:
    padded = np.pad(waveform, (0, max(window - len(waveform), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[:: window // 4]
    return np.abs(np.fft.rfft(frames * np.hanning(window))) ** 2


def _sounding(reference: np.ndarray, degraded: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    pair = _pair(reference, degraded, sample_rate)
    for name, waveform in zip(("original", "decoded clip"), pair, strict=True):
        if not waveform.any():
            raise AudioError(f"the {name} is silent")
    return pair


def _tensor(waveform: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(waveform.astype(np.float32))[None, None]
