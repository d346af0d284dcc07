"""Codes out of the packets of a file, as they come one after the other."""

from collections.abc import Sequence

from gritcodec.bitstream.chained import Chain, chained_block
from gritcodec.bitstream.codings import coding_for
from gritcodec.bitstream.contexts import ContextModel
from gritcodec.bitstream.entropy import EntropyCoding
from gritcodec.bitstream.header import CHAINED, Header
from gritcodec.bitstream.items import SPLICE, Chunk, Item, Packet, Pause
from gritcodec.bitstream.packing import CodeArray
from gritcodec.errors import CorruptFileError


class Unpacker:
    """What is needed to read packets: a coding, and for chained packets what came before them.

    Attributes:
        coding: of the file.
    """

    def __init__(self, header: Header, contexts: ContextModel | None) -> None:
        """Begin a file; without the contexts of its model entropy-coded packets cannot be read."""
        self.coding = coding_for(header, contexts)
        self._spliced = header.first_segment is not None
        self._chain = Chain(header, contexts) if header.coding == CHAINED and contexts is not None else None
        # The segment's first frame, None where it is lost; and whether the next packet looks at none before it.
        self._segment: int | None = 0
        self._fresh = False

    def passed(self, item: Item) -> None:
        """Take note of an item; the codes of a packet are to be asked for before the next one comes."""
        if isinstance(item, Pause):
            self._fresh = True
        elif isinstance(item, Chunk) and item.mark == SPLICE:
            self._fresh, self._segment = True, item.start

    def skipped(self) -> None:
        """Take note that bytes were passed over.

        A pause or splice may have been among them: chained packets cannot be read before the next one that tells
        where it is.
        """
        self._fresh = False
        if self._chain is not None:
            self._chain.lost()
        if self._spliced:
            self._segment = None

    def codes(self, packets: Sequence[Packet]) -> list[CodeArray | None]:
        """Return the codes of packets, uint16 [channels, stages, frames] each; None for those that hold none.

        Raises:
            WrongModelError: the codes are entropy-coded, and the contexts of their model were not given.
        """
        bodies = [packet.body for packet in packets if packet.body is not None]
        alike = len({packet.frames for packet in packets}) == 1 and len(bodies) == len(packets)
        if isinstance(self.coding, EntropyCoding) and alike:
            return self.coding.unpack_many(bodies, [packet.stages for packet in packets], packets[0].frames)
        return [self._codes(packet) for packet in packets]

    def _codes(self, packet: Packet) -> CodeArray | None:
        if packet.body is None:
            return None
        try:
            if self._chain is None:
                return self.coding.unpack(packet.body, packet.stages, packet.frames)
            if self._segment is None:
                return None
            start, fresh, self._fresh = packet.start - self._segment, self._fresh, False
            return self._chain.unpack(chained_block(packet.body), packet.stages, packet.frames, start, fresh)
        except CorruptFileError:
            return None
