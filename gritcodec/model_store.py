"""Model folders: config.yaml and weights.safetensors, shipped inside the package or anywhere on disk."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gritcodec import config as configuration
from gritcodec.bitstream import Clock, ContextModel, Header
from gritcodec.errors import CorruptFileError, ModelError, WrongModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gritcodec.nn.config import NetworkConfig

SHIPPED = Path(__file__).parent / "models"
WEIGHTS = "weights.safetensors"
CONFIG = "config.yaml"
FINGERPRINT_BYTES = 8
# Tensors of the weights file that are not the network's: what entropy coding goes by.
CONTEXTS = "contexts."


@dataclass(frozen=True)
class Model:
    """What a model's folder holds, but for the weights.

    Attributes:
        name: the folder's name.
        fingerprint: names what codes mean, see `fingerprint`; what a .grit file carries.
        config: of the network.
        folder: where it came from.
        has_encoder: whether it can code; a folder may hold the decoder and the codebooks alone.
        contexts: what codes are entropy-coded with; None: they are not.
    """

    name: str
    fingerprint: bytes
    config: NetworkConfig
    folder: Path
    has_encoder: bool = True
    contexts: ContextModel | None = None

    @property
    def clock(self) -> Clock:
        """How frames and samples belong together, at the model's own rate."""
        return _clock(self.config)

    @property
    def code_bits(self) -> int:
        """Bits of a code, plainly packed."""
        return self.config.quantizer.codebook_size.bit_length() - 1

    @property
    def bitrates(self) -> tuple[float, ...]:
        """Bitrates a channel can have, kbps, ascending: one for each number of stages, without headers."""
        frames = self.config.sample_rate / self.config.hop_length
        stages = self.config.quantizer.stages
        return tuple(round(k * self.code_bits * frames / 1000, 6) for k in range(1, stages + 1))

    @property
    def algorithmic_delay(self) -> float:
        """Seconds that a live signal would lag, computing time aside: one frame and the decoder's overlap."""
        return (self.config.hop_length + self.config.delay) / self.config.sample_rate

    def __reduce__(self) -> Any:
        return _again, (self.folder, self.fingerprint)

    def require_encoder(self) -> None:
        """Refuse to code with a model that only plays.

        Raises:
            ModelError: it has no encoder.
        """
        if not self.has_encoder:
            raise ModelError(f"{self.name} plays files and makes none: there is no encoder in {self.folder}")

    def check_header(self, header: Header) -> None:
        """Refuse a file of another model, and one whose numbers contradict this model.

        Raises:
            WrongModelError, CorruptFileError: it is one.
        """
        if header.fingerprint != self.fingerprint:
            raise WrongModelError(
                f"the file was made with model {describe(header)}, and this is {self.name} ({self.fingerprint.hex()})"
            )
        config = self.config
        wanted = self.code_bits, round(100 * config.sample_rate / config.hop_length)
        if (header.code_bits, header.frame_rate) != wanted or header.stages > config.quantizer.stages:
            raise CorruptFileError(
                f"the file contradicts the model: {header.stages} stages of codes of {header.code_bits} bits, "
                f"{header.frame_rate / 100:g} frames a second"
            )


def available() -> list[str]:
    """Names of the models shipped inside the package."""
    if not SHIPPED.is_dir():
        return []
    return sorted(entry.name for entry in SHIPPED.iterdir() if (entry / WEIGHTS).is_file())


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """Find a model's folder.

    Raises:
        ModelError: neither a shipped model's name nor a folder with a model in it.
    """
    names = available()
    if str(name_or_path) in names:
        return SHIPPED / str(name_or_path)
    folder = Path(name_or_path)
    if (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file():
        return folder
    if folder.is_dir():
        raise ModelError(f"no model in {folder}: it needs {CONFIG} and {WEIGHTS}")
    shipped = ", ".join(names) or "none"
    raise ModelError(f"no model '{name_or_path}'; shipped models: {shipped}; a folder's path works too")


@dataclass(frozen=True)
class _Facts:
    """What a folder says, apart from the weights of encoder and decoder."""

    config: NetworkConfig
    fingerprint: bytes
    has_encoder: bool
    contexts: Mapping[str, NDArray]


def _facts(folder: Path) -> _Facts:
    """Read a folder, or remember it as long as its files are the same."""
    try:
        statuses = [(folder / name).stat() for name in (CONFIG, WEIGHTS)]
    except OSError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror}") from error
    return _read_facts(folder.absolute(), tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in statuses))


# Few: a program that goes through many models must not keep all of their tables.
@functools.lru_cache(maxsize=4)
def _read_facts(folder: Path, marks: object) -> _Facts:
    from safetensors import SafetensorError, safe_open

    from gritcodec.nn.config import NetworkConfig

    config = configuration.from_dict(NetworkConfig, configuration.read_yaml(folder / CONFIG), str(folder / CONFIG))
    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            every = list(file.keys())
            names = [name for name in every if name.startswith(CONTEXTS)]
            tensors = {name: file.get_tensor(name) for name in (*names, "quantizer.base", "quantizer.stage_scale")}
        books = tensors["quantizer.base"].astype(np.float32) * tensors["quantizer.stage_scale"][:, None, None]
    except (SafetensorError, OSError, KeyError, ValueError, IndexError, TypeError) as error:
        raise ModelError(f"cannot read {folder / WEIGHTS}: {error}") from error
    clock, tables = (config.sample_rate, config.hop_length, config.delay), _contexts_of(tensors)
    has_encoder = any(name.startswith("encoder.") for name in every)
    return _Facts(config, codes_fingerprint(clock, books, tables), has_encoder, tables)


