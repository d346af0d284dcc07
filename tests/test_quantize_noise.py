"""Noise in place of codes: as much of it as the bits leave, where they are spent best."""

import math

import pytest
import torch

from gritcodec.nn.config import QuantizerConfig
from gritcodec.quantize import noise
from gritcodec.quantize.residual import ResidualGritVQ

DIM = 6
VARIANCES = torch.tensor([0.01, 4.0, 0.5, 1.0, 0.2, 0.29])


def test_bits_are_spent_whole_and_where_there_is_most_variance():
    bits = torch.tensor([0.5, 3.0, 12.0, 40.0])
    left = noise.levels(VARIANCES, bits)
    spent = (torch.log2(VARIANCES / left) / 2).sum(-1)
    assert torch.allclose(spent, bits, atol=1e-4)
    assert (left <= VARIANCES + 1e-6).all()
    # Half a bit goes to the loudest alone; forty leave all dimensions the same error.
    assert (left[0] < VARIANCES - 1e-6).tolist() == [False, True, False, False, False, False]
    assert torch.allclose(left[3], left[3, :1].expand(DIM))


def test_equal_variances_give_the_noise_of_white():
    bits = torch.tensor([10.0, 30.0])
    assert torch.allclose(noise.levels(torch.ones(DIM), bits), torch.exp2(-2 * bits / DIM)[:, None].expand(-1, DIM))
    z = torch.randn(2, 50_000, DIM)
    for given in (noise.white(z, bits), noise.water(z, bits, torch.eye(DIM))):
        error = (given - z).square().mean((1, 2))
        assert error.tolist() == pytest.approx(torch.exp2(-2 * bits / DIM).tolist(), rel=0.03)


def test_what_is_loud_survives_few_bits_in_any_basis():
    torch.manual_seed(0)
    axes = torch.linalg.qr(torch.randn(DIM, DIM)).Q
    z = torch.randn(1, 100_000, DIM) * VARIANCES.sqrt() @ axes.t()
    covariance = z[0].t() @ z[0] / z.shape[1]
    bits = torch.tensor([4.0])
    error = (noise.water(z, bits, covariance) - z)[0] @ axes
    wanted = noise.levels(VARIANCES, bits)[0]
    assert torch.allclose(error.square().mean(0), wanted, rtol=0.05, atol=1e-3)
    white = (noise.white(z, bits) - z)[0] @ axes
    assert error.square().mean() < 0.8 * white.square().mean()


def test_scaled_noise_is_the_same_share_of_every_vector():
    """And of all of them as much as water leaves, so that loud vectors have more of it and faint ones less."""
    torch.manual_seed(1)
    loud = torch.rand(1, 60_000, 1) * 3 + 0.1
    z = torch.randn(1, 60_000, DIM) * VARIANCES.sqrt() * loud
    covariance, bits = z[0].t() @ z[0] / z.shape[1], torch.tensor([9.0])
    error, water = (given - z for given in (noise.scaled(z, bits, covariance), noise.water(z, bits, covariance)))
    assert float(error.square().mean()) == pytest.approx(float(water.square().mean()), rel=0.05)
    order = loud[0, :, 0].argsort().chunk(4)
    shares = [float(error[0, some].square().sum() / z[0, some].square().sum()) for some in order]
    assert max(shares) < 1.1 * min(shares)
    assert float(error[0, order[3]].square().mean() / water[0, order[3]].square().mean()) > 1.4
    # Codes do so too: k-means on the same vectors.
    quantizer = ResidualGritVQ(DIM, 4, 32).train()
    quantizer(z)
    left = (z - quantizer.eval()(z).values).detach()
    shares = [float(left[0, some].square().sum() / z[0, some].square().sum()) for some in order]
    assert shares[1] < 1.5 * shares[3]
    assert float(left[0, order[3]].square().mean()) > 3 * float(left[0, order[1]].square().mean())


def test_codes_are_worth_less_than_their_bits():
    """What `worth` says, on a source that is not speech: within a tenth of the energy that codes leave."""
    torch.manual_seed(2)
    z = torch.randn(1, 40_000, 32) * (0.8 ** torch.arange(32)).sqrt()
    quantizer = ResidualGritVQ(32, 6, 64, beam=4).train()
    quantizer(z)
    covariance = z[0].t() @ z[0] / z.shape[1]
    for stages in (1, 3, 6):
        values = quantizer.eval()(z, torch.tensor([stages])).values.detach()
        bits = 6 * noise.worth(torch.tensor([float(stages)]))
        ideal = float((noise.water(z, bits, covariance) - z).square().mean())
        assert 0.8 < float((values - z).square().mean()) / ideal < 1.25


def test_the_running_covariance_follows_and_is_kept():
    quantizer = ResidualGritVQ.from_config(
        QuantizerConfig(stages=3, codebook_size=16, dim=DIM, stand_in="water")
    ).train()
    z = torch.randn(4, 400, DIM) * VARIANCES.sqrt()
    for _ in range(60):
        quantizer(z)
    scaled = VARIANCES / VARIANCES.mean()
    assert torch.allclose(quantizer.covariance.diagonal(), scaled, rtol=0.2, atol=0.02)
    assert "covariance" in quantizer.state_dict()
    before = quantizer.covariance.clone()
    quantizer.eval().stand_in(z)
    assert torch.equal(quantizer.covariance, before)
    assert "covariance" not in ResidualGritVQ.from_config(QuantizerConfig(dim=DIM)).state_dict()


def test_gradients_pass_through_water():
    z = torch.randn(2, 5, DIM, requires_grad=True)
    noise.water(z, torch.tensor([5.0, math.inf]), torch.eye(DIM)).sum().backward()
    assert torch.allclose(z.grad[1], torch.ones(5, DIM), atol=1e-5)
    assert torch.isfinite(z.grad).all() and (z.grad[0] < 1).all()


def test_a_vector_of_nothing_has_no_noise_and_a_gradient():
    z = torch.zeros(1, 3, DIM, requires_grad=True)
    given = noise.scaled(z, torch.tensor([5.0]), torch.eye(DIM))
    given.sum().backward()
    assert given.detach().abs().max() < 1e-5 and torch.isfinite(z.grad).all()


def test_an_unknown_noise_is_refused():
    with pytest.raises(ValueError, match="stand_in"):
        QuantizerConfig(stand_in="pink")
