"""Where sound comes from: a file or a pipe, opened once, read forwards, with a way back while it is not settled."""

import errno
import os
import sys
import tempfile
from typing import Any

from gritcodec.errors import AudioError
from gritcodec.files import PathLike, require_file

PIPE = "-"
# Of what a pipe gives, so much is held in memory where it may be needed once more; the rest lies in a temporary file.
_IN_MEMORY = 1 << 24
_READ = 1 << 16


def is_no_place(error: OSError | OverflowError) -> bool:
    """Whether a seek failed because no file has that place, of which a damaged header may tell."""
    return isinstance(error, OverflowError) or error.errno == errno.EINVAL


class Input:
    """A binary stream.

    Attributes:
        name: of it in messages.
        path: of a plain file; None for a pipe, a device, or a stream that was given.
        seekable: whether it has an end that is known, and parts that can be reached.
    """

    def __init__(self, stream: Any, name: str, path: str | None = None, close: bool = True) -> None:
        """Begin where a readable binary stream stands."""
        self.name, self.path = name, path
        self._stream, self._close = stream, close
        self.seekable: bool = stream.seekable()
        self._kept: Any = None if self.seekable else tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._ahead = b""
        self._at = 0

    def close(self) -> None:
        """Close it, standard input excepted."""
        if self._kept is not None:
            self._kept.close()
        if self._close:
            self._stream.close()

    def read(self, size: int) -> bytes:
        """Return that many bytes; fewer at the end alone."""
        parts = []
        while size > 0 and (part := self.read1(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def read1(self, size: int) -> bytes:
        """Return up to that many bytes, as many as are there; none at the end."""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            data = self._from_stream(size)
        self._at += len(data)
        return data

    def peek(self, size: int) -> bytes:
        """Return the next bytes without taking them; fewer at the end alone."""
        while len(self._ahead) < size and (more := self._from_stream(size - len(self._ahead))):
            self._ahead += more
        return self._ahead[:size]

    def skip(self, size: int) -> int:
        """Pass over bytes; return how many there were."""
        if self.seekable and size > _READ:
            here, end = self._at, self.length()
            self.seek(min(here + size, end))
            return self._at - here
        left = size
        while left > 0 and (part := self.read1(min(left, _READ))):
            left -= len(part)
        return size - left

    def tell(self) -> int:
        """Return how many bytes have gone by."""
        return self._at

    def seek(self, position: int) -> None:
        """Go to a place, where the input is seekable; further than a file can be is its end."""
        try:
            self._stream.seek(position)
        except (OSError, OverflowError) as error:
            if not is_no_place(error):
                raise
            position = int(self._stream.seek(0, os.SEEK_END))
        self._ahead, self._at = b"", position

    def length(self) -> int:
        """Return the bytes of a seekable input."""
        end = int(self._stream.seek(0, os.SEEK_END))
        self._stream.seek(self._at + len(self._ahead))
        return end

    def settle(self) -> None:
        """Keep nothing more of a pipe: there is no way back from here."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def rewound(self) -> Any:
        """Return a seekable stream of everything from the beginning on; a pipe is read to its end for it."""
        if self.seekable:
            self.seek(0)
            return self._stream
        while self._from_stream(_READ):
            pass
        self._kept.seek(0)
        return self._kept

    def _from_stream(self, size: int) -> bytes:
        try:
            # A pipe's read1 gives what is there, and waits for no more.
            data: bytes = getattr(self._stream, "read1", self._stream.read)(size) or b""
        except OSError as error:
            raise AudioError(f"cannot read {self.name}: {error.strerror or error}") from error
        if self._kept is not None:
            self._kept.write(data)
        return data


def open_input(source: PathLike, may_be_empty: bool = False) -> Input:
    """Open a file, a named pipe or device, or - for standard input.

    Raises:
        UsageError: there is no such file, or it is a folder.
        AudioError: the system refuses to read it, or it is empty.
    """
    if str(source) == PIPE:
        stdin: Any = sys.stdin.buffer
        # Redirected from a file; where somebody else has read a part of it, it is as a pipe.
        whole = stdin.seekable() and stdin.tell() == 0
        return Input(stdin if whole else _Forward(stdin), "standard input", close=False)
    require_file(source)
    try:
        stream = open(source, "rb")  # noqa: SIM115 - closed with the input
    except OSError as error:
        raise AudioError(f"cannot read {source}: {error.strerror or error}") from error
    plain = stream.seekable() and os.path.isfile(source)  # noqa: PTH113 - /dev/stdin is followed to what it is
    if plain and not may_be_empty and os.fstat(stream.fileno()).st_size == 0:
        stream.close()
        raise AudioError(f"{source} is empty (0 bytes)")
    return Input(stream if plain else _Forward(stream), str(source), os.fspath(source) if plain else None)


class _Forward:
    """A stream that is read forwards alone."""

    def __init__(self, stream: Any) -> None:
        self.read1, self.close = stream.read1, stream.close

    def read(self, size: int) -> Any:
        return self.read1(size)

    def seekable(self) -> bool:
        """It is not."""
        return False
