"""The engine without torch: numpy for the transforms and the search, ONNX Runtime for the layers between.

Everything runs on the thread that calls: no thread is woken for a small block, bits cannot depend on how many threads
there are, and a process may fork at any time.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.engine import graph
from gritcodec.engine.interface import (
    OVERLAP,
    SAMPLES,
    CodeArray,
    Engine,
    State,
    Waveform,
    check_state,
)
from gritcodec.engine.search import Books, beam, greedy
from gritcodec.engine.shapes import shapes
from gritcodec.engine.spectral import Analysis, Synthesis
from gritcodec.engine.weights import Weights
from gritcodec.errors import ModelError
from gritcodec.messages import needing
from gritcodec.model_store import WEIGHTS, Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gritcodec.engine.refine import Refiner


@contextmanager
def _unobserved() -> Iterator[None]:
    """Keep ONNX Runtime from starting its telemetry, unless the user has said what it may do.

    From 1.29 on its import leaves a device id and a database in the user's folders and starts a thread
    (findings/onnxruntime-writes-at-import.sh). Whoever compresses a private recording did not ask for that.
    """
    name = "ORT_DISABLE_TELEMETRY"
    known = name in os.environ
    os.environ.setdefault(name, "1")
    try:
        yield
    finally:
        if not known:
            del os.environ[name]


with _unobserved():
    import onnxruntime

Floats = NDArray[np.float32]


def _session(model: bytes, folder: Path) -> onnxruntime.InferenceSession:
    """Make a session of one thread; tensors outside the model lie in files of `folder`.

    Raises:
        ModelError: the weights do not fit the graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Blocks come in many sizes: a plan of memory for each would be kept for ever.
    options.enable_mem_pattern = False
    try:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base of their own
        reason = " ".join(str(error).split())
        raise ModelError(
            f"ONNX Runtime {onnxruntime.__version__} cannot run the model in {folder}: {reason}"
        ) from error


class _Half:
    """Encoder or decoder: a session and the contexts that it takes and gives.

    In a state the contexts are [B, steps, channels], and their names do not say which half they are of.
    """

    def __init__(self, made: tuple[bytes, graph.Contexts], folder: Path, source: str, result: str) -> None:
        model, contexts = made
        self._session = _session(model, folder)
        self._source = source
        self._names = [(name, name.partition(".")[2]) for name in contexts]
        self._results = [result, *(f"{name}.next" for name in contexts)]

    def __call__(self, x: Floats, state: State) -> Floats:
        """Run one block [B, T, 1, C] and put the new contexts in the place of the old ones."""
        feeds = {name: state[short][:, :, None] for name, short in self._names}
        feeds[self._source] = x
        result, *contexts = self._session.run(self._results, feeds)
        for (_, short), context in zip(self._names, contexts, strict=True):
            state[short] = context[:, :, 0]
        return result


_engines: weakref.WeakSet[OnnxEngine] = weakref.WeakSet()


def _after_fork() -> None:
    """Give a child locks of its own: the thread that held one of them is not in it."""
    for engine in _engines:
        engine._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class OnnxEngine(Engine):
    """Runs the network on one thread."""

    name = "onnx"

    def __init__(self, model: Model) -> None:
        """Take a model's network; encoder and decoder are made ready when they are first used.

        Raises:
            ModelError: its weights are damaged, or do not fit its configuration.
        """
        super().__init__(model)
        config = model.config
        self._weights = Weights(model.folder / WEIGHTS)
        self._weights.check(shapes(config), model.has_encoder)
        self._analysis = Analysis(config.window, config.fine_hop, config.log_magnitudes)
        self._synthesis = Synthesis(config.window, config.fine_hop)
        names = ("offset", "spread", "base", "stage_scale", "usage")
        self._offset, self._spread, base, scale, usage = (self._weights.read(f"quantizer.{name}") for name in names)
        for numbers, least in ((base, None), (self._offset, None), (usage, 0), (self._spread, 0), (scale, 0)):
            # No comparison with what is not a number is true.
            if not np.isfinite(numbers).all() or (least is not None and not numbers.sum() > least):
                raise ModelError(f"the weights in {model.folder} are damaged: not all of the codebooks are numbers")
        self._books = Books.of(base, scale, usage, config.quantizer.rate_weight)
        self._parts: dict[str, Any] = {}
        self._lock = threading.RLock()
        _engines.add(self)

    def __reduce__(self) -> Any:
        return OnnxEngine, (self.model,)

    def _made(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what is made when it is first needed, by one thread."""
        found = self._parts.get(name)
        if found is None:
            with self._lock:
                if name not in self._parts:
                    # The folder may have been replaced by now, and the fingerprint is that of what it held.
                    self._weights.require_unchanged()
                    self._parts[name] = make()
                found = self._parts[name]
        return found

    def _encoder(self) -> _Half:
        def make() -> _Half:
            return _Half(graph.encoder(self.config, self._weights), self._weights.path.parent, "features", "latents")

        return self._made("encoder", make)

    def _decoder(self) -> _Half:
        def make() -> _Half:
            return _Half(graph.decoder(self.config, self._weights), self._weights.path.parent, "values", "head")

        return self._made("decoder", make)

    def _searches(self) -> list[onnxruntime.InferenceSession]:
        def make() -> list[onnxruntime.InferenceSession]:
            models = graph.products(list(self._books.books), list(self._books.offsets))
            return [_session(model, self._weights.path.parent) for model in models]

        return self._made("searches", make)

    def encode(self, samples: Waveform, stages: int, state: State) -> CodeArray:
        self.model.require_encoder()
        check_state(state, self._encoder_contexts, len(samples))
        if not samples.shape[1]:
            return np.zeros((len(samples), stages, 0), dtype=np.uint16)
        with np.errstate(under="ignore"):
            features, past = self._analysis(samples, state[SAMPLES][:, :, 0])
        latents = ((self._encoder()(features, state) - self._offset) / self._spread)[:, :, 0]
        state[SAMPLES] = past[:, :, None]
        return self._search(latents, stages)

    def _search(self, latents: Floats, stages: int) -> CodeArray:
        """Return the codes of normalized latents, [B, F, dim] -> [B, stages, F]."""
        flat = np.ascontiguousarray(latents).reshape(-1, latents.shape[2])
        width = self.config.quantizer.beam
        if width == 1:
            found = greedy(flat, self._books, self._scores, stages)
        else:
            found = beam(flat, self._books, self._scores, width)[:, :stages]
        return np.ascontiguousarray(found.reshape(*latents.shape[:2], stages).transpose(0, 2, 1))

    def _scores(self, stage: int, residuals: Floats) -> Floats:
        return self._searches()[stage].run(None, {"residuals": residuals})[0]

    def decode(self, codes: NDArray[np.integer], state: State) -> Waveform:
        check_state(state, self._decoder_contexts, len(codes))
        if not codes.shape[2]:
            return np.zeros((len(codes), 0), dtype=np.float32)
        books = self._books.books
        size, dim = books.shape[1:]
        places = codes.astype(np.intp) + np.arange(0, codes.shape[1] * size, size)[:, None]
        values = books.reshape(-1, dim).take(places, 0).sum(1)
        head = self._decoder()(values[:, :, None], state)
        if self.config.head == "waveform":
            return head.reshape(len(head), -1)
        with np.errstate(under="ignore"):
            samples, state[OVERLAP] = self._synthesis(head, state[OVERLAP])
        return samples

    def _make_refiner(self) -> Refiner:
        with needing("torch", "effort"):
            from gritcodec.engine.torch import TorchEngine
        return TorchEngine(self.model).refiner()
