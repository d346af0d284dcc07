"""Debian packages: fetched with apt-get or found in a folder, then unpacked with dpkg-deb."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from sources import refuse_reserved_package

from gritcodec.train.packing import RecipeError, fresh_folder


def require_program(name: str) -> str:
    """Return the path of a program, or raise RecipeError that says which one is not there."""
    found = shutil.which(name)
    if found is None:
        raise RecipeError(f"{name} is not on this machine: the recipe needs Debian or a system derived from it")
    return found


def _run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    # LC_ALL=C keeps apt's message, which goes into ours, in one language.
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace", env=environment)


def _last_complaint(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "dpkg-deb: error"))]
    return (errors or lines or ["no reason given"])[-1]


def find_deb(folder: Path, package: str) -> Path | None:
    """Return the newest file of `package` in `folder` (named package_version_arch.deb), or None."""
    files = sorted(folder.glob(f"{package}_*.deb"), key=lambda file: file.stat().st_mtime)
    return files[-1] if files else None


def download(package: str, folder: Path) -> Path:
    """Fetch `package` into `folder` with `apt-get download`, which needs no root and installs nothing.

    Args:
        package: name of the Debian package.
        folder: where the .deb file is kept.

    Returns:
        The .deb file; it appears there only when it is whole.

    Raises:
        RecipeError: when the package is reserved, or cannot be had.
    """
    refuse_reserved_package(package)
    program = require_program("apt-get")
    partial = fresh_folder(folder / f"{package}.partial")
    try:
        done = _run([program, "--quiet", "download", package], cwd=partial)
        fetched = find_deb(partial, package)
        if done.returncode != 0 or fetched is None:
            raise RecipeError(f"package {package} is not to be had: {_last_complaint(done.stderr)}")
        final = folder / fetched.name
        fetched.replace(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def unpack(deb: Path, package: str, folder: Path) -> Path:
    """Unpack a .deb file.

    Args:
        deb: the file.
        package: the package it must hold.
        folder: receives a folder named after the file.

    Returns:
        The folder with the package's files; it exists under that name only when it is whole.

    Raises:
        RecipeError: when the file is damaged, holds another package, or a reserved one.
    """
    program = require_program("dpkg-deb")
    final = folder / deb.stem
    asked = _run([program, "--field", str(deb), "Package"])
    if asked.returncode != 0:
        raise RecipeError(f"{deb} is not a Debian package: {_last_complaint(asked.stderr)}")
    # The name inside counts: a reserved package under another file name must not slip in.
    refuse_reserved_package(asked.stdout.strip())
    if asked.stdout.strip() != package:
        raise RecipeError(f"{deb} holds the package {asked.stdout.strip()}, not {package}")
    if final.is_dir():
        return final
    partial = fresh_folder(folder / f"{deb.stem}.partial")
    try:
        done = _run([program, "--extract", str(deb), str(partial)])
        if done.returncode != 0:
            raise RecipeError(f"cannot unpack {deb}: {_last_complaint(done.stderr)}")
        partial.replace(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final
