"""Makes shards: the one thing that every worker does, wherever it runs."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from typing import Any

from gritcodec import engine as engines
from gritcodec import model_store
from gritcodec.codec.codec import Codec
from gritcodec.tokens.batching import Batching, Coded, Refused, Stopwatch, encode_all
from gritcodec.tokens.items import storable
from gritcodec.tokens.layouts import layout
from gritcodec.tokens.layouts.rows import About, Row
from gritcodec.tokens.plan import Folder, Task
from gritcodec.tokens.reading import MIX, Sources


@dataclass(frozen=True)
class Setup:
    """What codes are made by.

    Attributes:
        model: a shipped model's name, or a folder.
        bitrate: kbps; None: 3, or the nearest.
        engine: as of `gritcodec.load`.
        device: of torch.
        mixing: what to make of several channels.
        batching: how files go through the network together; None: as suits the device.
    """

    model: str = "speech-16k"
    bitrate: float | None = None
    engine: str = "auto"
    device: str | None = None
    mixing: str = MIX
    batching: Batching | None = None

    @property
    def rows(self) -> Batching:
        """How files go together."""
        if self.batching is not None:
            return self.batching
        if self.device in (None, "cpu"):
            return Batching()
        return Batching(rows=256, step_frames=256 * 64, readers=min(os.cpu_count() or 1, 16))


class Coder:
    """A model, ready to code.

    Attributes:
        engine: runs it.
        stages: to give.
        about: what all codes have in common.
        setup: what it was made by.
    """

    def __init__(self, setup: Setup) -> None:
        """Load the model.

        Raises:
            ModelError, ConfigError, UsageError: as in `gritcodec.load`; there is no such bitrate.
        """
        folder = model_store.resolve(setup.model)
        model = model_store.read(folder)
        model.require_encoder()
        self.setup = setup
        self.engine = engines.make(model, setup.engine, setup.device)
        codec = Codec(model, self.engine)
        self.stages = codec.stages_for(setup.bitrate)
        kind = (setup.device or "cpu").partition(":")[0]
        with open(folder / model_store.WEIGHTS, "rb") as weights:
            digest = hashlib.file_digest(weights, "sha256").hexdigest()[:16]
        self.about = About(
            codec.name,
            codec.fingerprint,
            digest,
            # Others differ in a few codes of a thousand.
            codec.engine if kind == "cpu" else f"{codec.engine} on {kind}",
            codec.bitrates[self.stages - 1],
            self.stages,
            model.config.quantizer.codebook_size,
            codec.frame_rate,
            codec.sample_rate,
            setup.mixing,
        )


class Maker:
    """Makes the shards of a folder, one after another."""

    def __init__(self, folder: str, setup: Setup) -> None:
        """Load the model."""
        self._folder = Folder(folder)
        self._coder = Coder(setup)
        settings = self._folder.settings()
        self._base, self._layout = settings["base"], layout(settings["layout"])

    def make(self, task: Task) -> dict[str, Any]:
        """Make a shard and write down that it is done.

        Returns:
            The record; under `took` the seconds that each kind of work took, and the worker's number and memory.
        """
        watch = Stopwatch()
        about = self._coder.about
        coded: list[Coded] = []
        refused: list[Refused] = []
        sources = Sources(self._base, self._coder.setup.mixing)
        try:
            items, batching = self._folder.items(task), self._coder.setup.rows
            for result in encode_all(self._coder.engine, items, sources.open, self._coder.stages, batching, watch):
                (coded if isinstance(result, Coded) else refused).append(result)  # type: ignore[arg-type]
        finally:
            sources.close()
        coded.sort(key=lambda one: one.number)
        refused.sort(key=lambda one: one.number)
        with watch.measure("writing"):
            rows = [row_of(one, about) for one in coded]
            if rows:
                with self._folder.fresh_shard(self._layout.names(task.shard)) as place:
                    self._layout.write(place, task.shard, rows, about)
            record = {
                "shard": task.shard,
                "items": len(rows),
                "seconds": [round(row.duration, 3) for row in rows],
                "refused": [
                    {"id": r.item.id, "source": storable(r.item.shown), "reason": storable(r.reason)} for r in refused
                ],
            }
            self._folder.record(record)
        return record | {"took": dict(watch), "worker": os.getpid(), "peak_kb": _peak_kb()}


def _peak_kb() -> int:
    """Return the most memory that this process had; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)


def row_of(coded: Coded, about: About) -> Row:
    """Return the row for what was coded."""
    item = coded.item
    codes = coded.codes.astype(about.dtype)
    text, speaker = (None if said is None else storable(said) for said in (item.text, item.speaker))
    source = storable(item.shown)
    return Row(item.id, codes, coded.num_samples, coded.sample_rate, coded.channels, source, text, speaker)
