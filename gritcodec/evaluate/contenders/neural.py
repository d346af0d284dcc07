"""Neural codecs whose weights the user has: EnCodec, DAC and Mimi through transformers, SNAC through its package.

Their packages download weights on their own; the bench never does. Give it a folder: `--weights encodec=FOLDER`.
Codes are written as they are, `log2(codebook size)` bits each, behind a header of nine bytes.
"""

from __future__ import annotations

import json
import struct
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gritcodec.errors import AudioError, UsageError
from gritcodec.evaluate.contenders.base import Contender, read_pcm, resample_pcm, write_pcm

_HEADER = struct.Struct("<IIB")


class Neural(Contender):
    """A codec in a torch model; subclasses say how it is loaded and called."""

    package: ClassVar[str] = "transformers"
    class_name: ClassVar[str]

    def __init__(self, setting: str, weights: Path | None) -> None:
        """Take a bitrate in kbps, and the folder of the weights."""
        super().__init__(setting)
        self._weights = weights
        try:
            self._kbps = float(setting or "0")
        except ValueError as error:
            raise UsageError(f"{self.family}:{setting}: give a bitrate in kbps") from error

    def missing(self) -> str | None:
        """Name the package, or ask for the weights."""
        if find_spec(self.package) is None:
            return f"{self.package} is not installed: pip install {self.package}"
        if self._weights is None:
            return f"its weights are not given: --weights {self.family}=FOLDER, with config.json and the weights"
        if not (self._weights / "config.json").is_file():
            return f"there is no config.json in {self._weights}"
        return None

    def version(self) -> str:
        """Package, and size and time of the weights."""
        import importlib.metadata

        assert self._weights is not None
        files = sorted(path for path in self._weights.iterdir() if path.is_file())
        facts = [f"{path.name}-{path.stat().st_size}-{int(path.stat().st_mtime)}" for path in files]
        return " ".join([importlib.metadata.version(self.package), "tail", *facts])

    def encode(self, clip: Path, packed: Path) -> None:
        """Run the model's encoder."""
        import torch

        samples, rate = read_pcm(clip)
        model = self._load()
        native = self.sample_rate(model)
        waveform = torch.from_numpy(resample_pcm(samples, rate, native).astype(np.float32) / 32768)
        padded = torch.nn.functional.pad(waveform, (0, self.tail(model, len(waveform))))
        with torch.inference_mode():
            codes = self.codes(model, padded[None, None])
        bits = self.code_bits(model)
        flat = codes.numpy().astype(np.uint32).reshape(-1)
        spread = (flat[:, None] >> np.arange(bits)[None]).astype(np.uint8) & 1
        header = _HEADER.pack(waveform.shape[0], len(flat), codes.shape[0] if codes.ndim > 1 else 0)
        packed.write_bytes(header + np.packbits(spread.reshape(-1)).tobytes())

    def decode(self, packed: Path, decoded: Path) -> None:
        """Run the model's decoder."""
        import torch

        data = packed.read_bytes()
        count, total, stages = _HEADER.unpack_from(data)
        model = self._load()
        bits = self.code_bits(model)
        spread = np.unpackbits(np.frombuffer(data, np.uint8, offset=_HEADER.size))[: total * bits].reshape(total, bits)
        flat = torch.from_numpy((spread.astype(np.int64) << np.arange(bits)).sum(1))
        with torch.inference_mode():
            waveform = self.waveform(model, flat.reshape(stages, -1) if stages else flat)
        samples = np.clip(np.round(waveform.reshape(-1)[:count].numpy() * 32768), -32768, 32767)
        write_pcm(decoded, samples.astype(np.int16), self.sample_rate(model))

    def _load(self) -> Any:
        assert self._weights is not None
        try:
            return load_model(self.class_name, self._weights)
        except Exception as error:
            raise AudioError(f"{self.family}: the weights in {self._weights} cannot be loaded: {error}") from error

    def stages(self, model: Any) -> int:
        """Return how many codebooks give the bitrate asked for."""
        each = self.frame_rate(model) * self.code_bits(model) / 1000
        most = self.most_stages(model)
        stages = round(self._kbps / each)
        if not 1 <= stages <= most:
            raise AudioError(f"{self.label}: these weights have {each:.3g} to {most * each:.3g} kbps")
        return stages

    def sample_rate(self, model: Any) -> int:
        """Return the model's rate, Hz."""
        return int(model.config.sampling_rate)

    def code_bits(self, model: Any) -> int:
        """Return the bits of a code."""
        return int(np.ceil(np.log2(model.config.codebook_size)))

    def frame_rate(self, model: Any) -> float:
        """Return frames a second."""
        return float(model.config.frame_rate)

    def most_stages(self, model: Any) -> int:
        """Return how many codebooks there are."""
        return int(model.config.num_quantizers)

    def tail(self, model: Any, samples: int) -> int:
        """Return how much silence a clip of so many samples needs behind it to come back whole."""
        return 0

    def codes(self, model: Any, waveform: Any) -> Any:
        """Encode [1, 1, samples] into int64 [stages, frames]."""
        return model.encode(waveform, num_quantizers=self.stages(model)).audio_codes[0]

    def waveform(self, model: Any, codes: Any) -> Any:
        """Decode int64 [stages, frames] into any shape of samples."""
        return model.decode(codes[None]).audio_values


