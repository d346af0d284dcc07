"""How differently a speech recogniser hears two waveforms, differentiably: what words are made of is to stay.

The encoder of Whisper base (Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", arXiv
2212.04356), whose weights two Python packages carry, in the format of CTranslate2.
"""

from __future__ import annotations

import io
import random
import struct
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gritcodec.errors import ConfigError
from gritcodec.evaluate.recogniser import weight_folders
from gritcodec.hearing import mel_filters, spectrum

SAMPLE_RATE = 16_000
_WINDOW, _HOP, _BANDS = 400, 160, 80
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_HEADS = 8
# The first layers hear sounds, the last ones words.
_LAYERS = (3, 4, 5)


@cache
def variables() -> dict[str, np.ndarray]:
    """Whisper base's variables by CTranslate2's names."""
    file = io.BytesIO(b"".join((d / f"model.bin.part{n}").read_bytes() for n, d in enumerate(weight_folders(), 1)))

    def number(kind: str) -> int:
        return int(struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))[0])

    def text() -> str:
        return file.read(number("H")).rstrip(b"\0").decode()

    version, kind, _ = number("I"), text(), number("I")
    if version != 6 or kind != "WhisperSpec":
        raise ConfigError(f"Whisper's weights are in an unknown format: {kind}, version {version}")
    found = {}
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        dtype, size = _TYPES[number("B")], number("I")
        found[name] = np.frombuffer(file.read(size), dtype).reshape(shape)
    return found


class EncoderLayer(nn.Module):
    """A pre-norm transformer layer [B, N, C] -> [B, N, C]; products in bf16, which on CPUs with it take half as long.

    nn.TransformerEncoderLayer has the same parameters, and spends nine tenths of its time on the CPU in copying bf16.
    """

    def __init__(self, found: dict[str, Tensor]):
        super().__init__()
        width = found["self_attention/layer_norm/beta"].numel()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        for norm, part in zip(self.norms, ("self_attention", "ffn"), strict=True):
            norm.load_state_dict(
                {"weight": found[f"{part}/layer_norm/gamma"], "bias": found[f"{part}/layer_norm/beta"]}
            )
        self.linears = nn.ModuleList()
        for part in ("self_attention/linear_0", "self_attention/linear_1", "ffn/linear_0", "ffn/linear_1"):
            outputs, inputs = found[f"{part}/weight"].shape
            linear = nn.Linear(inputs, outputs)
            linear.load_state_dict({key: found[f"{part}/{key}"] for key in ("weight", "bias")})
            self.linears.append(linear.bfloat16())

    def forward(self, x: Tensor) -> Tensor:
        heard, out, wide, narrow = self.linears
        batch, length, width = x.shape
        parts = heard(self.norms[0](x).bfloat16()).reshape(batch, length, 3, _HEADS, width // _HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(query, key, value)
        x = x + out(attended.transpose(1, 2).reshape(batch, length, width)).float()
        hidden: Tensor = narrow(functional.gelu(wide(self.norms[1](x).bfloat16())))
        return x + hidden.float()


class WhisperEncoder(nn.Module):
    """Whisper base's encoder, [B, T] waveforms of up to 30 s at 16 kHz -> features of each layer, 50 a second.

    Whisper pads all speech to 30 s; here nothing is padded, which changes the features a little and is much faster.
    """

    hann: Tensor
    filters: Tensor
    positions: Tensor

    def __init__(self) -> None:
        super().__init__()
        found = {
            name.removeprefix("encoder/"): torch.from_numpy(value.astype(np.float32))
            for name, value in variables().items()
            if name.startswith("encoder/")
        }
        width = found["conv1/bias"].numel()
        self.conv1 = nn.Conv1d(_BANDS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        for name, conv in (("conv1", self.conv1), ("conv2", self.conv2)):
            conv.load_state_dict({key: found[f"{name}/{key}"] for key in ("weight", "bias")})
            conv.bfloat16()
        self.layers = nn.ModuleList()
        for index in range(max(_LAYERS) + 1):
            start = f"layer_{index}/"
            self.layers.append(
                EncoderLayer({key.removeprefix(start): value for key, value in found.items() if key.startswith(start)})
            )
        self.register_buffer("positions", found["position_encodings/encodings"], persistent=False)
        self.register_buffer("hann", torch.hann_window(_WINDOW), persistent=False)
        self.register_buffer("filters", mel_filters(SAMPLE_RATE, _WINDOW, _BANDS).T.contiguous(), persistent=False)
        self.requires_grad_(False)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Log-mel spectra as Whisper takes them, [B, T] -> [B, 80, T // 160]."""
        padded = functional.pad(waveform[:, None], (_WINDOW // 2, _WINDOW // 2), mode="reflect")[:, 0]
        power = torch.view_as_real(spectrum(padded, self.hann, _HOP)).square().sum(-1)[:, :-1]
        mel = torch.log10((power @ self.filters).clamp_min(1e-10))
        loudest = mel.detach().amax((1, 2), keepdim=True)
        return ((torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0).transpose(1, 2)

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Features [B, T // 320, 512] after each of the layers."""
        x = functional.gelu(self.conv1(self.log_mel(waveform).bfloat16()))
        x = functional.gelu(self.conv2(x)).transpose(1, 2).float()
        x = x + self.positions[: x.shape[1]]
        found = []
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found


class RecogniserDistance(nn.Module):
    """1 minus the cosine of what a recogniser's layers make of two waveforms [B, T] at 16 kHz; 0 to 2.

    Args:
        items: so many of the batch are heard when there is a draw: the encoder is dearer than all other losses.
    """

    def __init__(self, sample_rate: int, items: int = 2):
        super().__init__()
        if sample_rate != SAMPLE_RATE:
            raise ConfigError(f"loss.recogniser hears {SAMPLE_RATE} Hz, and the network works at {sample_rate}")
        self.encoder, self.items = WhisperEncoder(), items

    def features(self, waveform: Tensor) -> list[Tensor]:
        """Normalized over channels: a few of them are huge everywhere."""
        found = self.encoder(waveform)
        return [functional.layer_norm(found[index], found[index].shape[-1:]) for index in _LAYERS]

    def forward(self, output: Tensor, target: Tensor, draw: random.Random | None = None) -> Tensor:
        if draw is not None and self.items < output.shape[0]:
            chosen = draw.sample(range(output.shape[0]), self.items)
            output, target = output[chosen], target[chosen]
        with torch.no_grad():
            wanted = self.features(target)
        pairs = zip(self.features(output), wanted, strict=True)
        return torch.stack([(1 - (a * b).mean(-1)).mean() for a, b in pairs]).mean()
