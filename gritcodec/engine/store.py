"""Networks out of model folders and into them, by torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gritcodec import config as configuration
from gritcodec.errors import ModelError, OutputError
from gritcodec.model_store import CONFIG, CONTEXTS, WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gritcodec.nn.autoencoder import Autoencoder
    from gritcodec.nn.config import NetworkConfig

# State of the quantizer that matters in training alone.
_TRAINING_ONLY = {"quantizer.gaps", "quantizer.turn", "quantizer.radius_scale"}


def load(folder: Path, encoder: bool = True) -> Autoencoder:
    """Rebuild a network from its folder, float32, evaluation mode.

    Its quantizer holds the transformed codes alone; see `start` for training on.

    Args:
        folder: of the model.
        encoder: whether its encoder is needed; otherwise the network may have one of random weights.

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
    network = Autoencoder(settings)
    network.quantizer.fold()
    wanted = network.state_dict()
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(CONTEXTS)}
    tensors |= {name: wanted[name] for name in _TRAINING_ONLY}
    if not encoder:
        tensors = {name: t for name, t in wanted.items() if name.startswith("encoder.")} | tensors
    try:
        network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
    except RuntimeError as error:
        raise ModelError(f"the weights in {folder} do not fit its {CONFIG}") from error
    return network.eval().requires_grad_(False)


def start(network: Autoencoder, folder: Path) -> None:
    """Give a network to train the weights of a model folder; its codebooks' transform starts at the identity.

    Raises:
        ModelError: the folder's network is another one.
    """
    state = load(folder).state_dict()
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

    Raises:
        OutputError: as in `write_files`.
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
        OutputError: they cannot be written; what was there before stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: folder / f".{name}.part" for name in (CONFIG, WEIGHTS)}
    try:
        with writing(folder):
            configuration.write_yaml(parts[CONFIG], config)
        write_tensors(parts[WEIGHTS], tensors, folder / WEIGHTS)
        # safetensors writes files for their owner alone; an installed model is for everyone.
        parts[WEIGHTS].chmod(0o644)
        for name, part in parts.items():
            part.replace(folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], called: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file; where it cannot be written nothing of it stays.

    Args:
        path: the file.
        tensors: by name.
        called: what errors call it: the name that it will have.
        metadata: texts by name.

    Raises:
        OutputError: no space, no permission.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with writing(called):
            save_file(dict(tensors), path, metadata=metadata)
    except SafetensorError as error:
        path.unlink(missing_ok=True)
        reason = str(error).rpartition("I/O error: ")[2].partition(" (os error")[0]
        raise OutputError(f"cannot write {called}: {reason}") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses inside the block into an OutputError about a file or folder."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {error.filename or path}: {error.strerror or error}") from error
