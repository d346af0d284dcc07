"""The corpus in parts, for machines that take only files of limited size."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from gritcodec.train.packing import AUDIO, MANIFEST, write_text

PART_BYTES = 47 * 2**20  # below the 48 MiB such machines take, and a whole number of samples
INDEX = "parts.json"


def write_shards(corpus: Path, folder: Path) -> int:
    """Split audio.int16 into parts that `cat` puts together again, beside the manifest.

    Args:
        corpus: folder of a complete corpus.
        folder: receives audio-000.int16 and so on, manifest.jsonl, and parts.json with sizes and SHA-256.

    Returns:
        The number of parts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    for old in folder.glob("audio-[0-9]*.int16"):
        old.unlink()
    parts: list[dict[str, str | int]] = []
    with (corpus / AUDIO).open("rb") as audio:
        while block := audio.read(PART_BYTES):
            name = f"audio-{len(parts):03d}.int16"
            partial = folder / f"{name}.partial"
            partial.write_bytes(block)
            partial.replace(folder / name)
            parts.append({"file": name, "bytes": len(block), "sha256": hashlib.sha256(block).hexdigest()})
    # What other files than audio.int16 hold, as synthesize.py adds it, stays behind.
    lines = (corpus / MANIFEST).read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if json.loads(line).get("audio", AUDIO) == AUDIO]
    write_text(folder / MANIFEST, "".join(f"{line}\n" for line in kept))
    write_text(folder / INDEX, json.dumps({"parts": parts}, indent=1) + "\n")
    return len(parts)
