"""Causal layers on [B, T, C] tensors that can carry their left context from one call to the next."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Rows that every matrix product has at least, outside training: MKL's other way ends at 8 rows on CPUs with AMX,
# at 16 on those with AVX512 alone.
_ROWS = 16


class Stream:
    """The left context of every causal layer: what the next block of a signal must see of the past.

    An empty stream stands for zeros, which is what a signal's beginning is padded with, so that processing
    a signal in blocks equals processing it at once.
    """

    def __init__(self) -> None:
        self._context: dict[nn.Module, Tensor] = {}

    def extend(self, layer: nn.Module, x: Tensor, length: int) -> Tensor:
        """Put the layer's last `length` steps before x [B, T, C] and remember the new last ones."""
        past = self._context.get(layer)
        x = F.pad(x, (0, 0, length, 0)) if past is None else torch.cat([past, x], dim=1)
        self._context[layer] = x[:, x.shape[1] - length :]
        return x

    def take(self, layer: nn.Module) -> Tensor | None:
        """What the layer has put aside for its next block, or None at the beginning of a signal."""
        return self._context.get(layer)

    def put(self, layer: nn.Module, value: Tensor) -> None:
        """Put something aside for the layer's next block."""
        self._context[layer] = value


class Linear(nn.Linear):
    """A linear layer [..., C_in] -> [..., C_out] whose result for a row does not depend on how many rows there are.

    Libraries multiply a matrix with few rows in another way than with many, and round otherwise. With rows of zeros
    below the few, the way is the same, so that a stream in small blocks has the bits of one in large blocks.
    """

    def forward(self, x: Tensor) -> Tensor:
        rows = x.numel() // x.shape[-1]
        if self.training or rows >= _ROWS:
            return super().forward(x)
        few = F.pad(x.reshape(rows, -1), (0, 0, 0, _ROWS - rows))
        return super().forward(few)[:rows].reshape(*x.shape[:-1], -1)


def extend_left(layer: nn.Module, x: Tensor, length: int, stream: Stream | None) -> Tensor:
    """x [B, T, C] with `length` earlier steps in front: zeros, or the stream's context."""
    if length == 0:
        return x
    return F.pad(x, (0, 0, length, 0)) if stream is None else stream.extend(layer, x, length)


class CausalConv(nn.Module):
    """Dense causal convolution [B, T, C_in] -> [B, T // stride, C_out], as one matrix product over windows.

    Attributes:
        context: earlier steps of the input that a block of it must see.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.kernel, self.stride, self.dilation = kernel, stride, dilation
        self.context = (kernel - 1) * dilation + 1 - stride
        self.linear = Linear(channels_in * kernel, channels_out)

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        x = extend_left(self, x, self.context, stream)
        if self.kernel == self.stride:
            return self.linear(x.reshape(x.shape[0], x.shape[1] // self.stride, -1))
        steps = (x.shape[1] - (self.kernel - 1) * self.dilation - 1) // self.stride + 1
        last = self.stride * (steps - 1) + 1
        taps = [x[:, i * self.dilation : i * self.dilation + last : self.stride] for i in range(self.kernel)]
        return self.linear(torch.cat(taps, dim=-1))


class CausalUpsample(nn.Module):
    """Transposed convolution with kernel = stride, [B, T, C_in] -> [B, T * stride, C_out]: needs no context."""

    context = 0

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.stride = stride
        self.linear = Linear(channels_in, channels_out * stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).reshape(x.shape[0], x.shape[1] * self.stride, -1)


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution of [B, T + kernel - 1, C] to [B, T, C] with a backward pass of its own.

    torch's takes more than twice the time on a CPU, a tenth of a whole training step: it makes the gradient of the
    weights out of a general convolution, where a sum of products for each tap will do.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv1d(x.transpose(1, 2), weight, bias, groups=x.shape[2]).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        steps, taps = gradient.shape[1], weight.shape[-1]
        padded = F.pad(gradient, (0, 0, taps - 1, taps - 1)).transpose(1, 2)
        of_x = F.conv1d(padded, weight.flip(-1), groups=x.shape[2]).transpose(1, 2)
        of_taps = [(x[:, k : k + steps] * gradient).flatten(0, 1).sum(0) for k in range(taps)]
        return of_x, torch.stack(of_taps, -1)[:, None], gradient.sum((0, 1))


class CausalDepthwise(nn.Module):
    """Depthwise causal convolution on [B, T, C]."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.kernel, self.context = kernel, kernel - 1
        self.weight = nn.Parameter(torch.randn(channels, 1, kernel) / math.sqrt(kernel))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        x = extend_left(self, x, self.context, stream)
        if self.training and x.device.type == "cpu":
            # What autocast does for operators of torch has to be asked for.
            kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
            return _Depthwise.apply(x.to(kind), self.weight.to(kind), self.bias.to(kind))
        return F.conv1d(x.transpose(1, 2), self.weight, self.bias, groups=x.shape[2]).transpose(1, 2)


class ConvNeXtBlock(nn.Module):
    """Causal ConvNeXt block: depthwise convolution, layer norm, two pointwise layers, scaled residual.

    Liu et al., "A ConvNet for the 2020s", arXiv 2201.03545, in one dimension.
    """

    def __init__(self, channels: int, kernel: int, expansion: int, scale: float):
        super().__init__()
        self.depthwise = CausalDepthwise(channels, kernel)
        self.context = self.depthwise.context
        self.norm = nn.LayerNorm(channels)
        self.up = Linear(channels, channels * expansion)
        self.down = Linear(channels * expansion, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor, stream: Stream | None = None) -> Tensor:
        hidden = self.up(self.norm(self.depthwise(x, stream)))
        # The two forms of GELU differ by less than bf16 can tell, and on a CPU the exact one takes a third of the time.
        exact = self.training and hidden.dtype == torch.bfloat16
        return x + self.scale * self.down(F.gelu(hidden, approximate="none" if exact else "tanh"))
