"""Coding 1: each stage's block range-coded, under weights that depend on the stages before it."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream import savings, symbols
from gritcodec.bitstream.contexts import ContextModel
from gritcodec.bitstream.header import Header
from gritcodec.bitstream.packing import CodeArray
from gritcodec.bitstream.rangecoder import Decoder, Encoder
from gritcodec.bitstream.threads import one_thread
from gritcodec.errors import CorruptFileError, WrongModelError

# So many packets side by side: more gain little.
TOGETHER = 8


class EntropyCoding:
    """What `packing.Coding` asks for; without contexts, bodies can be measured and cut, and not read.

    A body begins with what each stage's block is shorter than plain packing, 0 for a block that is plain. The blocks
    follow.
    """

    def __init__(self, header: Header, contexts: ContextModel | None) -> None:
        self._header = header
        self._contexts = contexts

    def pack(self, codes: NDArray[np.integer]) -> bytes:
        """See `Coding.pack`."""
        return self.pack_many([codes])[0]

    def unpack(self, body: bytes, stages: int, frames: int) -> CodeArray:
        """See `Coding.unpack`."""
        codes = self.unpack_many([body], [stages], frames)[0]
        if codes is None:
            raise CorruptFileError("the file is damaged: a packet holds no codes")
        return codes

    @one_thread()
    def pack_many(self, packets: Sequence[NDArray[np.integer]]) -> list[bytes]:
        """Return the bodies of packets as `pack` does, in less time than one by one where they have one shape."""
        contexts = require(self._header, self._contexts)
        for codes in packets:
            check_codes(codes, self._header)
        bodies: list[bytes] = []
        while len(bodies) < len(packets):
            first = len(bodies)
            rest = itertools.groupby(packets[first : first + TOGETHER], key=lambda codes: codes.shape)
            alike = list(next(rest)[1])
            prepared = symbols.Symbols(contexts, np.concatenate(alike))
            bodies += [self._body(prepared, codes, number) for number, codes in enumerate(alike)]
        return bodies

    def _body(self, prepared: symbols.Symbols, codes: NDArray[np.integer], number: int) -> bytes:
        """Return the body of one packet of those prepared."""
        size = self._block_bytes(codes.shape[2])
        channels = self._header.channels
        kept, blocks = list[int](), list[bytes]()
        for stage in range(codes.shape[1]):
            encoder = Encoder()
            prepared.push(encoder, stage, slice(number * channels, (number + 1) * channels))
            block = encoder.finish()
            if len(block) >= size:
                block = plain_block(codes[:, stage], self._header.code_bits)
            kept.append(size - len(block))
            blocks.append(block)
        return savings.write(kept, size) + b"".join(blocks)

    @one_thread()
    def unpack_many(self, bodies: Sequence[bytes], stages: Sequence[int], frames: int) -> list[CodeArray | None]:
        """Return the codes of packets of equal length, as `unpack` does; None for one that holds none.

        Args:
            bodies: of the packets.
            stages: of each.
            frames: of all of them.
        """
        contexts = require(self._header, self._contexts)
        found: list[CodeArray | None] = []
        for at in range(0, len(bodies), TOGETHER):
            found += self._unpack_some(contexts, bodies[at : at + TOGETHER], stages[at : at + TOGETHER], frames)
        return found

    def _unpack_some(
        self, contexts: ContextModel, bodies: Sequence[bytes], stages: Sequence[int], frames: int
    ) -> list[CodeArray | None]:
        channels, size = self._header.channels, self._block_bytes(frames)
        cut = [self._blocks(body, count, frames) for body, count in zip(bodies, stages, strict=True)]
        good = [blocks is not None for blocks in cut]
        codes = np.zeros((len(bodies), channels, max(stages), frames), dtype=np.uint16)
        around = symbols.Surroundings(contexts, len(bodies) * channels, frames)
        for stage in range(max(stages)):
            known = np.zeros((len(bodies), channels, frames), dtype=np.int64)
            decoders: list[Decoder | None] = []
            for number, blocks in enumerate(cut):
                block = blocks[stage] if blocks is not None and good[number] and stage < stages[number] else None
                if block is not None and len(block) == size:
                    known[number] = codes_of_block(block, channels, frames, self._header.code_bits)
                decoders.append(None if block is None or len(block) == size else Decoder(block))
            readers = symbols.Readers(decoders, channels)
            symbols.take(readers, contexts, around, known.reshape(-1, frames))
            codes[:, :, stage] = known
            good = [fine and not failed for fine, failed in zip(good, readers.failed, strict=True)]
        parts = zip(codes, stages, good, strict=True)
        return [np.ascontiguousarray(each[:, :count]) if fine else None for each, count, fine in parts]

    def _blocks(self, body: bytes, stages: int, frames: int) -> list[bytes] | None:
        """Return the block of each stage, or None where they do not fill the body."""
        try:
            lengths, at = self._layout(body, stages, frames)
        except CorruptFileError:
            return None
        ends = list(itertools.accumulate(lengths, initial=at))
        return [body[a:b] for a, b in itertools.pairwise(ends)] if ends[-1] == len(body) else None

    def _block_bytes(self, frames: int) -> int:
        """Bytes of a stage's block that is plain."""
        return (self._header.channels * frames * self._header.code_bits + 7) // 8

    def length(self, start: bytes, stages: int, frames: int) -> int | None:
        """See `Coding.length`."""
        try:
            lengths, at = self._layout(start, stages, frames)
        except CorruptFileError:
            return None
        return at + sum(lengths)

    def sizes(self, body: bytes, stages: int, frames: int) -> list[int]:
        """See `Coding.sizes`."""
        lengths, _ = self._layout(body, stages, frames)
        plain = self._block_bytes(frames)
        told = [plain - length for length in lengths]
        totals = itertools.accumulate(lengths)
        return [len(savings.write(told[:count], plain)) + total for count, total in enumerate(totals, start=1)]

    def cut(self, body: bytes, stages: int, frames: int, keep: int) -> bytes:
        """See `Coding.cut`."""
        lengths, at = self._layout(body, stages, frames)
        plain = self._block_bytes(frames)
        head = savings.write([plain - length for length in lengths[:keep]], plain)
        return head + body[at : at + sum(lengths[:keep])]

    def _layout(self, body: bytes, stages: int, frames: int) -> tuple[list[int], int]:
        """Return the bytes of every block and where the first one begins."""
        plain = self._block_bytes(frames)
        told, at = savings.read(body, stages, plain)
        return [plain - saving for saving in told], at


