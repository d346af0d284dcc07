"""A view that moves forward over a file or a pipe, and sees no further than it must."""

import io
from typing import Any

_READ = 1 << 16


class Window:
    """Bytes of a stream from a position on; what was passed is let go.

    Attributes:
        position: in the stream, of the first byte in view.
    """

    def __init__(self, stream: Any) -> None:
        """Begin where a readable binary stream stands; a pipe is not asked for more than it has ready."""
        self.position = 0
        self._stream = stream
        # read1() gives what is there; read() of a buffered pipe waits until it has everything it was asked for.
        self._read = getattr(stream, "read1", stream.read)
        self._data = b""
        self._at = 0

    def view(self, start: int, size: int) -> bytes:
        """Return `size` bytes that begin `start` bytes into the view; fewer only where the stream ends."""
        need = self._at + start + size
        if need > len(self._data):
            self._fill(need - len(self._data))
        return self._data[self._at + start : self._at + start + size]

    def skip(self, size: int) -> int:
        """Move on; return by how many bytes, less than `size` only where the stream ends."""
        moved = len(self.view(0, size)) if size > len(self._data) - self._at else size
        self._at += moved
        self.position += moved
        return moved

    def seekable(self) -> bool:
        """Whether `tail` and `move` work."""
        return bool(self._stream.seekable())

    def tail(self, size: int) -> tuple[bytes, int]:
        """Return the last bytes of the stream and its length; what is in view stays."""
        here = self._stream.tell()
        length = self._stream.seek(0, io.SEEK_END)
        self._stream.seek(max(length - size, 0))
        data = _read_fully(self._stream, size)
        self._stream.seek(here)
        return data, length

    def move(self, position: int) -> None:
        """Go to a position counted from the beginning of the stream."""
        self._stream.seek(position)
        self._data, self._at, self.position = b"", 0, position

    def _fill(self, missing: int) -> None:
        pieces = [self._data[self._at :]]
        self._at = 0
        while missing > 0 and (piece := self._read(max(missing, _READ))):
            pieces.append(piece)
            missing -= len(piece)
        self._data = b"".join(pieces)


def _read_fully(stream: Any, size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
