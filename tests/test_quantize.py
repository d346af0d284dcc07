"""GRIT-VQ's mathematics: every check that its definition lists, and the residual quantizer's behaviour."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quantizers import make

from gritcodec.nn import config as network_config
from gritcodec.quantize import RADII, TRANSFORMS, GritVQ, ProductGritVQ, ResidualGritVQ, replace_by_radius
from gritcodec.quantize.radius import half_gaps, member

SLOPES = [("linear", 0.0), ("linear", 0.3), *((name, 1.0) for name in RADII)]


def pair(seed: int, count: int = 5, dim: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, dim, dtype=torch.float64, generator=generator)
    return z, z + torch.randn(count, dim, dtype=torch.float64, generator=generator)


@settings(deadline=None)
@given(st.integers(0, 2**16), st.sampled_from(SLOPES), st.floats(1e-4, 1e3))
def test_forward_is_the_code_to_the_last_bit(seed, member, size):
    z, q = pair(seed)
    out = replace_by_radius(z, q * size, member[0], member[1], scale=0.7)
    assert torch.equal(out, q * size)


def radial_form(z, q, anchor_z, anchor_q, radius, slope, scale):
    """out = z + rho u with u and sg[...] held at the anchor: what autograd's gradient must equal."""
    anchor_gap = anchor_q - anchor_z
    anchor_distance = anchor_gap.norm(dim=-1, keepdim=True)
    u = anchor_gap / anchor_distance

    def g(s):
        return slope * member(radius).value(s, torch.tensor(scale, dtype=s.dtype))

    distance = (q - z).norm(dim=-1, keepdim=True)
    return z + (g(distance) - g(anchor_distance) + anchor_distance) * u


@pytest.mark.parametrize(("radius", "slope"), SLOPES)
@pytest.mark.parametrize("of", ["z", "q"])
def test_both_jacobians_by_finite_differences(radius, slope, of):
    z, q = pair(3, count=1)
    z.requires_grad_(True)
    q.requires_grad_(True)
    leaf = z if of == "z" else q
    out = replace_by_radius(z, q, radius, slope, 0.7)
    analytic = torch.stack([torch.autograd.grad(out[0, i], leaf, retain_graph=True)[0][0] for i in range(4)])
    step, columns = 1e-6, []
    for i in range(4):
        nudge = torch.zeros(1, 4, dtype=torch.float64)
        nudge[0, i] = step
        with torch.no_grad():
            moved = [
                radial_form(z + sign * nudge * (of == "z"), q + sign * nudge * (of == "q"), z, q, radius, slope, 0.7)
                for sign in (1, -1)
            ]
        columns.append((moved[0] - moved[1])[0] / (2 * step))
    assert torch.allclose(analytic, torch.stack(columns, dim=1), atol=1e-8)
    gap = (q - z).detach()[0]
    u = gap / gap.norm()
    gain = slope * member(radius).slope(gap.norm(), torch.tensor(0.7, dtype=torch.float64))
    expected = gain * torch.outer(u, u)
    eye = torch.eye(4, dtype=torch.float64)
    assert torch.allclose(analytic, eye - expected if of == "z" else expected, atol=1e-12)


@settings(deadline=None)
@given(st.integers(0, 2**16), st.sampled_from(SLOPES))
def test_the_encoders_gradient_is_bounded_by_the_upstream_one(seed, member):
    z, q = pair(seed)
    z.requires_grad_(True)
    upstream = torch.randn(z.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1))
    replace_by_radius(z, q, member[0], member[1], 0.7).backward(upstream)
    assert (z.grad.norm(dim=-1) <= upstream.norm(dim=-1) * (1 + 1e-12)).all()


@pytest.mark.parametrize(("radius", "slope"), SLOPES)
def test_no_nan_at_zero_distance(radius, slope):
    z = torch.randn(3, 4, requires_grad=True)
    q = z.detach().clone().requires_grad_(True)
    replace_by_radius(z, q, radius, slope).sum().backward()
    assert torch.isfinite(z.grad).all() and torch.isfinite(q.grad).all()
    assert torch.equal(z.grad, torch.ones_like(z))


