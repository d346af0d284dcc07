"""Writes those golden files that are missing; the others never change.

    python tests/golden/make.py

For ever after, tests/test_golden.py checks that every .grit file here is read as the codes beside it.
"""

from dataclasses import replace
from pathlib import Path

import contexts  # beside this file
import numpy as np

from gritcodec import bitstream
from gritcodec.bitstream import Body, Header, LiveWriter

HERE = Path(__file__).parent
CONTEXTS = HERE / "v1-contexts.npz"


def write(name: str, data: bytes, codes: list[np.ndarray]) -> None:
    """Write a file and its codes: uint16 [channels, stages, frames] of every packet."""
    path = HERE / f"{name}.grit"
    if not path.exists():
        path.write_bytes(data)
        np.savez_compressed(path.with_suffix(".npz"), *codes)


def golden_contexts() -> bitstream.ContextModel:
    """What the entropy-coded file is read with."""
    with np.load(CONTEXTS) as archive:
        return bitstream.ContextModel({name: archive[name] for name in archive.files})


def bodies_of(header: Header, codes: np.ndarray) -> list[Body]:
    """Pack codes [channels, stages, frames] into packets."""
    coding = bitstream.coding_for(header, golden_contexts() if header.coding else None)
    starts = range(0, codes.shape[2], header.packet_frames)
    parts = [codes[:, :, start : start + header.packet_frames] for start in starts]
    return [Body(part.shape[1], part.shape[2], coding.pack(part)) for part in parts]


def main() -> None:
    """Write a mono file within a budget, a stereo one with odd numbers and tags, a live and an entropy-coded one."""
    draw = np.random.default_rng(20)
    fingerprint = bytes.fromhex("0123456789abcdef")
    mono = Header(fingerprint, 16000, 1, 12 * 16000, 3)
    codes = draw.integers(0, 1024, (1, 3, 601))
    stereo = Header(fingerprint, 44100, 2, 100_000, 4, 7, 50, 7500, tags=(("title", "Emma"), ("Ä", "")))
    odd = draw.integers(0, 128, (2, 4, 171))
    live = replace(mono, num_samples=None, stages=2)
    writer = LiveWriter(live, 1.0)
    entropy = Header(fingerprint, 16000, 2, 150 * 320, 3, 6, coding=bitstream.ENTROPY)
    if not CONTEXTS.exists():
        np.savez_compressed(CONTEXTS, **contexts.tensors())
    coded = contexts.likely_codes(golden_contexts(), 2, 3, 150)
    coded[:, 1, 64:] = draw.integers(0, 64, (2, 86))  # too dear: stored plain
    files = {
        "mono": bitstream.assemble_within(mono, bodies_of(mono, codes), 1.5),
        "stereo": bitstream.assemble(stereo, bodies_of(stereo, odd)),
        "live": b"".join(
            [writer.begin(), *map(writer.add, bodies_of(live, codes[:, :2, :700])), writer.finish(12 * 16000)]
        ),
        "entropy": bitstream.assemble(entropy, bodies_of(entropy, coded)),
        "empty": bitstream.assemble(replace(mono, num_samples=0), []),
    }
    for name, data in files.items():
        contents = bitstream.read_contents(data, strict=True)
        source = {"stereo": odd, "entropy": coded}.get(name, codes)
        size = contents.header.packet_frames
        kept = [
            source[:, : body.stages, number * size : number * size + body.frames].astype(np.uint16)
            for number, body in enumerate(contents.bodies)
            if body is not None
        ]
        write(f"v1-{name}", data, kept)


if __name__ == "__main__":
    main()
