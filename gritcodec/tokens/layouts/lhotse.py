"""lhotse's Shar: cuts.N.jsonl.gz, and codes.N.tar with an array for each cut, in the same order.

Arrays are [frames, stages]: lhotse takes parts of an array along its first dimension, whatever its `temporal_dim` says
(findings/lhotse-temporal-dim.sh), and cuts are cut all the time.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from gritcodec.errors import FormatError
from gritcodec.files import write_bytes
from gritcodec.tokens import tars
from gritcodec.tokens.layouts.rows import About, Row, about_from, reading


def names(shard: int) -> list[str]:
    """Return the names of a shard's files."""
    return [f"codes.{shard:06d}.tar", f"cuts.{shard:06d}.jsonl.gz"]


def write(folder: Path, shard: int, rows: Sequence[Row], about: About) -> None:
    """Write a shard; each of its files whole or not at all, the cuts last."""

    def members() -> Iterator[tuple[str, bytes]]:
        for row in rows:
            yield f"{row.id}.npy", tars.npy(np.ascontiguousarray(row.codes.T))
            yield f"{row.id}.json", json.dumps(_manifest(row, about)).encode()

    codes, cuts = names(shard)
    tars.write(folder / codes, members())
    lines = "".join(json.dumps(_cut(row, about), ensure_ascii=False) + "\n" for row in rows)
    write_bytes(folder / cuts, gzip.compress(lines.encode(), mtime=0))


def _manifest(row: Row, about: About) -> dict[str, Any]:
    place = {"storage_type": "shar", "storage_path": "", "storage_key": "", "shape": list(row.codes.T.shape)}
    return {"array": place, "temporal_dim": 0, "frame_shift": 1 / about.frame_rate, "start": 0.0}


def _cut(row: Row, about: About) -> dict[str, Any]:
    custom: dict[str, Any] = {
        "num_samples": row.num_samples,
        "channels": row.channels,
        "source": row.source,
        "frame_rate": about.frame_rate,
        "gritcodec": asdict(about),
    }
    recording = {
        "id": row.id,
        # None: what was coded need not be all of a file, nor a file; custom.source tells.
        "sources": [],
        "sampling_rate": row.sample_rate,
        "num_samples": row.num_samples,
        "duration": row.duration,
        "channel_ids": [0],
    }
    piece = {"id": row.id, "recording_id": row.id, "start": 0.0, "duration": row.duration, "channel": 0}
    said = {name: value for name in ("text", "speaker") if (value := getattr(row, name)) is not None}
    return {
        "id": row.id,
        "start": 0.0,
        "duration": row.duration,
        "channel": 0,
        "supervisions": [piece | said] if said else [],
        "recording": recording,
        "custom": custom,
        "type": "MonoCut",
    }


def read(path: Path) -> tuple[About, Iterator[Row]]:
    """Read a shard by the file of its cuts; see `layouts.read_shard`."""
    codes = path.with_name(path.name.replace("cuts.", "codes.", 1).replace(".jsonl.gz", ".tar"))
    with reading(path):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            cuts = [json.loads(line) for line in lines]
        if not cuts:
            raise FormatError(f"{path} is empty")
        about = about_from(json.dumps(cuts[0].get("custom", {}).get("gritcodec")), path)

    def rows() -> Iterator[Row]:
        tars.require_end(codes)
        with reading(codes), tarfile.open(codes, "r:") as archive:
            arrays = (member for member in tars.members(archive) if member.name.endswith(".npy"))
            for cut, member in zip(cuts, arrays, strict=True):
                stream = archive.extractfile(member)
                array = np.load(io.BytesIO(stream.read() if stream else b""), allow_pickle=False)
                yield _row(cut, array.T)

    return about, rows()


def _row(cut: dict[str, Any], codes: Any) -> Row:
    custom, recording = cut["custom"], cut["recording"]
    said = (cut["supervisions"] or [{}])[0]
    return Row(
        cut["id"],
        codes,
        custom["num_samples"],
        recording["sampling_rate"],
        custom["channels"],
        custom["source"],
        said.get("text"),
        said.get("speaker"),
    )
