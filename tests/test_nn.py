"""The network: causality, streaming equals offline, delay and lengths as documented."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.nn.config import NetworkConfig, QuantizerConfig
from gritcodec.nn.spectral import CompressedSTFT, InverseSTFT
from gritcodec.nn.streaming import CausalConv, CausalDepthwise, Stream

TINY = NetworkConfig(
    encoder_fine=16,
    encoder_fine_blocks=1,
    encoder_coarse=24,
    encoder_coarse_blocks=2,
    decoder_coarse=24,
    decoder_coarse_blocks=2,
    decoder_fine=16,
    decoder_fine_blocks=1,
    quantizer=QuantizerConfig(stages=3, codebook_size=16, dim=8),
)
HOP = TINY.hop_length


def build(head: str, **inputs: object) -> Autoencoder:
    torch.manual_seed(1)
    network = Autoencoder(dataclasses.replace(TINY, head=head, **inputs)).eval()
    network.quantizer.initialize(network.encoder(torch.randn(8, HOP * 20)).detach().flatten(0, 1))
    return network.requires_grad_(False)


NETWORKS = {head: build(head) for head in ("istft", "waveform")}
NETWORKS["more to see"] = build("istft", log_magnitudes=True)


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


def test_lengths_and_types(network):
    codes = network.encode(torch.randn(2, 1, HOP * 5))
    assert codes.shape == (2, 3, 5) and codes.dtype == torch.int64
    assert network.encode(torch.randn(2, 1, HOP * 5), stages=2).shape == (2, 2, 5)
    output = network.decode(codes)
    assert output.shape == (2, 1, HOP * 5) and output.dtype == torch.float32


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 11), st.sampled_from(sorted(NETWORKS)))
def test_causal_a_prefix_in_gives_the_same_prefix_out(frames, head):
    network = NETWORKS[head]
    waveform = torch.randn(1, 1, HOP * 12, generator=torch.Generator().manual_seed(frames))
    latents = network.encoder(waveform[:, 0])
    assert torch.allclose(network.encoder(waveform[:, 0, : HOP * frames]), latents[:, :frames], atol=1e-4)
    whole = network.decode(network.encode(waveform))
    part = network.decode(network.encode(waveform)[..., :frames])
    assert torch.allclose(part, whole[..., : HOP * frames], atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.sampled_from(sorted(NETWORKS)))
def test_streaming_equals_offline(blocks, head):
    network = NETWORKS[head]
    frames = sum(blocks)
    waveform = torch.randn(2, 1, HOP * frames, generator=torch.Generator().manual_seed(frames))
    encoder, decoder = network.initial_state(), network.initial_state()
    latents, codes, output, at = [], [], [], 0
    offline = network.encode(waveform)
    for length in blocks:
        block = waveform[..., HOP * at : HOP * (at + length)]
        latents.append(network.encoder(block[:, 0], encoder))
        codes.append(network.quantizer.encode(latents[-1]))
        output.append(network.decode(offline[..., at : at + length], decoder))
        at += length
    assert torch.allclose(torch.cat(latents, 1), network.encoder(waveform[:, 0]), atol=1e-4)
    assert (torch.cat(codes, 1).transpose(1, 2) == offline).float().mean() > 0.99
    assert torch.allclose(torch.cat(output, -1), network.decode(offline), atol=1e-5)


def test_inverse_stft_restores_what_the_stft_saw_late_by_the_delay():
    window, hop = 320, 80
    waveform = torch.randn(1, hop * 40)
    padded = torch.nn.functional.pad(waveform, (window - hop, 0))
    spectrum = torch.fft.rfft(padded.unfold(-1, window, hop) * torch.hann_window(window))
    restored = InverseSTFT(window, hop)(spectrum.abs().log(), spectrum.angle())
    delay = window - hop
    assert torch.allclose(restored[:, delay:], waveform[:, : waveform.shape[1] - delay], atol=1e-4)


def test_stft_features_keep_phase_and_compress_level():
    stft = CompressedSTFT(320, 80)
    tone = torch.sin(torch.arange(1600) * 0.3)[None]
    loud, quiet = stft(tone), stft(tone * 0.1)
    assert loud.shape == (1, 20, 322)
    ratio = loud.abs().max() / quiet.abs().max()
    assert float(ratio) == pytest.approx(10**0.3, rel=0.02)


def test_logarithms_of_magnitudes_come_after_the_parts():
    stft, plain = CompressedSTFT(320, 80, logarithms=True), CompressedSTFT(320, 80)
    tone = torch.sin(torch.arange(1600) * 0.3)[None]
    features = stft(tone)
    assert features.shape == (1, 20, stft.features) == (1, 20, 483)
    assert torch.equal(features[..., :322], plain(tone))
    quieter = stft(tone * 0.1)[..., 322:] - features[..., 322:]
    assert float(quieter[0, 10, 15]) == pytest.approx(-0.09 * 2 * math.log(10), rel=1e-3)
    assert -1.2 < float(stft(torch.zeros(1, 320)).min()) < -1.1


def test_a_head_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="head must be one of"):
        dataclasses.replace(TINY, head="horn")


def test_gradients_of_a_depthwise_convolution_are_those_of_torch():
    layer, x = CausalDepthwise(6, 7).double().train(), torch.randn(2, 9, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    leaves = [x, *layer.parameters()]
    mine = torch.autograd.grad(layer(x).square().sum(), leaves)
    assert torch.equal(layer(x), layer.eval()(x))
    for a, b in zip(mine, torch.autograd.grad(layer.eval()(x).square().sum(), leaves), strict=True):
        assert torch.allclose(a, b)


def test_strided_convolution_sees_its_stream():
    conv = CausalConv(3, 5, kernel=6, stride=2)
    x = torch.randn(1, 12, 3)
    stream = Stream()
    parts = [conv(x[:, i : i + 4], stream) for i in range(0, 12, 4)]
    assert torch.allclose(torch.cat(parts, 1), conv(x), atol=1e-6)


def test_training_gradients_reach_every_parameter():
    network = build("istft").train().requires_grad_(True)
    output, quantized = network(torch.randn(4, 1, HOP * 10), torch.tensor([1, 2, 3, 3]))
    (output.square().mean() + sum(quantized.losses.values())).backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []
