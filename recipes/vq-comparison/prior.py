"""What a recurrent prior over codes gains as an entropy model over the codec's own contexts, in bits a code.

    python recipes/vq-comparison/prior.py     # after compare.py has cached latents; minutes on one core

TRACE (arXiv 2210.12409) predicts all codes of a frame from a recurrent state, and each stage from the stages before it
in the frame. Here: a gated recurrent unit over frames, a head of its own for every stage. Assumed: 192 units, summed
embeddings of the stages before, trained on the cached training latents alone. Measured on voices that it was not
trained on, in packets of 64 frames, each from a cold start: the shipped model's codes of the first stages. The
contexts' bits are those that the file format takes; they look at later frames too, which a prior that is to generate
cannot.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from gritcodec import bitstream, load, model_store
from gritcodec.bitstream.header import ENTROPY, Header
from gritcodec.engine import store

WIDTH, BATCH, RATE = 192, 24, 2e-3
PACKET = 64


class Prior(nn.Module):
    """Codes [B, T, stages] -> logits [B, T, stages, K], of each code given all before it."""

    def __init__(self, stages: int, size: int):
        super().__init__()
        self.past = nn.ModuleList(nn.Embedding(size, WIDTH) for _ in range(stages))
        self.now = nn.ModuleList(nn.Embedding(size, WIDTH) for _ in range(stages - 1))
        self.recurrent = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, size))
            for _ in range(stages)
        )

    def forward(self, codes: Tensor) -> Tensor:
        seen = torch.stack([book(codes[..., i]) for i, book in enumerate(self.past)]).sum(0)
        state, _ = self.recurrent(F.pad(seen, (0, 0, 1, 0))[:, :-1])
        logits = []
        for stage, head in enumerate(self.heads):
            logits.append(head(state))
            if stage < len(self.now):
                state = state + self.now[stage](codes[..., stage])
        return torch.stack(logits, -2)


def bits(model: Prior, codes: Tensor) -> Tensor:
    """Bits a code of each stage, [stages]."""
    loss = F.cross_entropy(model(codes).flatten(0, 2), codes.flatten(), reduction="none")
    return loss.view(codes.shape).mean((0, 1)) / torch.log(torch.tensor(2.0))


def fit(codes: Tensor, size: int, epochs: int) -> Prior:
    """Train on codes [items, T, stages]."""
    model = Prior(codes.shape[-1], size)
    steps = epochs * (len(codes) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        if step % (len(codes) // BATCH) == 0:
            order = torch.randperm(len(codes))
        first = step % (len(codes) // BATCH) * BATCH
        optimizer.zero_grad()
        bits(model, codes[order[first : first + BATCH]]).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model


def order_zero(train: Tensor, codes: Tensor, size: int) -> Tensor:
    """Bits a code when only how often each is used is known, [stages]."""
    counts = torch.stack([torch.bincount(stage, minlength=size) + 0.5 for stage in train.flatten(0, 1).t()])
    price = -torch.log2(counts / counts.sum(-1, keepdim=True))
    return torch.stack([price[i][codes[..., i]].mean() for i in range(codes.shape[-1])])


def contexts(codes: Tensor) -> float:
    """Bits a code as the file format packs these clips, all stages together."""
    header = Header(bytes(8), 16000, 1, None, codes.shape[-1], coding=ENTROPY)
    coding = bitstream.coding_for(header, load().contexts)
    size = sum(len(coding.pack(clip.t()[None].numpy())) for clip in codes)
    return 8 * size / codes.numel()


def main(
    cache: Annotated[Path, typer.Option(help="What compare.py cached.")] = Path(
        "runs/vq-comparison/latents.safetensors"
    ),
    stages: Annotated[int, typer.Option(help="First stages of the shipped model.")] = 4,
    epochs: Annotated[int, typer.Option(help="Passes over the training latents.")] = 4,
    threads: Annotated[int, typer.Option(help="Of torch.")] = 1,
) -> None:
    """Print bits a code on unseen voices as a line of JSON."""
    from safetensors.torch import load_file

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    quantizer = store.load(model_store.resolve("speech-16k")).quantizer
    latents = load_file(cache)
    train, valid = (
        torch.cat([quantizer.encode_normalized(part)[..., :stages] for part in latents[split].split(100)])
        for split in ("train", "valid")
    )
    valid = valid[:, :PACKET]
    model = fit(train, quantizer.codebook_size, epochs)
    with torch.no_grad():
        prior = torch.stack([bits(model, part) for part in valid.split(20)]).mean(0)
        known = float(bits(model, train[:200, :PACKET]).mean())
    found = {
        "stages": stages,
        "order_zero": float(order_zero(train, valid, quantizer.codebook_size).mean()),
        "contexts": contexts(valid),
        "prior": float(prior.mean()),
        "prior_by_stage": [round(float(value), 3) for value in prior],
        "prior_on_training_voices": known,
    }
    print(json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}))


if __name__ == "__main__":
    typer.run(main)
