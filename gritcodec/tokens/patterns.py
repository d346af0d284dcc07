"""Codes as language models take them: stages flat, parallel or delayed, with offsets or without, and back.

Codes are [K, T]: K stages, T frames. With offsets, stage k has the N tokens from `first` + k * N on, for a codebook of
N codes, so that one table of embeddings serves all stages.

- flat: one token after another, [K * T]: all stages of a frame, then the next frame.
- parallel: [K, T], all stages of a frame at once.
- delay: [K, T + K - 1], stage k late by k steps, so that it may be guessed from the stages before it (MusicGen,
  https://arxiv.org/abs/2306.05284); `pad` where a stage has nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.errors import UsageError

KINDS = ("flat", "parallel", "delay")


def _integers(values: Any) -> NDArray[Any]:
    """Return an array; an empty list, in which numpy sees floating point, as integers."""
    array = np.asarray(values)
    return array if array.size else array.astype(np.int64)


@dataclass(frozen=True)
class Pattern:
    """One way of laying out codes.

    Attributes:
        kind: flat, parallel or delay.
        stages: K.
        codebook_size: N.
        offsets: whether stages have tokens of their own.
        first: the first token that stands for a code; those below are the model's own.
    """

    kind: str
    stages: int
    codebook_size: int = 1024
    offsets: bool = True
    first: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"no pattern '{self.kind}'; there are {', '.join(KINDS)}")
        if self.stages < 1 or self.codebook_size < 1 or self.first < 0:
            raise UsageError("a pattern has one stage or more, one code or more, and no token below 0")

    @property
    def pad(self) -> int:
        """The token of the delay pattern that stands for nothing; the last one there is."""
        return self.first + self.codebook_size * (self.stages if self.offsets else 1)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are, those below `first` and `pad` included."""
        return self.pad + (self.kind == "delay")

    def _shifts(self) -> NDArray[np.int64]:
        return self.first + np.arange(self.stages)[:, None] * (self.codebook_size if self.offsets else 0)

    def apply(self, codes: Any) -> NDArray[np.int64]:
        """Lay out codes.

        Args:
            codes: integers [K, T], each from 0 to N - 1; of more stages, the first K are taken.

        Returns:
            Tokens: [K * T] (flat), [K, T] (parallel) or [K, T + K - 1] (delay).

        Raises:
            UsageError: another shape, or codes that are out of range.
        """
        given = _integers(codes)
        if given.ndim != 2 or given.shape[0] < self.stages or given.dtype.kind not in "iu":
            raise UsageError(f"codes must be integers [{self.stages}, frames], not {given.dtype} {given.shape}")
        taken = given[: self.stages].astype(np.int64)
        if taken.size and not 0 <= int(taken.min()) <= int(taken.max()) < self.codebook_size:
            raise UsageError(f"codes must be from 0 to {self.codebook_size - 1}")
        tokens = taken + self._shifts()
        if self.kind == "flat":
            return tokens.T.reshape(-1)
        if self.kind == "parallel":
            return tokens
        frames = tokens.shape[1]
        late = np.full((self.stages, frames + self.stages - 1 if frames else 0), self.pad, dtype=np.int64)
        for stage in range(self.stages if frames else 0):
            late[stage, stage : stage + frames] = tokens[stage]
        return late

    def undo(self, tokens: Any, strict: bool = True) -> NDArray[np.int64]:
        """Return the codes that tokens stand for.

        Args:
            tokens: as from `apply`; what a model made may break off anywhere.
            strict: whether a frame that is incomplete, or a token that stands for no code of its stage, is an error;
                otherwise the codes end before it.

        Returns:
            [K, T].

        Raises:
            UsageError: another shape, or, with `strict`, as said.
        """
        given = _integers(tokens)
        flat = self.kind == "flat"
        if given.dtype.kind not in "iu" or given.ndim != (1 if flat else 2) or (not flat and len(given) != self.stages):
            shape = "[tokens]" if flat else f"[{self.stages}, steps]"
            raise UsageError(f"tokens of the pattern {self.kind} are integers {shape}, not {given.dtype} {given.shape}")
        extra = len(given) % self.stages if flat else 0
        if flat:
            codes = given[: len(given) - extra].reshape(-1, self.stages).T
        elif self.kind == "delay":
            frames = max(given.shape[1] - self.stages + 1, 0)
            codes = np.stack([given[stage, stage : stage + frames] for stage in range(self.stages)])
        else:
            codes = given
        codes = codes.astype(np.int64) - self._shifts()
        good: NDArray[np.bool_] = np.all((codes >= 0) & (codes < self.codebook_size), axis=0)
        end = len(good) if good.all() else int(np.argmin(good))
        if strict and (extra or end < len(good)):
            what = f"{extra} tokens are left over" if extra else f"frame {end} has a token that is no code of its stage"
            raise UsageError(f"tokens of the pattern {self.kind}: {what}")
        return codes[:, :end]
