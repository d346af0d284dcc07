"""What is to be done, written down before it is begun: which pieces make which shard.

In a folder OUT of tokens:

    tokens.json          the settings: what a later run must have in common with this one
    data/                the shards and nothing else, as loaders like it
    work/plan.jsonl      a line a shard, with its items: who makes a shard needs its line alone
    work/records/N.json  what became of a shard; with the shard itself it says that this one is done
    work/fresh/          shards that are being written, each in a folder of its own
    work/lock            locked by the run that is at work
    summary.json, refused.jsonl

Pieces stay in the shard where a plan once put them; sources that are new make new shards. So a shard has the same bytes
whoever makes it, and when.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from gritcodec.errors import CorruptFileError, UsageError
from gritcodec.files import atomic_output, new_folders, system_errors, write_bytes
from gritcodec.tokens.items import Item, as_name, from_plain, short_hash, storable
from gritcodec.tokens.layouts.rows import About

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    # Windows: two runs at once are not told from one.
    fcntl = None

_FORMAT = "gritcodec tokens 1"
# What the writer of tokens.json leaves when it is killed.
_HALF_WRITTEN = ".gritcodec-"


@dataclass(frozen=True)
class Sizes:
    """When a shard is full: whichever comes first.

    Attributes:
        items: pieces in it.
        source_bytes: of what they are made of.
    """

    items: int = 1000
    source_bytes: int = 256 * 10**6


@dataclass(frozen=True)
class Task:
    """A shard to make.

    Attributes:
        shard: its number.
        offset: where its line begins in the plan, bytes.
    """

    shard: int
    offset: int


class Folder:
    """A folder of tokens.

    Attributes:
        path: of the folder.
        data: where the shards are.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.data = self.path / "data"
        self._work = self.path / "work"
        self._fresh_shards = self._work / "fresh"
        self._plan = self._work / "plan.jsonl"
        self._settings = self.path / "tokens.json"

    def begin(self, layout: str, about: About) -> None:
        """Make the folder, or find that it is of the same model and settings.

        Raises:
            UsageError: it holds something else; nothing was changed then.
            OutputError: it cannot be made.
        """
        wanted = {"format": _FORMAT, "layout": layout, **asdict(about)}
        if self._settings.exists():
            held = self.settings()
            for name, value in wanted.items():
                if held.get(name) != value:
                    raise UsageError(
                        f"{self.path} holds codes of {name} {held.get(name)!r}, and this run has {value!r}: "
                        "take another folder, or the same settings"
                    )
        elif self.path.exists() and (not self.path.is_dir() or any(map(_is_strange, self.path.iterdir()))):
            raise UsageError(f"{self.path} is there already and is no folder of tokens: name a new one")
        else:
            wanted["base"] = str(Path.cwd())
            with new_folders(self.path):
                write_bytes(self._settings, (json.dumps(wanted, indent=1) + "\n").encode())
        # Also in a folder that was begun: whoever began it may have been killed here.
        for folder in (self.data, self._work, self._fresh_shards, self.records):
            with system_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs out of the folder; one that was killed keeps nobody out.

        Raises:
            UsageError: another one is at work.
        """
        path = self._work / "lock"
        with system_errors(path):
            lock = open(path, "ab")  # noqa: SIM115
        with lock:
            try:
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(f"another run is at work in {self.path}: wait until it has ended") from error
            except OSError:
                # Not every file system has locks.
                pass
            for left in self._fresh_shards.iterdir():
                shutil.rmtree(left, ignore_errors=True)
            yield

    @contextmanager
    def fresh_shard(self, names: Iterable[str]) -> Iterator[Path]:
        """Give a folder to write a shard's files into; they move to the others when the block ends without an error.

        Loaders take all that they find in a folder, hidden files too: so they are not written there.
        """
        with system_errors(self._fresh_shards):
            # Of its own: a worker whose driver was lost may be at the same shard.
            place = Path(tempfile.mkdtemp(dir=self._fresh_shards))
        try:
            yield place
            for name in names:
                with system_errors(self.data / name):
                    (place / name).replace(self.data / name)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @property
    def records(self) -> Path:
        """Where records lie."""
        return self._work / "records"

    def settings(self) -> dict[str, Any]:
        """Return what tokens.json says.

        Raises:
            UsageError: there is none.
        """
        try:
            held = json.loads(self._settings.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{self.path} is no folder of tokens: there is no {self._settings.name}") from error
        except ValueError as error:
            raise CorruptFileError(f"{self._settings} is damaged") from error
        if not isinstance(held, dict) or held.get("format") != _FORMAT:
            raise UsageError(f"{self._settings} was written by another version of gritcodec")
        return held

    def about(self) -> About:
        """Return what all rows have in common."""
        held = self.settings()
        return About(**{field.name: held[field.name] for field in fields(About)})

    def plan(self, found: Iterable[Item], sizes: Sizes) -> None:
        """Put what the plan does not have yet into new shards at its end."""
        base = self.settings()["base"]
        known, taken = set(), set()
        shards = 0
        for line in self._lines():
            shards += 1
            for item in map(from_plain, json.loads(line)["items"]):
                known.add(item.identity(base))
                taken.add(short_hash(as_name(item.id)))
        fresh = self._fresh(found, base, known, taken)
        first = next(fresh, None)
        if first is None:
            return
        with atomic_output(self._plan) as temporary, system_errors(self._plan), open(temporary, "wb") as plan:
            for line in self._lines():
                plan.write(line)
            for number, group in enumerate(_grouped(first, fresh, sizes), shards):
                fresh_line = json.dumps({"shard": number, "items": [item.plain() for item in group]})
                plan.write(fresh_line.encode() + b"\n")

    @staticmethod
    def _fresh(found: Iterable[Item], base: str, known: set[int], taken: set[int]) -> Iterator[Item]:
        here = Path.cwd()
        counts: dict[int, int] = {}
        for item in found:
            identity = item.identity(str(here))
            if identity in known:
                continue
            known.add(identity)
            if str(here) != base and not os.path.isabs(item.source):  # noqa: PTH117
                item = replace(item, source=str(here / item.source))
            name = plain = storable(item.id)
            mark = first = short_hash(as_name(plain))
            # Loaders go by names: no two pieces may have the same. The count goes on, for thousands of one name.
            while mark in taken:
                counts[first] = counts.get(first, 1) + 1
                name = f"{plain}-{counts[first]}"
                mark = short_hash(as_name(name))
            taken.add(mark)
            yield replace(item, id=name)

    def _lines(self) -> Iterator[bytes]:
        if self._plan.exists():
            with open(self._plan, "rb") as plan:
                yield from plan

    def tasks(self, names: Callable[[int], Iterable[str]], retry: bool = False) -> list[Task]:
        """Return the shards that are not done; with `retry`, those too in which something was refused.

        Args:
            names: gives those of the files of a shard.
            retry: as said.
        """
        offset, found = 0, []
        there = {path.name for path in self.data.iterdir()}
        done = set()
        for record in self.all_records():
            whole = not record["items"] or there.issuperset(names(record["shard"]))
            if whole and not (retry and record["refused"]):
                done.add(record["shard"])
        for number, line in enumerate(self._lines()):
            if number not in done:
                found.append(Task(number, offset))
            offset += len(line)
        return found

    def items(self, task: Task) -> list[Item]:
        """Return what a shard is made of."""
        with open(self._plan, "rb") as plan:
            plan.seek(task.offset)
            line = json.loads(plan.readline())
        if line["shard"] != task.shard:
            raise CorruptFileError(f"{self._plan} was changed while it was worked on")
        return [from_plain(item) for item in line["items"]]

    def record(self, record: dict[str, Any]) -> None:
        """Write down that a shard is done."""
        write_bytes(self.records / f"{record['shard']:06d}.json", json.dumps(record).encode())

    def all_records(self) -> Iterator[dict[str, Any]]:
        """Yield what became of all shards that are done, in their order."""
        for path in sorted(self.records.glob("*.json")):
            yield json.loads(path.read_bytes())


def _is_strange(path: Path) -> bool:
    return not path.name.startswith(_HALF_WRITTEN)


def _grouped(first: Item, rest: Iterator[Item], sizes: Sizes) -> Iterator[list[Item]]:
    group, size = [first], first.size
    for item in rest:
        if len(group) >= sizes.items or size + item.size > sizes.source_bytes:
            yield group
            group, size = [], 0
        group.append(item)
        size += item.size
    yield group