@pytest.mark.parametrize("radius", RADII)
def test_slopes_are_the_derivatives_and_do_not_expand(radius):
    s = torch.linspace(0, 50, 200, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(0.7, dtype=torch.float64)
    value = member(radius).value(s, scale)
    slope = member(radius).slope(s, scale)
    assert torch.allclose(torch.autograd.grad(value.sum(), s)[0], slope, atol=1e-12)
    assert (slope >= 0).all() and (slope <= 1).all()
    assert value[0].item() == (0.7 if radius == "constant" else 0.0)


@pytest.mark.parametrize(
    "wrong", [{"radius": "cubic"}, {"transform": "fourier"}, {"radius_scale": "far"}, {"initialization": "luck"}]
)
def test_unknown_settings_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        ResidualGritVQ(4, 2, 8, **wrong)


def test_a_configuration_knows_the_whole_family():
    assert tuple(RADII) == network_config.RADII and tuple(TRANSFORMS) == network_config.TRANSFORMS


def test_half_gaps_are_half_the_distance_to_the_nearest_other_code():
    codes = torch.randn(50, 5, dtype=torch.float64)
    distances = torch.cdist(codes, codes) + torch.diag(torch.full((50,), torch.inf, dtype=torch.float64))
    assert torch.allclose(half_gaps(codes, rows=16), distances.min(-1).values / 2)


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(sorted(RADII)),
    st.sampled_from(sorted(TRANSFORMS)),
    st.sampled_from(["running", "nearest"]),
    st.sampled_from(["kmeans", "data", "normal"]),
    st.booleans(),
)
def test_every_member_of_the_family_trains(radius, transform, radius_scale, initialization, train_base):
    torch.manual_seed(0)
    quantizer = ResidualGritVQ(
        6,
        3,
        16,
        radius=radius,
        transform=transform,
        radius_scale=radius_scale,
        initialization=initialization,
        train_base=train_base,
    )
    before = None
    for _ in range(2):
        latents = torch.randn(4, 25, 6, requires_grad=True)
        out = quantizer(latents)
        before = quantizer.codebooks().detach().clone() if before is None else before
        (out.values.square().sum() + sum(out.losses.values())).backward()
    assert torch.isfinite(latents.grad).all() and latents.grad.abs().sum() > 0
    trained = [p for p in quantizer.parameters() if p.requires_grad]
    with torch.no_grad():
        for parameter in trained:
            assert torch.isfinite(parameter.grad).all()
            parameter -= 0.1 * parameter.grad
    quantizer.eval()
    moved = not torch.equal(quantizer.codebooks(), before)
    assert moved == (bool(trained) or quantizer.stage_scale.ne(1).any().item())
    latents = torch.randn(2, 9, 6)
    out = quantizer(latents)
    assert torch.equal(out.codes, quantizer.encode(latents))
    assert torch.allclose(out.values, quantizer.decode(out.codes), atol=1e-5)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_start_at_the_identity_and_move_all_codes_together(transform):
    quantizer = make(stages=1, transform=transform, train_base=False).eval()
    books = quantizer.codebooks().detach()
    assert torch.allclose(books, quantizer.base * quantizer.stage_scale[:, None, None])
    with torch.no_grad():  # away from the start, where gradients of the inner layers are zero
        for parameter in quantizer.transform.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    out = quantizer(torch.randn(1, 3, 6))
    others = [j for j in range(16) if j not in out.codes.flatten().tolist()]
    loss = (out.values * torch.randn(1, 3, 6)).sum()
    if transform == "identity":
        assert not loss.requires_grad and not list(quantizer.transform.parameters())
        return
    loss.backward()
    before = quantizer.codebooks().detach()
    with torch.no_grad():
        for parameter in quantizer.transform.parameters():
            parameter -= 0.01 * parameter.grad
    moved = (quantizer.codebooks() - before)[0].norm(dim=-1)
    assert (moved[others] > 0).all()
    assert quantizer.base.grad is None


def test_plain_residual_and_product_quantizers_share_one_contract():
    latents = torch.randn(3, 40, 8)
    for quantizer, shape in [
        (GritVQ(8, 16), (3, 40)),
        (ResidualGritVQ(8, 2, 16), (3, 40, 2)),
        (ProductGritVQ(8, 4, 16), (3, 40, 4, 1)),
        (ProductGritVQ(8, 2, 16, stages=3, radius="tanh"), (3, 40, 2, 3)),
    ]:
        out = quantizer(latents.requires_grad_(True))
        assert out.codes.shape == shape and out.values.shape == latents.shape
        assert set(out.losses) == {"commitment", "codebook"}
        quantizer.eval()
        codes = quantizer.encode(latents)
        assert codes.shape == shape and codes.min() >= 0 and codes.max() < 16
        assert torch.allclose(quantizer.decode(codes), quantizer(latents).values, atol=1e-5)
    with pytest.raises(ValueError, match="3 groups"):
        ProductGritVQ(8, 3, 16)


