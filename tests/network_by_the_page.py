"""The network of speech-16k written from docs/speech-16k.md alone: numpy, no torch, nothing of gritcodec."""

import json
from pathlib import Path

import numpy as np

HOP, STEP, WINDOW, DELAY, BINS = 320, 80, 320, 240, 161
STEPS = HOP // STEP
TAPS = 7
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
TYPES = {"U16": "<u2", "F16": "<f2", "F32": "<f4", "I8": "i1", "U8": "u1", "I32": "<i4", "BOOL": "?"}


def read_safetensors(path):
    """All tensors of a file by name."""
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    entries = json.loads(data[8:start])
    entries.pop("__metadata__", None)
    tensors = {}
    for name, entry in entries.items():
        first, last = entry["data_offsets"]
        flat = np.frombuffer(data[start + first : start + last], TYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def gelu(v):
    return 0.5 * v * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * (v + np.float32(0.044715) * v * v * v)))


def after_zeros(x, count):
    """x [T, C] with so many zero vectors before it."""
    return np.concatenate([np.zeros((count, x.shape[1]), x.dtype), x])


class Network:
    """Codes to samples, and samples to codes.

    Attributes:
        seen: what each layer gave when it was last used, by the names that the page has for them.
    """

    def __init__(self, path):
        self.weights = {
            name: tensor.astype(np.float32)
            for name, tensor in read_safetensors(path).items()
            if not name.startswith("contexts.")
        }
        self.books = self.weights["quantizer.base"] * self.weights["quantizer.stage_scale"][:, None, None]
        self.seen = {}

    def _see(self, name, value):
        self.seen[name] = value
        return value

    def linear(self, name, x, seen=None):
        return self._see(seen or name, x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"])

    def norm(self, name, x):
        centred = x - x.mean(1, keepdims=True)
        variance = (centred * centred).mean(1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(1e-5)) * self.weights[f"{name}.weight"]
        return self._see(name, scaled + self.weights[f"{name}.bias"])

    def depthwise(self, name, x):
        weight, padded = self.weights[f"{name}.weight"], after_zeros(x, TAPS - 1)
        y = np.tile(self.weights[f"{name}.bias"], (len(x), 1))
        for k in range(TAPS):
            y += weight[:, 0, k] * padded[k : k + len(x)]
        return self._see(name, y)

    def block(self, name, x):
        h = self.norm(f"{name}.norm", self.depthwise(f"{name}.depthwise", x))
        h = self._see(f"{name}.gelu", gelu(self.linear(f"{name}.up", h)))
        return self._see(name, x + self.weights[f"{name}.scale"] * self.linear(f"{name}.down", h))

    def level(self, name, x):
        x = self.norm(f"{name}.norm", x)
        number = 0
        while f"{name}.blocks.{number}.scale" in self.weights:
            x = self.block(f"{name}.blocks.{number}", x)
            number += 1
        return self._see(name, x)

    def latents(self, codes):
        """Codes [stages, F], -1 where a frame has no such stage, to latents [F, dim]."""
        z = np.zeros((codes.shape[1], self.books.shape[2]), np.float32)
        for book, row in zip(self.books, codes, strict=False):
            z += np.where(row[:, None] < 0, np.float32(0), book[row])
        return self._see("z", z)

    def decode(self, codes):
        """Codes [stages, F] to the output [320 F], late by 240 samples, and its tail [240]."""
        z = after_zeros(self.latents(codes), 2)
        x = self.linear("decoder.project.linear", np.concatenate([z[:-2], z[1:-1], z[2:]], 1), "decoder.project")
        x = self.linear("decoder.up.linear", self.level("decoder.coarse", x))
        x = self._see("decoder.up", x.reshape(len(x) * STEPS, -1))
        x = self.norm("decoder.head.norm", self.level("decoder.fine", x))
        a, p = self.linear("decoder.head.magnitude", x), self.linear("decoder.head.phase", x)
        magnitude = np.exp(np.minimum(a, np.float32(np.log(160))))
        real = self._see("spectrum.real", magnitude * np.cos(p))
        imag = self._see("spectrum.imag", magnitude * np.sin(p))
        output = self.overlap(real, imag)
        return self._see("output", output[:-DELAY]), self._see("tail", output[-DELAY:])

    def overlap(self, real, imag):
        """Spectra [steps, 161] to samples [80 (steps - 1) + 320], by the page's sum and not by an FFT."""
        n, b = np.arange(WINDOW), np.arange(BINS)
        # The angle's multiple of 2 pi is taken off in integers.
        angle = 2 * np.pi * (np.outer(b, n) % WINDOW) / WINDOW
        count = np.where((b == 0) | (b == BINS - 1), 1, 2)[:, None] / WINDOW
        cosines, sines = (count * np.cos(angle)).astype(np.float32), (count * np.sin(angle)).astype(np.float32)
        sines[[0, -1]] = 0  # imaginary parts that count as 0
        v = (real @ cosines - imag @ sines) * HANN / np.float32(1.5)
        output = np.zeros(STEP * (len(v) - 1) + WINDOW, np.float32)
        for j, samples in enumerate(v):
            output[STEP * j : STEP * j + WINDOW] += samples
        return output

    def play(self, parts):
        """Codes [stages, F] and pauses (their frames, integers), one after the other, to one output."""
        output, tail = [], np.zeros(DELAY, np.float32)
        for part in parts:
            if isinstance(part, int):
                output.append(np.concatenate([tail, np.zeros(part * HOP - DELAY, np.float32)]))
                tail = np.zeros(DELAY, np.float32)
            else:
                samples, tail = self.decode(part)
                output.append(samples)
        return np.concatenate(output)

    def encode(self, waveform):
        """Samples [320 F] to latents [F, dim], in the units of the codebooks."""
        padded = np.concatenate([np.zeros(WINDOW - STEP, np.float32), waveform])
        frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP] * HANN
        spectrum = np.fft.rfft(frames).astype(np.complex64)
        power = spectrum.real**2 + spectrum.imag**2
        spectrum = spectrum * (power + np.float32(1e-8)) ** np.float32(-0.35)
        features = np.stack([spectrum.real, spectrum.imag], -1).reshape(len(frames), -1)
        if self.weights["encoder.embed.weight"].shape[1] == 3 * BINS:
            # Networks without `log_magnitudes` have none of L.
            levels = np.float32(0.5) + np.float32(0.09) * np.log(power + np.float32(1e-8))
            features = np.concatenate([features, levels], 1)
        self._see("features", features)
        x = self.level("encoder.fine", self.linear("encoder.embed", features))
        x = self.linear("encoder.down.linear", x.reshape(len(x) // STEPS, -1), "encoder.down")
        x = self.norm("encoder.norm", self.level("encoder.coarse", x))
        x = self.linear("encoder.project", x)
        return self._see("latent", (x - self.weights["quantizer.offset"]) / self.weights["quantizer.spread"])

    def search(self, latents):
        """Latents [F, dim] to the nearest code of each stage in turn, [stages, F]."""
        left, codes = latents.copy(), []
        for book in self.books:
            # |r - c|^2 without |r|^2, which is the same for all codes.
            found = ((book * book).sum(1) - 2 * left @ book.T).argmin(1)
            codes.append(found)
            left -= book[found]
        return self._see("codes", np.stack(codes))
