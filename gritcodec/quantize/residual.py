"""Residual GRIT-VQ: stages of codebooks, each coding what the ones before it left over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gritcodec.quantize import noise
from gritcodec.quantize import radius as radii
from gritcodec.quantize import transform as transforms
from gritcodec.quantize import usage as usages
from gritcodec.quantize.grit import Quantized, replace_by_radius
from gritcodec.quantize.kmeans import draw
from gritcodec.quantize.ranks import all_mean, all_rows, mean_over_ranks
from gritcodec.quantize.search import Tables, beam, greedy

if TYPE_CHECKING:
    from gritcodec.nn.config import QuantizerConfig

_DECAY = 0.99
_GAP_EVERY = 8  # steps between refreshes of half_gaps, which cost products of codes with codes: they move slowly
_GAP_PRODUCTS = 2**24  # of one refresh: a whole stage up to K = 4096, and a part of it beyond
INITIALIZATIONS = ("kmeans", "data", "normal", "noise")

# Rows that a search has at least.
_ROWS = 8


class ResidualGritVQ(nn.Module):
    """Residual vector quantizer with GRIT-VQ's gradient and an integrated transform on every codebook.

    A residual quantizer is one quantizer whose codes are sums q = c'_1 + ... + c'_n, so the radius-based update
    is applied once, along the direction of the whole quantization error: the gradient to the encoder stays
    bounded whatever the number of stages, and every active stage's code receives its radial part.
    Each stage's own commitment and codebook losses are added; both reach the encoder and the codes of all stages.
    Every stage's input is scaled by a running mean of its size: stage i uses C'_i = scale_i * T_i(base_i).

    Args:
        dim: latent dimension D.
        stages: number of stages.
        codebook_size: codes a stage K.
        radius: `linear`, `tanh`, `log`, `huber` or `constant`.
        slope: factor of the radius's slope, 0 (straight-through) to 1.
        radius_scale: R is a running mean of the quantization distance (`running`) or half the distance from the
            last active stage's code to its nearest neighbour (`nearest`, refreshed stage by stage, every eighth step).
        transform: `identity`, `linear`, `lowrank`, `mlp` or `attention`.
        train_base: whether base codes are trained, or the transform alone moves them.
        commitment_weight, codebook_weight: weights of the auxiliary losses, free of the latents' scale. Commitments
            of stages add up: None is 1 / stages (error of one stage of 8192 codes: 0.603; by a weight of 0.25: 0.631).
        rate_weight: codes are chosen by their distance plus their price, which is so much of the mean energy that a
            stage leaves for every bit of -log2(usage): often used codes, short ones for an entropy coder, are
            preferred (Chou, Lookabaugh and Gray, "Entropy-constrained vector quantization", 1989). 0: nearest codes.
            One for all stages, or one for each.
        beam: paths that a search through the stages follows; 1 takes the best code of each stage in turn. Any other
            number searches all stages, however few are asked for, see gritcodec.quantize.search.
        normalize: centre and scale latents (one scalar scale), by the batch's statistics in training, over all ranks
            and with their gradient, and by running ones afterwards; values then are in units of the normalized
            latent. The gradient matters: with detached statistics commitment shrinks the latents, the normalization
            undoes it, and the loop runs away (measured: fivefold in 500 steps).
        initialization: codes come from the first training batch by k-means (`kmeans`) or as they are (`data`),
            are normal random vectors (`normal`), or noise stands in for quantization in training until
            `initialize` is called (`noise`).
        replace_below: codes used less than this share of an even share are put beside much used ones; 0 replaces none.
        kmeans_iterations: of Lloyd's algorithm.
        stand_in: the noise, `white`, `water` or `scaled`, see gritcodec.quantize.noise.

    Raises:
        ValueError: a setting that is none of these.
    """

    offset: Tensor
    spread: Tensor
    stage_scale: Tensor
    radius_scale: Tensor
    gaps: Tensor
    turn: Tensor
    usage: Tensor
    ready: Tensor
    covariance: Tensor | None

    def __init__(
        self,
        dim: int,
        stages: int,
        codebook_size: int,
        radius: str = "tanh",
        slope: float = 1.0,
        radius_scale: str = "nearest",
        transform: str = "linear",
        train_base: bool = True,
        commitment_weight: float | None = None,
        codebook_weight: float = 1.0,
        rate_weight: float | tuple[float, ...] = 0.0,
        beam: int = 1,
        normalize: bool = False,
        initialization: str = "kmeans",
        replace_below: float = 0.0,
        kmeans_iterations: int = 10,
        stand_in: str = "white",
    ):
        super().__init__()
        if radius_scale not in ("running", "nearest"):
            raise ValueError(f"unknown radius_scale '{radius_scale}'; one of running, nearest")
        if initialization not in INITIALIZATIONS:
            raise ValueError(f"unknown initialization '{initialization}'; one of {', '.join(INITIALIZATIONS)}")
        if beam < 1:
            raise ValueError(f"beam must be at least 1, got {beam}")
        radii.member(radius)
        self.dim, self.stages, self.codebook_size = dim, stages, codebook_size
        self.radius, self.slope, self.scale_by = radius, slope, radius_scale
        self.commitment_weight = 1 / stages if commitment_weight is None else commitment_weight
        self.codebook_weight = codebook_weight
        self.rate_weight, self.beam = rate_weight, beam
        self.normalizes, self.initialization = normalize, initialization
        self.replace_below, self.kmeans_iterations = replace_below, kmeans_iterations
        self.base = nn.Parameter(torch.randn(stages, codebook_size, dim), requires_grad=train_base)
        self.transform = transforms.build(transform, stages, dim)
        self.register_buffer("stage_scale", 0.7 ** torch.arange(stages, dtype=torch.float32))
        self.register_buffer("offset", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("radius_scale", torch.ones(()))
        self.register_buffer("gaps", torch.ones(stages, codebook_size))
        self.register_buffer("turn", torch.zeros((), dtype=torch.long))
        self.register_buffer("usage", torch.full((stages, codebook_size), 1.0 / codebook_size))
        self.register_buffer("ready", torch.tensor(initialization == "normal"))
        self.register_buffer("covariance", torch.eye(dim) if stand_in != "white" else None)
        self.noise_kind = stand_in
        self.fixed_statistics = False  # for training behind a frozen encoder: use running statistics, leave them alone
        self._ready: bool | None = None
        self._cache: tuple[tuple, Tables] | None = None
        self._turn: int | None = None

    @classmethod
    def from_config(cls, config: QuantizerConfig) -> ResidualGritVQ:
        """Build the codec's quantizer from a model's configuration."""
        return cls(
            dim=config.dim,
            stages=config.stages,
            codebook_size=config.codebook_size,
            radius=config.radius,
            slope=config.slope,
            radius_scale=config.radius_scale,
            transform=config.transform,
            train_base=config.train_base,
            commitment_weight=config.commitment_weight,
            codebook_weight=config.codebook_weight,
            rate_weight=config.rate_weight,
            beam=config.beam,
            replace_below=config.replace_below,
            normalize=True,
            initialization="noise",
            stand_in=config.stand_in,
        )

    @property
    def is_ready(self) -> bool:
        """Whether codes are drawn yet. Remembered on the host, so that no step waits for a GPU."""
        if self._ready is None:
            self._ready = bool(self.ready)
        return self._ready

    def _load_from_state_dict(self, *args: Any, **settings: Any) -> None:
        super()._load_from_state_dict(*args, **settings)
        self._ready = self._turn = None
        self._cache = None

    def codebooks(self) -> Tensor:
        """The transformed codes C' of all stages, [stages, K, D]."""
        # Copies: the running scale, and codes that are replaced, change in place before the backward pass.
        base = self.base.clone() if self.replace_below else self.base
        return self.transform(base) * self.stage_scale.clone()[:, None, None]

    @torch.no_grad()
    def tables(self) -> Tables:
        """What a search needs, computed anew only when something that it depends on has changed."""
        sources = [self.base, self.stage_scale, self.usage, *self.transform.parameters()]
        key = (self.rate_weight, *((tensor.data_ptr(), tensor._version) for tensor in sources))
        if self._cache is None or self._cache[0] != key:
            self._cache = key, self._tables_of(self.codebooks())
        return self._cache[1]

    def _tables_of(self, books: Tensor) -> Tables:
        left = usages.energy_left(self.stage_scale).to(books.dtype) * self.dim
        weight = self.usage.new_tensor(self.rate_weight).reshape(-1, 1)
        prices = usages.prices(self.usage, weight).to(books.dtype) * left[:, None]
        return Tables(books, (books.square().sum(-1) + prices) / 2, prices, left)

    def forward(self, latents: Tensor, active: Tensor | None = None) -> Quantized:
        """Quantize latents.

        Args:
            latents: [B, ..., D] floating point, usually [B, T, D].
            active: [B] int, number of stages used by each item, 1 to stages; None uses all.

        Returns:
            Quantized; codes of stages that are not active are -1. While noise stands in for quantization no codes
            are given (their last dimension is 0).
        """
        with torch.autocast(device_type=latents.device.type, enabled=False):
            z = latents if latents.dtype == torch.float64 else latents.float()
            if self.normalizes:
                z = self.normalize(z)
            if self.training and not self.is_ready:
                if self.initialization == "noise":
                    return Quantized(self.stand_in(z, active), z.new_full((*z.shape[:-1], 0), -1).long(), {}, {})
                self._draw(all_rows(z.detach().reshape(-1, self.dim).float()))
            return self._quantize(z, active)

    def stand_in(self, z: Tensor, active: Tensor | None = None) -> Tensor:
        """Noise in place of codes that are still to be drawn, see gritcodec.quantize.noise.

        Under this noise the encoder learns to put what matters where the bits reach, with exact gradients and no codes
        that could fall behind.
        """
        stages = torch.full((z.shape[0],), self.stages, device=z.device) if active is None else active
        if self.covariance is not None and self.training:
            noise.follow(self.covariance, z)
        return noise.stand_in(self.noise_kind, z, stages, math.log2(self.codebook_size), self.covariance)

    def normalize(self, latents: Tensor) -> Tensor:
        """Centre each dimension and scale all of them by one number, [..., D] -> [..., D]."""
        if not self.training or self.fixed_statistics:
            return (latents - self.offset) / self.spread
        flat = latents.reshape(-1, self.dim)
        mean = mean_over_ranks(flat.mean(0))
        spread = (mean_over_ranks((flat - mean).square().mean()) + 1e-8).sqrt()
        with torch.no_grad():
            # Fast before the codes come in, slowly after.
            weight = (1 - _DECAY) if self.is_ready else 0.1
            self.offset.lerp_(mean.to(self.offset.dtype), weight)
            self.spread.lerp_(spread.to(self.spread.dtype), weight)
        return (latents - mean) / spread

    def _search(self, z: Tensor, tables: Tables, stages: int) -> Tensor:
        """Codes of the first `stages` stages, [N, D] -> [N, stages] int64."""
        if self.beam == 1:
            return greedy(z, tables, stages)
        return beam(z, tables, self.beam)[:, :stages]

    def _quantize(self, z: Tensor, active: Tensor | None) -> Quantized:
        flat = z.reshape(-1, self.dim)
        books = self.codebooks() if torch.is_grad_enabled() else self.tables().books
        books = books.to(flat.dtype)
        with torch.no_grad():
            detached = books.detach()
            codes = self._search(flat.detach(), self._tables_of(detached), self.stages)
            first = torch.arange(self.stages, device=codes.device) * self.codebook_size
        chosen = books.reshape(-1, self.dim).index_select(0, (codes + first).flatten()).view(-1, self.stages, self.dim)
        if active is not None:
            per_item = flat.shape[0] // active.shape[0]
            stage = torch.arange(self.stages, device=codes.device)
            on = (active.repeat_interleave(per_item, output_size=flat.shape[0])[:, None] > stage).to(flat.dtype)
            chosen = chosen * on[..., None]
            codes = codes.masked_fill(on == 0, -1)
        else:
            on = torch.ones_like(codes, dtype=flat.dtype)
        share = on / on.sum(0).clamp_min(1) / self.dim  # each stage's mean is over the vectors that use it
        left = flat[:, None] - chosen.detach().cumsum(1)  # what each stage leaves, with its gradient to the encoder
        before = (left + chosen).detach()
        error = (before - chosen).square().sum(-1) * share
        errors, inputs = error.detach().sum(0), (before.square().sum(-1) * share).sum(0)
        total = chosen.sum(1)
        # Commitment in units of the latent's variance, codebook loss in units of each stage's own input.
        losses = {
            "commitment": self.commitment_weight * (left.square().sum(-1) * share).sum() / self._variance(flat),
            "codebook": self.codebook_weight * (error.sum(0) / self.stage_scale.square()).mean(),
        }
        scale = self._scale(codes) if self.scale_by == "nearest" else self.radius_scale.clone()
        if self.training:
            self._track(codes, inputs, (total - flat).detach().square().sum(-1).sqrt().mean(), detached)
        values = replace_by_radius(flat, total, self.radius, self.slope, scale).reshape(z.shape)
        return Quantized(values, codes.reshape(*z.shape[:-1], self.stages), losses, {"error": errors})

    def _variance(self, flat: Tensor) -> Tensor | float:
        """Of the latents, the unit of commitment: 1 when they are normalized, else the first stage's running scale."""
        return 1.0 if self.normalizes else self.stage_scale[0].square().clone()

    def _scale(self, codes: Tensor) -> Tensor:
        """R of the nearest-code scale, [N, 1]: the gap around the code of each vector's last active stage."""
        last = (codes >= 0).sum(-1) - 1
        code = codes.gather(-1, last[:, None])[:, 0]
        return self.gaps[last, code][:, None].clamp_min(1e-6)

    @torch.no_grad()
    def _track(self, codes: Tensor, inputs: Tensor, distance: Tensor, books: Tensor) -> None:
        """Follow sizes and code usage over all ranks, and put unused codes elsewhere when that is asked for."""
        self.radius_scale.lerp_(all_mean(distance).to(self.radius_scale.dtype), 1 - _DECAY)
        # So that a stage's codes neither outgrow its input nor fall behind. A stage that no item used has seen nothing.
        size = all_mean(inputs).sqrt().clamp_min(1e-6).to(self.stage_scale.dtype)
        self.stage_scale.lerp_(torch.where(size > 1e-6, size, self.stage_scale), 1 - _DECAY)
        self.usage.lerp_(usages.shares(codes, self.usage), 1 - _DECAY)
        self._turn = (int(self.turn) if self._turn is None else self._turn) + 1
        self.turn += 1
        if self.scale_by == "nearest" and self._turn % _GAP_EVERY == 0:
            count = max(_GAP_PRODUCTS // self.codebook_size, 1)
            part, stage = divmod(self._turn // _GAP_EVERY, self.stages)
            first = part * count % (-(-self.codebook_size // count) * count)
            some = slice(first, min(first + count, self.codebook_size))
            self.gaps[stage, some] = radii.half_gaps(books[stage], some=some).to(self.gaps.dtype)
        if self.replace_below:
            usages.replace_dead(self.base, self.usage, self.replace_below)

    @torch.no_grad()
    def initialize(self, latents: Tensor, iterations: int | None = None) -> None:
        """Draw every stage's codes from data, each stage from the residuals that the stages before it leave.

        Args:
            latents: [N, D] latents, the same on all ranks; N should be many times codebook_size.
            iterations: Lloyd iterations a stage; None takes the quantizer's own setting, 0 takes vectors as they are.
        """
        flat = latents.float()
        if self.normalizes:
            self.offset.copy_(flat.mean(0))
            self.spread.copy_((flat - self.offset).square().mean().sqrt().clamp_min(1e-4))
            flat = (flat - self.offset) / self.spread
        self._draw(flat, self.kmeans_iterations if iterations is None else iterations)

    @torch.no_grad()
    def _draw(self, z: Tensor, iterations: int | None = None) -> None:
        if iterations is None:
            iterations = 0 if self.initialization == "data" else self.kmeans_iterations
        self._reset_transform()
        residual = z
        with torch.random.fork_rng(devices=[z.device] if z.is_cuda else []):
            torch.manual_seed(0)  # the same on all ranks
            for stage in range(self.stages):
                scale = residual.square().mean().sqrt().clamp_min(1e-6)
                centres, index = draw(residual, self.codebook_size, iterations)
                self.stage_scale[stage] = scale
                self.base[stage] = centres / scale
                residual = residual - centres[index]
                self.gaps[stage] = radii.half_gaps(centres)
        self.radius_scale.copy_(residual.square().sum(-1).sqrt().mean())
        self.usage.fill_(1.0 / self.codebook_size)
        self.ready.fill_(True)
        self._ready = True

    def _reset_transform(self) -> None:
        """Back to the identity, so that base codes and transformed ones are the same."""
        fresh = type(self.transform)(self.stages, self.dim).to(self.base.device)
        self.transform.load_state_dict(fresh.state_dict())

    @torch.no_grad()
    def encode(self, latents: Tensor, stages: int | None = None) -> Tensor:
        """Latents [..., D] -> codes [..., stages] int64."""
        z = latents.float()
        return self.encode_normalized((z - self.offset) / self.spread if self.normalizes else z, stages)

    @torch.no_grad()
    def encode_normalized(self, z: Tensor, stages: int | None = None) -> Tensor:
        """Latents as `normalize` gives them, [..., D] -> codes [..., stages] int64."""
        count = self.stages if stages is None else stages
        flat = z.reshape(-1, self.dim)
        # A product with very few rows may be rounded in another way: a stream in small blocks must get the same codes.
        padded = nn.functional.pad(flat, (0, 0, 0, max(_ROWS - len(flat), 0)))
        found = self._search(padded, self.tables(), count)
        return found[: len(flat)].reshape(*z.shape[:-1], count)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes [..., n] int64 of the first n stages -> quantized values [..., D]: a table look-up."""
        books = self.tables().books
        total = books.new_zeros((*codes.shape[:-1], self.dim))
        for stage in range(codes.shape[-1]):
            total = total + books[stage][codes[..., stage]]
        return total

    @torch.no_grad()
    def perplexity(self) -> Tensor:
        """exp(entropy) of each stage's running code usage, [stages], 1 to K."""
        return usages.perplexity(self.usage)

    def parameter_groups(
        self, rate: float, code_rate: float = 30.0, transform_rate: float = 10.0
    ) -> list[dict[str, Any]]:
        """Groups for an Adam-like optimizer: codes and transforms need larger steps than a network does.

        Measured in docs/vq-comparison.md: it is the transform's rate that keeps codes in use.

        Args:
            rate: the network's learning rate.
            code_rate, transform_rate: of base codes and of the transform, as multiples of it.

        Returns:
            Groups of the trained parameters, without weight decay, which would pull the transform from the identity.
        """
        codes = {"params": [self.base] if self.base.requires_grad else [], "lr": rate * code_rate}
        transform = {"params": list(self.transform.parameters()), "lr": rate * transform_rate}
        return [{**group, "weight_decay": 0.0} for group in (codes, transform) if group["params"]]

    @torch.no_grad()
    def fold(self) -> None:
        """Put the transformed codes in the place of base codes: nothing is left to compute when decoding."""
        self.base.copy_(self.transform(self.base))
        self.transform = transforms.IdentityTransform(self.stages, self.dim)
