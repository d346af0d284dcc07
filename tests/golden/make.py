"""Writes those golden files that are missing; the others never change.

    python tests/golden/make.py

For ever after, tests/test_golden.py checks that every .grit file here is read as the codes and items beside it.
"""

import io
import json
from dataclasses import replace
from pathlib import Path

import contexts  # beside this file
import numpy as np

from gritcodec import bitstream
from gritcodec.bitstream import Body, Chunk, Header, LiveWriter, Part, Pause, Writer
from gritcodec.bitstream.chained import Chain, chained_body
from gritcodec.bitstream.items import MARK, mark_payload

HERE = Path(__file__).parent
CONTEXTS = HERE / "v1-contexts.npz"
FINGERPRINT = bytes.fromhex("0123456789abcdef")
NOISE = bytes([61, 120, 133, 1, 253])


def golden_contexts() -> bitstream.ContextModel:
    """What the entropy-coded files are read with."""
    with np.load(CONTEXTS) as archive:
        return bitstream.ContextModel({name: archive[name] for name in archive.files})


def items_of(data: bytes) -> list[list]:
    """What a file holds, as JSON can tell it; of packets what stands around the codes."""
    found = []
    for item in bitstream.read_contents(data, strict=True).items:
        if isinstance(item, Pause):
            found.append(["pause", item.start, item.frames, item.noise.hex()])
        elif isinstance(item, Chunk):
            found.append(["chunk", item.start, item.mark, item.payload.hex()])
        else:
            found.append(["packet", item.start, item.frames, item.stages])
    return found


def codes_of(data: bytes) -> list[np.ndarray]:
    """The codes of every packet, uint16 [channels, stages, frames]."""
    reader = bitstream.Reader(io.BytesIO(data), strict=True)
    reader.use(golden_contexts() if reader.header.coding else None)
    return [reader.codes(packet) for packet in reader.packets()]


def bodies_of(header: Header, codes: np.ndarray) -> list[Body]:
    """Pack codes [channels, stages, frames] into packets."""
    coding = bitstream.coding_for(header, golden_contexts() if header.coding else None)
    starts = range(0, codes.shape[2], header.packet_frames)
    return [Body.of(coding, codes[:, :, start : start + header.packet_frames]) for start in starts]


def live_file(writer: Writer, parts: list[Part], samples: int) -> bytes:
    """The bytes of a live stream."""
    return b"".join([writer.begin(), *map(writer.add, parts), writer.finish(samples)])


def chained_parts(header: Header, codes: np.ndarray) -> list[Part]:
    """Packets in coding 2 with a pause in the middle; some have fewer stages."""
    chain, parts, frame = Chain(header, golden_contexts()), [], 0
    sizes = [header.packet_frames] * (codes.shape[2] // header.packet_frames)
    for number, size in enumerate(sizes):
        fresh = number == len(sizes) // 2
        if fresh:
            parts.append(Pause(0, 37, b"", 0))
        at = number * size
        part = codes[:, : 2 if number % 5 == 3 else 3, at : at + size]
        start = frame + (37 if number >= len(sizes) // 2 else 0)
        parts.append(Body(part.shape[1], size, chained_body(chain.pack(part, start, fresh))))
        frame += size
    return parts


def files(draw: np.random.Generator) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """Every golden file by its name, and of some the codes [channels, stages, frames] that were packed."""
    mono = Header(FINGERPRINT, 16000, 1, 12 * 16000, 3, encoder="golden")
    codes = draw.integers(0, 1024, (1, 3, 601))
    tags = (("title", "Emma"), ("Ä", ""), ("artist", "one"), ("ARTIST", "two"))
    stereo = Header(FINGERPRINT, 44100, 2, 100_000, 4, 7, 50, 7500, tags=tags, start_time=-1_234_567)
    stereo = replace(stereo, start_trim=77, channel_mask=3, gain=-900, encoder="Ärger")
    odd = draw.integers(0, 128, (2, 4, 171))
    live = replace(mono, num_samples=None, stages=2)
    entropy = Header(FINGERPRINT, 16000, 2, 150 * 320, 3, 6, coding=bitstream.ENTROPY)
    coded = contexts.likely_codes(golden_contexts(), 2, 3, 150)
    coded[:, 1, 64:] = draw.integers(0, 64, (2, 86))  # too dear: stored plain
    chained = Header(FINGERPRINT, 16000, 2, None, 3, 6, 4, coding=bitstream.CHAINED, key_frames=12)
    linked = contexts.likely_codes(golden_contexts(), 2, 3, 120, seed=1)
    linked[:, :, 48:56] = draw.integers(0, 64, (2, 3, 8))
    bodies = bodies_of(mono, codes[:, :, :320])
    pauses = [*bodies[:2], Pause(0, 4096, b"", 0), Pause(0, 20, NOISE, 0), *bodies[2:4], Pause(0, 1, NOISE[:1], 0)]
    short = bodies_of(replace(mono, packet_frames=20), codes[:, :2, 400:455])
    marks = [Chunk(0, MARK, mark_payload(0, "Anfang"), 0), Chunk(0, MARK, mark_payload(20_000, ""), 0)]
    first = bitstream.assemble(replace(mono, num_samples=40_000, tags=tags), [marks[0], bodies[0], marks[1], bodies[1]])
    second = bitstream.assemble(
        replace(mono, num_samples=17_000, start_trim=100), [marks[0], *short, Pause(0, 9, b"", 0)]
    )
    unknown = replace(mono, unknown=((0x40, b"safe"), (0x42, b""), (0x7FFE, bytes(range(200)))), num_samples=64 * 640)
    chunks = [Chunk(0, mark, bytes(size), 0) for mark, size in ((0x01, 0), (0x3F, 300), (0x20, 5000), (0x1F, 3))]
    made = {
        "mono": bitstream.assemble_within(mono, bodies_of(mono, codes), 1.5),
        "stereo": bitstream.assemble(stereo, bodies_of(stereo, odd)),
        "live": live_file(LiveWriter(live, 1.0), bodies_of(live, codes[:, :2]), 12 * 16000),
        "entropy": bitstream.assemble(entropy, bodies_of(entropy, coded)),
        "chained": live_file(Writer(chained), chained_parts(chained, linked), 157 * 320 - 240),
        "empty": bitstream.assemble(replace(mono, num_samples=0), []),
        "pauses": bitstream.assemble(replace(mono, num_samples=(256 + 4117) * 320 - 240), pauses),
        "joined": bitstream.join([first, second, first]),
        "unknown": bitstream.assemble(unknown, [chunks[0], chunks[1], bodies[0], chunks[2], bodies[1], chunks[3]]),
    }
    return made, {"mono": codes, "stereo": odd, "live": codes, "entropy": coded, "chained": linked}


def main() -> None:
    """Write what is missing."""
    if not CONTEXTS.exists():
        np.savez_compressed(CONTEXTS, **contexts.tensors())
    made, sources = files(np.random.default_rng(20))
    for name, data in made.items():
        found, at = codes_of(data), 0
        for codes in found if name in sources else ():
            assert np.array_equal(codes, sources[name][:, : codes.shape[1], at : at + codes.shape[2]]), name
            at += codes.shape[2]
        path = HERE / f"v1-{name}.grit"
        if not path.exists():
            path.write_bytes(data)
            np.savez_compressed(path.with_suffix(".npz"), *found)
            path.with_suffix(".json").write_text(json.dumps(items_of(data), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
