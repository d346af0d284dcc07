"""Which coding a header names."""

from gritcodec.bitstream.chained import ChainedCoding
from gritcodec.bitstream.contexts import ContextModel
from gritcodec.bitstream.entropy import EntropyCoding
from gritcodec.bitstream.header import CHAINED, ENTROPY, Header
from gritcodec.bitstream.packing import Coding, PlainCoding


def coding_for(header: Header, contexts: ContextModel | None = None) -> Coding:
    """Return the coding that a header names; headers with an unknown one are not read in the first place.

    Args:
        header: of the file.
        contexts: of the model that made it; entropy-coded codes cannot be read or written without, but such
            bodies can be measured and, in coding 1, cut.
    """
    if header.coding == CHAINED:
        return ChainedCoding(header, contexts)
    return EntropyCoding(header, contexts) if header.coding == ENTROPY else PlainCoding(header)
