"""The codec: waveforms, codes, bytes and files; one block at a time, or whole."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gritcodec.codec.codec import Codec, Codes, load

__all__ = ["Codec", "Codes", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gritcodec.codec' has no attribute '{name}'")
    from gritcodec.codec import codec

    return getattr(codec, name)
