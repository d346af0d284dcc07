"""Parquet: a row a piece, codes in a column of lists; what Hugging Face's datasets, Ray and DuckDB load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gritcodec.files import atomic_output, system_errors
from gritcodec.messages import needing
from gritcodec.tokens.layouts.rows import About, Row, about_from, reading

KEY = b"gritcodec"
# A reader that wants some rows at random unpacks that many.
_ROWS_A_GROUP = 256


def names(shard: int) -> list[str]:
    """Return the names of a shard's files."""
    return [f"tokens-{shard:06d}.parquet"]


def table(rows: Sequence[Row], about: About) -> Any:
    """Return rows as a pyarrow table."""
    with needing("tokens", "the format parquet"):
        import pyarrow as pa
    kind = pa.from_numpy_dtype(about.dtype)
    columns: dict[str, Any] = {
        "id": pa.array([row.id for row in rows], pa.string()),
        "codes": nested([row.codes for row in rows], kind),
        "num_samples": pa.array([row.num_samples for row in rows], pa.int64()),
        "sample_rate": pa.array([row.sample_rate for row in rows], pa.int32()),
        "frame_rate": pa.array([about.frame_rate] * len(rows), pa.float64()),
        "duration": pa.array([row.duration for row in rows], pa.float64()),
        "channels": pa.array([row.channels for row in rows], pa.int32()),
        "source": pa.array([row.source for row in rows], pa.string()),
        "text": pa.array([row.text for row in rows], pa.string()),
        "speaker": pa.array([row.speaker for row in rows], pa.string()),
    }
    return pa.table(columns).replace_schema_metadata({KEY: about.text().encode()})


def nested(codes: Sequence[Any], kind: Any) -> Any:
    """Return arrays [stages, frames], of any number of frames, as an Arrow array of lists of lists."""
    import pyarrow as pa

    flat = np.concatenate([np.zeros(0, kind.to_pandas_dtype()), *(array.reshape(-1) for array in codes)])
    outer = np.cumsum([0, *(array.shape[0] for array in codes)])
    inner = np.cumsum([0, *(array.shape[1] for array in codes for _ in range(array.shape[0]))])
    lists = pa.ListArray.from_arrays(pa.array(inner, pa.int32()), pa.array(flat, kind))
    return pa.ListArray.from_arrays(pa.array(outer, pa.int32()), lists)


def write(folder: Path, shard: int, rows: Sequence[Row], about: About) -> None:
    """Write a shard, whole or not at all."""
    made = table(rows, about)
    import pyarrow.parquet as pq

    path = folder / names(shard)[0]
    with atomic_output(path) as temporary, system_errors(path):
        # Codes become a dictionary of their values: ten bits each and no more for a codebook of 1024.
        settings = {"compression": "zstd", "store_schema": True, "write_page_checksum": True}
        pq.write_table(made, temporary, row_group_size=_ROWS_A_GROUP, **settings)


def read(path: Path) -> tuple[About, Iterator[Row]]:
    """Read a shard; see `layouts.read_shard`."""
    with needing("tokens", "the format parquet"):
        import pyarrow.parquet as pq
    with reading(path):
        file = pq.ParquetFile(path, page_checksum_verification=True)
        about = about_from((file.schema_arrow.metadata or {}).get(KEY), path)

    def rows() -> Iterator[Row]:
        with reading(path), file:
            for batch in file.iter_batches(_ROWS_A_GROUP):
                for row in batch.to_pylist():
                    codes = np.array(row["codes"], about.dtype).reshape(len(row["codes"]), -1)
                    kept = {name: row[name] for name in Row.__dataclass_fields__ if name != "codes"}
                    yield Row(codes=codes, **kept)

    return about, rows()
