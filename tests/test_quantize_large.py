"""Codebooks too large for the data and the memory at hand: drawing, searching and updating them."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gritcodec.quantize import ResidualGritVQ
from gritcodec.quantize.kmeans import draw, kmeans
from gritcodec.quantize.radius import half_gaps
from gritcodec.quantize.search import nearest


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor has that any operation makes."""

    numbers = 0

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        out = function(*arguments, **(settings or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return out


def speechlike(count: int, seed: int, dim: int = 32) -> torch.Tensor:
    """Vectors whose variances fall over the dimensions, as those of latents do."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=generator) * 0.97 ** torch.arange(dim)


@pytest.mark.parametrize(("count", "size"), [(10, 16), (2500, 3000), (1024, 1024), (1025, 2048)])
def test_tiles_find_what_one_product_finds(count, size):
    z, book = speechlike(count, 0).double(), speechlike(size, 1).double()
    offsets = book.square().sum(-1) / 2 + 0.1 * torch.rand(size, dtype=torch.float64)
    assert torch.equal(nearest(z, book, offsets), (z @ book.t() - offsets).argmax(-1))


def test_the_first_of_equal_codes_is_found_in_any_tile():
    book = torch.zeros(3000, 4)
    book[[1500, 2900]] = 1.0
    assert (nearest(torch.ones(5, 4), book, book.square().sum(-1) / 2) == 1500).all()


def test_a_step_holds_no_vector_by_code_matrix():
    quantizer = ResidualGritVQ(8, 2, 8192, initialization="normal")
    latents = torch.randn(4, 1024, 8, requires_grad=True)
    quantizer._turn = 7  # the gaps are refreshed in this step
    with Largest() as largest:
        out = quantizer(latents)
        (out.values.square().mean() + sum(out.losses.values())).backward()
    assert largest.numbers < 4096 * 8192 / 8


@pytest.mark.parametrize("points_a_code", [1, 2, 6])
def test_few_points_a_code_make_codes_that_other_vectors_use(points_a_code):
    size = 512
    seen, unseen = speechlike(points_a_code * size, 2), speechlike(8 * size, 3)
    left, used = {}, {}
    for name, make in (("kmeans", kmeans), ("draw", draw)):
        torch.manual_seed(0)
        codes, index = make(seen, size, 10)
        assert codes.shape == (size, 32) and index.shape == (len(seen),)
        found = nearest(unseen, codes, codes.square().sum(-1) / 2)
        left[name] = float((unseen - codes[found]).square().mean())
        used[name] = found.unique().numel() / size
    assert left["draw"] < (0.95 if points_a_code < 6 else 0.99) * left["kmeans"]
    assert used["draw"] > 0.9 * used["kmeans"] and (points_a_code == 6 or used["draw"] > 0.8)


def test_many_points_a_code_are_left_to_kmeans():
    points = speechlike(64 * 32, 4)
    torch.manual_seed(0)
    centres, index = kmeans(points, 32)
    torch.manual_seed(0)
    codes, chosen = draw(points, 32)
    assert torch.equal(centres, codes) and torch.equal(index, chosen)


def test_later_stages_see_what_other_vectors_leave():
    """With a point for almost every code, k-means leaves nothing of the points for the second stage to learn from."""
    seen, unseen = speechlike(600, 5), speechlike(2000, 6)
    quantizer = ResidualGritVQ(32, 3, 512)
    quantizer.initialize(seen)
    errors = [float((quantizer.decode(quantizer.encode(unseen, n)) - unseen).square().mean()) for n in (1, 2, 3)]
    assert errors[1] < 0.85 * errors[0] and errors[2] < 0.85 * errors[1]


def test_gaps_of_some_codes_are_those_of_all():
    codes = torch.randn(50, 5, dtype=torch.float64)
    assert torch.allclose(half_gaps(codes, 7)[20:37], half_gaps(codes, 6, slice(20, 37)))


def test_gaps_of_a_large_codebook_are_refreshed_part_by_part(monkeypatch):
    import gritcodec.quantize.residual as residual

    monkeypatch.setattr(residual, "_GAP_PRODUCTS", 24 * 64)
    quantizer = ResidualGritVQ(6, 2, 64, initialization="normal")
    quantizer.gaps.fill_(-1.0)
    refreshed = []
    for _ in range(8 * 6):
        quantizer(torch.randn(1, 20, 6))
        refreshed.append(int((quantizer.gaps >= 0).sum()))
    assert refreshed[7::8] == [24, 48, 72, 88, 112, 128] or refreshed[-1] == 128
    assert sorted(refreshed) == refreshed and refreshed[6] == 0
