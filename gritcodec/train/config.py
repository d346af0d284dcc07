"""One YAML a training run."""

from __future__ import annotations

from dataclasses import dataclass, field

from gritcodec.nn.config import NetworkConfig


@dataclass(frozen=True)
class DataConfig:
    """Where training audio comes from.

    Attributes:
        corpus: packed corpus (audio.int16 and manifest.jsonl, as recipes/librispeech and recipes/debian-speech write
            it), or a folder of audio files, or one audio file. Relative paths are looked up from the working folder.
        segment: seconds of each training item.
        batch: items a step, over all processes and accumulation steps.
        gain_db: each item's level is shifted by up to this much either way.
        quiet_share: share of items turned down by up to quiet_db more; their losses are computed at the level they
            had before, so that faint recordings are coded with the same care.
        quiet_db: see quiet_share.
        noise_share: share of items that stationary noise is added to, which is to be coded with them: few recordings
            are as clean as those that packages carry.
        voice_share: share of items played faster or slower, as other speakers (gritcodec.train.augment).
        room_share: share of items in a simulated room.
        colour_share: share of items recorded with another microphone.
        overdrive_share: share of items whose input was turned up too far.
        second_voice_share: share of items in which somebody else speaks at the same time.
    """

    corpus: str = "data/debian-speech"
    segment: float = 1.0
    batch: int = 16
    gain_db: float = 6.0
    quiet_share: float = 0.1
    quiet_db: float = 60.0
    noise_share: float = 0.0
    voice_share: float = 0.0
    room_share: float = 0.0
    colour_share: float = 0.0
    overdrive_share: float = 0.0
    second_voice_share: float = 0.0


@dataclass(frozen=True)
class LossConfig:
    """Weights of the reconstruction losses; 0 leaves a loss out.

    Attributes:
        mel: multi-scale log-mel distance (L1).
        stft: auraloss STFT loss (spectral convergence and log magnitude).
        complex: distance of power-law compressed complex spectra, which ties down phase.
        phase: share of `complex` that compares complex values, 0 to 1; the rest compares their magnitudes.
        phase_derivatives: difference of phases' changes in time and frequency: harmonics in step, whatever their phase.
        disturbance: audible disturbance, as in ITU-T P.862.
        envelope: 1 minus the correlation of third-octave envelopes, as in ESTOI.
        draws: resolutions of the mel and STFT losses drawn afresh at every step, of the six and three there are.
            Over many steps this has the expectation of using them all, at a fraction of the cost.
        balance: scale each loss's gradient at the output by its running norm, so that weights are shares of the
            gradient; the first loss in use keeps its own size.
    """

    mel: float = 1.0
    stft: float = 0.2
    complex: float = 4.0
    phase: float = 0.3
    phase_derivatives: float = 0.0
    disturbance: float = 0.0
    envelope: float = 0.0
    draws: int = 2
    balance: bool = False

    def __post_init__(self) -> None:
        weights = (self.mel, self.stft, self.complex, self.phase_derivatives, self.disturbance, self.envelope)
        if min(weights) < 0 or self.draws < 1:
            raise ValueError("loss weights must be at least 0 and draws at least 1")
        if not 0 <= self.phase <= 1:
            raise ValueError(f"loss.phase is a share, 0 to 1, got {self.phase}")


