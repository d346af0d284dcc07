"""The search for codes: stage by stage, and along several paths."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quantizers import make


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16), st.integers(1, 5), st.integers(1, 9), st.sampled_from([0.0, 0.02]))
def test_fewer_stages_are_the_first_of_all_stages(seed, stages, beam, weight):
    """Dropping stages of a file gives what coding with fewer would have."""
    quantizer = make(stages, beam=beam, rate_weight=weight).eval()
    latents = 2 * torch.randn(3, 20, 6, generator=torch.Generator().manual_seed(seed))
    codes = quantizer.encode(latents)
    assert torch.equal(codes, quantizer(latents).codes)
    for count in range(1, stages + 1):
        assert torch.equal(quantizer.encode(latents, count), codes[..., :count])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16), st.integers(1, 4), st.sampled_from([0.0, 0.05]))
def test_a_beam_as_wide_as_all_paths_finds_the_best(seed, stages, weight):
    quantizer = make(stages, size=2, beam=2**stages, rate_weight=weight).eval()
    generator = torch.Generator().manual_seed(seed)
    quantizer.usage.copy_(0.05 + torch.rand(quantizer.usage.shape, generator=generator))
    latents = 2 * torch.randn(30, 6, generator=generator)
    books, usage = quantizer.codebooks().detach(), quantizer.usage / quantizer.usage.sum(-1, keepdim=True)
    energy = quantizer.stage_scale.square() * 6
    units = torch.cat([energy[1:], energy[-1:] * (energy[-1:] / energy[-2:-1] if stages > 1 else 1)])
    paths = torch.tensor(list(itertools.product(range(2), repeat=stages)))
    costs = torch.zeros(len(latents), len(paths))
    for stage in range(stages):
        sums = torch.stack([books[k][paths[:, k]] for k in range(stage + 1)]).sum(0)
        distance = (latents[:, None] - sums).square().sum(-1) / units[stage]
        costs += (1.0 if stage + 1 == stages else 0.4) * distance - weight * usage[stage].log2()[paths[:, stage]]
    found = (quantizer.encode(latents)[:, None] == paths).all(-1).float().argmax(-1)
    assert torch.allclose(costs.gather(1, found[:, None])[:, 0], costs.amin(-1), rtol=1e-4, atol=1e-4)


def test_more_paths_leave_less_at_every_number_of_stages_but_the_first():
    errors = []
    for beam in (1, 2, 4, 8):
        quantizer = make(6, size=64, beam=beam).eval()
        latents = torch.randn(4000, 6, generator=torch.Generator().manual_seed(1)) @ torch.randn(
            6, 6, generator=torch.Generator().manual_seed(2)
        )
        codes = quantizer.encode(latents)
        errors.append(
            [float((quantizer.decode(codes[:, :n]) - latents).square().mean()) for n in range(1, quantizer.stages + 1)]
        )
    for fewer, more in itertools.pairwise(errors):
        assert more[-1] < fewer[-1]
        assert all(after < before for before, after in zip(errors[0][1:], more[1:], strict=True))
    assert errors[-1][0] < 1.1 * errors[0][0]


@pytest.mark.parametrize("beam", [1, 4])
def test_gradients_and_losses_follow_the_codes_that_were_found(beam):
    quantizer = make(4, beam=beam).train()
    latents = torch.randn(2, 30, 6, requires_grad=True)
    quantized = quantizer(latents, torch.tensor([2, 4]))
    assert (quantized.codes[0, :, 2:] == -1).all() and (quantized.codes[1] >= 0).all()
    torch.stack(list(quantized.losses.values())).sum().backward()
    assert torch.isfinite(latents.grad).all() and latents.grad.abs().sum() > 0
    assert quantizer.base.grad.abs().sum() > 0


def test_no_paths_are_refused():
    from gritcodec.nn.config import QuantizerConfig

    with pytest.raises(ValueError, match="beam"):
        make(2, beam=0)
    with pytest.raises(ValueError, match="beam"):
        QuantizerConfig(beam=0)
