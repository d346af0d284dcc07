"""Every method of the comparison on a toy source where its own claim holds, and the equations that are its own."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes" / "vq-comparison"))

from assignments import Convex, Hyperbolic, Neighbours, convex_weights, simplex, transport
from methods import METHODS, parameter_groups
from posteriors import Mixture, Stochastic
from stage import Bridge, Codebook, Residual, TimeScales, closest

ADDED = ["SQ-VAE, HQ-VAE", "GM-VQ", "VAEVQ", "VQ-WAE", "SCQ", "HyperVQ", "NS-VQ", "FVQ", "MSVQ", "PQ", "RVQ", "VQRAE"]
ADDED.append("GRIT-VQ, product")
DIM, CLUSTERS = 8, 32


def clusters(count: int, seed: int) -> torch.Tensor:
    """Vectors around 32 centres, a sequence of each: [count, 4, 8]."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLUSTERS, DIM, generator=torch.Generator().manual_seed(99))
    chosen = torch.randint(CLUSTERS, (count, 1), generator=generator).expand(-1, 4)
    return centres[chosen] + 0.1 * torch.randn(count, 4, DIM, generator=generator)


@pytest.mark.parametrize("name", ADDED)
def test_a_method_uses_its_codes_and_beats_a_random_book(name):
    torch.manual_seed(0)
    method = METHODS[name]
    quantizer = method.build(DIM, 1, CLUSTERS).train()
    quantizer(clusters(64, 0))
    rates = parameter_groups(torch.nn.ModuleList([quantizer]), method.rates)
    optimizer = torch.optim.Adam([{"params": g["params"], "lr": 3e-4 * g["factor"]} for g in rates])
    for step in range(150):
        z = clusters(64, step + 1).requires_grad_(True)
        values, _, auxiliary = quantizer(z)
        loss = (values - z.detach()).square().mean() + auxiliary
        optimizer.zero_grad()
        loss.backward()
        assert torch.isfinite(z.grad).all()
        optimizer.step()
    quantizer.eval()
    unseen = clusters(500, 10_000)
    with torch.no_grad():
        values, codes, _ = quantizer(unseen)
    error = float((values - unseen).square().mean() / unseen.square().mean())
    random_book = torch.randn(CLUSTERS, DIM, generator=torch.Generator().manual_seed(3))
    flat = unseen.reshape(-1, DIM)
    at_random = float((flat - random_book[closest(flat, random_book)]).square().mean() / flat.square().mean())
    assert codes[..., -1].unique().numel() >= 0.75 * CLUSTERS, codes[..., -1].unique().numel()
    assert error < at_random / 2, (error, at_random)


def test_stages_of_every_kind_leave_less_than_one():
    z = torch.randn(8, 50, DIM)
    for name in ("SQ-VAE, HQ-VAE", "GM-VQ", "VAEVQ", "VQ-WAE", "SCQ", "NS-VQ", "RVQ"):
        left = []
        for stages in (1, 3):
            torch.manual_seed(0)
            quantizer = METHODS[name].build(DIM, stages, 16)
            quantizer(z)
            left.append(float((quantizer.eval()(z)[0] - z).detach().square().mean()))
        assert left[1] < 0.6 * left[0], name


@pytest.mark.parametrize("kind", [Stochastic, Mixture])
def test_the_posterior_grows_sharp_by_itself(kind):
    torch.manual_seed(0)
    stage = kind(DIM, CLUSTERS)
    stage.start(clusters(64, 0).reshape(-1, DIM))
    with torch.no_grad():
        stage.log_variance.fill_(0.0)
    optimizer = torch.optim.Adam(stage.parameters(), 0.02)
    for step in range(200):
        z = clusters(64, step).reshape(-1, DIM)
        values, _, loss = stage(z)
        optimizer.zero_grad()
        ((values - z).square().mean() + loss).backward()
        optimizer.step()
    assert float(stage.log_variance.detach()) < -0.5


