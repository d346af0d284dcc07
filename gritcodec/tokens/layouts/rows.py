"""What a row of a shard holds, whatever the layout, and what all rows have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.errors import FormatError, GritcodecError


@dataclass(frozen=True, eq=False)
class Row:
    """The codes of one piece of sound.

    Attributes:
        id: of the piece.
        codes: integers [stages, frames], of the smallest type that holds them.
        num_samples: of the sound that was coded.
        sample_rate: of it, Hz.
        channels: of the source; several were made one.
        source: where it lay.
        text: transcript, or None.
        speaker: or None.
    """

    id: str
    codes: NDArray[Any]
    num_samples: int
    sample_rate: int
    channels: int = 1
    source: str = ""
    text: str | None = None
    speaker: str | None = None

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.num_samples / self.sample_rate


@dataclass(frozen=True)
class About:
    """What all rows of a run have in common.

    Attributes:
        model: its name.
        fingerprint: names what codes mean, as in a .grit file.
        weights: the beginning of the SHA-256 of the model's weights.
        engine: what ran it, and where.
        bitrate: kbps that the codes take, plainly packed.
        stages: in `codes`.
        codebook_size: codes are below it.
        frame_rate: frames a second.
        model_rate: samples a second inside the network.
        mixing: what was made of several channels.
    """

    model: str
    fingerprint: str
    weights: str
    engine: str
    bitrate: float
    stages: int
    codebook_size: int
    frame_rate: float
    model_rate: int
    mixing: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds a code and that torch counts with."""
        kinds = ((1 << 8, np.uint8), (1 << 15, np.int16), (1 << 31, np.int32))
        return np.dtype(next(kind for size, kind in kinds if self.codebook_size <= size))

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


@contextmanager
def reading(where: object) -> Iterator[None]:
    """Turn whatever a library says of a damaged file inside the block into a FormatError that names the file."""
    try:
        yield
    except GritcodecError:
        raise
    # One wrong byte of a .npy has been a TokenError, of a zip a NotImplementedError.
    except Exception as error:
        raise FormatError(f"cannot read {where}: {error or type(error).__name__}") from error


def about_from(text: str | bytes | None, where: object) -> About:
    """Return what `About.text` made.

    Raises:
        FormatError: it is something else.
    """
    try:
        data = json.loads(text or "")
        return About(**{field.name: data[field.name] for field in fields(About)})
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{where} holds no codes of gritcodec, or of another version") from error
