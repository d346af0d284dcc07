"""Tools of others, which may be missing except where CI says that they may not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def tool(name: str) -> str:
    """Return the path of a tool; skip the test where it is missing and GRITCODEC_PEERS does not require it."""
    path = shutil.which(name)
    if path is None and os.environ.get("GRITCODEC_PEERS") != "required":
        pytest.skip(f"{name} is not installed")
    assert path, f"{name} is not installed"
    return path


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command and return what came of it."""
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
