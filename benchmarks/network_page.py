"""The numbers of docs/speech-16k.md, computed anew by the library from the shipped weights.

    python benchmarks/network_page.py

writes them into the page: to be run when the weights have changed. Its rows are what `DECODING` and `ENCODING` choose
of the layers' outputs; tests/test_network_page.py holds the page to them.
"""

import contextlib
import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gritcodec import model_store
from gritcodec.engine import store
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.quantize.search import greedy

PAGE = Path(__file__).parent.parent / "docs" / "speech-16k.md"
FRAMES, STAGES = 4, 3

_BLOCK = ("depthwise", "norm", "up", "gelu", "down")
DECODING = (
    "z[0, 0:4]",
    "z[3, 0:4]",
    "decoder.project[0, 0:4]",
    "decoder.project[3, 0:4]",
    "decoder.coarse.norm[3, 0:4]",
    *(f"decoder.coarse.blocks.0.{part}[3, 0:4]" for part in _BLOCK),
    "decoder.coarse.blocks.0[3, 0:4]",
    "decoder.coarse[3, 0:4]",
    "decoder.up[12, 0:4]",
    "decoder.up[15, 0:4]",
    "decoder.fine.norm[15, 0:4]",
    "decoder.fine[15, 0:4]",
    "decoder.head.norm[15, 0:4]",
    "decoder.head.magnitude[15, 0:6]",
    "decoder.head.phase[15, 0:6]",
    "spectrum.real[15, 0:6]",
    "spectrum.imag[15, 0:6]",
    "output[0:5]",
    "output[100:105]",
    "output[700:705]",
    "output[1275:1280]",
    "tail[0:5]",
    "tail[160:165]",
)
ENCODING = (
    "features[0, 0:8]",
    "features[15, 0:8]",
    "encoder.embed[15, 0:4]",
    "encoder.fine.norm[15, 0:4]",
    "encoder.fine[15, 0:4]",
    "encoder.down[3, 0:4]",
    "encoder.coarse[3, 0:4]",
    "encoder.norm[3, 0:4]",
    "encoder.project[3, 0:4]",
    "latent[0, 0:4]",
    "latent[3, 0:4]",
    *(f"codes[0:14, {frame}]" for frame in range(FRAMES)),
)

Seen = dict[str, NDArray[Any]]


def example_codes() -> NDArray[np.int64]:
    """The codes that the page decodes, [stages, frames]."""
    stage, frame = np.arange(STAGES)[:, None], np.arange(FRAMES)
    return (331 * stage + 97 * frame + 5) % 1024


def example_waveform() -> NDArray[np.float32]:
    """The samples that the page encodes, [samples]."""
    n = np.arange(FRAMES * 320)
    # A tone and, for every bin to hold something, noise that everybody can make.
    waveform = 0.3 * np.sin(2 * np.pi * 157 * n / 16000) + 0.002 * (n**2 % 101 - 50)
    return waveform.astype(np.float32)


@contextlib.contextmanager
def watch(network: nn.Module) -> Iterator[Seen]:
    """What every layer gives meanwhile, by its name, and what goes into each block's second linear layer."""
    seen: Seen = {}

    def hook_of(name: str) -> Any:
        def hook(_: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
            seen[name] = made[0].numpy()
            if name.endswith(".down") and ".blocks." in name:
                seen[name.removesuffix("down") + "gelu"] = given[0][0].numpy()

        return hook

    hooks = [module.register_forward_hook(hook_of(name)) for name, module in network.named_modules()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def decoding(network: Autoencoder, codes: NDArray[np.int64]) -> Seen:
    """What decoding codes [stages, frames] gives on its way, by the page's names."""
    latents, state = network.quantizer.decode(torch.from_numpy(codes).T[None]), network.initial_state()
    with watch(network.decoder) as parts:
        network.decoder(latents, state)
    seen = {f"decoder.{name}": value for name, value in parts.items() if name}
    seen["z"], seen["output"] = latents[0].numpy(), parts[""]
    # Bins without magnitude after the last step: what windows are still open fades out.
    quiet = torch.full((1, 4, seen["decoder.head.phase"].shape[-1]), -torch.inf)
    head = network.decoder.head
    seen["tail"] = head.istft(quiet, torch.zeros_like(quiet), state)[0, : network.delay].numpy()  # type: ignore[operator]
    magnitude = np.exp(np.minimum(seen["decoder.head.magnitude"], math.log(160)))
    seen["spectrum.real"] = magnitude * np.cos(seen["decoder.head.phase"])
    seen["spectrum.imag"] = magnitude * np.sin(seen["decoder.head.phase"])
    return seen


@torch.no_grad()
def encoding(network: Autoencoder, waveform: NDArray[np.float32]) -> Seen:
    """What encoding samples [frames * hop] gives on its way, by the page's names; codes [stages, frames]."""
    with watch(network.encoder) as parts:
        normalized = network.quantizer.normalize(network.encoder(torch.from_numpy(waveform)[None]))[0]
    seen = {f"encoder.{name}": value for name, value in parts.items() if name}
    seen["features"], seen["latent"] = seen["encoder.stft"], normalized.numpy()
    books = network.quantizer.tables().books
    # No prices: the plain search.
    tables = dataclasses.replace(network.quantizer.tables(), offsets=books.square().sum(-1) / 2)
    seen["codes"] = greedy(normalized, tables, network.quantizer.stages).T.numpy()
    return seen


def pick(seen: Seen, row: str) -> NDArray[Any]:
    """The numbers that a row's name, `layer[index, from:to]`, stands for.

    Raises:
        KeyError: there is no such layer.
    """
    name, _, places = row.rstrip("]").partition("[")
    index = [slice(*map(int, place.split(":"))) if ":" in place else int(place) for place in places.split(",")]
    return seen[name][tuple(index)]


def table(seen: Seen, rows: tuple[str, ...]) -> str:
    """The rows as a table in Markdown."""
    lines = ["| of | numbers |", "| --- | --- |"]
    for row in rows:
        values = pick(seen, row)
        cells = [str(value) if values.dtype.kind in "iu" else f"{round(float(value), 6) + 0:.6f}" for value in values]
        lines.append(f"| `{row}` | {', '.join(cells)} |")
    return "\n".join(lines)


def filled(page: str, name: str, content: str) -> str:
    """The page with other content between the two comments that bear a name.

    Raises:
        ValueError: it has no such comments.
    """
    pattern = rf"(<!-- {name}: begin [^\n]*-->\n).*?(<!-- {name}: end -->)"
    page, count = re.subn(pattern, lambda found: f"{found[1]}{content}\n{found[2]}", page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{PAGE.name} has {count} places named {name}, and needs one")
    return page


def main() -> None:
    """Write the numbers of the shipped model into docs/speech-16k.md."""
    network = store.load(model_store.resolve("speech-16k"))
    page = PAGE.read_text(encoding="utf-8")
    page = filled(page, "decoding", table(decoding(network, example_codes()), DECODING))
    page = filled(page, "encoding", table(encoding(network, example_waveform()), ENCODING))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
