"""Endings of the names of files that hold sound, and what reads them."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from functools import cache
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
# In a pattern: a folder and all below it.
_BELOW = "**"
BUILT_IN, WITH_AV = frozenset(_OWN.split()), frozenset(_AV.split())


# Samples without a header, and what --raw calls them, where it knows them: FFmpeg opens some at a rate it makes up.
_RAW = {".ul": "mulaw", ".ulaw": "mulaw", ".mulaw": "mulaw", ".al": "alaw", ".alaw": "alaw"}
_RAW |= {".ub": "u8", ".u8": "u8", ".sb": "s8", ".s8": "s8", ".sw": "s16le", ".s16": "s16le", ".s16le": "s16le"}
_RAW |= {".s32le": "s32le", ".f32": "f32le", ".f32le": "f32le"}
_RAW |= dict.fromkeys((".raw", ".pcm", ".lpcm", ".uw", ".sl", ".s16be", ".s24le", ".s24be", ".s32be", ".f32be"), "")
# libsndfile takes these for G.711 where they have none.
_SUN, _SUN_MAGIC = (".au", ".snd"), (b".snd", b"dns.")
# Of these too nobody says the rate, and the library assumes one.
_ASSUMED = {".vox": "Dialogic's ADPCM at 8,000 Hz", ".dfpwm": "DFPWM at 48,000 Hz"}
_ASSUMED |= {".aptx": "aptX at 48,000 Hz", ".aptxhd": "aptX HD at 48,000 Hz"}


def has_av() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def loads_av() -> bool:
    """Whether it can be loaded too, which takes a while to find out."""
    return has_av() and _loads_av()


@cache
def _loads_av() -> bool:
    try:
        import av  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def of_name(name: str) -> str:
    """Return the ending of a name, in small letters."""
    return name[name.rfind(".") :].lower()


def lacks_header(name: str, head: bytes) -> str | None:
    """Return why a file is refused whose name says that no header tells its rate; `head`: its first bytes."""
    ending = of_name(name)
    if ending not in _RAW and (ending not in _SUN or head.startswith(_SUN_MAGIC)):
        return None
    kind = _RAW.get(ending) or "FORMAT"
    what = "no header tells its sample rate; if it is samples alone, add"
    return f"cannot read {name} as audio: {what} --raw {kind} --rate HZ"


def assumed(name: str) -> list[str]:
    """Return a line about what is taken for granted in a file of a name, if anything is."""
    what = _ASSUMED.get(of_name(name))
    return [] if what is None else [f"it has no header that tells its rate: it is taken for {what}"]


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
    for parent, names in _visible_folders(folder, set(), refused):
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def matching(pattern: str) -> list[str]:
    """Return what a pattern such as 'talks/**/*.wav' stands for, sorted; with ** each real folder is taken once.

    glob follows a link to a folder above as often as the system lets it, and two of them into ever more names.
    """
    parts = Path(pattern).parts
    found = [""]
    while _BELOW in parts:
        at = parts.index(_BELOW)
        above, parts = _expanded(found, parts[:at]), parts[at + 1 :]
        seen: set[str] = set()
        found = [parent for folder in above for parent, _ in _visible_folders(folder, seen)]
        if not parts:
            parts = ("*",)
    names = sorted(_expanded(found, parts))
    if _BELOW not in Path(pattern).parts:
        return names
    # A wildcard behind ** may lead through a link too.
    real = cache(os.path.realpath)
    once = {(real(path.parent), path.name): str(path) for path in map(Path, reversed(names))}
    return sorted(once.values())


def _expanded(folders: list[str], parts: tuple[str, ...]) -> list[str]:
    """Return what is below folders and matches the parts of a pattern, none of them **; an empty one is the current."""
    if not parts:
        return folders
    # The pattern may be an absolute path, which Path.glob refuses.
    starts = (os.path.join(glob.escape(folder), *parts) for folder in folders)  # noqa: PTH118
    return [name for start in starts for name in sorted(glob.glob(start))]  # noqa: PTH207


def _visible_folders(
    folder: str | os.PathLike[str], seen: set[str], refused: Callable[[OSError], None] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and those below it that are not hidden, each with its names, but none whose real one is `seen`."""
    for parent, folders, names in os.walk(folder or os.curdir, onerror=refused, followlinks=True):
        # A link to a folder above would be followed for ever.
        if (here := os.path.realpath(parent)) in seen:
            folders[:] = []
            continue
        seen.add(here)
        # Links last: what lies here is called as it is here.
        shown = (name for name in folders if not name.startswith("."))
        folders[:] = sorted(shown, key=lambda name: (Path(parent, name).is_symlink(), name))
        yield parent, names
