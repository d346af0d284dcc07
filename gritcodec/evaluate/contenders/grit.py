"""gritcodec's own models: the shipped ones and any model folder."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gritcodec.errors import GritcodecError, UsageError
from gritcodec.evaluate.contenders.base import Contender
from gritcodec.units import parse_bitrate

if TYPE_CHECKING:
    from gritcodec.codec.codec import Codec

# What decides the sound of a file, beside the weights.
_SOURCES = ("nn", "quantize", "bitstream", "codec", "engine", "sound", "model_store.py")


class Grit(Contender):
    """A model at a bitrate, through the calls behind `gritcodec compress` and `decompress`."""

    family = "gritcodec"
    rates = ("0.5", "1", "1.5", "2", "3", "4", "6", "7")
    keeps_time = True

    def __init__(self, setting: str, model: str, effort: int = 0) -> None:
        """Take a bitrate in kbps, a shipped model's name or a folder, and steps of refinement."""
        super().__init__(setting)
        self.model, self.effort = model, effort
        try:
            self._kbps = parse_bitrate(setting)
        except UsageError as error:
            raise UsageError(f"{model}:{setting}: {error}") from error

    @property
    def name(self) -> str:
        """The model's own name, and the effort if there is any."""
        return f"gritcodec {Path(self.model).name}" + (f", effort {self.effort}" if self.effort else "")

    @property
    def label(self) -> str:
        """The model as it was given, and the bitrate."""
        return f"{self.model}@{self.effort}:{self.setting}" if self.effort else f"{self.model}:{self.setting}"

    def missing(self) -> str | None:
        """Tell what is wrong with the model or the bitrate."""
        from gritcodec.codec.refining import check_effort

        try:
            check_effort(self.effort)
            _load(self.model).stages_for(self._kbps)
        except GritcodecError as error:
            return str(error)
        return None

    def version(self) -> str:
        """Weights and code."""
        return f"{_load(self.model).fingerprint} {_code()}"

    def encode(self, clip: Path, packed: Path) -> None:
        """Compress."""
        _load(self.model).compress_file(clip, packed, self._kbps, overwrite=True, effort=self.effort)

    def decode(self, packed: Path, decoded: Path) -> None:
        """Decompress."""
        _load(self.model).decompress_file(packed, decoded, overwrite=True)


@cache
def _load(model: str) -> Codec:
    import gritcodec

    return gritcodec.load(model)


@cache
def _code() -> str:
    """Return what names the code: a result is not kept across a change of it."""
    package = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for name in _SOURCES:
        path = package / name
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
