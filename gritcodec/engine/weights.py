"""A weights file as a graph sees it: where each tensor's bytes lie, and tensors read on their own.

A safetensors file is eight bytes with the length of a JSON header, the header, and the bytes of all tensors. A graph
points at the bytes themselves, so nothing of the network passes through Python on its way.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.engine import proto
from gritcodec.engine.proto import Graph
from gritcodec.errors import ModelError

_WIDTHS = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_KINDS = {"F32": ("<f4", proto.FLOAT), "F16": ("<f2", proto.FLOAT16)}


@dataclass(frozen=True)
class _Place:
    """Where a tensor lies: its type, its shape, and its bytes from `start` to `end` of the file."""

    kind: str
    shape: tuple[int, ...]
    start: int
    end: int

    def is_whole(self, first: int) -> bool:
        """Whether the bytes are as many as the shape needs, and none lies before the first tensor."""
        width = _WIDTHS.get(self.kind)
        count = math.prod(self.shape)
        return self.start >= first and (width is None or self.end - self.start == width * count)

    @classmethod
    def of(cls, entry: dict[str, Any], first: int) -> _Place:
        """Read an entry of the header; tensors begin at byte `first`."""
        start, end = entry["data_offsets"]
        return cls(entry["dtype"], tuple(map(int, entry["shape"])), first + int(start), first + int(end))


class Weights:
    """The tensors of a weights file, by their names.

    Raises:
        ModelError: it is no such file, or (of every method) a tensor is missing or of a type that no network has.
    """

    def __init__(self, path: Path):
        # The file itself: ONNX Runtime refuses links, which caches of models are made of.
        self.path = path.resolve()
        self._state = _state(self.path)
        try:
            with open(path, "rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                # A length beyond the file is damage, not a reason to ask for so much memory.
                header = json.loads(file.read(min(length, path.stat().st_size)))
            header.pop("__metadata__", None)
            self._places = {name: _Place.of(entry, 8 + length) for name, entry in header.items()}
            if max(place.end for place in self._places.values()) != path.stat().st_size:
                raise ValueError("it is cut short, or something follows it")
            if not all(place.is_whole(8 + length) for place in self._places.values()):
                raise ValueError("its header contradicts itself")
        except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"cannot read {path}: {error}") from error

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def check(self, wanted: Mapping[str, tuple[int, ...]], encoder: bool) -> None:
        """Refuse a file whose tensors are not those of a network.

        Args:
            wanted: shapes by name, of `shapes.shapes`.
            encoder: whether there is an encoder in it.
        """
        for name, shape in wanted.items():
            if (encoder or not name.startswith("encoder.")) and self.shape(name) != shape:
                raise self._misfit(f"{name} is {list(self.shape(name))} and not {list(shape)}")
        for name in self._places:
            if name.startswith(("encoder.", "decoder.")) and name not in wanted:
                raise self._misfit(f"the network has no {name}")

    def require_unchanged(self) -> None:
        """Refuse to go on with a file that was replaced or written to since it was first looked at."""
        if _state(self.path) != self._state:
            raise ModelError(f"{self.path} has changed since the model was loaded: load it again")

    def _misfit(self, why: str) -> ModelError:
        return ModelError(f"the weights in {self.path.parent} do not fit its configuration: {why}")

    def _place(self, name: str) -> _Place:
        place = self._places.get(name)
        if place is None or place.kind not in _KINDS:
            raise self._misfit(f"there is no {name}" if place is None else f"{name} is of type {place.kind}")
        return place

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return self._place(name).shape

    def read(self, name: str) -> NDArray[np.float32]:
        """Return a tensor of floating point numbers as float32."""
        place = self._place(name)
        try:
            with open(self.path, "rb") as file:
                file.seek(place.start)
                raw = file.read(place.end - place.start)
        except OSError as error:
            raise ModelError(f"cannot read {self.path}: {error.strerror}") from error
        return np.frombuffer(raw, _KINDS[place.kind][0]).reshape(place.shape).astype(np.float32)

    def tensor(self, graph: Graph, name: str) -> str:
        """Add a tensor to a graph, whichever type it is stored in, and return the name of its float32 form."""
        place = self._place(name)
        kind = _KINDS[place.kind][1]
        size = place.end - place.start
        graph.tensors.append(proto.external(name, place.shape, kind, self.path.name, place.start, size))
        return name if kind == proto.FLOAT else graph.node("Cast", [name], to=proto.FLOAT)


def _state(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is replaced or written to."""
    try:
        status = path.stat()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    return status.st_ino, status.st_size, status.st_mtime_ns
