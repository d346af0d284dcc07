"""The command's entry, `python -m gritcodec` too: light, so that Ctrl-C is heeded before anything is imported."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see `gritcodec.cli.app.main`."""
    # Where it is ignored, as in the background of a script, it stays so.
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    from gritcodec.cli.app import main as run

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run(arguments)


def _leave(number: int, frame: Any) -> None:
    """End at once: nothing is begun yet, and an exception could be lost, or told, inside an import."""
    os.write(2, b"gritcodec: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
