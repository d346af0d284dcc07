"""What the views remember of a visit, by name and type: all of it is in `Session.things`."""

import shutil

from gritcodec import messages
from gritcodec.demo.blindtest import Examiner
from gritcodec.demo.coding import Recording, Take
from gritcodec.demo.workspace import Session
from gritcodec.errors import UsageError


def one_line(error: Exception, session: Session | None = None) -> str:
    """Return an error as one line, without the names of folders on this machine."""
    _, text = messages.explain(error)
    opened = session.things.get("recording") if session else None
    if isinstance(opened, Recording):
        text = text.replace(str(opened.path), opened.name)
    return text if session is None else text.replace(f"{session.folder}/", "")


def take_addresses(session: Session) -> dict[float, dict[str, str]]:
    """Return the addresses of the visitor's takes, by bitrate."""
    addresses: dict[float, dict[str, str]] = session.things.setdefault("addresses", {})
    return addresses


def takes(session: Session) -> dict[float, Take]:
    """Return the visitor's takes, by bitrate."""
    made: dict[float, Take] = session.things.setdefault("takes", {})
    return made


def drop_takes(session: Session) -> None:
    """Remove the visitor's takes, files and addresses."""
    for take in takes(session).values():
        shutil.rmtree(take.grit.parent, ignore_errors=True)
    takes(session).clear()
    take_addresses(session).clear()


def recording(session: Session) -> Recording:
    """Return the open recording; UsageError without one."""
    opened = session.things.get("recording")
    if not isinstance(opened, Recording):
        raise UsageError("choose a recording first")
    return opened


def examiner(session: Session) -> Examiner:
    """Return who asks the questions of the blind test."""
    found: Examiner = session.things.setdefault("examiner", Examiner())
    return found


def forget(session: Session) -> None:
    """Forget the recording; the score of the blind test stays."""
    kept = examiner(session)
    kept.trial = None
    session.clear()
    session.things["examiner"] = kept
