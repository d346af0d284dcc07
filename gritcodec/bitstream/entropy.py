"""Coding 1: each stage's block range-coded, under weights that depend on the stages before it."""

import numpy as np
from numpy.typing import NDArray

from gritcodec.bitstream import varint
from gritcodec.bitstream.contexts import ContextModel
from gritcodec.bitstream.header import Header
from gritcodec.bitstream.packing import CodeArray, PlainCoding
from gritcodec.bitstream.rangecoder import Decoder, Encoder
from gritcodec.bitstream.threads import one_thread
from gritcodec.errors import CorruptFileError, WrongModelError


class EntropyCoding:
    """What `packing.Coding` asks for; without contexts, bodies can be measured and cut, and not read.

    A body begins with a varint for each stage: by how many bytes its block is shorter than plain packing, 0 for a
    block that is plain. The blocks follow.
    """

    def __init__(self, header: Header, contexts: ContextModel | None) -> None:
        self._header = header
        self._plain = PlainCoding(header)
        self._contexts = contexts

    @one_thread()
    def pack(self, codes: NDArray[np.integer]) -> bytes:
        """See `Coding.pack`."""
        contexts = self._require()
        plain = self._plain.pack(codes)
        stages, size = codes.shape[1], self._header.block_bytes(codes.shape[2])
        savings, blocks = [], []
        packets = [contexts.packet(codes.shape[2]) for _ in codes]
        for stage in range(stages):
            encoder = Encoder()
            for channel, packet in zip(codes, packets, strict=True):
                encoder.push(channel[stage], packet.weights() if stage else contexts.weights(channel, 0))
                packet.add(channel[stage])
            block = encoder.finish()
            if len(block) >= size:
                block = plain[stage * size : (stage + 1) * size]
            savings.append(varint.write(size - len(block)))
            blocks.append(block)
        return b"".join(savings + blocks)

    @one_thread()
    def unpack(self, body: bytes, stages: int, frames: int) -> CodeArray:
        """See `Coding.unpack`."""
        contexts = self._require()
        lengths, at = self._layout(body, stages, frames)
        if len(body) != at + sum(lengths):
            raise CorruptFileError("the file is damaged: the blocks of a packet do not fill it")
        codes = np.zeros((self._header.channels, stages, frames), dtype=np.uint16)
        packets = [contexts.packet(frames) for _ in codes]
        for stage, length in enumerate(lengths):
            block = body[at : at + length]
            at += length
            if length == self._header.block_bytes(frames):
                codes[:, stage : stage + 1] = self._plain.unpack(block, 1, frames)
            else:
                decoder = Decoder(block)
                for channel, packet in zip(codes, packets, strict=True):
                    if stage:
                        channel[stage] = decoder.take(packet.weights())
                    else:
                        for frame in range(frames):
                            channel[0, frame] = decoder.take(contexts.first_weights(channel[0, :frame]))[0]
            for channel, packet in zip(codes, packets, strict=True):
                packet.add(channel[stage])
        return codes

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
        plain, total, sizes = self._header.block_bytes(frames), 0, []
        for length in lengths:
            total += len(varint.write(plain - length)) + length
            sizes.append(total)
        return sizes

    def cut(self, body: bytes, stages: int, frames: int, keep: int) -> bytes:
        """See `Coding.cut`."""
        lengths, at = self._layout(body, stages, frames)
        plain = self._header.block_bytes(frames)
        head = b"".join(varint.write(plain - length) for length in lengths[:keep])
        return head + body[at : at + sum(lengths[:keep])]

    def _layout(self, body: bytes, stages: int, frames: int) -> tuple[list[int], int]:
        """Return the bytes of every block and where the first one begins."""
        plain, at, lengths = self._header.block_bytes(frames), 0, []
        for _ in range(stages):
            saved, at = varint.read(body, at)
            if saved > plain:
                raise CorruptFileError("the file is damaged: a packet claims blocks of less than nothing")
            lengths.append(plain - saved)
        return lengths, at

    def _require(self) -> ContextModel:
        contexts = self._contexts
        if contexts is None or contexts.size != 1 << self._header.code_bits or contexts.stages < self._header.stages:
            raise WrongModelError("the codes in this file are entropy-coded, and that needs the model that made it")
        return contexts
