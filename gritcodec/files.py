"""Output files that appear under their name only when whole, and the checks that come before the work."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gritcodec.errors import FormatError, OutputError, UsageError

PathLike = str | os.PathLike[str]


def require_file(path: PathLike) -> None:
    """Refuse an input that is not there, with UsageError."""
    if Path(path).is_dir():
        raise UsageError(f"{path} is a folder, not a file")
    if not Path(path).exists():
        raise UsageError(f"there is no file {path}")


def require_distinct(source: PathLike, target: PathLike) -> None:
    """Refuse to write a file over the one being read, with UsageError."""
    if Path(source).exists() and Path(target).exists() and Path(source).samefile(target):
        raise UsageError(f"input and output are the same file: {target}")


def read_bytes(path: PathLike) -> bytes:
    """Read a whole file; UsageError where there is none, FormatError where the system refuses to read it."""
    require_file(path)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from error


def check_output(path: PathLike, overwrite: bool) -> Path:
    """Refuse an output that could not be written at the end of the work; nothing is created.

    Returns:
        The file to write, with symbolic links followed.

    Raises:
        UsageError: the folder is missing, or the name is taken: by a folder or a device, or by a file while
            `overwrite` is False.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {target.parent}")
    if target.exists():
        # Renaming a finished file over a device or a pipe would replace it by a plain file.
        if not target.is_file():
            raise UsageError(f"cannot write {path}: it is not a regular file")
        if not overwrite:
            raise UsageError(f"{path} exists already: use --force to replace it")
    return target


@contextmanager
def atomic_output(path: PathLike, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary file to write, and make it the file `path` when the block ends without an error.

    Args:
        path: the final name. The temporary file lies in the same folder, so that renaming it is one step.
        overwrite: whether a file of that name may be replaced.

    Yields:
        The temporary file, existing and empty. On any error, Ctrl-C included, it is removed.

    Raises:
        UsageError: as in `check_output`.
        OutputError: the system refuses to create, sync or rename the file.
    """
    target = check_output(path, overwrite)
    temporary = target.with_name(f".gritcodec-{secrets.token_hex(6)}.part")
    try:
        with system_errors(path):
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        yield temporary
        with system_errors(path):
            _sync(temporary)
            check_output(path, overwrite)
            temporary.replace(target)
            _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: PathLike, data: bytes, overwrite: bool = True) -> None:
    """Write a whole file or nothing; errors as in `atomic_output`."""
    with atomic_output(path, overwrite) as temporary, system_errors(path):
        temporary.write_bytes(data)


@contextmanager
def system_errors(path: PathLike) -> Iterator[None]:
    """Turn an OSError inside the block into an OutputError that names the file the user asked for."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _sync(path: Path) -> None:
    """Flush a file or a folder to the device; not every file system lets a folder be synced."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP, errno.EBADF)):
            raise
    finally:
        os.close(handle)
