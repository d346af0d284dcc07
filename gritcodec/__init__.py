"""gritcodec: a neural speech codec.

    waveform, sample_rate = gritcodec.read("talk.flac")
    codec = gritcodec.load("speech-16k")
    data = codec.compress(waveform, sample_rate, bitrate=3.0)
    waveform, sample_rate = codec.decompress(data)
    gritcodec.write("talk.wav", waveform, sample_rate)

Importing the package costs nothing: what a name needs comes in when it is first used.
"""

from __future__ import annotations

from importlib import import_module

# Not typing's, which takes longer to import than all else here: Ctrl-C is not heeded before that is done.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gritcodec.codec.codec import Codec, Codes, load
    from gritcodec.codec.live import StreamDecoder, StreamEncoder
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
    from gritcodec.sound.audio import AudioWarning, read, write

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("Codec", "Codes", "load"), "gritcodec.codec.codec"),
    **dict.fromkeys(("StreamDecoder", "StreamEncoder"), "gritcodec.codec.live"),
    **dict.fromkeys(("AudioWarning", "read", "write"), "gritcodec.sound.audio"),
}

__all__ = [
    "AudioError",
    "AudioWarning",
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
    "read",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gritcodec' has no attribute '{name}'")
    value = getattr(import_module(_HOMES.get(name, "gritcodec.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
