"""Encoder, quantizer and decoder as one causal network."""

from __future__ import annotations

from torch import Tensor, nn

from gritcodec.nn.config import WAVEFORM_WIDTHS, NetworkConfig, waveform_strides
from gritcodec.nn.spectral import CompressedSTFT, InverseSTFT
from gritcodec.nn.streaming import CausalConv, CausalUpsample, ConvNeXtBlock, Linear, Stream
from gritcodec.quantize.grit import Quantized
from gritcodec.quantize.residual import ResidualGritVQ


class Level(nn.Module):
    """Residual blocks at one rate, [B, T, C] -> [B, T, C]."""

    def __init__(self, channels: int, blocks: int, kernel: int, expansion: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        scale = 1.0 / max(blocks, 1)
        self.blocks = nn.ModuleList(ConvNeXtBlock(channels, kernel, expansion, scale) for _ in range(blocks))
        self.context = blocks * (kernel - 1)

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        x = self.norm(x)
        for block in self.blocks:
            x = block(x, stream)
        return x


class Encoder(nn.Module):
    """Waveform [B, T] -> latents [B, T // hop_length, dim], causal, without look-ahead."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.stft = CompressedSTFT(config.window, config.fine_hop, config.log_magnitudes)
        self.embed = Linear(self.stft.features, config.encoder_fine)
        self.fine = Level(config.encoder_fine, config.encoder_fine_blocks, config.kernel, config.expansion)
        stride = config.hop_length // config.fine_hop
        self.down = CausalConv(config.encoder_fine, config.encoder_coarse, kernel=stride, stride=stride)
        self.coarse = Level(config.encoder_coarse, config.encoder_coarse_blocks, config.kernel, config.expansion)
        self.norm = nn.LayerNorm(config.encoder_coarse)
        self.project = Linear(config.encoder_coarse, config.quantizer.dim)

    def forward(self, waveform: Tensor, stream: Stream | None = None) -> Tensor:
        x = self.fine(self.embed(self.stft(waveform, stream)), stream)
        return self.project(self.norm(self.coarse(self.down(x, stream), stream)))


class SpectralHead(nn.Module):
    """Fine features [B, T, C] -> waveform [B, T * fine_hop] through an inverse STFT."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        bins = config.window // 2 + 1
        self.norm = nn.LayerNorm(config.decoder_fine)
        self.magnitude = Linear(config.decoder_fine, bins)
        self.phase = Linear(config.decoder_fine, bins)
        self.istft = InverseSTFT(config.window, config.fine_hop)
        self.delay = config.window - config.fine_hop
        nn.init.constant_(self.magnitude.bias, -2.0)

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        x = self.norm(x)
        return self.istft(self.magnitude(x), self.phase(x), stream)


class WaveformHead(nn.Module):
    """Fine features [B, T, C] -> waveform [B, T * fine_hop] through thin residual units at rising rates.

    SoundStream's decoder (arXiv 2107.03312) with bottleneck units; the alternative that docs/training.md
    compares with the spectral head.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.delay = 0
        channels = config.decoder_fine
        self.steps = nn.ModuleList()
        for stride, narrow in zip(waveform_strides(config.fine_hop), WAVEFORM_WIDTHS, strict=False):
            self.steps.append(CausalUpsample(channels, narrow, stride))
            self.steps.append(BottleneckUnit(narrow, 1))
            self.steps.append(BottleneckUnit(narrow, 3))
            channels = narrow
        self.out = CausalConv(channels, 1, kernel=7)

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        for step in self.steps:
            x = step(x, stream) if isinstance(step, BottleneckUnit) else step(x)
        return self.out(nn.functional.elu(x), stream)[..., 0].float()


class BottleneckUnit(nn.Module):
    """Residual unit [B, T, C]: dilated causal convolution to half the channels, then a pointwise one back."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.conv = CausalConv(channels, max(channels // 2, 1), kernel=3, dilation=dilation)
        self.context = self.conv.context
        self.out = Linear(max(channels // 2, 1), channels)

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        hidden = self.conv(nn.functional.elu(x), stream)
        return x + self.out(nn.functional.elu(hidden))


class Decoder(nn.Module):
    """Latents [B, F, dim] -> waveform [B, F * hop_length], late by `delay` samples."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.project = CausalConv(config.quantizer.dim, config.decoder_coarse, kernel=3)
        self.coarse = Level(config.decoder_coarse, config.decoder_coarse_blocks, config.kernel, config.expansion)
        self.up = CausalUpsample(config.decoder_coarse, config.decoder_fine, config.hop_length // config.fine_hop)
        self.fine = Level(config.decoder_fine, config.decoder_fine_blocks, config.kernel, config.expansion)
        self.head: SpectralHead | WaveformHead
        self.head = SpectralHead(config) if config.head == "istft" else WaveformHead(config)
        self.delay = self.head.delay

    def forward(self, latents: Tensor, stream: Stream | None = None) -> Tensor:
        x = self.coarse(self.project(latents, stream), stream)
        return self.head(self.fine(self.up(x), stream), stream)


class Autoencoder(nn.Module):
    """The codec's network: waveform -> codes -> waveform.

    Zero left padding, no look-ahead in the encoder; the decoder's output lags by `delay` samples, so the
    algorithmic delay is hop_length + delay samples.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantizer = ResidualGritVQ.from_config(config.quantizer)
        self.decoder = Decoder(config)
        self.delay = self.decoder.delay

    def forward(self, waveform: Tensor, active: Tensor | None = None) -> tuple[Tensor, Quantized]:
        """Reconstruct waveforms in training.

        Args:
            waveform: [B, 1, F * hop_length] float, -1 to 1.
            active: [B] int, stages used for each item (quantizer dropout); None uses all.

        Returns:
            The reconstruction [B, 1, F * hop_length], late by `delay` samples, and the quantizer's output.
        """
        quantized = self.quantizer(self.encoder(waveform[:, 0]), active)
        return self.decoder(quantized.values)[:, None], quantized

    def initial_state(self) -> Stream:
        """A fresh streaming state; the encoder and the decoder need one each."""
        return Stream()

    def encode(self, waveform: Tensor, stages: int | None = None, state: Stream | None = None) -> Tensor:
        """Waveform [B, 1, F * hop_length] float32 -> codes [B, stages, F] int64."""
        return self.quantizer.encode(self.encoder(waveform[:, 0], state), stages).transpose(1, 2)

    def decode(self, codes: Tensor, state: Stream | None = None) -> Tensor:
        """Codes [B, stages, F] int64 -> waveform [B, 1, F * hop_length] float32, late by `delay` samples."""
        return self.decoder(self.quantizer.decode(codes.transpose(1, 2)), state)[:, None]

    def fade(self, state: Stream) -> Tensor | None:
        """What the decoder's last frames sound like when nothing follows, float32 [B, delay]; None if there is nothing.

        Args:
            state: of the decoder; left as it is.
        """
        head = self.decoder.head
        return head.istft.tail(state) if isinstance(head, SpectralHead) else None
