"""Endings of the names of files that hold sound, and what reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

# Read by libsndfile, or here. Not .raw: any file could be called so.
_OWN = (
    ".wav .wave .bwf .rf64 .w64 .flac .ogg .oga .opus .mp3 .mpga .mp2 .mp1 .aif .aiff .aifc .au .snd .caf .sph .nist "
    ".voc .avr .htk .svx .8svx .iff .mat .paf .pvf .sd2 .sds .sf .ircam .wve .xi "
)
# Read by PyAV alone.
_AV = (
    ".m4a .m4b .m4r .mp4 .m4v .mov .aac .adts .amr .awb .3gp .3g2 .3ga .wma .asf .wmv .ac3 .eac3 .ec3 .webm .weba .mka "
    ".mkv .ts .mts .m2ts .mpg .mpeg .vob .flv .f4v .f4a .avi .g722 .gsm .spx .wv .tta .ape .tak .shn .dts .mpc "
    ".mlp .thd .qcp .ra .rm .dsf .dff .ogv .ogx .oma .aa3 "
)
BUILT_IN, WITH_AV = frozenset(_OWN.split()), frozenset(_AV.split())


def has_av() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def readable() -> frozenset[str]:
    """Return the endings that can be read here."""
    return BUILT_IN | WITH_AV if has_av() else BUILT_IN


def audio_files(folder: str | os.PathLike[str]) -> list[Path]:
    """List the files below a folder that have an ending of what libsndfile reads, sorted; hidden ones are left out."""
    return sorted(path for path in visible_files(folder) if path.suffix.lower() in BUILT_IN and path.is_file())


def visible_files(folder: str | os.PathLike[str], refused: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Yield the files below a folder; hidden ones, and what is below hidden folders, are left out.

    `refused` is called with the error of each folder that the system does not let one look into.
    """
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=refused, followlinks=True):
        # A link to a folder above would be followed for ever.
        folders[:] = [name for name in folders if not name.startswith(".")]
        if (here := os.path.realpath(parent)) in seen:
            folders[:] = []
            continue
        seen.add(here)
        yield from (Path(parent, name) for name in names if not name.startswith("."))
