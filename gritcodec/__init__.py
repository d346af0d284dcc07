"""gritcodec: a neural speech codec.

    codec = gritcodec.load("speech-16k")
    data = codec.compress(waveform, sample_rate, bitrate=3.0)
    waveform, sample_rate = codec.decompress(data)

Importing the package costs nothing: torch comes in when a name that needs it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gritcodec.codec import Codec, Codes, load
    from gritcodec.errors import (
        AudioError,
        ConfigError,
        CorruptFileError,
        FormatError,
        GritcodecError,
        ModelError,
        OutputError,
        UnsupportedVersionError,
        UsageError,
        WrongModelError,
    )
    from gritcodec.live import StreamDecoder, StreamEncoder

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("Codec", "Codes", "load"), "gritcodec.codec"),
    **dict.fromkeys(("StreamDecoder", "StreamEncoder"), "gritcodec.live"),
}

__all__ = [
    "AudioError",
    "Codec",
    "Codes",
    "ConfigError",
    "CorruptFileError",
    "FormatError",
    "GritcodecError",
    "ModelError",
    "OutputError",
    "StreamDecoder",
    "StreamEncoder",
    "UnsupportedVersionError",
    "UsageError",
    "WrongModelError",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gritcodec' has no attribute '{name}'")
    value = getattr(import_module(_HOMES.get(name, "gritcodec.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