@dataclass(frozen=True)
class AdversarialConfig:
    """Discriminators, hinge losses and feature matching; nothing of it unless `start` is given.

    Attributes:
        start: step from which on discriminators are trained and heeded; null for spectral losses alone.
        every: steps of the codec for each step of the discriminators.
        weight: of the adversarial loss of the codec.
        feature: weight of feature matching.
        windows: of the complex STFT discriminators, samples.
        periods: of the waveform discriminators, samples; none by default.
        draws: discriminators that take part in a step, drawn afresh at each; 0 for all. Over many steps each is heeded
            and trained as often as the others, at a fraction of the cost.
        channels: of each discriminator.
        rate: learning rate of the discriminators; it decays with that of the codec.
    """

    start: int | None = None
    every: int = 1
    weight: float = 1.0
    feature: float = 2.0
    windows: tuple[int, ...] = (1024, 512, 256)
    periods: tuple[int, ...] = ()
    draws: int = 0
    channels: int = 16
    rate: float = 3e-4

    def __post_init__(self) -> None:
        if self.every < 1 or self.channels < 1 or not (self.windows or self.periods):
            raise ValueError("every and channels must be at least 1, and windows or periods must name a discriminator")
        if min(self.weight, self.feature, self.draws) < 0:
            raise ValueError("adversarial weights and draws must be at least 0")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with linear warm-up, a constant part, and a linear decay to `final`.

    Attributes:
        rate: peak learning rate of the network.
        codebook_rate: learning rate of base codes, as a multiple of `rate`: codes must follow latents.
        transform_rate: learning rate of the codebooks' transforms, as a multiple of `rate`.
        encoder_rate: learning rate of the encoder once codes are in use, as a multiple of `rate`: codes follow a slow
            encoder, and are left behind by a fast one. 0 freezes it and saves its backward pass.
        warmup: steps of warm-up.
        decay: share of the run, at its end, over which the rate falls.
        final: last learning rate as a share of the peak.
        betas, weight_decay: AdamW's.
        clip: largest gradient norm.
        ema: decay of the averaged weights, which are what is evaluated and shipped.
    """

    rate: float = 1e-3
    codebook_rate: float = 10.0
    transform_rate: float = 10.0
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
        precision: `auto`, `bf16` or `fp32`; `auto` is bf16 where all processes' devices multiply in it, else fp32.
            `no`, Accelerate's word for fp32, is taken as well.
        compile: torch.compile encoder and decoder; on a GPU it pays, on the CPU it does not.
        accumulate: batches are split into this many parts, gradients summed.
        start: model folder whose weights are taken to begin with, or nothing.
        quantize_after: steps trained with noise in place of quantization before the codes are drawn from latents.
        draw_vectors: latents that the codes are drawn from; a few thousand overfit the late stages.
        redraw: steps at which the codes are drawn afresh from the latents of that moment; an encoder that has
            moved on leaves codes behind that no latent reaches any more.
        full_stages: share of items that use all stages; the others draw their number of stages uniformly.
        few_stages: share of items that use one stage or two: of fourteen, the first alone is seldom drawn.
        log_every, audio_every, checkpoint_every: steps between log lines, audio logs and checkpoints.
        validate_every: steps between validations on fixed unseen voices, once there are codes; 0 for none. The
            weights with the best score are kept in the run's `best`.
        explosion: a gradient norm this many times its running mean stops the run, as one that is not a number does.
        minutes: stop (with a checkpoint) after this much wall-clock time; 0 for no limit.
    """

    name: str = "speech-16k"
    runs: str = "runs"
    steps: int = 10000
    seed: int = 0
    precision: str = "auto"
    compile: bool = False
    accumulate: int = 1
    start: str | None = None
    quantize_after: int = 300
    draw_vectors: int = 65536
    redraw: tuple[int, ...] = ()
    full_stages: float = 0.4
    few_stages: float = 0.0
    log_every: int = 50
    audio_every: int = 1000
    checkpoint_every: int = 500
    validate_every: int = 500
    explosion: float = 1000.0
    minutes: float = 0.0
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        if self.precision == "no":
            object.__setattr__(self, "precision", "fp32")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise ValueError(f"precision must be auto, bf16 or fp32, got '{self.precision}'")
        if min(self.full_stages, self.few_stages) < 0 or self.full_stages + self.few_stages > 1:
            raise ValueError("full_stages and few_stages are shares of the items: not below 0, together 1 at most")
        if self.steps < 1 or self.accumulate < 1 or self.data.batch % self.accumulate:
            raise ValueError("steps and accumulate must be at least 1, and accumulate must divide data.batch")
        hop, rate = self.network.hop_length, self.network.sample_rate
        if round(self.data.segment * rate) % hop:
            whole = max(round(self.data.segment * rate / hop), 1) * hop / rate
            raise ValueError(f"data.segment must be whole frames of {hop} samples at {rate} Hz, such as {whole:g}")
