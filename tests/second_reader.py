"""What the second reader (tests/second-reader) and the package see in a file, in the same words; by public calls."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import gritcodec
from gritcodec import bitstream

NODE = shutil.which("node")
PROGRAM = Path(__file__).parent / "second-reader" / "gritcodes.mjs"

View = dict[str, Any]


def run_node(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the second reader; it may refuse and find damage, and nothing else may go wrong."""
    command = [str(NODE), str(PROGRAM), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode in (0, 1, 3) and not result.stderr, result.stderr
    return result


def second_views(folder: Path, files: dict[str, bytes], *options: object) -> dict[str, list[View]]:
    """Return what the second reader sees in each file, chained ones one after the other."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    seen: dict[str, list[View]] = {name: [] for name in files}
    for line in run_node(*(folder / name for name in files), *options).stdout.splitlines():
        view = json.loads(line)
        seen[Path(view["file"]).name].append(view)
    return seen


def merged(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return intervals of frames with neighbours put together."""
    out: list[tuple[int, int]] = []
    for first, last in sorted(piece for piece in pieces if piece[0] < piece[1]):
        if out and out[-1][1] >= first:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        else:
            out.append((first, last))
    return out


def digest(codes: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(codes, dtype="<u2").tobytes()).hexdigest()


def whole(value: int | str | None) -> int | None:
    """Return a number that may have been too large for a number of JSON."""
    return None if value is None else int(value)


def is_note(hole: View) -> bool:
    """Return whether the second reader tells something that the package does not count as damage."""
    return hole["kind"] in ("other file", "index wrong")


def from_second(view: View) -> View:
    """Return the JSON of one file in the words of `from_library`."""
    if "items" not in view:
        return {"refused": True}
    items: list[tuple[object, ...]] = []
    for item in view["items"]:
        start = item["position"]
        if item["kind"] == "packet":
            assert "noCodes" not in item, item
            if "lost" not in item:
                items.append(("packet", start, item["frames"], item["stages"], item["bytes"], item["codes"]))
        elif item["kind"] == "pause":
            items.append(("pause", start, item["frames"], bytes(item["noise"]).hex(), item["bytes"]))
        else:
            items.append(("chunk", start, int(item["mark"], 16), item["payload"], item["bytes"]))
    header = view["header"]
    return {
        "refused": bool(view.get("refused")) and "contradicts" not in view,
        "items": items,
        "lost": merged([(hole["from"], hole["to"]) for hole in view["damage"] if hole["kind"] == "lost"]),
        "ended": view["end"] is not None,
        "contradicts": "contradicts" in view and view["end"] is not None and not view["damage"],
        "sound": not [hole for hole in view["damage"] if not is_note(hole)],
        "header": [header[name] for name in ("fingerprint", "sampleRate", "channels", "coding", "codeBits", "stages")]
        + [header["packetFrames"], view["samples"], header["tags"], header.get("startTrim", 0)]
        + [header.get("firstSegment"), header.get("keyFrames"), whole(header.get("startTime")), header.get("encoder")]
        + [header.get("gain"), header.get("channelMask"), bool(header.get("fromEnd"))],
    }


def from_library(reader: bitstream.Reader) -> View:
    """Return what the package sees in the file that a new reader is at."""
    items: list[tuple[object, ...]] = []
    pieces, lost, refused = [], [], False
    try:
        for item in reader.items():
            pieces.append(item)
            if isinstance(item, bitstream.Packet):
                codes = reader.codes(item) if item.body is not None else None
                if codes is None:
                    lost.append((item.start, item.start + item.frames))
                else:
                    items.append(("packet", item.start, item.frames, item.stages, item.size, digest(codes)))
            elif isinstance(item, bitstream.Pause):
                items.append(("pause", item.start, item.frames, item.noise.hex(), item.size))
            else:
                items.append(("chunk", item.start, item.mark, item.payload.hex(), item.size))
    except gritcodec.FormatError:
        refused = True
    header = reader.header
    contradicts = False
    if reader.ended and not reader.damage and not refused:
        contents = bitstream.Contents(header, False, pieces, [], reader.header_bytes, reader.ending_bytes)
        try:
            bitstream.segments_of(contents)
        except gritcodec.FormatError:
            contradicts = True
    return {
        "refused": refused,
        "contradicts": contradicts,
        "items": items,
        "lost": merged(lost),
        "ended": reader.ended,
        "sound": not reader.damage,
        "header": [
            header.fingerprint.hex(),
            header.sample_rate,
            header.channels,
            header.coding,
            header.code_bits,
            header.stages,
            header.packet_frames,
            header.num_samples,
            [list(tag) for tag in header.tags],
            header.start_trim,
            header.first_segment,
            header.key_frames,
            header.start_time,
            header.encoder,
            header.gain,
            header.channel_mask,
            reader.header_bytes == 0,
        ],
    }


def library_views(data: bytes, contexts: bitstream.ContextModel | None) -> list[View]:
    """Return what the package sees in a file and those chained to it."""
    views: list[View] = []
    try:
        reader: bitstream.Reader | None = bitstream.Reader(io.BytesIO(data))
    except gritcodec.FormatError:
        return [{"refused": True}]
    first = reader.header if reader is not None else None
    while reader is not None and first is not None:
        header = reader.header
        if (header.sample_rate, header.channels, header.fingerprint) != (
            first.sample_rate,
            first.channels,
            first.fingerprint,
        ):
            break  # a player does not go on with it
        reader.use(contexts)
        views.append(from_library(reader))
        try:
            reader = reader.following()
        except gritcodec.FormatError:
            reader = None
    return views


def differences(seen: list[View], known: list[View]) -> list[str]:
    """Return in what the two differ, one line for each."""
    out = [] if len(seen) == len(known) else [f"{len(seen)} files, and {len(known)}"]
    for number, (one, two) in enumerate(zip(seen, known, strict=False)):
        for name in one.keys() | two.keys():
            if one.get(name) != two.get(name):
                a, b = one.get(name), two.get(name)
                if name == "items" and a and b:
                    a, b = sorted(set(a) - set(b), key=str), sorted(set(b) - set(a), key=str)
                out.append(f"file {number}, {name}: second reader {a}, package {b}")
    return out


def compare(files: dict[str, bytes], contexts: bitstream.ContextModel | None, folder: Path, *options: object) -> str:
    """Return in what the two readers differ, a line for each difference."""
    seen = second_views(folder, files, *options)
    lines = []
    for name, data in files.items():
        views = [from_second(view) for view in seen[name]]
        lines += [f"{name}: {line}" for line in differences(views, library_views(data, contexts))]
    return "\n".join(lines)
