"""Shards back to sound."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gritcodec.codec.codec import Codec, Codes
from gritcodec.errors import FormatError, UsageError, WrongModelError
from gritcodec.files import PathLike, new_folders
from gritcodec.sound import audio
from gritcodec.tokens.items import as_name, short_hash
from gritcodec.tokens.layouts import is_shard, read_shard
from gritcodec.tokens.layouts.rows import About, Row

ENDINGS = ("wav", "flac")
# Of a file's or folder's name, bytes; most systems take 255.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Restored:
    """What was written: the file, and the seconds in it; `skipped` where it was there already."""

    path: Path
    seconds: float
    skipped: bool = False


def shards(sources: Sequence[PathLike]) -> list[Path]:
    """Return the shards that sources name: folders of tokens, folders of shards, shards.

    Raises:
        UsageError: there are none.
    """
    found: list[Path] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = source / "data" if (source / "tokens.json").exists() else source
            found += sorted(path for path in inside.iterdir() if is_shard(path) and not path.name.startswith("."))
        else:
            found.append(source)
    if not found:
        raise UsageError(f"no shards in {', '.join(map(str, sources))}")
    return found


def check_model(codec: Codec, about: About, path: Path) -> None:
    """Refuse codes of another model, with WrongModelError."""
    if about.fingerprint != codec.fingerprint:
        raise WrongModelError(
            f"{path} has codes of model {about.model} ({about.fingerprint}), and this is {codec.name} "
            f"({codec.fingerprint})"
        )


def decode(codec: Codec, row: Row, stages: int | None = None) -> audio.Waveform:
    """Return the sound of a row, float32 [1, samples] at its own sample rate; of its first stages where so asked.

    Raises:
        FormatError: the codes do not fit the model.
    """
    codes = row.codes[:stages].astype(np.int64)[None]
    try:
        waveform: audio.Waveform = codec.decode(Codes(codes, row.sample_rate, row.num_samples))
    except UsageError as error:
        raise FormatError(f"{row.id}: {error}") from error
    return waveform


def detokenize(
    codec: Codec,
    sources: Sequence[PathLike],
    out: PathLike,
    ending: str = "wav",
    only: Collection[str] = (),
    stages: int | None = None,
    force: bool = False,
) -> Iterator[Restored]:
    """Write the sound of shards into a folder, a file a row, called by its id.

    Where several folders of tokens have one id, the second file is called ID-2, and so on.

    Args:
        codec: the model that made the codes.
        sources: as of `shards`.
        out: the folder.
        ending: wav or flac.
        only: ids of the rows that are wanted; empty: all.
        stages: how many to use; None: all there are.
        force: whether files that are there are written again; otherwise they are skipped.

    Raises:
        UsageError: no shards, no such ending, an id that is in none of them, more stages than a shard has, or `out` is
            where shards are.
        WrongModelError, FormatError, OutputError: as they say.
    """
    if ending not in ENDINGS:
        raise UsageError(f"no ending '{ending}'; there are {', '.join(ENDINGS)}")
    found = shards(sources)
    _require_apart(found, Path(out))
    left, taken = set(only), set[str]()
    for path in found:
        about, rows = read_shard(path)
        check_model(codec, about, path)
        if stages is not None and stages > about.stages:
            raise UsageError(f"{path} has codes of {about.bitrate:g} kbps: it cannot be played at more")
        for row in rows:
            # Also of those that are not wanted: the names are the same whatever is asked for.
            target = Path(out) / f"{_file_name(row.id, taken)}.{ending}"
            if only and row.id not in left:
                continue
            left.discard(row.id)
            if target.is_file() and not force:
                yield Restored(target, row.duration, skipped=True)
                continue
            waveform = decode(codec, row, stages)
            with new_folders(target.parent):
                audio.write(target, waveform, row.sample_rate, overwrite=force)
            yield Restored(target, row.duration)
        if only and not left:
            return
    if left:
        raise UsageError(f"not in these shards: {', '.join(sorted(left))}")


def _require_apart(found: Sequence[Path], out: Path) -> None:
    """Refuse to write sound where shards are: loaders take all that they find there."""
    homes = {path.parent.resolve() for path in found}
    if out.resolve() in homes or (out / "tokens.json").exists():
        raise UsageError(f"{out} has shards of tokens in it: name another folder for the sound")


def _file_name(identity: str, taken: set[str]) -> str:
    """Return what a row's file is called, without its ending, unlike all that are taken."""
    parts = as_name(identity).split("/")
    # A folder may not be called as the file beside it is.
    parts[:-1] = [re.sub(r"\.(wav|flac)$", r"_\1", part) for part in parts[:-1]]
    plain = "/".join(part if len(os.fsencode(part)) <= _LONGEST_NAME else _shortened(part) for part in parts)
    name, count = plain, 1
    while name in taken:
        count += 1
        name = f"{plain}-{count}"
    taken.add(name)
    return name


def _shortened(part: str) -> str:
    return f"{os.fsencode(part)[:_LONGEST_NAME].decode(errors='ignore')}-{short_hash(part):016x}"
