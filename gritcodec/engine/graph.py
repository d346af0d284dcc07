"""The network between its two transforms as ONNX graphs, made from its configuration and its weights file.

Tensors are [B, T, 1, C] throughout. As an image T high and 1 wide with its channels last, ONNX Runtime convolves each
channel in a layout of its own, three times as fast as in any other form tried. Where it has none (another kind of
processor, channels that do not fill its vectors) it would round by the number of rows, and sums of products stand in.
In all that is used here a row's bits do not depend on how many rows there are.

Every convolution's left context goes in as `name` and comes out as `name.next`. What depends on weights alone (float16
to float32, the blocks' scales) is worked out once, when a session is made.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping

import numpy as np

from gritcodec.engine.proto import Graph
from gritcodec.engine.weights import Weights
from gritcodec.nn.config import NetworkConfig

_ALL = 2**62  # to the end of a dimension
_NAMED = "com.microsoft"
# Where convolutions have the blocked layout, and how many channels fill its blocks.
_BLOCKED = platform.machine().lower() in ("x86_64", "amd64")
_LANES = 16

# What a stream carries for each convolution: steps and channels.
Contexts = Mapping[str, tuple[int, int]]


class Layers:
    """Adds the network's layers to a graph, each reading its weights under the name it has in the weights file."""

    def __init__(self, weights: Weights):
        self.graph = Graph()
        self.weights = weights
        self.contexts: dict[str, tuple[int, int]] = {}

    def _read(self, name: str) -> str:
        return self.weights.tensor(self.graph, name)

    def product(self, name: str, x: str) -> str:
        """Rows times a layer's matrix, [B, T, 1, C_in] -> [B, T, 1, C_out], without its bias."""
        return self.graph.node("FusedMatMul", [x, self._read(f"{name}.weight")], _NAMED, transB=1)

    def linear(self, name: str, x: str) -> str:
        """[B, T, 1, C_in] -> [B, T, 1, C_out]."""
        return self.graph.node("Add", [self.product(name, x), self._read(f"{name}.bias")])

    def norm(self, name: str, x: str) -> str:
        """Layer norm of [B, T, 1, C]."""
        inputs = [x, self._read(f"{name}.weight"), self._read(f"{name}.bias")]
        return self.graph.node("LayerNormalization", inputs, axis=-1, epsilon=1e-5)

    def extended(self, name: str, x: str, steps: int, channels: int) -> str:
        """x [B, T, 1, C] behind the `steps` before it; the new last ones are an output."""
        past = self.graph.input(name, ["B", steps, 1, channels])
        self.contexts[name] = steps, channels
        longer = self.graph.node("Concat", [past, x], axis=1)
        ints = self.graph.integers
        self.graph.node("Slice", [longer, ints(-steps), ints(_ALL), ints(1)], outputs=[f"{name}.next"])
        self.graph.output(f"{name}.next", ["B", steps, 1, channels])
        return longer

    def depthwise(self, name: str, x: str, kernel: int) -> str:
        """Causal convolution of each channel of [B, T, 1, C] by itself."""
        channels = self.weights.shape(f"{name}.weight")[0]
        x = self.extended(name, x, kernel - 1, channels) if kernel > 1 else x
        return self._image(name, x, kernel) if _BLOCKED and channels % _LANES == 0 else self._taps(name, x, kernel)

    def _image(self, name: str, x: str, kernel: int) -> str:
        graph, channels = self.graph, self.weights.shape(f"{name}.weight")[0]
        weight = graph.node("Reshape", [self._read(f"{name}.weight"), graph.integers(channels, 1, kernel, 1)])
        image = graph.node("Transpose", [x], perm=[0, 3, 1, 2])
        inputs = [image, weight, self._read(f"{name}.bias")]
        image = graph.node("Conv", inputs, group=channels, kernel_shape=[kernel, 1])
        return graph.node("Transpose", [image], perm=[0, 2, 3, 1])

    def _taps(self, name: str, x: str, kernel: int) -> str:
        graph, ints = self.graph, self.graph.integers
        weight = graph.node("Transpose", [self._read(f"{name}.weight")], perm=[2, 1, 0])
        total = self._read(f"{name}.bias")
        for tap in range(kernel):
            part = graph.node("Slice", [x, ints(tap), ints(tap - kernel + 1 or _ALL), ints(1)])
            row = graph.node("Slice", [weight, ints(tap), ints(tap + 1), ints(0)])
            total = graph.node("Add", [graph.node("Mul", [part, row]), total])
        return total

    def block(self, name: str, x: str, kernel: int) -> str:
        """ConvNeXt block on [B, T, 1, C], see gritcodec.nn.streaming; its scale is part of its last matrix."""
        graph = self.graph
        hidden = self.product(f"{name}.up", self.norm(f"{name}.norm", self.depthwise(f"{name}.depthwise", x, kernel)))
        hidden = graph.node("FastGelu", [hidden, self._read(f"{name}.up.bias")], _NAMED)
        scale = self._read(f"{name}.scale")
        column = graph.node("Unsqueeze", [scale, graph.integers(1)])
        weight = graph.node("Mul", [self._read(f"{name}.down.weight"), column])
        bias = graph.node("Mul", [self._read(f"{name}.down.bias"), scale])
        hidden = graph.node("FusedMatMul", [hidden, weight], _NAMED, transB=1)
        return graph.node("Add", [x, graph.node("Add", [hidden, bias])])

    def level(self, name: str, x: str, blocks: int, kernel: int) -> str:
        """Norm and residual blocks of one level."""
        x = self.norm(f"{name}.norm", x)
        for index in range(blocks):
            x = self.block(f"{name}.blocks.{index}", x, kernel)
        return x

    def convolution(self, name: str, x: str, channels: int, kernel: int, dilation: int = 1) -> str:
        """Dense causal convolution of [B, T, 1, C], stride 1, as one product over windows."""
        graph, context = self.graph, (kernel - 1) * dilation
        longer = self.extended(name, x, context, channels)
        ints, taps = graph.integers, []
        for tap in range(kernel):
            end = (tap - kernel + 1) * dilation or _ALL
            taps.append(graph.node("Slice", [longer, ints(tap * dilation), ints(end), ints(1)]))
        return self.linear(f"{name}.linear", graph.node("Concat", taps, axis=-1))

    def regroup(self, x: str, channels: int) -> str:
        """[B, T, 1, C] -> [B, T * C // channels, 1, channels]."""
        return self.graph.node("Reshape", [x, self.graph.integers(0, -1, 1, channels)])


