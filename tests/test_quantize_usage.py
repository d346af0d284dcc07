"""Which codes are used: usage, codes that nobody uses, and codes chosen by what they cost as well."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quantizers import make

from gritcodec.quantize import TRANSFORMS, GritVQ, ResidualGritVQ
from gritcodec.quantize.kmeans import kmeans
from gritcodec.train.usage import settle_usage


def test_usage_and_perplexity_follow_the_data():
    quantizer = make(stages=2, size=16).train()
    for _ in range(600):
        quantizer(torch.randn(4, 50, 6))
    assert (quantizer.perplexity() > 4).all()
    for _ in range(600):
        quantizer(torch.ones(4, 50, 6))
    assert (quantizer.perplexity() < 1.2).all()


def test_dead_codes_come_back_only_when_asked():
    for replace_below, alive in [(0.0, False), (0.5, True)]:
        torch.manual_seed(0)
        quantizer = GritVQ(4, 32, replace_below=replace_below, transform="identity")
        quantizer(torch.randn(4, 200, 4))
        with torch.no_grad():
            quantizer.base[0, 8:] += 1e3  # out of every latent's reach
        far = quantizer.base[0, 8:].clone()
        for _ in range(400):
            quantizer(torch.randn(4, 200, 4))
        assert torch.equal(quantizer.base[0, 8:], far) == (not alive)
        assert (float(quantizer.perplexity()) > 20) == alive


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_step_that_replaces_codes_still_has_its_gradient(transform):
    """Codes are put elsewhere between the forward and the backward pass, which are of those that were there before."""
    gradients = []
    for replace_below in (0.0, 0.5):
        torch.manual_seed(0)
        quantizer = ResidualGritVQ(4, 2, 32, replace_below=replace_below, transform=transform)
        quantizer(torch.randn(4, 200, 4))
        with torch.no_grad():
            quantizer.usage[:, 8:] = 1e-9
        before = quantizer.base.detach().clone()
        out = quantizer(torch.randn(1, 20, 4))
        (out.values.square().sum() + sum(out.losses.values())).backward()
        assert torch.equal(quantizer.base, before) == (not replace_below)
        gradients.append([parameter.grad for parameter in quantizer.parameters()])
    assert all(torch.equal(plain, replacing) for plain, replacing in zip(*gradients, strict=True))


def test_kmeans_uses_every_centre_and_takes_few_points():
    points = torch.randn(500, 3)
    centres, index = kmeans(points, 20)
    assert centres.shape == (20, 3) and index.unique().numel() == 20
    centres, index = kmeans(points[:5], 20)
    assert centres.shape == (20, 3) and index.shape == (5,)


def lengths(usage):
    """Bits of each code: the rarest count as a tenth of an even share."""
    share = usage / usage.sum(-1, keepdim=True)
    return -torch.log2(share.clamp_min(0.1 / usage.shape[-1]))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16), st.integers(1, 4), st.floats(0.0, 0.3))
def test_codes_are_the_cheapest_by_distance_and_bits(seed, stages, weight):
    quantizer = make(stages, rate_weight=weight).eval()
    generator = torch.Generator().manual_seed(seed)
    quantizer.usage.copy_(torch.rand(quantizer.usage.shape, generator=generator) ** 8)
    latents = 2 * torch.randn(3, 40, 6, generator=generator)
    books, energy = quantizer.codebooks().detach(), quantizer.stage_scale.square() * 6
    left = torch.cat([energy[1:], energy[-1:] * (energy[-1:] / energy[-2:-1] if stages > 1 else 1)])
    residual, codes = latents, quantizer.encode(latents)
    assert torch.equal(codes, quantizer(latents).codes)
    for stage in range(stages):
        costs = (residual[..., None, :] - books[stage]).square().sum(-1)
        costs = costs + weight * left[stage] * lengths(quantizer.usage[stage])
        chosen = costs.gather(-1, codes[..., stage, None])[..., 0]
        assert torch.allclose(chosen, costs.amin(-1), rtol=1e-4, atol=1e-4)
        residual = residual - books[stage][codes[..., stage]]


def test_another_weight_counts_at_once():
    quantizer = make(rate_weight=0.3).eval()
    quantizer.usage.copy_(torch.rand(quantizer.usage.shape, generator=torch.Generator().manual_seed(0)) ** 8)
    latents = 2 * torch.randn(3, 40, 6)
    priced = quantizer.encode(latents)
    quantizer.rate_weight = 0.0
    nearest = quantizer.encode(latents)
    assert torch.equal(nearest, quantizer(latents).codes) and not torch.equal(nearest, priced)


def test_a_small_price_saves_more_bits_than_the_error_it_costs_would():
    torch.manual_seed(1)
    latents = torch.randn(20_000, 6) * torch.rand(20_000, 1).square()
    plain, priced = (ResidualGritVQ(6, 2, 64, rate_weight=weight) for weight in (0.0, 0.02))
    found = []
    for quantizer in (plain, priced):
        quantizer.initialize(latents)
        quantizer.train()
        for part in latents.split(100):
            quantizer(part[None])
        quantizer.eval()
        codes = quantizer.encode(latents)
        bits = lengths(quantizer.usage).gather(-1, codes.T).sum(0).mean()
        error = (quantizer.decode(codes) - latents).square().sum(-1).mean()
        found.append((float(bits), float(error)))
    (bits, error), (fewer, more) = found
    # At 12 bits in 6 dimensions a bit is worth a factor of 2 ** (2 / 6) of the error.
    assert fewer < bits - 0.3
    assert more / error < 2 ** (2 * (bits - fewer) / 6)


@pytest.mark.parametrize("weight", [-0.1, 1.5, (0.1, 0.2), (0.1,) * 11 + (1.1,)])
def test_a_configuration_refuses_prices_that_make_no_sense(weight):
    from gritcodec.nn.config import QuantizerConfig

    with pytest.raises(ValueError, match="rate_weight"):
        QuantizerConfig(rate_weight=weight)


def test_every_stage_may_have_a_weight_of_its_own():
    from gritcodec import config
    from gritcodec.nn.config import QuantizerConfig

    for weight in (0.01, (0.0, 0.02, 0.3)):
        read = config.from_dict(QuantizerConfig, config.to_dict(QuantizerConfig(stages=3, rate_weight=weight)), "test")
        assert read.rate_weight == weight
    latents = 2 * torch.randn(300, 6)
    quantizer = make(3, rate_weight=(0.0, 0.3, 0.0)).eval()
    quantizer.usage.copy_(torch.rand(quantizer.usage.shape, generator=torch.Generator().manual_seed(0)) ** 8)
    priced = quantizer.encode(latents)
    quantizer.rate_weight = 0.0
    nearest = quantizer.encode(latents)
    assert torch.equal(priced[:, 0], nearest[:, 0]) and not torch.equal(priced[:, 1], nearest[:, 1])


def test_settled_usage_keeps_the_bits_that_were_asked_for():
    generator = torch.Generator().manual_seed(1)
    # Loud and faint vectors: what is faint all takes the code that is cheap.
    latents = torch.randn(8000, 6, generator=generator) * torch.rand(8000, 1, generator=generator) ** 3
    entropies = {}
    for least in (0.0, 4.4):
        network = SimpleNamespace(quantizer=make(4, size=64, rate_weight=0.05).eval())
        network.quantizer.initialize(latents)
        entropies[least] = settle_usage(network, latents, least_bits=least)
        assert (network.quantizer.rate_weight == 0.05) == (least == 0.0)
    assert min(entropies[0.0]) < 3.8
    assert min(entropies[4.4]) > 4.35
    assert all(0 < weight <= 0.05 for weight in network.quantizer.rate_weight)
