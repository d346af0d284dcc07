"""The network as torch runs it: in training, for `effort`, on GPUs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gritcodec.engine import store
from gritcodec.engine.interface import (
    CodeArray,
    Engine,
    State,
    Waveform,
    check_state,
)
from gritcodec.errors import UsageError
from gritcodec.nn.streaming import Stream

if TYPE_CHECKING:
    from gritcodec.engine.refine import Refiner
    from gritcodec.model_store import Model

# Fewer where threads share a product: from 57 rows on MKL splits long sums among two, and rounds otherwise.
MOST_FRAMES, MOST_SHARED_FRAMES = 64, 32
_SETTINGS = threading.Lock()


class TorchEngine(Engine):
    """Runs the network by torch, on any of its devices.

    That blocks of any size give the same bits is true of networks on the CPU whose widths are multiples of 16, with up
    to six threads: more share sums that fewer do not.

    Attributes:
        network: the network, in evaluation mode.
        device: where it is.
    """

    name = "torch"

    def __init__(self, model: Model, device: str = "cpu") -> None:
        """Load a model's network.

        Raises:
            ModelError: its weights are damaged, or do not fit its configuration.
            UsageError: there is no such device.
        """
        super().__init__(model)
        with building():
            self.network = store.load(model.folder, encoder=model.has_encoder)
            try:
                self.device = torch.device(device)
                if self.device.type == "meta":
                    raise RuntimeError("nothing is computed there")
                self.network.to(self.device)
            except (RuntimeError, AssertionError) as error:
                raise UsageError(f"there is no device '{device}' here: {str(error).splitlines()[0]}") from error
        self._encoder = dict(self.network.encoder.named_modules())
        self._decoder = dict(self.network.decoder.named_modules())
        self._born = os.getpid()

    def __reduce__(self) -> Any:
        return TorchEngine, (self.model, str(self.device))

    def encode(self, samples: Waveform, stages: int, state: State) -> CodeArray:
        self.model.require_encoder()
        self._require_threads()
        check_state(state, self._encoder_contexts, len(samples))

        def run(block: Tensor, stream: Stream) -> Tensor:
            return self.network.encode(block[:, None], stages, stream)

        found = self._over_blocks(run, samples, self.config.hop_length, self._encoder, state)
        empty = np.zeros((len(samples), stages, 0), dtype=np.uint16)
        return np.concatenate([empty, *found], axis=2).astype(np.uint16)

    def decode(self, codes: NDArray[np.integer], state: State) -> Waveform:
        self._require_threads()
        check_state(state, self._decoder_contexts, len(codes))

        def run(block: Tensor, stream: Stream) -> Tensor:
            return self.network.decode(block, stream)[:, 0]

        found = self._over_blocks(run, codes.astype(np.int64), 1, self._decoder, state)
        return np.concatenate([np.zeros((len(codes), 0), dtype=np.float32), *found], axis=1)

    def _make_refiner(self) -> Refiner:
        from gritcodec.engine.refine import Refiner

        return Refiner(self)

    def latents(self, samples: Waveform, state: State) -> NDArray[np.float32]:
        """Return the normalized latents of the next block, as `encode` has them before it looks for codes.

        Args:
            samples: [B, F * hop_length].
            state: of the encoder, which is moved on.

        Returns:
            [B, F, dim].
        """

        def run(block: Tensor, stream: Stream) -> Tensor:
            return self.network.quantizer.normalize(self.network.encoder(block, stream))

        return np.concatenate(self._over_blocks(run, samples, self.config.hop_length, self._encoder, state), 1)

    def _over_blocks(
        self,
        run: Callable[[Tensor, Stream], Tensor],
        data: NDArray[Any],
        width: int,
        layers: Mapping[str, nn.Module],
        state: State,
    ) -> list[NDArray[Any]]:
        """Run a half of the network over even blocks of [..., F * width] and move its state on."""
        shared = self.device.type == "cpu" and torch.get_num_threads() > 1
        most = MOST_SHARED_FRAMES if shared else MOST_FRAMES
        with neutral(), torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(data)).to(self.device)
            stream = self._stream(layers, state)
            found = [
                run(batch[..., first * width : last * width], stream).numpy(force=True)
                for first, last in even_blocks(batch.shape[-1] // width, most)
            ]
            self._keep(layers, stream, state)
        return found

    def _require_threads(self) -> None:
        """Refuse to wait for ever: a forked child is born without the threads that torch would share its work with.

        Raises:
            UsageError: this is such a child.
        """
        if os.getpid() != self._born and torch.get_num_threads() > 1:
            raise UsageError(
                "torch does not survive a fork: load the codec with the engine onnx, start workers with spawn, "
                "or call torch.set_num_threads(1) in them first"
            )

    def _stream(self, layers: Mapping[str, nn.Module], state: State) -> Stream:
        stream = Stream()
        for name, context in state.items():
            # One that came out of a file may not be written to, of which torch warns.
            owned = context if context.flags.writeable else context.copy()
            stream.put(layers[name], torch.from_numpy(owned).to(self.device))
        return stream

    def _keep(self, layers: Mapping[str, nn.Module], stream: Stream, state: State) -> None:
        for name in state:
            context = stream.take(layers[name])
            assert context is not None
            state[name] = context.numpy(force=True).copy()


@contextmanager
def neutral() -> Iterator[None]:
    """Run what is inside as if the calling program had not changed how torch computes.

    Not in a caller's inference mode, whose tensors could be no part of a gradient; without autocast, which would round
    to 16 bits; and on the CPU unless another device is named.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def building() -> Iterator[None]:
    """Make what is inside of float32, whatever the calling program makes its tensors of."""
    with _SETTINGS, neutral():
        kind = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(kind)


def even_blocks(frames: int, most: int = MOST_FRAMES) -> list[tuple[int, int]]:
    """Cut frames into blocks of `most` (a power of two), then half of it ... 1: first and last + 1 of each.

    torch gives the same bits in blocks of these sizes, on one thread and on several, and not in all others: rows of a
    matrix product are shared among threads, and a few that are left over may be rounded in another way.
    """
    blocks, first = [], 0
    while first < frames:
        size = min(most, 1 << (frames - first).bit_length() - 1)
        blocks.append((first, first + size))
        first += size
    return blocks
