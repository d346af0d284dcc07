"""The network's configuration: enough to rebuild it from a model folder."""

from __future__ import annotations

from dataclasses import dataclass, field

# Names alone: reading a configuration must not import torch.
RADII = ("linear", "tanh", "log", "huber", "constant")
STAND_INS = ("white", "water", "scaled")
HEADS = ("istft", "waveform")
# Channels of the levels of the head `waveform`.
WAVEFORM_WIDTHS = (96, 32, 16)
# Samples, at the lower of the two rates, after which a resampler has forgotten where it began.
_RESAMPLER_MEMORY = 1024
# Of every width, length and rate; of stages.
_MOST, _MOST_STAGES = 1 << 20, 255
TRANSFORMS = ("identity", "linear", "lowrank", "mlp", "attention")


@dataclass(frozen=True)
class QuantizerConfig:
    """Residual GRIT-VQ.

    Attributes:
        stages: residual stages; one more stage is one more step of bitrate.
        codebook_size: codes a stage, a power of two.
        dim: dimension of the latent and of the codes.
        radius: member of the radius family, see gritcodec.quantize.radius.
        slope: factor of the radius's slope, 0 (the encoder gets STE's gradient) to 1.
        radius_scale: where the radius's scale R comes from, `running` or `nearest`.
        transform: member of the transform family, see gritcodec.quantize.transform.
        train_base: whether base codes are trained, or the transform alone moves them.
        commitment_weight: weight of ||z - sg q||^2 summed over stages, in units of the latent's variance.
        codebook_weight: weight of ||sg z - q||^2, in units of each stage's own variance.
        rate_weight: how much often used codes are preferred, see gritcodec.quantize.ResidualGritVQ; one for all stages
            or a list of one for each.
        beam: paths that the search for codes follows through the stages; 1 takes each stage's best code in turn.
        replace_below: codes used less than this share of an even share are replaced; 0 replaces none.
        stand_in: noise in place of codes before they are drawn: `white`; `water`, which is less where there is more
            variance; `scaled`, which besides grows with each vector; see gritcodec.quantize.noise.
    """

    stages: int = 12
    codebook_size: int = 1024
    dim: int = 64
    radius: str = "tanh"
    slope: float = 1.0
    radius_scale: str = "nearest"
    transform: str = "linear"
    train_base: bool = True
    commitment_weight: float = 0.05
    codebook_weight: float = 1.0
    rate_weight: float | tuple[float, ...] = 0.0
    beam: int = 4
    replace_below: float = 0.0
    stand_in: str = "white"

    def __post_init__(self) -> None:
        if not 1 <= self.stages <= _MOST_STAGES or not 1 <= self.dim <= _MOST:
            raise ValueError(f"stages must be 1 to {_MOST_STAGES}, and dim 1 to {_MOST:,}")
        if self.codebook_size < 2 or self.codebook_size & (self.codebook_size - 1):
            raise ValueError(f"codebook_size must be a power of two, got {self.codebook_size}")
        if self.radius not in RADII:
            raise ValueError(f"radius must be one of {', '.join(RADII)}, got '{self.radius}'")
        if self.radius_scale not in ("running", "nearest"):
            raise ValueError(f"radius_scale must be running or nearest, got '{self.radius_scale}'")
        weights = self.rate_weight if isinstance(self.rate_weight, tuple) else (self.rate_weight,) * self.stages
        if len(weights) != self.stages:
            raise ValueError(f"rate_weight must be one number or {self.stages}, one for each stage, got {len(weights)}")
        if not all(0 <= weight <= 1 for weight in weights):
            raise ValueError(f"rate_weight must be between 0 and 1, got {self.rate_weight}")
        if self.beam < 1:
            raise ValueError(f"beam must be at least 1, got {self.beam}")
        if self.stand_in not in STAND_INS:
            raise ValueError(f"stand_in must be one of {', '.join(STAND_INS)}, got '{self.stand_in}'")
        if not 0 <= self.slope <= 1:
            raise ValueError(f"slope must be between 0 and 1, got {self.slope}")
        if self.transform not in TRANSFORMS:
            raise ValueError(f"transform must be one of {', '.join(TRANSFORMS)}, got '{self.transform}'")


@dataclass(frozen=True)
class NetworkConfig:
    """Causal convolutional encoder and decoder around the quantizer.

    Attributes:
        sample_rate: Hz.
        hop_length: samples a code frame.
        fine_hop: samples a step of the fine level (between waveform and code frames); divides hop_length.
        window: samples of the analysis and synthesis windows, a multiple of fine_hop.
        encoder_fine, encoder_coarse, decoder_coarse, decoder_fine: channels of each level.
        encoder_fine_blocks, ...: residual blocks of each level.
        expansion: hidden channels of a block over its channels.
        kernel: length of the depthwise causal convolution of a block, in steps of its level.
        head: `istft` (log-magnitude and phase, inverse STFT) or `waveform` (transposed convolutions).
        log_magnitudes: whether the encoder is given the logarithm of the STFT's magnitudes too.
    """

    sample_rate: int = 16000
    hop_length: int = 320
    fine_hop: int = 80
    window: int = 320
    encoder_fine: int = 192
    encoder_fine_blocks: int = 2
    encoder_coarse: int = 384
    encoder_coarse_blocks: int = 4
    decoder_coarse: int = 384
    decoder_coarse_blocks: int = 4
    decoder_fine: int = 256
    decoder_fine_blocks: int = 3
    expansion: int = 3
    kernel: int = 7
    head: str = "istft"
    log_magnitudes: bool = False
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name.endswith("_blocks") else 1
            if isinstance(value, int) and not isinstance(value, bool) and not least <= value <= _MOST:
                raise ValueError(f"{name} must be {least} to {_MOST:,}, got {value}")
        if self.hop_length % self.fine_hop or self.window % self.fine_hop:
            raise ValueError("hop_length and window must be multiples of fine_hop")
        if self.head == "istft" and self.window < 2 * self.fine_hop:
            raise ValueError("windows of the inverse STFT must overlap: window must be at least 2 * fine_hop")
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, got '{self.head}'")

    @property
    def delay(self) -> int:
        """Samples by which the decoder's output lags: as far as windows of the inverse STFT reach over each other."""
        return 0 if self.head == "waveform" else self.window - self.fine_hop

    def warmup_frames(self, sample_rate: int) -> int:
        """Return how many frames before a sample its value at `sample_rate` Hz depends on; a few more, to be sure."""
        coarse = 3 + self.decoder_coarse_blocks * (self.kernel - 1)
        fine = self.decoder_fine_blocks * (self.kernel - 1) + self.window // self.fine_hop
        # Eight frames more than the decoder's levels need: room for its head.
        frames = coarse + -(-fine * self.fine_hop // self.hop_length) + 8
        if sample_rate != self.sample_rate:
            memory = _RESAMPLER_MEMORY * self.sample_rate / min(sample_rate, self.sample_rate)
            frames += int(memory // self.hop_length) + 1
        return frames


def waveform_strides(hop: int) -> tuple[int, int, int]:
    """Return three near-equal factors of the fine hop, largest first: the steps of the head that makes samples."""
    for a in range(round(hop ** (1 / 3)) + 2, hop + 1):
        for b in range(a, 0, -1):
            if hop % (a * b) == 0 and hop // (a * b) <= b:
                return a, b, hop // (a * b)
    return hop, 1, 1
