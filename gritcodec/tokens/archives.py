"""Sound inside other files -> items: WebDataset's tars, Parquet with a column of sound."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from gritcodec.errors import AudioError, UsageError
from gritcodec.messages import needing
from gritcodec.sound import endings
from gritcodec.tokens import tars
from gritcodec.tokens.items import PARQUET, TAR, Item
from gritcodec.tokens.manifests import IDS, SPEAKERS, TEXTS, said

# Also what can be read with PyAV alone: without it, each is refused with this reason.
_SOUNDS = {ending[1:] for ending in endings.BUILT_IN | endings.WITH_AV} | {"audio"}
# Other columns that sound lies in, where none is called audio.
_COLUMNS = ("audio", "wav", "flac", "mp3", "bytes", "speech")


def tar_items(path: Path) -> Iterator[Item]:
    """Yield the samples with sound of a WebDataset shard; where they lie in it, so that each can be read by itself."""
    problems: list[Exception] = []
    try:
        with tarfile.open(path, "r:") as archive:
            samples = groupby(_of_samples(archive, problems), lambda member: _key(member.name))
            for key, members in samples:
                found = _of_sample(path, archive, key, members)
                if found is not None:
                    yield found
    except (tarfile.TarError, OSError) as error:
        problems.append(error)
    for problem in problems:
        yield Item(f"{path.stem}-rest", str(path), problem=f"the tar breaks off or is none: {problem}")


def _of_samples(archive: tarfile.TarFile, problems: list[Exception]) -> Iterator[tarfile.TarInfo]:
    """Yield the files of samples up to the break, which is put into `problems`: what came before it is good."""
    try:
        for member in tars.members(archive):
            # WebDataset finds no key in hidden names either: ._a.wav is what macOS puts beside a.wav.
            if member.isfile() and not member.name.rpartition("/")[2].startswith("."):
                yield member
    except (tarfile.TarError, OSError) as error:
        problems.append(error)


def _key(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _of_sample(path: Path, archive: tarfile.TarFile, key: str, members: Iterator[tarfile.TarInfo]) -> Item | None:
    place: tuple[int, ...] = ()
    sound, about = "", dict[str, Any]()
    for member in members:
        ending = member.name[len(key) + 1 :].lower()
        if ending.rpartition(".")[2] in _SOUNDS and not sound:
            sound, place = member.name, (member.offset_data, member.size)
        elif ending in ("txt", "json") and member.size < 1 << 20:
            stream = archive.extractfile(member)
            about |= _about(ending, stream.read() if stream else b"")
    if not sound:
        return None
    return Item(key, str(path), TAR, sound, place, size=place[1], **about)


def _about(ending: str, data: bytes) -> dict[str, Any]:
    text = data.decode(errors="replace").strip()
    if ending == "txt":
        return {"text": text}
    try:
        row = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(row, dict):
        return {}
    found = {"text": said(row, TEXTS), "speaker": said(row, SPEAKERS)}
    return {name: value for name, value in found.items() if value is not None}


def parquet_items(path: Path) -> Iterator[Item]:
    """Yield the rows of a Parquet file with a column of sound: a struct of bytes and path, or bytes."""
    with needing("tokens", "reading Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            column = _sound_column(file.schema_arrow, path)
            inside = f"{column}.path"
            paths = [inside] if pa.types.is_struct(file.schema_arrow.field(column).type) else []
            wanted = [name for name in (*IDS, *TEXTS, *SPEAKERS) if name in names]
            number = 0
            for group in range(file.num_row_groups):
                meta = file.metadata.row_group(group)
                size = meta.total_byte_size // max(meta.num_rows, 1)
                row = 0
                for batch in file.iter_batches(1024, row_groups=[group], columns=wanted + paths):
                    for values in batch.to_pylist() or [{}] * batch.num_rows:
                        yield _of_cell(path, column, (group, row), number, size, values)
                        row, number = row + 1, number + 1
    except (pa.ArrowException, OSError) as error:
        raise AudioError(f"cannot read {path}: {error}") from error


def _sound_column(schema: Any, path: Path) -> str:
    import pyarrow as pa

    def fits(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return "bytes" in [kind.field(k).name for k in range(kind.num_fields)]
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    found = [name for name in (*_COLUMNS, *schema.names) if name in schema.names and fits(schema.field(name).type)]
    if not found:
        raise UsageError(f"{path} has no column of sound: a struct of bytes and path, or bytes")
    return found[0]


def _of_cell(path: Path, column: str, place: tuple[int, int], number: int, size: int, values: dict[str, Any]) -> Item:
    inside = (values.get(column) or {}).get("path") if isinstance(values.get(column), dict) else None
    name = said(values, IDS) or (Path(inside).stem if inside else f"{path.stem}-{number:06d}")
    text, speaker = said(values, TEXTS), said(values, SPEAKERS)
    return Item(name, str(path), PARQUET, str(number), place, column, text=text, speaker=speaker, size=size)
