"""Streams of bare items with random codes: what containers are tested with."""

import random
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from gritcodec.bitstream import CHAINED, ENTROPY, PLAIN, Header, savings, varint
from gritcodec.bitstream.items import MARK, PAUSE, mark_payload
from gritcodec.containers import bare

FINGERPRINT = bytes.fromhex("0123456789abcdef")
RATE, HOP, DELAY = 16_000, 320, 240


@dataclass(frozen=True)
class Stream:
    """A header that knows the number of samples, and bare items without the end."""

    header: Header
    items: list[bytes]

    @property
    def frames(self) -> int:
        """Frames of all items."""
        return sum(bare.frames_of(item, self.header) for item in self.items)

    @property
    def live(self) -> tuple[Header, list[bytes]]:
        """Header without the number of samples, and the items with the end that tells it."""
        return replace(self.header, num_samples=None), [*self.items, bare.end_item(self.header)]


def packet(header: Header, stages: int, frames: int, draw: random.Random) -> bytes:
    """A bare packet with random codes."""
    mark = bytes([0x40 | stages]) if frames == header.packet_frames else bytes([0xC0 | stages]) + varint.write(frames)
    if header.coding == PLAIN:
        bits = stages * header.channels * frames * header.code_bits
        size = header.body_bytes(stages, frames)
        return mark + (draw.getrandbits(bits) << 8 * size - bits).to_bytes(size, "big")
    if header.coding == CHAINED:
        return mark + draw.randbytes(draw.randint(1, header.body_bytes(stages, frames)))
    blocks = [draw.randbytes(draw.randint(1, header.block_bytes(frames))) for _ in range(stages)]
    plain = header.block_bytes(frames)
    return mark + savings.write([plain - len(block) for block in blocks], plain) + b"".join(blocks)


def pause(frames: int, noise: bytes = b"") -> bytes:
    """A bare pause."""
    return bytes([PAUSE]) + varint.write(frames) + varint.write(len(noise)) + noise


def chapter(sample: int, name: str) -> bytes:
    """A bare mark."""
    payload = mark_payload(sample, name)
    return bytes([MARK]) + varint.write(len(payload)) + payload


def make(
    kinds: str = "ppsp", seed: int = 0, stages: int = 6, packet_frames: int = 64, channels: int = 1, **fields
) -> Stream:
    """A stream: of p (packet), f (a packet of fewer frames), s (pause of silence), n (noise) and c (chapter)."""
    draw = random.Random(seed)
    header = Header(FINGERPRINT, RATE, channels, 0, stages, packet_frames=packet_frames, bare=True, **fields)
    items = []
    for number, kind in enumerate(kinds):
        if kind == "p":
            items.append(packet(header, draw.randint(1, stages), packet_frames, draw))
        elif kind == "f":
            items.append(packet(header, draw.randint(1, stages), draw.randint(1, packet_frames), draw))
        elif kind == "c":
            items.append(chapter(number, f"Kapitel {number}"))
        else:
            items.append(pause(draw.randint(1, 300), draw.randbytes(3) if kind == "n" else b""))
    frames = sum(bare.frames_of(item, header) for item in items)
    samples = max(frames * HOP - DELAY - draw.randint(0, HOP - 1), 0) if frames else 0
    return Stream(replace(header, num_samples=samples), items)


def streams(**fixed) -> st.SearchStrategy[Stream]:
    """Streams of all kinds."""
    return st.builds(
        make,
        kinds=st.text("pfsnc", max_size=12),
        seed=st.integers(0, 1 << 32),
        stages=st.integers(1, 12),
        packet_frames=st.sampled_from([1, 2, 5, 64, 512]),
        channels=st.sampled_from([1, 2, 3]),
        coding=fixed.get("coding", st.sampled_from([PLAIN, ENTROPY, CHAINED])),
        code_bits=st.sampled_from([3, 8, 10, 16]),
        tags=st.lists(st.tuples(st.sampled_from(["TITLE", "artist", "x y"]), st.text(max_size=300)), max_size=3).map(
            tuple
        ),
        start_trim=st.just(0),
    )
