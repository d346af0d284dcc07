"""What the verbs do that make .grit files out of .grit files, one or many, apart from parsing and printing."""

from __future__ import annotations

import io
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from gritcodec import bitstream, files, messages, model_store
from gritcodec.bitstream import Contents, Header, Reader
from gritcodec.cli import facts
from gritcodec.cli.batch import Done
from gritcodec.cli.naming import Job
from gritcodec.cli.options import PIPE, require_samples
from gritcodec.codec.settings import bitrate_notes
from gritcodec.containers import remux
from gritcodec.errors import CorruptFileError, UsageError, WrongModelError


@dataclass(frozen=True)
class Made:
    """What was made.

    Attributes:
        header: of the result, with the number of samples.
        size: its bytes.
        damage: a line for everything that is missing.
        notes: a line for what was done in another way than it was asked for.
    """

    header: Header
    size: int
    damage: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edit(ABC):
    """How to make one file of another; called with a job it does it.

    Attributes:
        force: whether results may replace files.
    """

    force: bool

    def __call__(self, job: Job) -> Done:
        """Do one of many jobs."""
        made = self.one(job.source, job.target)
        status = "damaged" if made.damage else "done"
        return Done(job, status, made.header.seconds or 0.0, made.size, "; ".join([*made.damage, *made.notes]))

    @abstractmethod
    def one(self, source: Path, target: Path) -> Made:
        """Make `target` of `source`; an error names the file."""


@dataclass(frozen=True)
class Truncate(Edit):
    """Lowers bitrates, to a number of kbps or to a size; errors are those of `bitstream.truncate`."""

    bitrate: float | None
    limit: int | None
    strict: bool = False

    def one(self, source: Path, target: Path) -> Made:
        """Leave out bytes."""
        broken: list[Contents] = []
        with messages.about(source, target):
            data = bitstream.truncate(_read(source), self.bitrate, self.limit, None if self.strict else broken.append)
            _write(target, data, self.force)
        notes = bitrate_notes(bitstream.parse_header(data)[0], self.bitrate)
        return Made(bitstream.whole_header(data), len(data), _damage(broken), tuple(notes))


@dataclass(frozen=True)
class Cut(Edit):
    """Cuts a part out, from a second on and so many of them; errors are those of `bitstream.cut`."""

    span: tuple[float, float | None]
    model: str | None
    strict: bool = False

    def one(self, source: Path, target: Path) -> Made:
        """Cut a part out."""
        broken: list[Contents] = []
        with messages.about(source, target):
            data = _read(source)
            header = bitstream.whole_header(data, self.strict)
            folder = model_store.resolve(self.model) if self.model else model_store.find(header)
            clock = model_store.clock(folder, header.sample_rate)
            header = header if self.strict else bitstream.heard_header(data, clock)
            first = round(self.span[0] * header.sample_rate)
            count = None if self.span[1] is None else round(self.span[1] * header.sample_rate)
            self._check(header, first)
            data = bitstream.cut(data, first, count, clock, None if self.strict else broken.append)
            _write(target, data, self.force)
        made = bitstream.whole_header(data)
        is_short = count is None or (made.num_samples or 0) < count
        return Made(made, len(data), _damage([_met(contents, data, is_short) for contents in broken]))

    def _check(self, header: Header, first: int) -> None:
        """Refuse a part that the recording has not, in seconds, as it was asked for."""
        if first >= (header.num_samples or 0):
            seconds = header.seconds or 0.0
            raise UsageError(f"the recording is {seconds:.2f} s long: nothing is at {self.span[0]:g} s")
        require_samples(self.span[1], header.sample_rate)


@dataclass(frozen=True)
class Remux(Edit):
    """Puts streams into another container, one of `remux.CONTAINERS`; errors are those of `remux.remuxed`."""

    kind: str

    def one(self, source: Path, target: Path) -> Made:
        """Put all streams of a file into the container."""
        readers: list[Reader] = []
        with messages.about(source, target):
            result = remux.remuxed(io.BytesIO(_bytes(source)), self.kind, _clock_of, readers.append)
            if not any(reader.received or not reader.damage for reader in readers):
                raise CorruptFileError("the file is damaged beyond use: none of its packets is whole")
            _write(target, result, self.force)
        header = readers[0].header
        if len(readers) > 1:
            seconds = sum(reader.header.seconds or 0.0 for reader in readers)
            header = replace(header, num_samples=round(seconds * header.sample_rate))
        damage = facts.damage_lines([(reader.header, reader.damage) for reader in readers])
        return Made(header, len(result), damage=tuple(damage))


def _clock_of(header: Header, model: str | None = None) -> bitstream.Clock | None:
    with suppress(WrongModelError):
        return model_store.clock(model_store.resolve(model) if model else model_store.find(header))
    return None


def join(
    sources: Sequence[Path], target: Path, force: bool, strict: bool, model: str | None
) -> tuple[Made, list[list[str]]]:
    """Join files; return what was made, and for each source what is wrong with it; errors as in `bitstream.join`.

    `model`: that of a file that was cut, where it is no shipped one.
    """
    parts, broken = [], [list[Contents]() for _ in sources]
    for source in sources:
        with messages.about(source):
            parts.append(_read(source))
            # Read to its end, so that what cannot be joined is told with the name of the file.
            for contents in bitstream.read_all(parts[-1], strict):
                bitstream.check_joinable(contents, _clock_of(contents.header, model))

    def damaged(number: int, contents: Contents) -> None:
        broken[number].append(contents)

    names = [str(source) for source in sources]
    data = bitstream.join(parts, names, None if strict else damaged, partial(_clock_of, model=model))
    with messages.about("", target):
        _write(target, data, force)
    return Made(bitstream.whole_header(data), len(data)), [list(_damage(found)) for found in broken]


def _met(contents: Contents, part: bytes, is_short: bool) -> Contents:
    """Leave out what is lost elsewhere in a damaged file than in a part; `is_short`: that is not as long as asked."""
    if next(bitstream.read_all(part)).damage:
        return contents
    kept = [damage for damage in contents.damage if damage.frames == 0 or (damage.frames is None and is_short)]
    return replace(contents, damage=kept)


def _damage(broken: Sequence[Contents]) -> tuple[str, ...]:
    return tuple(facts.damage_lines([(contents.header, contents.damage) for contents in broken]))


def info(source: Path, strict: bool) -> dict[str, Any]:
    """Return what there is to say about a file, in the order in which to say it; errors as in `facts.facts_of`."""
    with messages.about(source):
        data = _bytes(source)
        return facts.facts_of(bytes(remux.opened(io.BytesIO(data)).read()), str(source), len(data), strict)


def _read(source: Path) -> bytes:
    """Return the .grit files in a file of any container."""
    return bytes(remux.opened(io.BytesIO(_bytes(source))).read())


def _bytes(source: Path) -> bytes:
    return sys.stdin.buffer.read() if source == PIPE else files.read_bytes(source)


def _write(target: Path, data: bytes, force: bool) -> None:
    if target == PIPE:
        from gritcodec.sound.pipes import binary_output

        output = binary_output()
        output.write(data)
        output.flush()
    else:
        if target.exists():
            from gritcodec.codec.outputs import refuse_audio

            refuse_audio(target)
        files.write_bytes(target, data, force)