def encoder(config: NetworkConfig, weights: Weights) -> tuple[bytes, Contexts]:
    """Features [B, T, 1, features] of the STFT -> latents [B, T // stride, 1, dim]; the model, and what it carries."""
    layers = Layers(weights)
    bins = config.window // 2 + 1
    stride = config.hop_length // config.fine_hop
    x = layers.graph.input("features", ["B", "T", 1, (3 if config.log_magnitudes else 2) * bins])
    x = layers.linear("encoder.embed", x)
    x = layers.level("encoder.fine", x, config.encoder_fine_blocks, config.kernel)
    x = layers.linear("encoder.down.linear", layers.regroup(x, config.encoder_fine * stride))
    x = layers.level("encoder.coarse", x, config.encoder_coarse_blocks, config.kernel)
    x = layers.linear("encoder.project", layers.norm("encoder.norm", x))
    layers.graph.node("Identity", [x], outputs=["latents"])
    layers.graph.output("latents", ["B", "F", 1, config.quantizer.dim])
    return layers.graph.model(), layers.contexts


def decoder(config: NetworkConfig, weights: Weights) -> tuple[bytes, Contexts]:
    """Values [B, F, 1, dim] -> what the head makes of them; the model, and what it carries from block to block.

    The head `istft` gives [B, T, 1, 2 * bins], log-magnitudes and then phases, `waveform` [B, F * hop_length, 1, 1].
    """
    layers = Layers(weights)
    graph, dim = layers.graph, config.quantizer.dim
    x = graph.input("values", ["B", "F", 1, dim])
    x = layers.convolution("decoder.project", x, dim, kernel=3)
    x = layers.level("decoder.coarse", x, config.decoder_coarse_blocks, config.kernel)
    x = layers.regroup(layers.linear("decoder.up.linear", x), config.decoder_fine)
    x = layers.level("decoder.fine", x, config.decoder_fine_blocks, config.kernel)
    x = _spectrum(layers, x) if config.head == "istft" else _waveform(layers, x, config)
    graph.node("Identity", [x], outputs=["head"])
    graph.output("head", ["B", "T", 1, 2 * (config.window // 2 + 1) if config.head == "istft" else 1])
    return graph.model(), layers.contexts


def _spectrum(layers: Layers, x: str) -> str:
    """Both linear layers of the spectral head as one."""
    graph, weights = layers.graph, layers.weights
    x = layers.norm("decoder.head.norm", x)
    parts = ("decoder.head.magnitude", "decoder.head.phase")
    matrix = graph.node("Concat", [weights.tensor(graph, f"{part}.weight") for part in parts], axis=0)
    bias = graph.node("Concat", [weights.tensor(graph, f"{part}.bias") for part in parts], axis=0)
    return graph.node("Add", [graph.node("FusedMatMul", [x, matrix], _NAMED, transB=1), bias])


def _waveform(layers: Layers, x: str, config: NetworkConfig) -> str:
    """The waveform head: steps of rising rate, each with two thin residual units."""
    graph, weights, step = layers.graph, layers.weights, 0
    while (name := f"decoder.head.steps.{step}.linear.weight") in weights:
        after = f"decoder.head.steps.{step + 1}.out.weight"
        narrow = weights.shape(after)[0]
        x = layers.regroup(layers.linear(name.removesuffix(".weight"), x), narrow)
        for unit, dilation in ((step + 1, 1), (step + 2, 3)):
            part = f"decoder.head.steps.{unit}"
            hidden = layers.convolution(f"{part}.conv", graph.node("Elu", [x]), narrow, kernel=3, dilation=dilation)
            x = graph.node("Add", [x, layers.linear(f"{part}.out", graph.node("Elu", [hidden]))])
        step += 3
    channels = weights.shape("decoder.head.out.linear.weight")[1] // 7
    return layers.convolution("decoder.head.out", graph.node("Elu", [x]), channels, kernel=7)


def products(matrices: list[np.ndarray], offsets: list[np.ndarray]) -> list[bytes]:
    """For each matrix [K, D] and offsets [K] the model of residuals [N, D] -> scores [N, K]: r . c - offset."""
    models = []
    for matrix, offset in zip(matrices, offsets, strict=True):
        graph = Graph()
        x = graph.input("residuals", ["N", matrix.shape[1]])
        inputs = [x, graph.constant(matrix), graph.constant(-offset)]
        graph.node("Gemm", inputs, transB=1, outputs=["scores"])
        graph.output("scores", ["N", len(matrix)])
        models.append(graph.model())
    return models
