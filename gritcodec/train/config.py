"""One YAML a training run."""

from __future__ import annotations

from dataclasses import dataclass, field

from gritcodec.nn.config import NetworkConfig


@dataclass(frozen=True)
class DataConfig:
    """Where training audio comes from.

    Attributes:
        corpus: folder with audio.int16 and manifest.jsonl, as recipes/debian-speech writes it, or a folder of
            audio files, or one audio file. Relative paths are looked up from the working folder.
        segment: seconds of each training item.
        batch: items a step, over all processes and accumulation steps.
        gain_db: each item's level is shifted by up to this much either way.
        quiet_share: share of items turned down by up to quiet_db more; their losses are computed at the level they
            had before, so that faint recordings are coded with the same care.
        quiet_db: see quiet_share.
    """

    corpus: str = "data/debian-speech"
    segment: float = 1.0
    batch: int = 16
    gain_db: float = 6.0
    quiet_share: float = 0.1
    quiet_db: float = 60.0


@dataclass(frozen=True)
class LossConfig:
    """Weights of the reconstruction losses; 0 leaves a loss out.

    Attributes:
        mel: multi-scale log-mel distance (L1).
        stft: auraloss STFT loss (spectral convergence and log magnitude).
        complex: distance of power-law compressed complex spectra, which ties down phase.
        draws: resolutions of the mel and STFT losses drawn afresh at every step, of the six and three there are.
            Over many steps this has the expectation of using them all, at a fraction of the cost.
    """

    mel: float = 1.0
    stft: float = 0.2
    complex: float = 4.0
    draws: int = 2

    def __post_init__(self) -> None:
        if min(self.mel, self.stft, self.complex) < 0 or self.draws < 1:
            raise ValueError("loss weights must be at least 0 and draws at least 1")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with linear warm-up, a constant part, and a linear decay to `final`.

    Attributes:
        rate: peak learning rate of the network.
        codebook_rate: learning rate of base codes, as a multiple of `rate`: codes must follow latents.
        transform_rate: learning rate of the codebooks' transforms, as a multiple of `rate`.
        encoder_rate: learning rate of the encoder once codes are in use, as a multiple of `rate`: codes follow a slow
            encoder, and are left behind by a fast one.
        warmup: steps of warm-up.
        decay: share of the run, at its end, over which the rate falls.
        final: last learning rate as a share of the peak.
        betas, weight_decay: AdamW's.
        clip: largest gradient norm.
        ema: decay of the averaged weights, which are what is evaluated and shipped.
    """

    rate: float = 1e-3
    codebook_rate: float = 3.0
    transform_rate: float = 1.0
    encoder_rate: float = 0.02
    warmup: int = 300
    decay: float = 0.35
    final: float = 0.02
    betas: tuple[float, ...] = (0.8, 0.98)
    weight_decay: float = 0.01
    clip: float = 2.0
    ema: float = 0.998


@dataclass(frozen=True)
class TrainConfig:
    """Everything about one run.

    Attributes:
        name: the run's folder under `runs`.
        runs: parent folder of all runs.
        steps: optimizer steps.
        seed: of data order, quantizer dropout and initial weights.
        precision: `bf16` or `no`.
        accumulate: batches are split into this many parts, gradients summed.
        start: model folder whose weights are taken to begin with, or nothing.
        quantize_after: steps trained with noise in place of quantization before the codes are drawn from latents.
        draw_vectors: latents that the codes are drawn from; a few thousand overfit the late stages.
        redraw: steps at which the codes are drawn afresh from the latents of that moment; an encoder that has
            moved on leaves codes behind that no latent reaches any more.
        full_stages: share of items that use all stages; the others draw their number of stages uniformly.
        log_every, audio_every, checkpoint_every: steps between log lines, audio logs and checkpoints.
        minutes: stop (with a checkpoint) after this much wall-clock time; 0 for no limit.
    """

    name: str = "speech-16k"
    runs: str = "runs"
    steps: int = 10000
    seed: int = 0
    precision: str = "bf16"
    accumulate: int = 1
    start: str | None = None
    quantize_after: int = 300
    draw_vectors: int = 65536
    redraw: tuple[int, ...] = ()
    full_stages: float = 0.4
    log_every: int = 50
    audio_every: int = 1000
    checkpoint_every: int = 500
    minutes: float = 0.0
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        if self.precision not in ("bf16", "no"):
            raise ValueError(f"precision must be bf16 or no, got '{self.precision}'")
        if self.steps < 1 or self.accumulate < 1 or self.data.batch % self.accumulate:
            raise ValueError("steps and accumulate must be at least 1, and accumulate must divide data.batch")
