"""Model folders: config.yaml and weights.safetensors, shipped inside the package or anywhere on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gritcodec import config as configuration
from gritcodec.bitstream import ContextModel, Header
from gritcodec.errors import CorruptFileError, ModelError, WrongModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gritcodec.nn.autoencoder import Autoencoder
    from gritcodec.nn.config import NetworkConfig

SHIPPED = Path(__file__).parent / "models"
WEIGHTS = "weights.safetensors"
CONFIG = "config.yaml"
FINGERPRINT_BYTES = 8
# Tensors of the weights file that are not the network's: what entropy coding goes by.
CONTEXTS = "contexts."
# State of the quantizer that matters in training alone.
_TRAINING_ONLY = {"quantizer.gaps", "quantizer.turn", "quantizer.radius_scale"}


@dataclass(frozen=True)
class LoadedModel:
    """A network with its identity.

    Attributes:
        name: the folder's name.
        fingerprint: first 8 bytes of the SHA-256 of the weights file; what a .grit file carries.
        network: the network, in evaluation mode.
        folder: where it came from.
        contexts: what codes are entropy-coded with; None: they are not.
    """

    name: str
    fingerprint: bytes
    network: Autoencoder
    folder: Path
    contexts: ContextModel | None = None

    @property
    def code_bits(self) -> int:
        """Bits of a code, plainly packed."""
        return self.network.config.quantizer.codebook_size.bit_length() - 1

    def check_header(self, header: Header) -> None:
        """Refuse a file of another model, and one whose numbers contradict this model.

        Raises:
            WrongModelError, CorruptFileError: it is one.
        """
        if header.fingerprint != self.fingerprint:
            raise WrongModelError(
                f"the file was made with model {header.fingerprint.hex()}, "
                f"and this is {self.name} ({self.fingerprint.hex()})"
            )
        config = self.network.config
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


def fingerprint(folder: Path) -> bytes:
    """First 8 bytes of the SHA-256 of the folder's weights file."""
    with open(folder / WEIGHTS, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:FINGERPRINT_BYTES]


def find(wanted: bytes) -> Path:
    """Return the folder of the shipped model with a fingerprint.

    Raises:
        WrongModelError: none of the shipped models has it.
    """
    names = available()
    for name in names:
        if fingerprint(resolve(name)) == wanted:
            return resolve(name)
    raise WrongModelError(
        f"the file was made with model {wanted.hex()}, which is none of the shipped ones "
        f"({', '.join(names) or 'there are none'}): name its folder with --model"
    )


def contexts(folder: Path) -> ContextModel | None:
    """Return what a model's codes are entropy-coded with, or None; loads no torch.

    Raises:
        ModelError: the weights file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            names = [name for name in file.keys() if name.startswith(CONTEXTS)]  # noqa: SIM118 - not a dict
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot read {folder / WEIGHTS}: {error}") from error
    return _context_model(tensors)


def _context_model(tensors: Mapping[str, NDArray]) -> ContextModel | None:
    """Return the contexts among the tensors of a weights file, or None where there are none."""
    found = {n.removeprefix(CONTEXTS): tensor for n, tensor in tensors.items() if n.startswith(CONTEXTS)}
    return ContextModel(found) if found else None


def load(folder: Path) -> LoadedModel:
    """Rebuild a network from its folder, float32, evaluation mode.

    Its quantizer holds the transformed codes alone; see `start` for training on.

    Raises:
        ModelError: the weights are damaged or do not fit the configuration.
        ConfigError: the configuration is not valid.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from gritcodec.nn.autoencoder import Autoencoder
    from gritcodec.nn.config import NetworkConfig

    path = folder / CONFIG
    settings = configuration.from_dict(NetworkConfig, configuration.read_yaml(path), str(path))
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot read {folder / WEIGHTS}: {error}") from error
    coded = _context_model({n: tensor.numpy() for n, tensor in tensors.items() if n.startswith(CONTEXTS)})
    network = Autoencoder(settings)
    network.quantizer.fold()
    try:
        wanted = network.state_dict()
        tensors = {name: t for name, t in tensors.items() if not name.startswith(CONTEXTS)}
        tensors |= {name: wanted[name] for name in _TRAINING_ONLY}
        network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
    except RuntimeError as error:
        raise ModelError(f"the weights in {folder} do not fit its {CONFIG}") from error
    network.eval().requires_grad_(False)
    return LoadedModel(folder.resolve().name, fingerprint(folder), network, folder, coded)


def start(network: Autoencoder, folder: Path) -> None:
    """Give a network to train the weights of a model folder; its codebooks' transform starts at the identity.

    Raises:
        ModelError: the folder's network is another one.
    """
    state = load(folder).network.state_dict()
    mine = network.state_dict()
    state |= {name: tensor for name, tensor in mine.items() if name.startswith("quantizer.transform.")}
    if {name: t.shape for name, t in state.items()} != {name: t.shape for name, t in mine.items()}:
        raise ModelError(f"the network in {folder} is not the one the configuration describes")
    network.load_state_dict(state)


def save(folder: Path, network: Autoencoder, half: bool = True, contexts: Mapping[str, NDArray] | None = None) -> None:
    """Write a model folder from which `load` rebuilds the network; the codebooks' transform is folded in.

    Args:
        folder: created when missing; existing files appear replaced only when whole.
        network: in any mode, on any device; left as it was.
        half: store parameters as float16 (buffers such as running statistics stay float32).
        contexts: tensors of a `ContextModel` that was fitted to this network's codes.
    """
    import copy

    import torch

    folded = copy.deepcopy(network).cpu()
    folded.quantizer.fold()
    parameters = {name for name, _ in folded.named_parameters()}
    tensors = {}
    for name, tensor in folded.state_dict().items():
        if name in _TRAINING_ONLY:
            continue
        kind = torch.float16 if half and name in parameters else tensor.dtype
        tensors[name] = tensor.detach().to(kind).contiguous()
    tensors |= {CONTEXTS + name: torch.from_numpy(tensor) for name, tensor in (contexts or {}).items()}
    write_files(folder, folded.config, tensors)


def write_files(folder: Path, config: NetworkConfig, tensors: Mapping[str, Tensor]) -> None:
    """Put a configuration and tensors into a model folder, in place of those there once both are written whole.

    Raises:
        OSError, SafetensorError: they cannot be written.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: folder / f".{name}.part" for name in (CONFIG, WEIGHTS)}
    configuration.write_yaml(parts[CONFIG], config)
    save_file(dict(tensors), parts[WEIGHTS])
    # safetensors writes files for their owner alone; an installed model is for everyone.
    parts[WEIGHTS].chmod(0o644)
    for name, part in parts.items():
        part.replace(folder / name)
