"""The .grit file: bytes <-> integers, and nothing else (no torch, no audio, no model).

docs/bitstream.md says the layout exactly. `header`, `packet` and `ending` are the three parts of a file,
`packing` and `entropy` put the codes into a packet; `reader` reads through damage, `writer` writes, `plan` keeps to
a budget, `edit` makes files out of files.
"""

from gritcodec.bitstream.codings import coding_for
from gritcodec.bitstream.contexts import ContextModel
from gritcodec.bitstream.edit import Contents, join, read_contents, truncate, whole_header
from gritcodec.bitstream.header import (
    ENTROPY,
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MAX_SAMPLES,
    PLAIN,
    VERSION,
    Header,
    parse_header,
)
from gritcodec.bitstream.packet import Packet
from gritcodec.bitstream.packing import CodeArray, Coding
from gritcodec.bitstream.plan import needed_stages
from gritcodec.bitstream.reader import Damage, Reader
from gritcodec.bitstream.writer import Body, LiveWriter, Writer, assemble, assemble_within

# Every packet of a file that this package writes has so many frames, but the last: whole bytes at any width.
PACKET_FRAMES = 64

__all__ = [
    "ENTROPY",
    "MAX_CHANNELS",
    "MAX_SAMPLES",
    "MAX_SAMPLE_RATE",
    "PACKET_FRAMES",
    "PLAIN",
    "VERSION",
    "Body",
    "CodeArray",
    "Coding",
    "Contents",
    "ContextModel",
    "Damage",
    "Header",
    "LiveWriter",
    "Packet",
    "Reader",
    "Writer",
    "assemble",
    "assemble_within",
    "coding_for",
    "join",
    "needed_stages",
    "parse_header",
    "read_contents",
    "truncate",
    "whole_header",
]
