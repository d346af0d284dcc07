"""Where results go: files that appear when they are whole, and standard output; and what may not be written over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gritcodec import files
from gritcodec.bitstream import Reader
from gritcodec.containers import remux
from gritcodec.errors import GritcodecError, UsageError
from gritcodec.files import PathLike
from gritcodec.sound import audio, behind, ends
from gritcodec.sound.pipes import PIPE, PcmWriter, RawFormat, binary_output
from gritcodec.sound.writing import Form, open_writer


def refuse_audio(target: PathLike) -> None:
    """Refuse to write a .grit stream over a file that is sound, whoever asks for it, with UsageError.

    A .grit stream may be replaced, in Ogg or Matroska too where nothing is beside it.
    """
    if not Path(target).is_file() or Path(target).stat().st_size == 0:
        return
    others = False
    with suppress(GritcodecError, OSError), open(target, "rb") as stream:
        others = remux.holds_others(stream)
        if not others:
            Reader(remux.opened(stream))
            return
    what = "audio"
    try:
        audio.AudioReader(target).close()
    except (GritcodecError, OSError):
        # A film without sound, one that only FFmpeg could read, or one that is damaged.
        if not others and not _begins_as_sound(target):
            return
        what = "film or other audio"
    raise UsageError(f"{target} is {what}: it is not replaced by a .grit stream, with --force either")


def _begins_as_sound(path: PathLike) -> bool:
    with suppress(OSError), open(path, "rb") as stream:
        head = stream.read(behind.ENOUGH)
        return ends.is_for_av(head) or behind.begins(head)
    # What cannot be read is not known to be none.
    return True


@contextmanager
def whole_output(target: PathLike, overwrite: bool, like: PathLike | None) -> Iterator[Callable[[bytes], Any]]:
    """Give a function that writes all bytes of an output at once."""
    if str(target) == PIPE:
        output = binary_output()
        yield output.write
        output.flush()
        return
    with files.atomic_output(target, overwrite, like) as temporary:

        def write(data: bytes) -> None:
            with files.system_errors(target):
                temporary.write_bytes(data)

        yield write


class _Counted:
    """A stream to write to that counts the bytes."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.size = stream, 0
        self.flush = stream.flush
        # Where it is a file it begins here. One that is appended to gets all at its end.
        self._start = stream.tell() if stream.seekable() and not files.is_appended(stream) else None

    @property
    def patch(self) -> Callable[[bytes], None] | None:
        """What overwrites the first bytes that were written, where that can be done."""
        return None if self._start is None else self._patch

    def _patch(self, data: bytes) -> None:
        here = self._stream.tell()
        self._stream.seek(self._start)
        self._stream.write(data)
        self._stream.seek(here)
        self._stream.flush()

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self.size += len(data)


@contextmanager
def sound_output(
    target: PathLike,
    rate: int,
    channels: int,
    num_samples: int | None,
    raw: RawFormat | None,
    overwrite: bool,
    form: Form,
) -> Iterator[tuple[Any, Callable[[], int]]]:
    """Give a writer of sound, and what tells the bytes of the result once it is there."""
    if raw is not None:
        raw.check(for_input=False)
    if str(target) == PIPE:
        output = _Counted(binary_output())
        writer = PcmWriter(output, raw, rate, channels, num_samples, form.samples)
        yield writer, lambda: output.size
        writer.finish()
        return

    def written() -> int:
        return Path(target).stat().st_size

    if raw is not None:
        with (
            files.atomic_output(target, overwrite, form.like) as temporary,
            files.system_errors(target),
            open(temporary, "wb") as stream,
        ):
            yield PcmWriter(stream, raw, rate, channels, num_samples), written
    else:
        with open_writer(target, rate, channels, num_samples, overwrite, form) as file:
            yield file, written
