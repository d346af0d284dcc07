"""Coding 2: short packets whose frequencies depend on the frames before them, for live streams.

A packet is one range-coded block, so that no bits are lost between stages. What packets look back at is kept by the
writer and by the reader alike. A packet that begins at a multiple of the header's `key_frames` looks at nothing
before it, and there a reader that has lost one begins again.
"""

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream import symbols, varint
from gritcodec.bitstream.contexts import HISTORY, ContextModel
from gritcodec.bitstream.entropy import check_codes, require
from gritcodec.bitstream.header import Header
from gritcodec.bitstream.packing import CodeArray, PlainCoding
from gritcodec.bitstream.rangecoder import Decoder, Encoder
from gritcodec.bitstream.threads import one_thread
from gritcodec.errors import CorruptFileError, UsageError

# What a live stream of 20 ms a packet has by default: it can be begun at once a second.
KEY_FRAMES = 50


class PastMissingError(CorruptFileError):
    """A packet depends on frames that were lost; the next key packet will not."""


class Chain:
    """One end of a stream of packets in coding 2: they pass through in order, and the last frames are kept."""

    def __init__(self, header: Header, contexts: ContextModel | None) -> None:
        """Begin a stream.

        Args:
            header: of the stream; its channels, stages, code bits and key frames are used.
            contexts: of the model.

        Raises:
            WrongModelError: contexts are missing or another model's.
        """
        self._header, self._contexts = header, require(header, contexts)
        self._plain = PlainCoding(header)
        self._key_frames = header.key_frames or 1
        self.lost()

    def lost(self) -> None:
        """Forget the past: packets did not come or could not be read, or bytes were passed over."""
        self._past = np.empty((self._header.channels, self._contexts.stages, 0), np.int64)
        self._next = -1

    @one_thread()
    def pack(self, codes: NDArray[np.integer], start_frame: int, fresh: bool = False) -> bytes:
        """Return the block of a packet, 1 byte or more and no more than plain packing takes.

        Args:
            codes: [channels, stages, frames].
            start_frame: where the packet begins, counted from the beginning of its segment.
            fresh: whether it looks at no frames before it though it is no key packet: the first after a pause.

        Raises:
            ValueError: codes are out of range, or the packet follows none that was packed and is no key packet.
        """
        check_codes(codes, self._header)
        self._begin(start_frame, fresh)
        if self._next != start_frame:
            raise ValueError(f"frame {start_frame} is no key frame, and the one before it was not packed")
        prepared = symbols.Symbols(self._contexts, codes, self._past)
        encoder = Encoder()
        for stage in range(codes.shape[1]):
            prepared.push(encoder, stage, slice(None))
        self._keep(codes)
        block = encoder.finish() or b"\0"
        size = self._header.body_bytes(codes.shape[1], codes.shape[2])
        return block if len(block) < size else self._plain.pack(codes)

    @one_thread()
    def unpack(self, block: bytes, stages: int, frames: int, start_frame: int, fresh: bool = False) -> CodeArray:
        """Return the codes uint16 [channels, stages, frames] of a packet.

        Args:
            block: what `pack` gave.
            stages: of the packet, 1 or more.
            frames: of the packet.
            start_frame: where it begins, counted from the beginning of its segment.
            fresh: as in `pack`.

        Raises:
            PastMissingError: the packet depends on frames that this end does not have.
            CorruptFileError: the block holds no codes.
        """
        self._begin(start_frame, fresh)
        if self._next != start_frame:
            self.lost()
            raise PastMissingError("a packet cannot be read, for one before it was lost")
        size = self._header.body_bytes(stages, frames)
        if not 1 <= len(block) <= size:
            self.lost()
            raise CorruptFileError(f"a packet is damaged: a block of {len(block)} bytes")
        codes = self._plain.unpack(block, stages, frames) if len(block) == size else self._read(block, stages, frames)
        self._keep(codes)
        return codes

    def _read(self, block: bytes, stages: int, frames: int) -> CodeArray:
        channels = self._header.channels
        codes = np.zeros((channels, stages, frames), dtype=np.uint16)
        around = symbols.Surroundings(self._contexts, channels, frames, self._past)
        readers = symbols.Readers([Decoder(block)], channels)
        for stage in range(stages):
            known = np.zeros((channels, frames), dtype=np.int64)
            symbols.take(readers, self._contexts, around, known)
            if readers.failed[0]:
                self.lost()
                raise CorruptFileError("a packet is damaged: it holds no codes")
            codes[:, stage] = known
        return codes

    def _begin(self, start_frame: int, fresh: bool) -> None:
        # A packet at a key frame depends on none before it.
        if fresh or start_frame % self._key_frames == 0:
            self.lost()
            self._next = start_frame

    def _keep(self, codes: NDArray[np.integer]) -> None:
        padded = np.full((codes.shape[0], self._contexts.stages, codes.shape[2]), -1, np.int64)
        padded[:, : codes.shape[1]] = codes
        self._past = np.concatenate([self._past, padded], axis=2)[:, :, -HISTORY:]
        self._next += codes.shape[2]


class ChainedCoding:
    """What `packing.Coding` asks for, as far as packets can be looked at one by one: their length.

    `pack` and `unpack` are for packets that look at nothing before them; a `Chain` is for all.
    """

    def __init__(self, header: Header, contexts: ContextModel | None) -> None:
        self._header, self._contexts = header, contexts

    def pack(self, codes: NDArray[np.integer]) -> bytes:
        """See `Coding.pack`."""
        return chained_body(Chain(self._header, self._contexts).pack(codes, 0))

    def unpack(self, body: bytes, stages: int, frames: int) -> CodeArray:
        """See `Coding.unpack`."""
        return Chain(self._header, self._contexts).unpack(chained_block(body), stages, frames, 0)

    def length(self, start: bytes, stages: int, frames: int) -> int | None:
        """See `Coding.length`."""
        try:
            length, at = varint.read(start, 0)
        except CorruptFileError:
            return None
        return at + length

    def sizes(self, body: bytes, stages: int, frames: int) -> list[int]:
        """Refuse: the stages of a chained packet cannot be told apart by their bytes."""
        raise UsageError("leaving out stages of chained packets needs the model: compress again at a lower bitrate")

    def cut(self, body: bytes, stages: int, frames: int, keep: int) -> bytes:
        """Return the body if all stages are kept, and refuse otherwise; see `sizes`."""
        if keep < stages:
            self.sizes(body, stages, frames)
        return body


def chained_body(block: bytes) -> bytes:
    """Return the body of a packet whose block has no length of its own."""
    return varint.write(len(block)) + block


def chained_block(body: bytes) -> bytes:
    """Return the block of a packet's body.

    Raises:
        CorruptFileError: it does not fill the body.
    """
    length, at = varint.read(body, 0)
    if len(body) != at + length:
        raise CorruptFileError("the file is damaged: a block does not fill its packet")
    return body[at:]
