"""What a run was made with: kept in its folder, so that its numbers can be believed later."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

FILE = "environment.jsonl"
_PACKAGES = ("gritcodec", "torch", "accelerate", "numpy", "auraloss", "librosa", "torchaudio", "safetensors")


def revision() -> str | None:
    """Git commit of the source, with `+` when files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        return commit + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def record(folder: Path, step: int, processes: int, device: str, precision: str) -> None:
    """Add a line to the run's environment.jsonl: one each time it is started or resumed."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    line: dict[str, Any] = {
        "step": step,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "processes": processes,
        "device": device,
        "precision": precision,
        "packages": versions,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
