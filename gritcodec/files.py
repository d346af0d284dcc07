"""Output files that appear under their name only when whole, and the checks that come before the work."""

import errno
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import IO, BinaryIO

from gritcodec.errors import FormatError, OutputError, UsageError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    # Windows: temporary files of killed processes stay there.
    fcntl = None

PathLike = str | os.PathLike[str]


_PREFIX, _ENDING = ".gritcodec-", ".part"
# A file so young may be one that its writer has yet to lock.
_STALE_SECONDS = 60.0


def named(text: str) -> str:
    """Return a name of a file or folder as typed; UsageError where it is empty: Path would take the current folder."""
    if text == "":
        raise UsageError("a name is empty; the current folder is called .")
    return text


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


@contextmanager
def open_bytes(path: PathLike) -> Iterator[BinaryIO]:
    """Open a file for reading; errors as in `read_bytes`."""
    require_file(path)
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(open(path, "rb"))
        except OSError as error:
            raise FormatError(f"cannot read {path}: {error.strerror or error}") from error
        yield stream


def is_appended(stream: IO[bytes]) -> bool:
    """Whether all that is written to an open file goes to its end, as with >> in a shell."""
    if fcntl is None:
        return False
    return bool(fcntl.fcntl(stream.fileno(), fcntl.F_GETFL) & os.O_APPEND)


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
def atomic_output(path: PathLike, overwrite: bool = True, like: PathLike | None = None) -> Iterator[Path]:
    """Give a temporary file to write, and make it the file `path` when the block ends without an error.

    Args:
        path: the final name. The temporary file lies in the same folder, so that renaming it is one step.
        overwrite: whether a file of that name may be replaced.
        like: a file whose permissions a new one gets, as cp does it; one that is replaced keeps its own.

    Yields:
        The temporary file, existing and empty. On any error, Ctrl-C included, it is removed.

    Raises:
        UsageError: as in `check_output`.
        OutputError: the system refuses to create, sync or rename the file.
    """
    target = check_output(path, overwrite)
    temporary = target.with_name(f"{_PREFIX}{secrets.token_hex(6)}{_ENDING}")
    _remove_stale(target.parent)
    lock: int | None = None
    try:
        with system_errors(path):
            lock = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            _try_lock(lock)
            mode = _mode(target, like, os.fstat(lock).st_mode & 0o777)
            # What nobody else may read of the source, nobody may read of what is half made of it.
            temporary.chmod(0o600)
        yield temporary
        with system_errors(path):
            _sync(temporary)
            check_output(path, overwrite)
            _give_mode(temporary, target, mode)
            temporary.replace(target)
            _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def new_folders(*folders: Path) -> Iterator[None]:
    """Make folders that are missing, and those above them; what is still empty when the block ends goes again.

    Raises:
        OutputError: the system refuses to make one.
    """
    made: list[Path] = []
    try:
        for folder in folders:
            with system_errors(folder):
                for each in reversed((folder, *folder.parents)):
                    if not each.exists():
                        each.mkdir(exist_ok=True)
                        made.append(each)
                # A file in its place is refused here.
                folder.mkdir(exist_ok=True)
        yield
    finally:
        for each in reversed(made):
            # Another one has put something there, or has removed it.
            with suppress(OSError):
                each.rmdir()


def write_all(contents: Sequence[tuple[Path, bytes]]) -> None:
    """Write files beside each other when all of them are there, the last one last; on an error none is new.

    Raises:
        UsageError, OutputError: as in `atomic_output`.
    """
    fresh = [path for path, _ in contents if not path.exists()]
    try:
        with ExitStack() as stack:
            # What is opened first appears last.
            for path, data in reversed(contents):
                temporary = stack.enter_context(atomic_output(path))
                with system_errors(path):
                    temporary.write_bytes(data)
    except BaseException:
        for path in fresh:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def _mode(target: Path, like: PathLike | None, usual: int) -> int:
    """Return the permissions of an output: as `usual` for a new file, never more than those of the file it is like."""
    if target.exists():
        return target.stat().st_mode & 0o777
    if like is not None and Path(like).is_file():
        return Path(like).stat().st_mode & usual
    return usual


def _give_mode(temporary: Path, target: Path, mode: int) -> None:
    """Give the finished file the permissions and, where the system lets us, the owner of the one it replaces."""
    if target.exists() and hasattr(os, "chown"):
        there = target.stat()
        with suppress(OSError):
            os.chown(temporary, there.st_uid, there.st_gid)
    # Some file systems have no permissions.
    with suppress(OSError):
        temporary.chmod(mode)


def write_bytes(path: PathLike, data: bytes, overwrite: bool = True, like: PathLike | None = None) -> None:
    """Write a whole file or nothing; errors as in `atomic_output`."""
    with atomic_output(path, overwrite, like) as temporary, system_errors(path):
        temporary.write_bytes(data)


@contextmanager
def system_errors(path: PathLike) -> Iterator[None]:
    """Turn an OSError inside the block into an OutputError that names the file the user asked for."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _remove_stale(folder: Path) -> None:
    """Remove temporary files whose writer was killed: old ones that no process has locked."""
    if fcntl is None:
        return
    for part in folder.glob(f"{_PREFIX}*{_ENDING}"):
        # Another process may remove it first, or it may belong to somebody else.
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                handle = os.open(part, os.O_RDWR)
                try:
                    if _try_lock(handle):
                        part.unlink()
                finally:
                    os.close(handle)


def _try_lock(handle: int) -> bool:
    """Lock an open file until it is closed; False where another process has it, or files cannot be locked."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return fcntl is not None


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
