"""What runs the network: ONNX Runtime, or torch."""

from gritcodec.engine.interface import Engine
from gritcodec.errors import UsageError
from gritcodec.messages import needing
from gritcodec.model_store import Model

ENGINES = ("auto", "onnx", "torch")


def make(model: Model, name: str = "auto", device: str | None = None) -> Engine:
    """Return what runs a model.

    Args:
        model: from `model_store.read`.
        name: one of `ENGINES`.
        device: of torch, which `auto` then is.

    Raises:
        UsageError: there is no such engine or device, or a package that it needs is not installed.
        ModelError: the weights do not fit the configuration.
    """
    if name not in ENGINES:
        raise UsageError(f"no engine '{name}'; there are {', '.join(ENGINES)}")
    if name == "torch" or (name == "auto" and device is not None):
        with needing("torch", "the engine torch"):
            from gritcodec.engine.torch import TorchEngine
        return TorchEngine(model, device or "cpu")
    if device not in (None, "cpu"):
        raise UsageError(f"the engine onnx runs on the CPU, not on '{device}': take the engine torch")
    from gritcodec.engine.onnx import OnnxEngine

    return OnnxEngine(model)
