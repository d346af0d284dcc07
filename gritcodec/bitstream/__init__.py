"""The .grit file: bytes <-> integers, and nothing else (no torch, no audio, no model).

docs/bitstream.md says the layout exactly. `header` (with `fields`), `items` and `ending` are the parts of a file,
`packing`, `entropy` and `chained` put the codes into a packet; `reader` reads through damage, `writer` writes, `plan`
keeps to a budget, `contents` reads a file at once, `edit` and `cutting` make files out of files.
"""

from gritcodec.bitstream.clock import Clock
from gritcodec.bitstream.codings import coding_for
from gritcodec.bitstream.contents import (
    Contents,
    Segment,
    heard_header,
    read_all,
    read_contents,
    segments_of,
    whole_header,
)
from gritcodec.bitstream.contexts import ContextModel
from gritcodec.bitstream.cutting import cut
from gritcodec.bitstream.edit import check_joinable, join, truncate
from gritcodec.bitstream.header import (
    CHAINED,
    ENTROPY,
    MAGIC,
    MAX_CHANNELS,
    MAX_PACKET_FRAMES,
    MAX_SAMPLE_RATE,
    MAX_SAMPLES,
    PACKET_FRAMES,
    PLAIN,
    VERSION,
    Header,
    parse_header,
)
from gritcodec.bitstream.items import Chunk, Item, Packet, Pause
from gritcodec.bitstream.packing import CodeArray, Coding
from gritcodec.bitstream.plan import granted_kbps, needed_stages
from gritcodec.bitstream.reader import Damage, Reader
from gritcodec.bitstream.writer import Body, LiveWriter, Part, Writer, assemble, assemble_within, pause_parts

__all__ = [
    "CHAINED",
    "ENTROPY",
    "MAGIC",
    "MAX_CHANNELS",
    "MAX_PACKET_FRAMES",
    "MAX_SAMPLES",
    "MAX_SAMPLE_RATE",
    "PACKET_FRAMES",
    "PLAIN",
    "VERSION",
    "Body",
    "Chunk",
    "Clock",
    "CodeArray",
    "Coding",
    "Contents",
    "ContextModel",
    "Damage",
    "Header",
    "Item",
    "LiveWriter",
    "Packet",
    "Part",
    "Pause",
    "Reader",
    "Segment",
    "Writer",
    "assemble",
    "assemble_within",
    "check_joinable",
    "coding_for",
    "cut",
    "granted_kbps",
    "heard_header",
    "join",
    "needed_stages",
    "parse_header",
    "pause_parts",
    "read_all",
    "read_contents",
    "segments_of",
    "truncate",
    "whole_header",
]