def test_product_groups_are_quantized_apart():
    torch.manual_seed(0)
    quantizer = ProductGritVQ(8, 2, 16)
    quantizer(torch.randn(4, 100, 8))
    quantizer.eval()
    latents = torch.randn(1, 20, 8)
    other = torch.cat([latents[..., :4], torch.randn(1, 20, 4)], -1)
    codes, changed = quantizer.encode(latents), quantizer.encode(other)
    assert torch.equal(codes[:, :, 0], changed[:, :, 0]) and not torch.equal(codes[:, :, 1], changed[:, :, 1])


def test_codes_are_drawn_from_the_first_batch_unless_asked_otherwise():
    torch.manual_seed(0)
    latents = 100 + 5 * torch.randn(8, 100, 6)
    errors = {}
    for initialization in ("kmeans", "data", "normal"):
        quantizer = ResidualGritVQ(6, 2, 32, initialization=initialization)
        assert quantizer.is_ready == (initialization == "normal")
        quantizer(latents)
        assert quantizer.is_ready
        errors[initialization] = (quantizer.eval()(latents).values - latents).square().mean().item()
    assert errors["kmeans"] < errors["data"] < errors["normal"]
    assert errors["kmeans"] < 25 / 4


def test_tables_are_kept_until_something_changes():
    quantizer = make(transform="mlp").eval()
    latents = torch.randn(1, 30, 6)
    before = quantizer.encode(latents)
    first = quantizer.tables()
    quantizer.encode(latents)
    assert quantizer.tables() is first
    with torch.no_grad():
        next(quantizer.transform.parameters()).zero_()
        quantizer.transform.weight_out += 0.5
    assert quantizer.tables() is not first
    state = quantizer.state_dict()
    other = make(transform="mlp").eval()
    other.encode(latents)
    other.load_state_dict(state)
    assert torch.equal(other.encode(latents), quantizer.encode(latents))
    assert before.shape == (1, 30, 4)


def test_double_precision_stays_double():
    quantizer = make()
    latents = torch.randn(1, 5, 6, dtype=torch.float64, requires_grad=True)
    out = quantizer(latents)
    assert out.values.dtype == torch.float64
    out.values.sum().backward()
    assert latents.grad.dtype == torch.float64


def test_values_are_sums_of_nearest_codes():
    quantizer = make().eval()
    latents = torch.randn(2, 30, 6)
    out = quantizer(latents)
    books = quantizer.codebooks()
    residual = (latents - quantizer.offset) / quantizer.spread
    for stage in range(quantizer.stages):
        distances = torch.cdist(residual.double(), books[stage].double())
        chosen = distances.gather(-1, out.codes[..., stage : stage + 1])[..., 0]
        assert torch.allclose(chosen, distances.min(-1).values, atol=1e-5)
        residual = residual - books[stage][out.codes[..., stage]]
    assert torch.allclose(out.values, quantizer.decode(out.codes), atol=1e-5)
    assert torch.equal(out.codes, quantizer.encode(latents))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_dropped_stages_give_what_fewer_stages_give(active):
    quantizer = make().eval()
    latents = torch.randn(len(active), 7, 6, generator=torch.Generator().manual_seed(5))
    out = quantizer(latents, torch.tensor(active))
    for item, stages in enumerate(active):
        assert (out.codes[item, :, stages:] == -1).all()
        alone = quantizer.decode(out.codes[item : item + 1, :, :stages])
        assert torch.allclose(out.values[item : item + 1], alone, atol=1e-5)


def test_more_stages_leave_less():
    quantizer = make(stages=6, size=32).eval()
    latents = torch.randn(1, 500, 6)
    errors = [float((quantizer.decode(quantizer.encode(latents, n)) - latents).square().mean()) for n in range(1, 7)]
    assert all(later < earlier for earlier, later in itertools.pairwise(errors))


