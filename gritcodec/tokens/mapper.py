"""Codes as a step in other people's pipelines: a callable for `ray.data.Dataset.map_batches`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from gritcodec.errors import AudioError
from gritcodec.messages import needing
from gritcodec.sound.audio import AudioReader, as_rate, as_waveform, in_blocks
from gritcodec.tokens.batching import Batching, Coded, Refused, encode_all
from gritcodec.tokens.items import Item
from gritcodec.tokens.layouts.parquet import KEY, nested
from gritcodec.tokens.reading import MIX, Sound, chosen, from_bytes, to_the_end
from gritcodec.tokens.shards import Coder, Setup

# Columns that sound comes in, the first that is there.
COLUMNS = ("audio", "amplitude", "bytes", "path")


class Tokenizer:
    """Puts codes in the place of sound, batch by batch.

    Rows have their sound in a column `audio` (Hugging Face's struct of bytes and path, or bytes, or a path),
    `amplitude` with `sample_rate` (as `ray.data.read_audio` gives them: floating point [channels, samples]), `bytes`
    (`read_binary_files`) or `path`. All other columns pass. The codes of a row do not depend on its batch.
    """

    def __init__(
        self,
        model: str = "speech-16k",
        bitrate: float | None = None,
        engine: str = "auto",
        device: str | None = None,
        column: str | None = None,
        mixing: str = MIX,
        batching: Batching | None = None,
    ) -> None:
        """Load a model.

        Args:
            model: a shipped model's name, or a folder.
            bitrate: kbps; None: 3, or the nearest.
            engine: as of `gritcodec.load`.
            device: of torch.
            column: of the sound; None: the first of `COLUMNS`.
            mixing: what to make of several channels: `mix`, `refuse`, or the number of one.
            batching: how rows go through the network together.
        """
        self._coder = Coder(Setup(model, bitrate, engine, device, mixing, batching))
        self._column = column

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        """Code a batch, a dict of columns of numpy.

        Returns:
            A pyarrow table: the other columns, `codes` (lists of lists; null where the row has no sound),
            `num_samples`, `sample_rate`, `frame_rate`, `duration`, and `refused`, why a row has no codes; the model's
            name and fingerprint in the schema's metadata, under `gritcodec`.

        Raises:
            AudioError: there is no column of sound.
        """
        with needing("ray", "the Tokenizer"):
            import pyarrow as pa
        about, setup = self._coder.about, self._coder.setup
        column = self._column or next((name for name in COLUMNS if name in batch), None)
        if column is None or column not in batch:
            raise AudioError(f"there is no column of sound: {column or ', '.join(COLUMNS)}")
        cells = list(batch[column])
        rates = batch.get("sample_rate", [None] * len(cells))
        items = [Item(str(number), "", place=(number,)) for number in range(len(cells))]

        def opened(item: Item) -> Sound:
            return _sound(item, cells[item.place[0]], rates[item.place[0]], setup.mixing)

        found: dict[int, Coded | Refused] = {
            one.number: one for one in encode_all(self._coder.engine, items, opened, self._coder.stages, setup.rows)
        }
        results = [found[number] for number in range(len(cells))]
        coded = [one if isinstance(one, Coded) else None for one in results]
        kind = pa.from_numpy_dtype(about.dtype)
        none = np.zeros((0, 0), about.dtype)
        lists = nested([none if one is None else one.codes.astype(about.dtype) for one in coded], kind)
        columns = {name: _passed(values) for name, values in batch.items() if name not in (column, "sample_rate")}
        columns["codes"] = pa.array(lists.to_pylist(), lists.type, mask=np.array([one is None for one in coded]))
        columns["num_samples"] = pa.array([one and one.num_samples for one in coded], pa.int64())
        columns["sample_rate"] = pa.array([one and one.sample_rate for one in coded], pa.int32())
        columns["frame_rate"] = pa.array([about.frame_rate] * len(coded), pa.float64())
        columns["duration"] = pa.array([one and one.num_samples / one.sample_rate for one in coded], pa.float64())
        columns["refused"] = pa.array([getattr(one, "reason", None) for one in results], pa.string())
        return pa.table(columns).replace_schema_metadata({KEY: about.text().encode()})


def _passed(values: Any) -> Any:
    import pyarrow as pa

    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype != object:
        return pa.array(values)
    return pa.array([value.tolist() if isinstance(value, np.ndarray) else value for value in values])


def _sound(item: Item, cell: Any, rate: Any, mixing: str) -> Sound:
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") if cell.get("bytes") is not None else cell.get("path")
    if isinstance(cell, bytes):
        reader = from_bytes("sound", cell)
    elif isinstance(cell, str | os.PathLike):
        reader = AudioReader(cell)
    elif cell is None:
        raise AudioError("there is neither sound nor a path in this row")
    else:
        samples = np.atleast_2d(np.asarray(cell))
        rate = as_rate(rate)
        waveform = as_waveform(samples, rate)
        choose = chosen(item, len(waveform), mixing)
        return Sound(item, rate, len(waveform), map(choose, in_blocks(waveform, rate)))
    return Sound(item, reader.sample_rate, reader.channels, to_the_end(reader, chosen(item, reader.channels, mixing)))
