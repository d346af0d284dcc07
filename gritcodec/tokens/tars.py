"""Tar files: written with the same bytes whenever and by whomever, read to their very end."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gritcodec.errors import FormatError
from gritcodec.files import atomic_output, open_bytes, system_errors

_END = bytes(1024)
_BLOCK = 512


def npy(array: Any) -> bytes:
    """Return an array as the bytes of a .npy file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def require_end(path: Path) -> None:
    """Refuse a tar that was cut between two members, which nobody would miss otherwise, with FormatError."""
    with open_bytes(path) as stream:
        stream.seek(max(path.stat().st_size - len(_END), 0))
        if stream.read() != _END:
            raise FormatError(f"{path} is cut: it lacks the end of a tar")


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar that is read by its path.

    Raises:
        tarfile.ReadError: it goes on, or breaks off, after the last of them. tarfile takes a header that is damaged or
            cut for the end, and all that follows is missed without a word (findings/tarfile-silent-end.sh).
    """
    yield from archive
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    block = archive.fileobj.read(_BLOCK)
    if block != bytes(_BLOCK):
        what = "a header is damaged" if len(block) == _BLOCK else "the mark of the end is missing"
        raise tarfile.ReadError(f"{what} at {archive.offset:,} bytes")


def write(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a tar, whole or not at all."""
    with (
        atomic_output(path) as temporary,
        system_errors(path),
        tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
