"""The .grit file: bytes <-> integers, and nothing else (no torch, no audio, no model).

docs/bitstream.md says the layout exactly. `container` holds the header and the checksums, `packing` the
codes.
"""

from gritcodec.bitstream.container import (
    HEADER_LIMIT,
    MAGIC,
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    VERSION,
    Header,
    assemble,
    pack,
    parse,
    unpack,
)
from gritcodec.bitstream.packing import PACKET_FRAMES, pack_codes, payload_bytes, unpack_codes

__all__ = [
    "HEADER_LIMIT",
    "MAGIC",
    "MAX_CHANNELS",
    "MAX_SAMPLE_RATE",
    "PACKET_FRAMES",
    "VERSION",
    "Header",
    "assemble",
    "pack",
    "pack_codes",
    "parse",
    "payload_bytes",
    "unpack",
    "unpack_codes",
]
