"""The few messages of the ONNX format that a graph needs, written without the onnx package.

A message of protobuf is a row of fields, each a key (number and wire type) and its value: a varint, four bytes, or a
length and so many bytes. The field numbers are those of onnx.proto, which never change once given.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FLOAT, INT64, FLOAT16 = 1, 7, 10
_TYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): INT64, np.dtype(np.float16): FLOAT16}
Attribute = int | float | str | Sequence[int]


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _attribute(name: str, value: Attribute) -> bytes:
    head = _bytes(1, name)
    if isinstance(value, float):
        return head + _varint(2 << 3 | 5) + struct.pack("<f", value) + _integer(20, 1)
    if isinstance(value, int):
        return head + _integer(3, value) + _integer(20, 2)
    if isinstance(value, str):
        return head + _bytes(4, value) + _integer(20, 3)
    return head + b"".join(_integer(8, item) for item in value) + _integer(20, 7)


def _port(name: str, shape: Sequence[int | str], kind: int = FLOAT) -> bytes:
    dims = b"".join(_bytes(1, _integer(1, d) if isinstance(d, int) else _bytes(2, d)) for d in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _integer(1, kind) + _bytes(2, dims)))


def inline(name: str, value: NDArray) -> bytes:
    """Return a tensor whose bytes lie in the model itself."""
    dims = b"".join(_integer(1, d) for d in value.shape)
    raw = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<")).tobytes()
    return dims + _integer(2, _TYPES[value.dtype]) + _bytes(8, name) + _bytes(9, raw)


def external(name: str, shape: Sequence[int], kind: int, file: str, offset: int, length: int) -> bytes:
    """Return a tensor whose bytes lie in a file beside the model."""
    dims = b"".join(_integer(1, d) for d in shape)
    facts = (("location", file), ("offset", str(offset)), ("length", str(length)))
    entries = b"".join(_bytes(13, _bytes(1, key) + _bytes(2, value)) for key, value in facts)
    return dims + _integer(2, kind) + _bytes(8, name) + entries + _integer(14, 1)


@dataclass
class Graph:
    """A graph in the making: nodes in the order in which they run, named tensors between them."""

    nodes: list[bytes] = field(default_factory=list)
    tensors: list[bytes] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)
    domains: set[str] = field(default_factory=lambda: {""})
    count: int = 0

    def fresh(self) -> str:
        """Return a name that nothing has yet."""
        self.count += 1
        return f"t{self.count}"

    def node(
        self, kind: str, inputs: Iterable[str], domain: str = "", outputs: Sequence[str] = (), **settings: Attribute
    ) -> str:
        """Add an operator and return the name of its (first) result."""
        names = list(outputs) or [self.fresh()]
        raw = b"".join(_bytes(1, name) for name in inputs) + b"".join(_bytes(2, name) for name in names)
        raw += _bytes(4, kind) + b"".join(_bytes(5, _attribute(*item)) for item in settings.items())
        self.nodes.append(raw + _bytes(7, domain))
        self.domains.add(domain)
        return names[0]

    def constant(self, value: NDArray) -> str:
        """Add a tensor that lies in the model and return its name."""
        name = self.fresh()
        self.tensors.append(inline(name, value))
        return name

    def integers(self, *values: int) -> str:
        """Add a list of numbers such as a shape and return its name."""
        return self.constant(np.array(values, np.int64))

    def input(self, name: str, shape: Sequence[int | str], kind: int = FLOAT) -> str:
        """Add an input; dimensions that vary have names."""
        self.inputs.append(_port(name, shape, kind))
        return name

    def output(self, name: str, shape: Sequence[int | str], kind: int = FLOAT) -> None:
        """Declare a tensor an output."""
        self.outputs.append(_port(name, shape, kind))

    def model(self) -> bytes:
        """Return the serialized model."""
        graph = b"".join(_bytes(1, node) for node in self.nodes) + _bytes(2, "gritcodec")
        for number, messages in ((5, self.tensors), (11, self.inputs), (12, self.outputs)):
            graph += b"".join(_bytes(number, message) for message in messages)
        versions = {"": 17}
        sets = b"".join(_bytes(8, _bytes(1, d) + _integer(2, versions.get(d, 1))) for d in sorted(self.domains))
        return _integer(1, 8) + _bytes(2, "gritcodec") + _bytes(7, graph) + sets
