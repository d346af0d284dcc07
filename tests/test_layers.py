"""One contract for every causal layer: steps equal the whole, nothing leaks, and contexts are as declared."""

import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gritcodec.nn.autoencoder import BottleneckUnit, Decoder, Encoder, Level, SpectralHead, WaveformHead
from gritcodec.nn.config import NetworkConfig, QuantizerConfig
from gritcodec.nn.spectral import CompressedSTFT, InverseSTFT
from gritcodec.nn.streaming import CausalConv, CausalDepthwise, CausalUpsample, ConvNeXtBlock, Stream

CONFIG = NetworkConfig(
    encoder_fine=16,
    encoder_fine_blocks=1,
    encoder_coarse=32,
    encoder_coarse_blocks=2,
    decoder_coarse=32,
    decoder_coarse_blocks=2,
    decoder_fine=16,
    decoder_fine_blocks=1,
    kernel=3,
    quantizer=QuantizerConfig(dim=16),
)
WAVES = NetworkConfig(**{**CONFIG.__dict__, "head": "waveform"})


class Polar(nn.Module):
    """The inverse STFT of what one input holds: log-magnitudes, then phases."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = InverseSTFT(32, 8)
        self.context = self.inner.context

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        return self.inner(x[..., :17], x[..., 17:], stream)


def plain(layer: nn.Module) -> nn.Module:
    """A layer without a stream behind the call of one with."""
    layer.forward = (lambda inner: lambda x, stream=None: inner(x))(layer.forward)  # type: ignore[method-assign]
    return layer


# Name: how to make it, channels of the input (0: samples), and input steps that belong together.
LAYERS: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "convolution": (lambda: CausalConv(16, 32, 3), 16, 1),
    "dilated": (lambda: CausalConv(16, 32, 3, dilation=3), 16, 1),
    "strided": (lambda: CausalConv(16, 32, 4, stride=4), 16, 4),
    "strided, overlapping": (lambda: CausalConv(16, 32, 6, stride=2), 16, 2),
    "upsampling": (lambda: plain(CausalUpsample(16, 32, 4)), 16, 1),
    "depthwise": (lambda: CausalDepthwise(16, 7), 16, 1),
    "block": (lambda: ConvNeXtBlock(16, 5, 2, 1.0), 16, 1),
    "level": (lambda: Level(16, 3, 3, 2), 16, 1),
    "bottleneck": (lambda: BottleneckUnit(16, 3), 16, 1),
    "analysis": (lambda: CompressedSTFT(32, 8), 0, 8),
    "analysis, logarithms": (lambda: CompressedSTFT(32, 8, True), 0, 8),
    "synthesis": (Polar, 34, 1),
    "spectral head": (lambda: SpectralHead(CONFIG), 16, 1),
    "waveform head": (lambda: WaveformHead(CONFIG), 16, 1),
    "encoder": (lambda: Encoder(CONFIG), 0, 320),
    "decoder": (lambda: Decoder(CONFIG), 16, 1),
    "decoder of waveforms": (lambda: Decoder(WAVES), 16, 1),
}


@pytest.fixture(scope="module", params=LAYERS)
def case(request) -> tuple[nn.Module, Callable[[int], Tensor], int]:
    """The layer, what makes an input of so many groups of steps, and the steps of a group."""
    make, channels, group = LAYERS[request.param]
    torch.manual_seed(0)
    layer = make().eval().requires_grad_(False)

    def signal(groups: int) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        shape = (2, groups * group, channels) if channels else (2, groups * group)
        return torch.randn(shape, generator=generator) / 2

    return layer, signal, group


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 24), max_size=6).map(sorted))
def test_steps_equal_the_whole(case, cuts):
    layer, signal, group = case
    x, stream = signal(24), Stream()
    whole = layer(x)
    edges = [0, *cuts, 24]
    parts = [layer(x[:, a * group : b * group], stream) for a, b in itertools.pairwise(edges) if a < b]
    assert torch.allclose(torch.cat(parts, 1), whole, atol=2e-6)


def test_what_is_not_a_number_stays_where_it_is(case):
    """Nothing of the future, nor of another item, gets into what comes out."""
    layer, signal, group = case
    x = signal(24)
    whole, ratio = layer(x), layer(x).shape[1] // 24
    x[0, 16 * group :] = torch.nan
    found = layer(x)
    assert torch.equal(found[0, : 16 * ratio], whole[0, : 16 * ratio]) and torch.equal(found[1], whole[1])
    assert found[0, 16 * ratio :].isnan().any()


def test_the_declared_context_is_the_measured_one(case):
    """An output step sees `context` earlier steps of the input, and not one more."""
    layer, signal, group = case
    if not hasattr(layer, "context"):
        pytest.skip("its context is that of the whole network, which tests/test_engines.py measures")
    groups = 4 + -(-layer.context // group) + 4
    x = signal(groups)
    whole = layer(x)
    ratio = whole.shape[1] // groups
    first = (groups - 2) * group - layer.context
    # A window of the STFT begins with a weight of 0.
    width = 2 if x.dim() == 2 else 1
    seen = []
    for start, end in ((0, first), (first, first + width)):
        other = x.clone()
        other[:, start:end] += 5 * torch.randn(other[:, start:end].shape, generator=torch.Generator().manual_seed(2))
        changed = layer(other)[:, (groups - 2) * ratio : (groups - 1) * ratio]
        seen.append(not torch.equal(changed, whole[:, (groups - 2) * ratio : (groups - 1) * ratio]))
    assert seen == [False, True]
