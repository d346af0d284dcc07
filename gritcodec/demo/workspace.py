"""What visitors bring and get: a private folder, gone when the server ends, and addresses nobody can guess."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from gritcodec.errors import GritcodecError, UsageError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    # Windows: folders of killed servers stay there.
    fcntl = None

_PREFIX, _LOCK = "gritcodec-demo-", ".lock"
_NAME_LENGTH = 60
# A visitor has a link of their own by then, see `adopt`.
_UPLOAD_SECONDS = 1800.0


class LeftError(GritcodecError):
    """Nobody waits for the result: the visitor has closed the page, or wishes for something else by now."""


def safe_stem(name: str) -> str:
    """Return a visitor's file name without folders, ending and anything that is not a letter, digit, dash or dot."""
    stem = Path(name.replace("\\", "/")).stem
    return re.sub(r"[^\w.-]+", "-", stem).strip("-._")[:_NAME_LENGTH] or "recording"


class Session:
    """One visitor: a folder, published files, and what the views keep in `things`.

    Attributes:
        folder: private to this visitor.
        things: what the views remember; cleared when another recording is opened.
        lock: held while a view works, so that a visitor's wishes are done one after the other.
    """

    def __init__(self, folder: Path, published: dict[str, tuple[Path, str]]) -> None:
        """Make the folder; `published` is the workspace's table of addresses."""
        folder.mkdir()
        self.folder = folder
        self.things: dict[str, Any] = {}
        self.lock = threading.RLock()
        self.left = False
        self._wish = 0
        self._working_on: int | None = None
        self.touched = time.monotonic()
        self._published = published
        self._tokens: list[str] = []

    def fresh(self, name: str) -> Path:
        """Return the path of a file yet to be written, in a folder of its own."""
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir()
        return folder / name

    def publish(self, path: Path, name: str) -> str:
        """Let the browser fetch a file.

        Args:
            path: a file in `folder`.
            name: under which the visitor would save it.

        Returns:
            The address, relative to the page.
        """
        token = secrets.token_urlsafe(16)
        self._published[token] = path, name
        self._tokens.append(token)
        return f"sound/{token}/{name}"

    def wish(self) -> int:
        """Announce a wish that ends the ones announced before it; return its number."""
        self._wish += 1
        return self._wish

    def begin(self, wish: int | None) -> None:
        """Begin to work on a wish, None for one that was not announced; raise LeftError as `check_presence` does."""
        self._working_on = wish
        self.check_presence()

    def check_presence(self) -> None:
        """Raise LeftError if the visitor has left, or wishes for something else by now."""
        self.touched = time.monotonic()
        if self.left:
            raise LeftError("the page was closed")
        if self._working_on not in (None, self._wish):
            raise LeftError("stopped: something else was asked for")

    def clear(self) -> None:
        """Forget the recording and everything made of it; addresses end with it."""
        self.things.clear()
        for token in self._tokens:
            self._published.pop(token, None)
        self._tokens.clear()
        for entry in self.folder.iterdir():
            shutil.rmtree(entry, ignore_errors=True)


class Workspace:
    """The folder of one server and its visitors."""

    def __init__(self, idle_seconds: float = 7200.0) -> None:
        """Make the folder, readable by this user alone, after removing those of servers that were killed."""
        remove_stale()
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.uploads = self.root / "uploads"
        self.uploads.mkdir()
        self._idle = idle_seconds
        self._guard = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._published: dict[str, tuple[Path, str]] = {}
        self._lock = os.open(self.root / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
        if fcntl is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def session(self, key: str) -> Session:
        """Return the visitor known to the page by `key`, a new one if need be."""
        with self._guard:
            for old in [k for k, s in self._sessions.items() if time.monotonic() - s.touched > self._idle]:
                self._remove(old)
            if key not in self._sessions:
                self._remove_old_uploads()
                # The browser chooses the key: it never becomes a file name.
                self._sessions[key] = Session(self.root / secrets.token_hex(8), self._published)
            self._sessions[key].touched = time.monotonic()
            return self._sessions[key]

    def leave(self, key: str) -> None:
        """Remove everything a visitor had."""
        with self._guard:
            self._remove(key)

    def find(self, token: str) -> tuple[Path, str] | None:
        """Return a published file and its name, or None."""
        return self._published.get(token)

    def close(self) -> None:
        """Remove the folder."""
        with self._guard:
            for key in list(self._sessions):
                self._remove(key)
        shutil.rmtree(self.root, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def _remove_old_uploads(self) -> None:
        for file in self.uploads.rglob("*"):
            with contextlib.suppress(OSError):
                if file.is_file() and time.time() - file.stat().st_ctime > _UPLOAD_SECONDS:
                    file.unlink()

    def _remove(self, key: str) -> None:
        session = self._sessions.pop(key, None)
        if session is not None:
            session.left = True
            session.clear()
            shutil.rmtree(session.folder, ignore_errors=True)


def adopt(session: Session, upload: Path, uploads: Path) -> Path:
    """Give an upload to a visitor: a link of their own, which lives as long as the visit does.

    Args:
        session: the visitor.
        upload: where Gradio has put the file.
        uploads: the folder where uploads are; a path outside it is refused.

    Raises:
        UsageError: the path is none of an upload.
    """
    source = Path(os.path.realpath(upload))
    if not source.is_relative_to(os.path.realpath(uploads)) or not source.is_file():
        raise UsageError("this is no file that was uploaded here")
    target = session.fresh(safe_stem(source.name) + source.suffix[:8])
    try:
        # Two visitors may upload the same bytes, which Gradio keeps once: the file must stay where it is.
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def remove_stale() -> None:
    """Remove the folders of servers that were killed: those whose lock nobody holds."""
    if fcntl is None:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another server may remove it first, or it may belong to somebody else.
        with contextlib.suppress(OSError), _locked(folder / _LOCK):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    assert fcntl is not None
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
