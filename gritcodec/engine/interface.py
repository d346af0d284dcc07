"""What the codec asks of whatever runs its network: blocks and a state in, codes or samples out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gritcodec.errors import UsageError
from gritcodec.nn.config import WAVEFORM_WIDTHS, NetworkConfig

if TYPE_CHECKING:
    from gritcodec.engine.refine import Refiner
    from gritcodec.model_store import Model

State = dict[str, NDArray[np.float32]]
Waveform = NDArray[np.float32]
CodeArray = NDArray[np.uint16]

# Of the spectral head: where the frames that reach into the next block are kept.
OVERLAP = "head.istft"
# Samples that the next block's first windows begin with.
SAMPLES = "stft"


class Engine(ABC):
    """Runs one network. It keeps nothing of any signal: all that a signal's next block must know is in a `State`.

    A state is a plain dict of float32 arrays, the left contexts of the layers by their names, [B, steps, channels]
    each: it can be copied, saved and given to another engine. A call puts new arrays in the place of the old ones and
    leaves the old ones as they were. Engines may be called from several threads at once, with a state for each.

    Codes and samples of a signal are the same, to the last bit, whatever the blocks it comes in.

    Attributes:
        name: what `gritcodec.load` calls it.
        model: whose network it runs.
        config: of the network.
    """

    name: ClassVar[str]

    def __init__(self, model: Model) -> None:
        """Take a model, of whose network the subclass makes what it runs."""
        self.model, self.config = model, model.config
        self._encoder_contexts = encoder_contexts(self.config)
        self._decoder_contexts = decoder_contexts(self.config)
        self._refiner: Refiner | None = None

    def encoder_state(self, channels: int) -> State:
        """Return the encoder's state before the first block of a signal."""
        return _zeros(self._encoder_contexts, channels)

    def decoder_state(self, channels: int) -> State:
        """Return the decoder's state before the first block of a signal."""
        return _zeros(self._decoder_contexts, channels)

    @abstractmethod
    def encode(self, samples: Waveform, stages: int, state: State) -> CodeArray:
        """Return the codes of the next block.

        Args:
            samples: [B, F * hop_length] at the network's rate.
            stages: how many of them to give.
            state: of the encoder, which is moved on.

        Returns:
            [B, stages, F].

        Raises:
            ModelError: the model has no encoder.
        """

    @abstractmethod
    def decode(self, codes: NDArray[np.integer], state: State) -> Waveform:
        """Return the samples of the next block, late by `config.delay`.

        Args:
            codes: [B, n, F] of the first n stages.
            state: of the decoder, which is moved on.

        Returns:
            [B, F * hop_length] at the network's rate.
        """

    def fade(self, state: State) -> Waveform:
        """Return what the decoder's last frames go on to sound like when nothing follows, [B, delay].

        Args:
            state: of the decoder; left as it is.
        """
        if OVERLAP not in state:
            return np.zeros((len(next(iter(state.values()))), 0), dtype=np.float32)
        frames = state[OVERLAP]
        return overlap_add(np.pad(frames, ((0, 0), (0, frames.shape[1]), (0, 0))), self.config.fine_hop)

    def refiner(self) -> Refiner:
        """Return what refines codes by what the decoder makes of them.

        Raises:
            UsageError: torch is not installed.
            ModelError: the model has no encoder.
        """
        self.model.require_encoder()
        if self._refiner is None:
            self._refiner = self._make_refiner()
        return self._refiner

    @abstractmethod
    def _make_refiner(self) -> Refiner: ...

    @abstractmethod
    def __reduce__(self) -> Any:
        """Engines are pickled by the model's folder, and load it anew."""


def encoder_contexts(config: NetworkConfig) -> dict[str, tuple[int, int]]:
    """Return the shapes [steps, channels] of what the encoder's layers see of the past, by their names."""
    contexts = {SAMPLES: (config.window - config.fine_hop, 1)}
    contexts |= _level("fine", config.encoder_fine_blocks, config.encoder_fine, config)
    contexts |= _level("coarse", config.encoder_coarse_blocks, config.encoder_coarse, config)
    return {name: shape for name, shape in contexts.items() if shape[0]}


def decoder_contexts(config: NetworkConfig) -> dict[str, tuple[int, int]]:
    """Return the shapes [steps, channels] of what the decoder's layers see of the past, by their names."""
    contexts = {"project": (2, config.quantizer.dim)}
    contexts |= _level("coarse", config.decoder_coarse_blocks, config.decoder_coarse, config)
    contexts |= _level("fine", config.decoder_fine_blocks, config.decoder_fine, config)
    if config.head == "istft":
        contexts[OVERLAP] = (config.window // config.fine_hop - 1, config.window)
    else:
        for number, width in enumerate(WAVEFORM_WIDTHS):
            for unit, dilation in ((1, 1), (2, 3)):
                contexts[f"head.steps.{3 * number + unit}.conv"] = (2 * dilation, width)
        contexts["head.out"] = (6, WAVEFORM_WIDTHS[-1])
    return {name: shape for name, shape in contexts.items() if shape[0]}


def _level(name: str, blocks: int, channels: int, config: NetworkConfig) -> dict[str, tuple[int, int]]:
    return {f"{name}.blocks.{block}.depthwise": (config.kernel - 1, channels) for block in range(blocks)}


def check_state(state: State, contexts: dict[str, tuple[int, int]], channels: int) -> None:
    """Refuse what is no state of a network for so many channels.

    Raises:
        UsageError: a context is missing, or of another shape or type.
    """
    for name, shape in contexts.items():
        found = state.get(name)
        if found is None or found.dtype != np.float32 or found.shape != (channels, *shape):
            what = "missing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise UsageError(f"this is no state of the network for {channels} channels: {name} is {what}")


def overlap_add(frames: NDArray[np.float32], hop: int) -> Waveform:
    """Add up frames that reach over each other, [B, ratio - 1 + T, ratio * hop] -> [B, T * hop].

    Piece m of the output is the sum of part r of frame m - r over all r, in this order wherever a block begins, so
    that the bits do not depend on the blocks.
    """
    ratio = frames.shape[2] // hop
    before = ratio - 1
    steps = frames.shape[1] - before
    total = frames[:, before:, :hop].copy()
    for r in range(1, ratio):
        total += frames[:, before - r : before - r + steps, r * hop : (r + 1) * hop]
    return total.reshape(len(frames), steps * hop)


def _zeros(contexts: dict[str, tuple[int, int]], channels: int) -> State:
    return {name: np.zeros((channels, *shape), dtype=np.float32) for name, shape in contexts.items()}
