"""Fit the integer network that entropy coding goes by to a model's codes, and put it into the model's weights file.

Run as `python -m gritcodec.train.contexts MODEL --corpus data/debian-speech`. It is trained in floating point, as any
classifier is, then rounded to integers (`gritcodec.bitstream.contexts`), and measured in bytes on voices that the
corpus holds out.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor, nn

from gritcodec import bitstream, model_store
from gritcodec.bitstream.contexts import HIDDEN_LIMIT, REACH, VECTORS, ContextModel
from gritcodec.errors import GritcodecError, ModelError
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.train.config import DataConfig
from gritcodec.train.data import Corpus, open_corpus
from gritcodec.train.usage import draw_latents, settle_usage

FRAMES = bitstream.PACKET_FRAMES
# Inputs are vectors in 256ths of the first stage's standard deviation, hidden units count in 64ths.
_INPUT_ONE, _HIDDEN_ONE = 256, 64
_STRETCHES, _DRAWS, _SECONDS = 4, 4, 2.56
# Latents that prices settle on.
_LATENTS = 128_000


def draw_codes(network: Autoencoder, corpus: Corpus, data: DataConfig, seed: int, packets: int) -> Tensor:
    """Return codes of packets of speech, int16 [packets, stages, 64].

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
        whole = codes.shape[2] // FRAMES * FRAMES
        codes = codes[:, :, :whole].unflatten(2, (-1, FRAMES)).transpose(1, 2).flatten(0, 1)
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