def fingerprint(folder: Path) -> bytes:
    """Return what names the meaning of a model's codes; loads no torch.

    It is the first 8 bytes of the SHA-256 of rate, hop, delay, shape and values of the codebooks, and the tables of
    entropy coding, as docs/bitstream.md lists them. So models with the same codes and another encoder or decoder have
    the same, in whatever form their weights are stored.

    Raises:
        ModelError: the weights file is damaged, or has no codebooks.
        ConfigError: the configuration is not valid.
    """
    return _facts(folder).fingerprint


def codes_fingerprint(clock: tuple[int, int, int], books: NDArray, contexts: Mapping[str, NDArray]) -> bytes:
    """Return the fingerprint of codes.

    Args:
        clock: the model's rate in Hz, hop and delay in samples.
        books: what each code adds to the latent, float32 [stages, codes, dimensions].
        contexts: tensors of `ContextModel`; empty where codes are packed plainly.
    """
    names = ("rate", "hop", "delay", "stages", "codes", "dimensions")
    lines = [f"{name} {value}\n" for name, value in zip(names, (*clock, *books.shape), strict=True)]
    found = hashlib.sha256(("gritcodec codes 1\n" + "".join(lines)).encode())
    found.update(np.ascontiguousarray(books, dtype="<f4").tobytes())
    for name in sorted(contexts):
        tensor = contexts[name]
        sizes = " ".join(map(str, tensor.shape))
        found.update(f"{name} {tensor.dtype} {sizes}\n".encode())
        found.update(np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<")).tobytes())
    return found.digest()[:FINGERPRINT_BYTES]


def clock(folder: Path, sample_rate: int | None = None) -> Clock:
    """Return how a model's frames and samples belong together; loads no torch.

    Args:
        folder: of the model.
        sample_rate: of the recording, Hz; None: the model's own.

    Raises:
        ConfigError: the configuration is not valid.
    """
    return _clock(_facts(folder).config, sample_rate)


def _clock(config: NetworkConfig, sample_rate: int | None = None) -> Clock:
    rate = config.sample_rate
    return Clock(rate, config.hop_length, config.delay, config.warmup_frames(sample_rate or rate))


def describe(header: Header) -> str:
    """Return what a header says of its model, for people."""
    return header.fingerprint.hex() + (f" ({header.encoder})" if header.encoder else "")


def find(header: Header) -> Path:
    """Return the folder of the shipped model that plays a file.

    Raises:
        WrongModelError: none of the shipped models does.
    """
    names = available()
    for name in names:
        if fingerprint(resolve(name)) == header.fingerprint:
            return resolve(name)
    raise WrongModelError(
        f"the file was made with model {describe(header)}, and none of the shipped ones plays it "
        f"({', '.join(names) or 'there are none'}): name its folder with --model"
    )


def contexts(folder: Path) -> ContextModel | None:
    """Return what a model's codes are entropy-coded with, or None; loads no torch.

    Raises:
        ModelError: the weights file is damaged.
    """
    return _context_model(_facts(folder))


def _context_model(facts: _Facts) -> ContextModel | None:
    """Return what codes are entropy-coded with, or None where a model has nothing of the kind."""
    return ContextModel(facts.contexts) if facts.contexts else None


def _contexts_of(tensors: Mapping[str, NDArray]) -> dict[str, NDArray]:
    return {name.removeprefix(CONTEXTS): t for name, t in tensors.items() if name.startswith(CONTEXTS)}


def read(folder: Path) -> Model:
    """Read a model's folder; loads no torch, and no weights but the codebooks.

    Raises:
        ModelError: the weights are damaged.
        ConfigError: the configuration is not valid.
    """
    # By its full path: the process may go to another folder before the weights are needed.
    folder, facts = folder.resolve(), _facts(folder)
    return Model(folder.name, facts.fingerprint, facts.config, folder, facts.has_encoder, _context_model(facts))


def tensors(folder: Path, *prefixes: str) -> dict[str, NDArray]:
    """Return the tensors of a weights file whose names begin with one of `prefixes`, as they are stored.

    Raises:
        ModelError: the weights file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefixes)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot read {folder / WEIGHTS}: {error}") from error


def _again(folder: Path, wanted: bytes) -> Model:
    """Read a model that was pickled by its folder."""
    model = read(folder)
    if model.fingerprint != wanted:
        raise WrongModelError(
            f"{folder} held model {wanted.hex()} and holds {model.fingerprint.hex()} now: it was replaced meanwhile"
        )
    return model