class Mimi(Neural):
    """Kyutai's codec, 24 kHz, 12.5 frames a second."""

    family = "mimi"
    class_name = "MimiModel"
    rates = ("0.55", "1.1", "2.2", "4.4")


class Encodec(Neural):
    """Meta's 24 kHz codec."""

    family = "encodec"
    class_name = "EncodecModel"
    rates = ("1.5", "3", "6", "12")

    def codes(self, model: Any, waveform: Any) -> Any:
        """Encode at one of the model's bandwidths."""
        known = model.config.target_bandwidths
        if self._kbps not in known:
            raise AudioError(f"{self.label}: these weights have {', '.join(f'{rate:g}' for rate in known)} kbps")
        coded = model.encode(waveform, bandwidth=self._kbps)
        if coded.audio_codes.shape[0] != 1 or any(scale is not None for scale in coded.audio_scales):
            raise AudioError("encodec: the 48 kHz model, which works in chunks, is not supported: use the 24 kHz one")
        return coded.audio_codes[0, 0]

    def waveform(self, model: Any, codes: Any) -> Any:
        """Decode."""
        return model.decode(codes[None, None], [None]).audio_values


class Dac(Neural):
    """Descript's codec; its 16 kHz model is the one for this bench."""

    family = "dac"
    class_name = "DacModel"
    rates = ("0.5", "1.5", "3", "6")

    def frame_rate(self, model: Any) -> float:
        """Return frames a second."""
        return float(model.config.sampling_rate / model.config.hop_length)

    def most_stages(self, model: Any) -> int:
        """Return how many codebooks there are."""
        return int(model.config.n_codebooks)

    def tail(self, model: Any, samples: int) -> int:
        """Fill the last frame, which DacModel drops where it is not whole, and one more: it comes back shorter."""
        hop = int(model.config.hop_length)
        return -samples % hop + hop

    def codes(self, model: Any, waveform: Any) -> Any:
        """Encode."""
        return model.encode(waveform, n_quantizers=self.stages(model)).audio_codes[0]

    def waveform(self, model: Any, codes: Any) -> Any:
        """Decode."""
        return model.decode(audio_codes=codes[None]).audio_values


class Snac(Neural):
    """The multi-scale codec; one bitrate for each of its models."""

    family = "snac"
    package = "snac"
    class_name = "SNAC"
    rates = ("",)

    def sample_rate(self, model: Any) -> int:
        """Return the model's rate, Hz."""
        return int(model.sampling_rate)

    def code_bits(self, model: Any) -> int:
        """Return the bits of a code."""
        return int(np.ceil(np.log2(model.codebook_size)))

    def codes(self, model: Any, waveform: Any) -> Any:
        """Encode; the scales one after the other."""
        import torch

        return torch.cat([scale.reshape(-1) for scale in model.encode(waveform)])

    def waveform(self, model: Any, codes: Any) -> Any:
        """Decode; how long each scale is follows from its stride."""
        parts = np.array([1 / stride for stride in model.vq_strides])
        frames = np.round(len(codes) * parts / parts.sum()).astype(int)
        return model.decode([part[None] for part in codes.split(frames.tolist())])


@cache
def load_model(class_name: str, folder: Path) -> Any:
    """Return a model in a folder, ready for inference."""
    import torch

    if class_name == "SNAC":
        from snac import SNAC

        model = SNAC(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
        state = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
        model.load_state_dict(state)
        return model.eval()
    model_class = transformers_class(class_name)
    from transformers.utils import logging

    logging.disable_progress_bar()
    return model_class.from_pretrained(folder, local_files_only=True).eval()


def transformers_class(name: str) -> Any:
    """Return a model class of transformers.

    Beside a CPU build of torch, `import torchaudio` ends with an OSError, and transformers tries it wherever the
    package is installed. No codec here needs it: transformers is told that it is not there.
    """
    import transformers
    import transformers.utils

    available = transformers.utils.is_torchaudio_available
    transformers.utils.is_torchaudio_available = lambda: False
    try:
        return getattr(transformers, name)
    finally:
        transformers.utils.is_torchaudio_available = available
