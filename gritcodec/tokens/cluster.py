"""Shards by Ray Data: actors that hold a model, on as many machines as there are.

A row of the dataset is the number of a shard; the actor reads its line of the plan, makes the shard, and gives the
record. So what goes through Ray is small, a lost worker costs the shard that it was at, and results do not depend on
who made them. The folder and the sources must be where every machine sees them.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from gritcodec import model_store
from gritcodec.errors import UsageError
from gritcodec.messages import needing
from gritcodec.tokens.plan import Task
from gritcodec.tokens.shards import Maker, Setup

LOCAL = "local"
_SECONDS_TO_ANSWER = 10


class ShardActor:
    """Makes shards in a Ray Data pipeline: `Dataset.map_batches(ShardActor, ...)`."""

    def __init__(self, folder: str, setup: Setup) -> None:
        """Load the model."""
        self._maker = Maker(folder, setup)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make the shards of a batch; return their records."""
        tasks = map(Task, batch["shard"].tolist(), batch["offset"].tolist())
        return {"record": [json.dumps(self._maker.make(task)) for task in tasks]}


def made(folder: str, setup: Setup, tasks: Sequence[Task], address: str, actors: int) -> Iterator[dict[str, Any]]:
    """Have shards made by Ray; yield their records as they come.

    Args:
        folder: of tokens, by its absolute path.
        setup: what codes are made by.
        tasks: the shards.
        address: of the cluster, `auto`, or `local`.
        actors: that work at once; 0: as many as there are cores, or GPUs where one is named.

    Raises:
        UsageError: there is no cluster at this address.
    """
    with needing("ray", "--ray"):
        import ray
        import ray.data
    started = not ray.is_initialized()
    if started:
        _connect(ray, address)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = sys.stderr.isatty()
        # A worker that dies is no error of the data: its shard is made again, by another.
        context.actor_task_retry_on_errors = False
        on_gpu = setup.device not in (None, "cpu")
        cores = int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 1))
        count = min(actors or cores, len(tasks))
        setup = _found_anywhere(setup)
        rows = ray.data.from_items([asdict(task) for task in tasks], override_num_blocks=len(tasks))
        results = rows.map_batches(
            ShardActor,
            fn_constructor_args=(folder, setup),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=count),
            num_cpus=1,
            num_gpus=1 if on_gpu else 0,
        )
        for row in results.iter_rows():
            yield json.loads(row["record"])
    finally:
        if started:
            ray.shutdown()


def _found_anywhere(setup: Setup) -> Setup:
    """Return a setup that means the same in another current folder."""
    if setup.model in model_store.available():
        return setup
    return replace(setup, model=os.path.abspath(setup.model))  # noqa: PTH100


def _connect(ray: Any, address: str) -> None:
    quiet = logging.WARNING
    logging.getLogger("ray.data").setLevel(quiet)
    # Ray would send how it is used to its makers, unless told.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, logging_level=quiet, log_to_driver=False, include_dashboard=_dashboard(address))
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"no Ray at '{address}': {str(error).splitlines()[0]}") from error


def require_somebody(address: str) -> None:
    """Refuse an address where nobody listens: Ray would wait there for more than seven minutes.

    Raises:
        UsageError: as said, or the address is empty.
    """
    if not address:
        raise UsageError("--ray needs an address: HOST:PORT, auto, or local")
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise UsageError(f"no Ray at '{address}': {error.strerror or error}") from error


def _dashboard(address: str) -> bool | None:
    return False if address == LOCAL else None
