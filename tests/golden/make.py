"""Writes the golden files; run once for each version of the format, never again for the same one.

    python tests/golden/make.py

For ever after, tests/test_golden.py checks that every .grit file here is read as the codes beside it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gritcodec import bitstream
from gritcodec.bitstream import Body, Header, LiveWriter

HERE = Path(__file__).parent


def write(name: str, data: bytes, codes: list[np.ndarray]) -> None:
    """Write a file and its codes: uint16 [channels, stages, frames] of every packet."""
    for path, content in ((HERE / f"{name}.grit", data), (HERE / f"{name}.npz", None)):
        if path.exists():
            raise SystemExit(f"{path} exists: golden files do not change")
        if content is not None:
            path.write_bytes(content)
        else:
            np.savez_compressed(path, *codes)


def bodies_of(header: Header, codes: np.ndarray) -> list[Body]:
    """Pack codes [channels, stages, frames] into packets."""
    coding = bitstream.coding_for(header)
    starts = range(0, codes.shape[2], header.packet_frames)
    parts = [codes[:, :, start : start + header.packet_frames] for start in starts]
    return [Body(part.shape[1], part.shape[2], coding.pack(part)) for part in parts]


def main() -> None:
    """Write a mono file within a budget, a stereo one with odd numbers and tags, and a live stream."""
    draw = np.random.default_rng(20)
    fingerprint = bytes.fromhex("0123456789abcdef")
    mono = Header(fingerprint, 16000, 1, 12 * 16000, 3)
    codes = draw.integers(0, 1024, (1, 3, 601))
    stereo = Header(fingerprint, 44100, 2, 100_000, 4, 7, 50, 7500, tags=(("title", "Emma"), ("Ä", "")))
    odd = draw.integers(0, 128, (2, 4, 171))
    live = replace(mono, num_samples=None, stages=2)
    writer = LiveWriter(live)
    files = {
        "mono": bitstream.assemble_within(mono, bodies_of(mono, codes), 1.5),
        "stereo": bitstream.assemble(stereo, bodies_of(stereo, odd)),
        "live": b"".join(
            [writer.begin(), *map(writer.add, bodies_of(live, codes[:, :2, :700])), writer.finish(12 * 16000)]
        ),
        "empty": bitstream.assemble(replace(mono, num_samples=0), []),
    }
    for name, data in files.items():
        contents = bitstream.read_contents(data, strict=True)
        source = odd if name == "stereo" else codes
        size = contents.header.packet_frames
        kept = [
            source[:, : body.stages, number * size : number * size + body.frames].astype(np.uint16)
            for number, body in enumerate(contents.bodies)
            if body is not None
        ]
        write(f"v1-{name}", data, kept)


if __name__ == "__main__":
    main()
