"""Fit the integer network that entropy coding goes by to a model's codes, and put it into the model's weights file.

Run as `python -m gritcodec.train.contexts MODEL --corpus data/debian-speech`. It is trained in floating point, as any
classifier is, then rounded to integers (`gritcodec.bitstream.contexts`), and measured in bytes on voices that the
corpus holds out. It learns whole packets and short ones, with and without the frames before them, so that one table
serves files and live streams.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from gritcodec import bitstream, model_store
from gritcodec.bitstream.contexts import HISTORY, LARGEST_VECTOR_SHIFT, ContextModel
from gritcodec.bitstream.entropy import EntropyCoding
from gritcodec.engine import store
from gritcodec.errors import GritcodecError, ModelError
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.train.config import DataConfig
from gritcodec.train.data import Corpus, open_corpus
from gritcodec.train.grouping import order_of_codes
from gritcodec.train.likelihoods import ONE, Bounds, Likelihoods, Sizes
from gritcodec.train.usage import draw_latents, settle_usage

FRAMES = bitstream.PACKET_FRAMES
_STRETCHES, _DRAWS, _SECONDS = 4, 2, 5.12
# Codes of more kinds of speech than the corpus has: other voices, rooms, microphones, noise.
_VOICES, _COLOURS, _NOISES, _ROOMS = 0.5, 0.3, 0.2, 0.12
# Latents that prices settle on.
_LATENTS = 128_000
# Windows of training: whole packets as in files, packets of any length alone, and live ones with what is before them.
_WHOLE, _ALONE = 0.5, 0.15
_LIVE = (1, 2, 4, 16)
_KEY = 50
# Stretches that directions are found from.
_SAMPLE = 200


def draw_codes(
    network: Autoencoder, corpus: Corpus, data: DataConfig, seed: int, packets: int, frames: int = FRAMES
) -> Tensor:
    """Return codes of packets of speech, int16 [packets, stages, frames].

    Stretches of 10 s are made of pieces drawn as in training; the network runs through each without a break, as it
    does through a file.
    """
    found: list[Tensor] = []
    config = replace(data, batch=_STRETCHES * _DRAWS)
    while sum(map(len, found)) < packets:
        step = len(found)
        waveforms = corpus.batch(config, seed, step) * corpus.levels(config, seed, step)
        with torch.inference_mode():
            codes = network.encode(waveforms.reshape(_STRETCHES, 1, -1))
        whole = codes.shape[2] // frames * frames
        codes = codes[:, :, :whole].unflatten(2, (-1, frames)).transpose(1, 2).flatten(0, 1)
        found.append(codes.to(torch.int16))
    return torch.cat(found)[:packets]


def code_vectors(network: Autoencoder) -> Tensor:
    """What each code adds to the latent, float32 [stages, codes, dim]."""
    stages, size = network.config.quantizer.stages, network.config.quantizer.codebook_size
    vectors = []
    for stage in range(stages):
        codes = torch.zeros(1, size, stage + 1, dtype=torch.long)
        before = network.quantizer.decode(codes[:, :1, :stage])[:, :1] if stage else 0
        codes[0, :, stage] = torch.arange(size)
        vectors.append((network.quantizer.decode(codes) - before)[0])
    return torch.stack(vectors)


def _integer(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors [stages, size, dim] in int8, and the shift of each stage, uint8; ONE is one."""
    largest = (vectors * ONE).abs().flatten(1).amax(1)
    shift = torch.ceil(torch.log2(largest / 127)).clamp(0, LARGEST_VECTOR_SHIFT)
    rounded = (vectors * ONE / torch.exp2(shift)[:, None, None]).round().clamp(-127, 127)
    return rounded.to(torch.int8), shift.to(torch.uint8)


def _latents(vectors: Tensor, codes: Tensor) -> Tensor:
    """Latents of all stages around their mean, [stretches, T, dim], of vectors [stages, size, dim] and codes."""
    latents = sum(v[codes[:, s].long()] for s, v in enumerate(vectors))
    return latents - latents.mean((0, 1))


