"""One learned codebook, and what is built of several: residual stages, groups of dimensions, several time scales.

The methods of posteriors.py and assignments.py are such stages. All begin with codes drawn from the first batch by
gritcodec's draw, as GRIT-VQ does, so that what differs is how codes are chosen and how gradients pass.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gritcodec.quantize.kmeans import draw
from gritcodec.quantize.search import nearest

COMMITMENT = 0.25  # van den Oord et al., "Neural Discrete Representation Learning", arXiv 1711.00937
Output = tuple[Tensor, Tensor, Tensor]


class Codebook(nn.Module):
    """Nearest code, straight-through, codebook and commitment loss: what every other stage changes in one place.

    Args:
        dim: D.
        size: codes K.
        transform: of all codes [K, D], for those methods that have one.
    """

    def __init__(self, dim: int, size: int, transform: nn.Module | None = None):
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(size, dim))
        self.transform = transform
        self.steps = 0

    def codes(self) -> Tensor:
        return self.transform(self.codebook) if self.transform else self.codebook

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        """Draw codes from [N, D]."""
        self.codebook.copy_(draw(z, len(self.codebook))[0])

    def forward(self, z: Tensor) -> Output:
        """[N, D] -> values [N, D], codes [N], loss."""
        self.steps += self.training
        book = self.codes()
        index = closest(z, book)
        q = book[index]
        loss = F.mse_loss(q, z.detach()) + COMMITMENT * F.mse_loss(z, q.detach())
        return straight_through(z, q), index, loss


@torch.no_grad()
def closest(z: Tensor, book: Tensor) -> Tensor:
    """Index of the nearest code, [N]."""
    book = book.detach()
    return nearest(z.detach(), book, book.square().sum(-1) / 2)


def straight_through(z: Tensor, q: Tensor) -> Tensor:
    return z + (q - z).detach()


def distances(z: Tensor, book: Tensor) -> Tensor:
    """Squared, with their gradients, [N, K]."""
    cross = z @ book.t()
    return (z.square().sum(-1, keepdim=True) + book.square().sum(-1) - 2 * cross).clamp_min(0)


class Residual(nn.Module):
    """Stages that each quantize what those before left; gradients add up over stages as in vector-quantize-pytorch."""

    def __init__(self, stages: list[nn.Module]):
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.started = False

    def forward(self, z: Tensor) -> Output:
        """[B, T, D] -> values, codes [B, T, stages], loss."""
        flat = z.reshape(-1, z.shape[-1])
        residual, total, codes, losses = flat, torch.zeros_like(flat), [], []
        for stage in self.stages:
            assert isinstance(stage, Codebook)
            if not self.started:
                stage.start(residual.detach())
            values, index, loss = stage(residual)
            residual = residual - values.detach()
            total = total + values
            codes.append(index)
            losses.append(loss)
        self.started = True
        return total.view(z.shape), torch.stack(codes, -1).view(*z.shape[:-1], -1), torch.stack(losses).mean()


class Product(nn.Module):
    """Groups of dimensions, a codebook each (Jegou, Douze and Schmid, 2011); as many groups as others have stages."""

    def __init__(self, groups: list[nn.Module]):
        super().__init__()
        self.groups = nn.ModuleList(Residual([group]) for group in groups)

    def forward(self, z: Tensor) -> Output:
        parts = [group(x) for group, x in zip(self.groups, z.chunk(len(self.groups), -1), strict=True)]
        values, codes, losses = zip(*parts, strict=True)
        return torch.cat(values, -1), torch.cat(codes, -1), torch.stack(losses).mean()


class TimeScales(nn.Module):
    """MSVQ (arXiv 2412.01762): residual stages whose codes each hold for several frames, coarse ones first.

    Assumed: a stage codes the mean over its frames and its code is repeated, with no filter in between. In the place
    of one stage of every frame there are stages of 4, 4 and 2 frames: the same bits. Codes are given for every frame.
    """

    SPANS = (4, 4, 2)

    def __init__(self, dim: int, stages: int, size: int):
        super().__init__()
        self.spans = [*self.SPANS, *[1] * (stages - 1)]
        self.books = nn.ModuleList(Codebook(dim, size) for _ in self.spans)
        self.started = False

    def forward(self, z: Tensor) -> Output:
        residual, total, codes, losses = z, torch.zeros_like(z), [], []
        for span, book in zip(self.spans, self.books, strict=True):
            assert isinstance(book, Codebook)
            padded = F.pad(residual.transpose(1, 2), (0, -z.shape[1] % span), mode="replicate").transpose(1, 2)
            means = padded.unflatten(1, (-1, span)).mean(2)
            flat = means.reshape(-1, z.shape[-1])
            if not self.started:
                book.start(flat.detach())
            values, index, loss = book(flat)
            spread = values.view(means.shape).repeat_interleave(span, 1)[:, : z.shape[1]]
            residual = residual - spread.detach()
            total = total + spread
            codes.append(index.view(means.shape[:2]).repeat_interleave(span, 1)[:, : z.shape[1]])
            losses.append(loss)
        self.started = True
        return total, torch.stack(codes, -1), torch.stack(losses).mean()


class Widened(nn.Module):
    """VQRAE's codebook (arXiv 2511.23386): of many more dimensions than the latents have.

    Its recipe, an encoder that is frozen at first and then held to what it gave (self-distillation), is `freeze` of
    a method. Assumed: linear projections there and back, which start as each other's inverse.
    """

    def __init__(self, dim: int, wide: int, quantizer: nn.Module):
        super().__init__()
        self.up, self.down = nn.Linear(dim, wide), nn.Linear(wide, dim)
        nn.init.orthogonal_(self.up.weight)
        with torch.no_grad():
            self.down.weight.copy_(self.up.weight.t())
        self.quantizer = quantizer

    def forward(self, z: Tensor) -> Output:
        values, codes, loss = self.quantizer(self.up(z))
        return self.down(values), codes, loss


class Bridge(nn.Module):
    """FVQ's VQBridge (arXiv 2509.10140): the code matrix through a small transformer, compressed, then recovered.

    Assumed: K / 512 codes a token, width 128, one layer, added to the codes, last layer 0 at the start.
    """

    TOKENS, WIDTH = 512, 128

    def __init__(self, dim: int, size: int):
        super().__init__()
        self.patch = max(size // self.TOKENS, 1)
        self.compress = nn.Linear(self.patch * dim, self.WIDTH)
        self.process = nn.TransformerEncoderLayer(
            self.WIDTH, 4, 2 * self.WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.recover = nn.Linear(self.WIDTH, self.patch * dim)
        nn.init.zeros_(self.recover.weight)
        nn.init.zeros_(self.recover.bias)

    def forward(self, codes: Tensor) -> Tensor:
        tokens = codes.reshape(1, -1, self.patch * codes.shape[-1])
        return codes + self.recover(self.process(self.compress(tokens))).reshape(codes.shape)