def require(header: Header, contexts: ContextModel | None) -> ContextModel:
    """Return the contexts if they are there and fit a header.

    Raises:
        WrongModelError: they are not.
    """
    if contexts is None or contexts.size != 1 << header.code_bits or contexts.stages < header.stages:
        raise WrongModelError("the codes in this file are entropy-coded, and that needs the model that made it")
    return contexts


def check_codes(codes: NDArray[np.integer], header: Header) -> None:
    """Refuse codes that are not [channels, stages, frames] or out of range.

    Raises:
        ValueError: they are.
    """
    if codes.ndim != 3 or codes.shape[0] != header.channels:
        raise ValueError(f"codes must be [{header.channels}, stages, frames], not of shape {codes.shape}")
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << header.code_bits:
        raise ValueError(f"codes must be 0 to {(1 << header.code_bits) - 1}: found {codes.min()} to {codes.max()}")


def plain_block(codes: NDArray[np.integer], bits: int) -> bytes:
    """Return codes [channels, frames] of one stage in `bits` bits each, zero bits after the last."""
    words = codes.reshape(-1, 1).astype(">u2")
    return np.packbits(np.unpackbits(words.view(np.uint8), axis=1)[:, 16 - bits :]).tobytes()


def codes_of_block(block: bytes, channels: int, frames: int, bits: int) -> CodeArray:
    """Return the codes uint16 [channels, frames] of a `plain_block`."""
    words = np.zeros((channels * frames, 16), dtype=np.uint8)
    words[:, 16 - bits :] = np.unpackbits(np.frombuffer(block, dtype=np.uint8), count=words.shape[0] * bits).reshape(
        -1, bits
    )
    return np.packbits(words, axis=1).view(">u2").astype(np.uint16).reshape(channels, frames)