def test_codes_that_were_not_selected_move_as_the_transform_says():
    quantizer = make(stages=1, radius="linear", commitment_weight=0.0, codebook_weight=0.0, normalize=True).eval()
    latents = torch.randn(1, 3, 6)
    weight = torch.randn(1, 3, 6)
    before = quantizer.codebooks()[0].detach().clone()
    out = quantizer(latents)
    (out.values * weight).sum().backward()
    rate = 1.0  # the change is linear in the transform: no small step is needed
    with torch.no_grad():
        base = quantizer.base[0].clone()
        moved = quantizer.transform.weight[0] - rate * quantizer.transform.weight.grad[0]
        change = base @ moved * quantizer.stage_scale[0] - before
    # dC'_j = -lr * sum_i <c_j, c_k(i)> g' u_i u_i^T G_i, here with the stage's scale.
    z = (latents[0] - quantizer.offset) / quantizer.spread
    gap = before[out.codes[0, :, 0]] - z
    u = gap / gap.norm(dim=-1, keepdim=True)
    radial = (u * weight[0]).sum(-1, keepdim=True) * u
    expected = -rate * quantizer.stage_scale[0] ** 2 * (base @ base[out.codes[0, :, 0]].T) @ radial
    assert torch.allclose(change, expected, atol=1e-4 * float(expected.abs().max()) + 1e-6)
    others = [j for j in range(16) if j not in out.codes[0, :, 0].tolist()]
    assert (change[others].norm(dim=-1) > 0).all()


def test_every_stages_commitment_reaches_the_encoder():
    grads = []
    for stages in (1, 2, 3, 4):
        quantizer = make(codebook_weight=0.0, commitment_weight=1.0).eval()
        latents = torch.randn(1, 9, 6, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
        quantizer(latents, torch.tensor([stages])).losses["commitment"].backward()
        grads.append(latents.grad)
    for fewer, more in itertools.pairwise(grads):
        assert not torch.allclose(fewer, more)


@pytest.mark.parametrize("stages", [1, 4])
def test_commitments_of_all_stages_weigh_one_together_unless_told(stages):
    latents = torch.randn(2, 30, 6)
    weights = {name: make(stages, commitment_weight=w).eval() for name, w in (("own", None), ("one", 1.0))}
    left = {name: float(quantizer(latents).losses["commitment"].detach()) for name, quantizer in weights.items()}
    assert left["own"] == pytest.approx(left["one"] / stages)
    config = network_config.QuantizerConfig(stages=stages, codebook_size=16, dim=6, beam=1)
    trained, one = (
        ResidualGritVQ.from_config(replace(config, commitment_weight=w)) for w in (config.commitment_weight, 1.0)
    )
    for quantizer in (trained, one):
        quantizer.initialize(latents.reshape(-1, 6))
    found = [float(quantizer.eval()(latents).losses["commitment"].detach()) for quantizer in (trained, one)]
    assert found[0] == pytest.approx(config.commitment_weight * found[1])


def test_all_active_stages_get_the_tasks_gradient_and_no_other():
    quantizer = make(commitment_weight=0.0, codebook_weight=0.0, transform="identity").eval()
    quantizer(torch.randn(1, 20, 6), torch.tensor([2])).values.square().sum().backward()
    per_stage = quantizer.base.grad.abs().sum((1, 2))
    assert (per_stage[:2] > 0).all() and (per_stage[2:] == 0).all()


def test_slope_zero_is_straight_through():
    quantizer = make(normalize=True, slope=0.0, commitment_weight=0.0, codebook_weight=0.0).eval()
    latents = torch.randn(1, 9, 6, requires_grad=True)
    weight = torch.randn(1, 9, 6)
    (quantizer(latents).values * weight).sum().backward()
    assert torch.allclose(latents.grad * quantizer.spread, weight, atol=1e-6)
    assert quantizer.base.grad is None or not quantizer.base.grad.any()


def test_auxiliary_losses_are_free_of_scale():
    latents = torch.randn(400, 6)
    values = []
    for size in (1.0, 50.0):
        torch.manual_seed(0)
        quantizer = ResidualGritVQ(6, 3, 16)
        quantizer.initialize(latents * size)
        values.append({k: v.item() for k, v in quantizer.eval()((latents * size)[None]).losses.items()})
    assert values[0] == pytest.approx(values[1], rel=1e-3)


def test_losses_cannot_shrink_or_grow_the_latents():
    quantizer = make(normalize=True).train()
    latents = (3 * torch.randn(4, 50, 6) + 1).requires_grad_(True)
    sum(quantizer(latents).losses.values()).backward()
    centred = latents - latents.mean((0, 1))
    assert abs((latents.grad * centred).sum().item()) < 1e-4 * (latents.grad.norm() * centred.norm()).item()
    assert latents.grad.mean((0, 1)).abs().max() < 1e-6


def test_folding_the_transform_changes_no_code():
    quantizer = make().eval()
    with torch.no_grad():
        quantizer.transform.weight += 0.1 * torch.randn_like(quantizer.transform.weight)
    latents = torch.randn(1, 50, 6)
    before = quantizer.encode(latents)
    quantizer.fold()
    assert torch.equal(before, quantizer.encode(latents))
