"""The codecs that the bench knows, and how they are named: `opus:9`, `speech-16k:3`, `runs/mine/export@3:1.5`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gritcodec.errors import UsageError
from gritcodec.evaluate.contenders.amrwb import AmrWb
from gritcodec.evaluate.contenders.base import RATE, Contender, Original
from gritcodec.evaluate.contenders.classical import LC3, MP3, Codec2, Opus, Speex
from gritcodec.evaluate.contenders.grit import Grit
from gritcodec.evaluate.contenders.neural import Dac, Encodec, Mimi, Neural, Snac
from gritcodec.evaluate.contenders.opus import Lace, NewOpus, NoLace, WideOpus

__all__ = ["NEURAL", "RATE", "Contender", "contenders", "families", "parse", "parse_weights"]

_CLASSICAL: dict[str, type[Contender]] = {
    kind.family: kind for kind in (Original, Opus, NewOpus, WideOpus, Lace, NoLace, Codec2, Speex, AmrWb, LC3, MP3)
}
NEURAL: dict[str, type[Neural]] = {kind.family: kind for kind in (Encodec, Dac, Mimi, Snac)}


def families() -> list[str]:
    """Return the names of all codecs but gritcodec's own."""
    return [*_CLASSICAL, *NEURAL]


def parse(text: str, weights: Mapping[str, Path]) -> list[Contender]:
    """Return what a name stands for: one setting, or all that the codec usually has.

    Args:
        text: NAME or NAME:SETTING; NAME is a peer's, a shipped model's or a model folder, the latter two with @EFFORT
            if codes are to be refined.
        weights: folders of neural peers' weights, by name.

    Raises:
        UsageError: no such codec, or it has no such setting.
    """
    name, colon, setting = text.rpartition(":")
    if not colon:
        name, setting = text, ""
    if name in _CLASSICAL:
        kind = _CLASSICAL[name]
        return [kind(each) for each in ([setting] if setting else kind.rates)]
    if name in NEURAL:
        neural = NEURAL[name]
        return [neural(each, weights.get(name)) for each in ([setting] if setting else neural.rates)]
    from gritcodec import model_store

    model, at, effort = name.rpartition("@")
    if at and effort.isdecimal() and not Path(name).is_dir():
        name = model
    else:
        effort = "0"
    if name not in model_store.available() and not Path(name).is_dir():
        known = ", ".join([*families(), *model_store.available()])
        raise UsageError(f"no codec {name!r}: there are {known}, and any model folder")
    return [Grit(each, name, int(effort)) for each in ([setting] if setting else Grit.rates)]


def contenders(names: Sequence[str], weights: Mapping[str, Path]) -> list[Contender]:
    """Return what several names stand for, each setting once; errors as in `parse`."""
    found: dict[str, Contender] = {}
    for name in names:
        for contender in parse(name, weights):
            found.setdefault(contender.label, contender)
    return list(found.values())


def parse_weights(texts: Sequence[str]) -> dict[str, Path]:
    """Read `encodec=FOLDER` and the like; UsageError for anything else."""
    weights = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals or name not in NEURAL:
            raise UsageError(f"--weights {text}: give NAME=FOLDER, with NAME one of {', '.join(NEURAL)}")
        if not folder or not Path(folder).is_dir():
            raise UsageError(f"--weights {text}: there is no folder {folder}")
        weights[name] = Path(folder)
    return weights