class Likelihoods(nn.Module):
    """The context network in floating point: codes [B, stages, 64] -> logits [stages, B * 64, codes], natural.

    Args:
        vectors: int8 [stages, codes, dim].
        shift: [stages], as in `ContextModel`.
        hidden: units of the hidden layer.
        dropout: share of hidden units left out in training mode.
    """

    def __init__(self, vectors: Tensor, shift: Tensor, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        stages, size, dim = vectors.shape
        self.vectors: Tensor
        self.register_buffer("vectors", vectors.float() * torch.exp2(shift.float())[:, None, None] / _INPUT_ONE)
        inputs = VECTORS * dim
        self.hidden = nn.Parameter(torch.randn(stages, inputs, hidden) / math.sqrt(inputs))
        self.hidden_bias = nn.Parameter(torch.zeros(stages, 1, hidden))
        self.output = nn.Parameter(0.01 * torch.randn(stages, hidden, size))
        self.output_bias = nn.Parameter(torch.zeros(stages, 1, size))

    def forward(self, codes: Tensor) -> Tensor:
        hidden = torch.baddbmm(self.hidden_bias, self.inputs(codes), self.hidden)
        hidden = hidden.clamp(0, HIDDEN_LIMIT / _HIDDEN_ONE)
        hidden = nn.functional.dropout(hidden, self.dropout, self.training)
        return torch.baddbmm(self.output_bias, hidden, self.output)

    def inputs(self, codes: Tensor) -> Tensor:
        """[stages, B * 64, 6 * dim]; see docs/bitstream.md."""
        stages = len(self.vectors)
        vectors = torch.stack([self.vectors[s][codes[:, s].long()] for s in range(stages)])
        before = torch.cumsum(vectors, 0) - vectors
        last = torch.cat([torch.zeros_like(vectors[:1]), vectors[:-1]])
        around = [_shifted(before, offset) for offset in range(-REACH, REACH + 1)]
        rest = torch.cat([*around, last], dim=-1)
        first = torch.cat([_shifted(vectors[:1], -back) for back in range(1, VECTORS + 1)], dim=-1)
        return torch.cat([first, rest[1:]]).flatten(1, 2)

    def losses(self, codes: Tensor) -> Tensor:
        """Bits a code of every stage, [stages]."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            logits = self(codes)
        targets = codes.transpose(0, 1).flatten(1).long()
        nats = nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
        return nats.unflatten(0, (len(self.vectors), -1)).mean(1) / math.log(2)

    def tensors(self, vectors: NDArray[np.int8], shift: NDArray[np.uint8]) -> dict[str, NDArray]:
        """Round to what `ContextModel` takes."""
        hidden, hidden_shift = _rounded(self.hidden.detach())
        # An input unit times a weight is 1/256, a hidden unit 1/64: two bits more to drop.
        hidden_shift = hidden_shift + int(math.log2(_INPUT_ONE // _HIDDEN_ONE))
        output, output_shift = _rounded(self.output.detach() / math.log(2))
        hidden_bias = self.hidden_bias.detach()[:, 0] * _HIDDEN_ONE * torch.exp2(hidden_shift.float())[:, None]
        output_bias = self.output_bias.detach()[:, 0] * 64 / math.log(2) * torch.exp2(output_shift.float())[:, None]
        return {
            "vectors": vectors,
            "vector_shift": shift,
            "hidden": hidden.numpy(),
            "hidden_bias": hidden_bias.round().to(torch.int32).numpy(),
            "hidden_shift": hidden_shift.to(torch.uint8).numpy(),
            "output": output.numpy(),
            "output_bias": output_bias.round().to(torch.int32).numpy(),
            "output_shift": output_shift.to(torch.uint8).numpy(),
        }


def _shifted(rows: Tensor, offset: int) -> Tensor:
    """Rows [..., frames, dim] of the frame `offset` later, zeros beyond the packet."""
    frames = rows.shape[-2]
    pad = nn.functional.pad(rows, (0, 0, max(-offset, 0), max(offset, 0)))
    return pad[..., max(offset, 0) : max(offset, 0) + frames, :]


def _rounded(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [stages, ...] as int8 and the power of two they were multiplied by, [stages]; outliers are clipped."""
    largest = torch.from_numpy(np.quantile(weights.abs().flatten(1).numpy(), 0.9999, axis=1))
    exponents = torch.floor(torch.log2(127 / largest.clamp_min(1e-4))).clamp(0, 16)
    scale = torch.exp2(exponents).reshape(-1, *[1] * (weights.ndim - 1))
    return (weights * scale).round().clamp(-127, 127).to(torch.int8), exponents.long()


def _integer_vectors(network: Autoencoder) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    vectors = code_vectors(network)
    vectors = vectors / vectors[0].std() * _INPUT_ONE
    largest = vectors.abs().flatten(1).amax(1)
    shift = torch.ceil(torch.log2(largest / 127)).clamp(0, 20)
    rounded = (vectors / torch.exp2(shift)[:, None, None]).round().clamp(-127, 127)
    return rounded.to(torch.int8).numpy(), shift.to(torch.uint8).numpy()


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
    coding = bitstream.coding_for(header, contexts)
    sizes = [coding.sizes(coding.pack(packet[None]), stages, FRAMES) for packet in codes]
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
        rate: learning rate.
        dropout: share of hidden units left out at a step.
        weight_decay: of the matrices. Without both the network learns packets by heart: what the last stages saved of
            the speech it was fitted to was lost on other voices.
    """

    steps: int = 3000
    batch: int = 16
    hidden: int = 128
    rate: float = 2e-3
    dropout: float = 0.3
    weight_decay: float = 0.5


def fit(network: Autoencoder, train: Tensor, settings: Fit) -> dict[str, NDArray]:
    """Train on codes [packets, stages, 64]; return the tensors of a `ContextModel`."""
    steps, rate = settings.steps, settings.rate
    vectors, shift = _integer_vectors(network)
    torch.manual_seed(0)
    model = Likelihoods(torch.from_numpy(vectors), torch.from_numpy(shift), settings.hidden, settings.dropout).train()
    with torch.no_grad():  # how often each code comes is where to begin
        for stage, bias in enumerate(model.output_bias):
            counts = torch.bincount(train[:, stage].flatten().long(), minlength=bias.shape[-1])
            bias.copy_(torch.log((counts + 0.5) / counts.sum()))
    matrices = {"params": [model.hidden, model.output], "weight_decay": settings.weight_decay}
    biases = {"params": [model.hidden_bias, model.output_bias], "weight_decay": 0.0}
    optimizer = torch.optim.AdamW([matrices, biases], lr=rate, betas=(0.9, 0.98))
    for step in range(steps):
        done = step / steps
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * min(1.0, max(2 * (1 - done), 0.02))
        losses = model.losses(train[torch.randint(len(train), (settings.batch,))])
        optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        optimizer.step()
        if step % 100 == 0:
            bits = " ".join(f"{float(loss):.2f}" for loss in losses.detach())
            print(f"step {step}, {100 * done:.0f} %: bits a code {bits}", file=sys.stderr, flush=True)
    return model.eval().tensors(vectors, shift)


def main(
    model: Annotated[str, typer.Argument(help="A model folder; its weights file is rewritten.")],
    corpus: Annotated[str, typer.Option(help="A packed corpus, or audio.")] = "data/debian-speech",
    hours: Annotated[float, typer.Option(help="Speech to draw codes from.")] = 4.0,
    steps: Annotated[int, typer.Option(help="Training steps.")] = Fit.steps,
    batch: Annotated[int, typer.Option(help="Packets a step.")] = Fit.batch,
    hidden: Annotated[int, typer.Option(help="Units of the hidden layer.")] = Fit.hidden,
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
        settings = Fit(steps, batch, hidden, dropout=dropout, weight_decay=weight_decay)
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
    network = model_store.load(folder).network
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
    train = draw_codes(network, open_corpus(data, rate), data, 0, packets)
    tensors = fit(network, train, settings)
    try:
        valid = draw_codes(network, open_corpus(data, rate, "valid"), data, 1, check)
    except GritcodecError:
        print("the corpus holds no voices out: measured on those trained on", file=sys.stderr)
        valid = train[:check]
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
        ModelError: the file cannot be read or written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / model_store.WEIGHTS
    try:
        kept = {name: t for name, t in load_file(path).items() if not name.startswith(model_store.CONTEXTS)}
        kept |= {model_store.CONTEXTS + name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
        kept["quantizer.usage"] = network.quantizer.usage.contiguous()
        model_store.write_files(folder, network.config, kept)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot write {path}: {error}") from error


if __name__ == "__main__":
    typer.run(main)