def _widest(latents: Tensor, count: int) -> Tensor:
    """Directions in which latents [stretches, T, dim] vary most, [dim, count], orthonormal."""
    flat = latents.flatten(0, 1)
    return torch.linalg.eigh(flat.T @ flat).eigenvectors.flip(1)[:, :count]


def _lasting(latents: Tensor, count: int) -> Tensor:
    """Directions in which latents [stretches, T, dim] are most alike from frame to frame, [dim, count], orthonormal."""
    shared = latents[:, 1:].flatten(0, 1).T @ latents[:, :-1].flatten(0, 1)
    values, directions = torch.linalg.eigh(shared + shared.T)
    return directions[:, values.abs().argsort(descending=True)[:count]]


@dataclass(frozen=True)
class Saving:
    """Bytes of held-out packets at so many stages."""

    stages: int
    plain: int
    coded: int

    @property
    def percent(self) -> float:
        """What entropy coding saves of the bodies of packets."""
        return 100 * (1 - self.coded / self.plain)


def measure(contexts: ContextModel, codes: NDArray[np.integer], code_bits: int) -> list[Saving]:
    """Pack codes [packets, stages, 64] and count bytes, at every number of stages."""
    stages = codes.shape[1]
    header = bitstream.Header(bytes(8), 16000, 1, 0, stages, code_bits, FRAMES, coding=bitstream.ENTROPY)
    coding = EntropyCoding(header, contexts)
    sizes = [coding.sizes(body, stages, FRAMES) for body in coding.pack_many(list(codes[:, None]))]
    totals = np.array(sizes).sum(axis=0)
    block = header.block_bytes(FRAMES) * len(codes)
    return [Saving(k, block * k, int(totals[k - 1])) for k in range(1, stages + 1)]


@dataclass(frozen=True)
class Fit:
    """How the context network is trained.

    Attributes:
        steps: training steps.
        batch: packets a step.
        hidden: units of the hidden layer.
        middle: numbers that the places in a group are told from.
        wide: dimensions that a code's own frame is told in, at most: a latent of 96 varies little in the last
            third of them, which would cost a fifth of the coder's time.
        narrow: numbers that the frames around are told in.
        rate: learning rate.
        dropout: share of hidden units left out at a step.
        weight_decay: of the matrices. Without both the network learns packets by heart: what the last stages saved of
            the speech it was fitted to was lost on other voices.
    """

    steps: int = 3000
    batch: int = 16
    hidden: int = 144
    middle: int = 64
    wide: int = 64
    narrow: int = 24
    rate: float = 2e-3
    dropout: float = 0.1
    weight_decay: float = 0.5


def windows(codes: Tensor, batch: int, draw: torch.Generator) -> tuple[Tensor, Bounds]:
    """Draw windows of HISTORY + 64 frames from codes [stretches, stages, T], and what their frames may see."""
    length = HISTORY + FRAMES
    chosen = torch.randint(len(codes), (batch,), generator=draw)
    starts = torch.randint(codes.shape[2] - length + 1, (batch,), generator=draw)
    cut = torch.stack([codes[i, :, s : s + length] for i, s in zip(chosen.tolist(), starts.tolist(), strict=True)])
    bounds = [_bounds(length, draw) for _ in range(batch)]
    first, start, end = (torch.stack([getattr(b, name) for b in bounds]) for name in ("first", "start", "end"))
    return cut.long(), Bounds(first, start, end)


