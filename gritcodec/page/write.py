"""`gritcodec page OUT`: the page's files and a model's weights into a folder."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from importlib import resources
from pathlib import Path

from gritcodec import files, model_store
from gritcodec.bitstream import parse_header
from gritcodec.errors import UsageError
from gritcodec.model_store import Model
from gritcodec.page import weights

_WORKER = "sw.js"
_INDEX = "index.html"
# What is heard beside each other, by benchmarks/page_samples.py; the original is the package's clip.
_SAMPLES = "samples/"
_LIST = _SAMPLES + "list.json"
ORIGINAL = "original.flac"


def write(out: str | os.PathLike[str], model: str = "speech-16k", overwrite: bool = False) -> list[Path]:
    """Write the page into a folder, from which any web server serves it.

    Args:
        out: the folder; it is made where it is missing. What else is in it stays, but for weights of other releases.
        model: the name of a shipped model, or a folder.
        overwrite: whether a page that is there is replaced, and a folder of other things written into.

    Returns:
        The files written.

    Raises:
        UsageError: `out` is a file, or the root of the file system, or there is something in it already.
        ModelError: there is no such model, or it is none that runs in a browser.
        OutputError: a file cannot be written; then nothing is there that was not before.
    """
    folder = Path(files.named(os.fspath(out)))
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a folder")
    if folder.resolve() == folder.resolve().parent:
        raise UsageError(f"{folder} is the root of the file system: name a folder for the page")
    if not overwrite:
        _refuse_what_is_there(folder)
    made = contents(model)
    # The page that names the others comes last.
    written = [folder / name for name in sorted(made, key=lambda name: (name == _INDEX, name))]
    with files.new_folders(*dict.fromkeys(path.parent for path in written)):
        files.write_all([(path, made[path.relative_to(folder).as_posix()]) for path in written])
    with files.system_errors(folder):
        # Pages of before had them unpacked.
        for stale in (folder / "weights").iterdir():
            if stale.name.endswith((".safetensors", ".safetensors.gz")) and stale not in written:
                stale.unlink()
    return written


def contents(model: str = "speech-16k") -> dict[str, bytes]:
    """Return the page's files by their names, `index.html` and what it needs.

    Weights are named after what is in them, so that a browser may keep them for ever. Samples are there with the
    model that made them; a browser takes them when they are played.
    """
    found = model_store.read(model_store.resolve(model))
    samples = _samples(found)
    made = {name: data for name, data in _static().items() if name not in (_INDEX, _WORKER)} | samples
    named = {}
    for name, data in weights.files(found).items():
        kind = name.partition(".")[0]
        # A tenth less to fetch from any server. Where one says that .gz is an encoding, the browser unpacks it.
        named[kind] = f"weights/{kind}-{hashlib.sha256(data).hexdigest()[:8]}.safetensors.gz"
        made[named[kind]] = gzip.compress(data, 9, mtime=0)
    index = _static()[_INDEX].decode()
    index = index.replace("@PLAYER@", named["player"]).replace("@ENCODER@", named.get("encoder", ""))
    index = index.replace("@SAMPLES@", "yes" if samples else "")
    made[_INDEX] = index.encode()
    later = ("weights/", _SAMPLES)
    shell = ["./", *sorted(name for name in made if (not name.startswith(later) or name == _LIST) and name != _INDEX)]
    version = hashlib.sha256(b"".join(made[_INDEX if name == "./" else name] for name in shell))
    head = {"VERSION": version.hexdigest()[:16], "FILES": shell, "WEIGHTS": sorted(named.values())}
    lines = [f"const {name} = {json.dumps(value)}\n" for name, value in head.items()]
    made[_WORKER] = "".join(lines).encode() + _static()[_WORKER]
    return made


def _refuse_what_is_there(folder: Path) -> None:
    with files.system_errors(folder):
        if not folder.exists() or not any(folder.iterdir()):
            return
        worker = folder / _WORKER
        ours = (folder / _INDEX).exists() and worker.is_file() and b"gritcodec" in worker.read_bytes()
    if ours:
        raise UsageError(f"there is a page in {folder} already: --force replaces it")
    raise UsageError(f"{folder} is not empty, and holds no page of gritcodec: name another folder, or --force")


def _samples(model: Model) -> dict[str, bytes]:
    """Return the samples by their names, where the model is the one that made them."""
    folder = resources.files("gritcodec.page") / "static" / "samples"
    found = {_SAMPLES + path.name: path.read_bytes() for path in folder.iterdir()}
    made = next(data for name, data in found.items() if name.endswith(".grit"))
    if parse_header(made)[0].fingerprint != model.fingerprint:
        return {}
    clip = resources.files("gritcodec") / "clips" / "austen.flac"
    return found | {_SAMPLES + ORIGINAL: clip.read_bytes()}


def _static() -> dict[str, bytes]:
    """Return the files of the package by their names."""
    root = resources.files("gritcodec.page") / "static"
    found = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    return found | {
        f"{folder.name}/{path.name}": path.read_bytes()
        for folder in root.iterdir()
        if folder.is_dir() and folder.name != "samples"
        for path in folder.iterdir()
    }
