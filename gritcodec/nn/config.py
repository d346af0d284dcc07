"""The network's configuration: enough to rebuild it from a model folder."""

from __future__ import annotations

from dataclasses import dataclass, field

# Names alone: reading a configuration must not import torch.
RADII = ("linear", "tanh", "log", "huber", "constant")
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

    def __post_init__(self) -> None:
        if self.stages < 1 or self.dim < 1:
            raise ValueError("stages and dim must be at least 1")
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
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)

    def __post_init__(self) -> None:
        if self.hop_length % self.fine_hop or self.window % self.fine_hop:
            raise ValueError("hop_length and window must be multiples of fine_hop")
        if self.head not in ("istft", "waveform"):
            raise ValueError(f"head must be istft or waveform, got '{self.head}'")