def _bounds(length: int, draw: torch.Generator) -> Bounds:
    """Cut one window into packets, [T] each."""
    at = torch.arange(length)
    kind = float(torch.rand((), generator=draw))
    if kind < _WHOLE:
        first = torch.full((length,), HISTORY)
        return Bounds(first, first, torch.full((length,), length))
    if kind < _WHOLE + _ALONE:
        size = int(torch.randint(1, FRAMES, (), generator=draw))
        first = HISTORY + (at - HISTORY).clamp_min(0) // size * size
        return Bounds(first, first, (first + size).clamp_max(length))
    size = _LIVE[int(torch.randint(len(_LIVE), (), generator=draw))]
    key = int(torch.randint(_KEY, (), generator=draw))
    keys = _KEY - _KEY % size
    first = ((at + key) // keys * keys - key).clamp_min(0)
    start = (at + key) // keys * keys - key + (at + key) % keys // size * size
    return Bounds(first, start, torch.minimum(start + size, (at + key) // keys * keys - key + keys).clamp_max(length))


def fit(network: Autoencoder, train: Tensor, settings: Fit) -> dict[str, NDArray]:
    """Train on codes [stretches, stages, T], T at least HISTORY + 64; return the tensors of a `ContextModel`."""
    exact = code_vectors(network)
    exact = exact / exact[0].std()
    stages, size = exact.shape[:2]
    latents = _latents(exact, train[:: max(len(train) // _SAMPLE, 1)])
    found: dict[str, NDArray] = {}
    tables = []
    own = exact @ _widest(latents, settings.wide) if exact.shape[2] > settings.wide else exact
    for name, values in (("vector", own), ("narrow", exact @ _lasting(latents, settings.narrow))):
        rounded, shift = _integer(values)
        found |= {"vectors" if name == "vector" else name: rounded.numpy(), f"{name}_shift": shift.numpy()}
        tables.append(rounded.float() * torch.exp2(shift.float())[:, None, None] / ONE)
    groups = 1 << (size.bit_length() - 1) // 2
    order = np.stack([order_of_codes(each, groups) for each in tables[0].numpy()])
    by_position = torch.from_numpy(order.astype(np.int64))
    position_of = torch.argsort(by_position, dim=1)
    train = torch.stack([position_of[s][train[:, s].long()] for s in range(stages)], 1).to(torch.int16)
    wide, narrow = (torch.stack([each[at] for each, at in zip(table, by_position, strict=True)]) for table in tables)
    torch.manual_seed(0)
    sizes = Sizes(settings.hidden, settings.middle, settings.dropout)
    model = Likelihoods(wide, narrow, groups, sizes).train()
    model.begin(torch.stack([torch.bincount(train[:, s].flatten().long(), minlength=size) for s in range(stages)]))
    _train(model, train, settings)
    return {"order": order, **found, **model.eval().tensors()}


def _train(model: Likelihoods, train: Tensor, settings: Fit) -> None:
    steps, rate, draw = settings.steps, settings.rate, torch.Generator().manual_seed(0)
    groups = [
        {"params": model.matrices(), "weight_decay": settings.weight_decay},
        {"params": model.biases(), "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
    mean = torch.zeros(len(model.vectors))
    for step in range(steps):
        done = step / steps
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * min(1.0, max(2 * (1 - done), 0.02))
        losses = model(*windows(train, settings.batch, draw), slice(HISTORY, None))
        optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        optimizer.step()
        mean += (losses.detach() - mean) * max(0.02, 1 / (step + 1))
        if step % 100 == 0:
            bits = " ".join(f"{float(loss):.2f}" for loss in mean)
            print(f"step {step}, {100 * done:.0f} %: bits a code {bits}", file=sys.stderr, flush=True)


def main(
    model: Annotated[str, typer.Argument(help="A model folder; its weights file is rewritten.")],
    corpus: Annotated[str, typer.Option(help="A packed corpus, or audio.")] = "data/debian-speech",
    hours: Annotated[float, typer.Option(help="Speech to draw codes from.")] = 4.0,
    steps: Annotated[int, typer.Option(help="Training steps.")] = Fit.steps,
    batch: Annotated[int, typer.Option(help="Packets a step.")] = Fit.batch,
    hidden: Annotated[int, typer.Option(help="Units of the hidden layer.")] = Fit.hidden,
    middle: Annotated[int, typer.Option(help="Numbers that places in a group are told from.")] = Fit.middle,
    wide: Annotated[
        int, typer.Option(min=1, help="Dimensions that a code's own frame is told in, at most.")
    ] = Fit.wide,
    dropout: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of hidden units left out at a step.")
    ] = Fit.dropout,
    weight_decay: Annotated[float, typer.Option(min=0.0, help="Weight decay of the matrices.")] = Fit.weight_decay,
    check: Annotated[int, typer.Option(help="Held-out packets to measure on.")] = 300,
    rate_weight: Annotated[
        float | None, typer.Option(help="How much often used codes are preferred; unless given, as it was.")
    ] = None,
    least_bits: Annotated[
        float, typer.Option(help="Entropy that the codes of every stage keep; its rate_weight is lowered for it.")
    ] = 0.0,
) -> None:
    """Fit entropy coding to a model's codes and write it into the model's weights file."""
    try:
        settings = Fit(steps, batch, hidden, middle, wide, dropout=dropout, weight_decay=weight_decay)
        _main(Path(model_store.resolve(model)), corpus, hours, settings, check, rate_weight, least_bits)
    except GritcodecError as error:
        print(f"gritcodec: error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from error


def _main(
    folder: Path,
    corpus: str,
    hours: float,
    settings: Fit,
    check: int,
    rate_weight: float | None,
    least_bits: float,
) -> None:
    network = store.load(folder)
    data = DataConfig(corpus=corpus, segment=_SECONDS)
    rate = network.config.sample_rate
    if rate_weight is not None:
        network.quantizer.rate_weight = rate_weight
    packets = max(round(hours * 3600 * rate / network.config.hop_length / FRAMES), 16)
    latents = draw_latents(network, open_corpus(data, rate), data, 2, min(packets * FRAMES, _LATENTS))
    entropies = settle_usage(network, latents, least_bits=least_bits)
    quantizer = replace(network.config.quantizer, rate_weight=network.quantizer.rate_weight)
    network.config = replace(network.config, quantizer=quantizer)
    print("entropy of the codes, bits:", " ".join(f"{bits:.2f}" for bits in entropies), file=sys.stderr, flush=True)
    changed = replace(data, voice_share=_VOICES, colour_share=_COLOURS, noise_share=_NOISES, room_share=_ROOMS)
    stretch = round(_DRAWS * _SECONDS * rate) // network.config.hop_length
    train = draw_codes(network, open_corpus(changed, rate), changed, 0, max(packets * FRAMES // stretch, 1), stretch)
    tensors = fit(network, train, settings)
    try:
        valid = draw_codes(network, open_corpus(data, rate, "valid"), data, 1, check)
    except GritcodecError:
        print("the corpus holds no voices out: measured on those trained on", file=sys.stderr)
        valid = train[:check, :, :FRAMES]
    bits = network.config.quantizer.codebook_size.bit_length() - 1
    for saving in measure(ContextModel(tensors), valid.numpy(), bits):
        print(f"{saving.stages} stages: {saving.percent:.1f} % of the bytes saved")
    write(folder, network, tensors)


def write(folder: Path, network: Autoencoder, tensors: dict[str, NDArray]) -> None:
    """Put entropy coding into a model folder, in place of what is there.

    Args:
        folder: of the model.
        network: whose configuration and code usage are written too; the other weights stay as they are.
        tensors: of a `ContextModel`.

    Raises:
        ModelError: the file cannot be read.
        OutputError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / model_store.WEIGHTS
    try:
        kept = {name: t for name, t in load_file(path).items() if not name.startswith(model_store.CONTEXTS)}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    kept |= {model_store.CONTEXTS + name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    kept["quantizer.usage"] = network.quantizer.usage.contiguous()
    store.write_files(folder, network.config, kept)


if __name__ == "__main__":
    typer.run(main)