def test_transport_has_the_margins_that_were_asked_for():
    torch.manual_seed(0)
    share = torch.rand(7).softmax(-1)
    plan, prices = transport(torch.rand(40, 7), share, 0.1, 200)
    assert torch.allclose(plan.sum(1), torch.full((40,), 1 / 40), atol=1e-6)
    assert torch.allclose(plan.sum(0), share, atol=1e-5)
    assert abs(float((share * prices).sum())) < 1e-5


def test_convex_weights_solve_the_ridge_system_on_the_simplex():
    torch.manual_seed(0)
    z, book = torch.randn(9, 4, dtype=torch.float64), torch.randn(12, 4, dtype=torch.float64)
    index = closest(z, book)
    weights = convex_weights(z, book, index, 0.3)
    strength = 0.3 * (book.t() @ book).diagonal().mean()
    nearest = torch.nn.functional.one_hot(index, 12).double()
    system = book @ book.t() + strength * torch.eye(12, dtype=torch.float64)
    direct = torch.linalg.solve(system, (z @ book.t() + strength * nearest).t()).t()
    assert torch.allclose(weights, simplex(direct), atol=1e-10)
    assert torch.allclose(weights.sum(-1), torch.ones(9, dtype=torch.float64)) and (weights >= 0).all()
    on = simplex(torch.tensor([[0.2, 0.3, 0.5], [5.0, 0.0, 0.0]]))
    assert torch.allclose(on, torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]))


def test_convex_quantization_says_how_far_training_is_from_the_test():
    stage = Convex(DIM, CLUSTERS)
    z = torch.randn(300, DIM)
    stage.start(z)
    soft = float((stage(z)[0] - z).detach().square().mean())
    assert stage.mismatch > 0 and soft < float((stage.eval()(z)[0] - z).detach().square().mean())


def test_hyperbolic_classes_are_nearest_codes_near_the_origin():
    torch.manual_seed(0)
    stage = Hyperbolic(DIM, 16).eval()
    stage.start(torch.randn(400, DIM))
    stage.spread *= 100
    z = torch.randn(200, DIM)
    assert (stage(z)[1] == closest(z, stage.codebook)).float().mean() > 0.99
    stage.spread /= 100
    assert 0.5 < (stage(z)[1] == closest(z, stage.codebook)).float().mean() < 1


def test_neighbours_hear_less_and_less():
    stage = Neighbours(DIM, 50)
    square = torch.rand(20, 50)
    index = square.argmin(-1)
    early = stage.weigh(square, index)
    stage.steps = 400
    late = stage.weigh(square, index)
    assert (
        (early.gather(1, index[:, None]) == 1).all() and (early <= 1).all() and (early > 0).sum() > (late > 1e-6).sum()
    )
    assert early.sum() > late.sum()


def test_bridge_begins_as_the_identity_and_moves_all_codes():
    bridge, codes = Bridge(4, 2048), torch.randn(2048, 4)
    assert torch.equal(bridge(codes), codes)
    out = Codebook(4, 2048, bridge)(codes[:3] + 0.01)
    out[2].backward()
    assert bridge.recover.weight.grad.abs().sum() > 0


def test_time_scales_cost_what_one_stage_does():
    assert sum(1 / span for span in TimeScales.SPANS) == 1
    codes = TimeScales(DIM, 2, 8)(torch.randn(2, 11, DIM))[1]
    assert codes.shape == (2, 11, 4) and (codes[:, 0:4, 0] == codes[:, :1, 0]).all()
    assert isinstance(METHODS["RVQ"].build(4, 2, 8), Residual)


@pytest.mark.slow
def test_a_recurrent_prior_learns_what_counting_cannot():
    import prior

    torch.manual_seed(0)
    cycle = (torch.arange(64)[None, :, None].expand(48, -1, 2) + torch.randint(7, (48, 1, 1))) % 7
    model = prior.fit(cycle, 7, 30)
    with torch.no_grad():
        assert prior.bits(model, cycle).max() < 0.3 < prior.order_zero(cycle, cycle, 7).min()
        changed = cycle.clone()
        changed[:, 40:] = 0
        assert torch.equal(model(cycle)[:, :41, 0], model(changed)[:, :41, 0])  # it sees no frame to come
