"""More of Opus: the newest encoder, and decoding by the networks of libopus 1.5, LACE and NoLACE."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np

from gritcodec.errors import AudioError
from gritcodec.evaluate.contenders import oggopus
from gritcodec.evaluate.contenders.base import (
    RATE,
    Contender,
    missing_programs,
    number_within,
    program_version,
    read_pcm,
    run_tool,
    write_pcm,
)
from gritcodec.evaluate.contenders.classical import Opus

_PACKAGE, _PACKAGE_VERSION = "@wasm-audio-decoders/opus-ml", "0.0.3"
_SCRIPT = Path(__file__).with_name("opus_ml.mjs")
# OPUS_SET_BANDWIDTH, OPUS_BANDWIDTH_WIDEBAND.
_WIDE_BAND = "4008=1103"


class WideOpus(Opus):
    """opusenc told to code wide band: left alone it takes narrow band up to 8 kbps, which the networks cannot mend."""

    family = "opus-wide"
    rates = ("6", "7", "8", "9", "12")

    def version(self) -> str:
        """Tools and options."""
        return f"{program_version('opusenc')} speech vbr no tags wide 60ms"

    def encode(self, clip: Path, packed: Path) -> None:
        """Run opusenc."""
        self._encode(clip, packed, "--framesize", "60", "--set-ctl-int", _WIDE_BAND)


class Lace(WideOpus):
    """The same files decoded by LACE (Buethe et al. 2023): a small network after the decoder."""

    family = "opus-lace"
    network: ClassVar[str] = "lace"

    def missing(self) -> str | None:
        """Name opusenc, Node and the package with the networks."""
        why = missing_programs("opus-tools", "opusenc") or missing_programs("nodejs", "node")
        if why is None and _package() is None:
            return f"{_PACKAGE} is not installed: npm install --global {_PACKAGE}@{_PACKAGE_VERSION}"
        return why

    def version(self) -> str:
        """Tools and options, and the package."""
        return f"{super().version()} {_PACKAGE} {_package_version()}"

    def decode(self, packed: Path, decoded: Path) -> None:
        """Run the decoder under Node."""
        stream = oggopus.read(packed.read_bytes())
        packets, raw = decoded.with_suffix(".packets"), decoded.with_suffix(".raw")
        packets.write_bytes(b"".join(len(each).to_bytes(2, "little") + each for each in stream.packets))
        run_tool("node", _SCRIPT, _package() or _PACKAGE, self.network, packets, raw)
        samples = np.frombuffer(raw.read_bytes(), dtype="<f4")
        for path in (packets, raw):
            path.unlink()
        kept = samples[stream.skip * RATE // 48000 : stream.total * RATE // 48000]
        write_pcm(decoded, np.clip(np.round(kept * 32768), -32768, 32767).astype(np.int16), RATE)


class NoLace(Lace):
    """The same files decoded by NoLACE (Buethe et al. 2024), four times as large."""

    family = "opus-nolace"
    network = "nolace"


class NewOpus(Contender):
    """libopus 1.6.1 as the package opuscodec carries it: speech, variable rate, frames of 20 ms, no tags."""

    family = "opus-1.6"
    rates = Opus.rates

    def __init__(self, setting: str) -> None:
        """Take a rate in kbps."""
        super().__init__(setting)
        self._kbps = number_within(self.family, setting, 6, 256, "kbps")

    def missing(self) -> str | None:
        """Name the package."""
        if find_spec("opuscodec") is None:
            return "opuscodec is not installed: pip install 'gritcodec[evaluate-all]'"
        return None

    def version(self) -> str:
        """Package, library and options."""
        import opuscodec

        return f"{importlib.metadata.version('opuscodec')} {opuscodec.opus_version()} voice no tags"

    def encode(self, clip: Path, packed: Path) -> None:
        """Run the package's encoder."""
        import opuscodec

        samples, rate = read_pcm(clip)
        bits = round(1000 * self._kbps)
        # 2: voice. QEXT is for rates far above these.
        encoder = opuscodec.OpusBufferedEncoder(rate, 1, bitrate=bits, signal_type=2, qext=False)
        packed.write_bytes(oggopus.without_tags(encoder.write(samples[:, None]) + encoder.flush()))

    def decode(self, packed: Path, decoded: Path) -> None:
        """Run the package's decoder."""
        import opuscodec

        try:
            samples = opuscodec.OpusBufferedDecoder().decode(packed.read_bytes())
        except (RuntimeError, ValueError) as error:
            raise AudioError(f"opuscodec cannot decode this: {error}") from error
        write_pcm(decoded, samples[:, 0], 48000)


@cache
def _package() -> Path | None:
    """Return where npm put the decoder: a folder of NODE_PATH, the working folder's modules, or the global ones."""
    folders = [*filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)), "node_modules"]
    for folder in map(Path, folders):
        if (folder / _PACKAGE / "package.json").is_file():
            return (folder / _PACKAGE).resolve()
    try:
        done = subprocess.run(["npm", "root", "--global"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = Path(done.stdout.strip() or ".") / _PACKAGE
    return found if (found / "package.json").is_file() else None


def _package_version() -> str:
    package = _package()
    return "" if package is None else json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
