"""What each method of the comparison says of itself, where it can be seen: on sources made for it."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes" / "vq-comparison"))

from methods import METHODS, parameter_groups
from posteriors import Variational
from stage import Codebook

DIM, SIZE, STEPS = 8, 32, 150


def source(count: int, seed: int) -> torch.Tensor:
    """Vectors around as many centres as there are codes, [count, 1, 8]."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(SIZE, DIM, generator=torch.Generator().manual_seed(99))
    chosen = torch.randint(SIZE, (count, 1), generator=generator)
    return centres[chosen] + 0.1 * torch.randn(count, 1, DIM, generator=generator)


def fit(name: str, make, size: int = SIZE, spoil: float = 0.0) -> torch.nn.Module:
    """Train a method's quantizer of one stage on make(count, seed); `spoil` crowds its codes in a corner first."""
    torch.manual_seed(0)
    method = METHODS[name]
    quantizer = method.build(DIM, 1, size).train()
    quantizer(make(256, 0))
    if spoil:
        with torch.no_grad():
            for book in quantizer.modules():
                if isinstance(book, Codebook):
                    book.codebook.copy_(1 + spoil * torch.randn_like(book.codebook))
    groups = parameter_groups(torch.nn.ModuleList([quantizer]), method.rates)
    optimizer = torch.optim.Adam([{"params": g["params"], "lr": 3e-4 * g["factor"]} for g in groups])
    for step in range(STEPS):
        z = make(256, step + 1)
        values, _, auxiliary = quantizer(z)
        optimizer.zero_grad()
        ((values - z).square().mean() + auxiliary).backward()
        optimizer.step()
    return quantizer.eval()


@torch.no_grad()
def used(quantizer: torch.nn.Module) -> int:
    """Codes that unseen vectors use."""
    return quantizer(source(2000, 10_000))[1].unique().numel()


@torch.no_grad()
def left(quantizer: torch.nn.Module, make) -> float:
    """Share of the energy of unseen vectors that quantization leaves."""
    z = make(1000, 10_000)
    return float((quantizer(z)[0] - z).square().mean() / z.square().mean())


@pytest.mark.parametrize("name", ["SQ-VAE, HQ-VAE", "GM-VQ", "VAEVQ", "VQ-WAE", "NS-VQ", "FVQ", "HyperVQ"])
def test_crowded_codes_come_into_use_again(name):
    """Plain codes that lie where no vector is stay there: nobody chooses them, so nobody moves them."""
    assert used(fit(name, source, spoil=0.1)) > 1.2 * used(fit("RVQ", source, spoil=0.1))


def steady(count: int, seed: int) -> torch.Tensor:
    """Sequences that change every sixteenth frame, [count / 16, 32, 8]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count // 16, 2, DIM, generator=generator).repeat_interleave(16, 1)


def test_time_scales_gain_on_what_changes_slowly():
    """At equal bits a frame: MSVQ's codes each hold for several frames."""
    assert left(fit("MSVQ", steady), steady) < left(fit("RVQ", steady), steady) / 2


def independent(count: int, seed: int) -> torch.Tensor:
    """Halves that know nothing of each other, each around 16 centres, [count, 1, 8]."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(2, 16, DIM // 2, generator=torch.Generator().manual_seed(99))
    halves = [centres[i][torch.randint(16, (count, 1), generator=generator)] for i in range(2)]
    return torch.cat(halves, -1) + 0.05 * torch.randn(count, 1, DIM, generator=generator)


@pytest.mark.parametrize("name", ["PQ", "GRIT-VQ, product"])
def test_a_product_of_books_codes_what_is_independent(name):
    """Two books of 16 for the halves code all 256 pairs; two residual stages of 16 do not."""
    errors = []
    for method in (name, "RVQ"):
        torch.manual_seed(0)
        quantizer = METHODS[method].build(DIM, 2, 16).train()
        quantizer(independent(1000, 0))
        errors.append(left(quantizer.eval(), independent))
    assert errors[0] < 0.7 * errors[1]


def test_variational_noise_lies_along_the_way_to_the_code():
    """It can carry a latent from one code to another on its line, never to codes beside the line."""
    torch.manual_seed(0)
    stage = Variational(2, 6)
    with torch.no_grad():
        stage.codebook.copy_(torch.tensor([[0, 0], [1, 0], [0, 0.3], [1, 0.3], [0, -0.3], [1, -0.3]]))
        stage.log_ratio.bias.zero_()
    index = stage(torch.tensor([[0.4, 0.0]]).repeat(500, 1))[1]
    assert set(index.tolist()) == {0, 1}


def test_the_distance_from_a_normal_distribution_spreads_crowded_codes():
    stage = Variational(DIM, SIZE)
    z = source(500, 1).reshape(-1, DIM)
    stage.start(z)
    with torch.no_grad():
        stage.codebook.mul_(0.1)
    crowded = stage.eval()(z)[2]
    crowded.backward()
    with torch.no_grad():
        stage.codebook.mul_(10)
    assert stage(z)[2].detach() < crowded.detach() and stage.codebook.grad.abs().sum(-1).gt(0).all()
