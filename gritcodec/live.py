"""Live streams: samples in and packets out, packets in and samples out, without waiting for more."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from gritcodec import audio
from gritcodec.bitstream import (
    PLAIN,
    Body,
    ContextModel,
    Header,
    LiveWriter,
    coding_for,
    needed_stages,
    parse_header,
)
from gritcodec.bitstream.ending import parse_ending
from gritcodec.bitstream.header import CRC_BYTES, MAGIC
from gritcodec.bitstream.packet import END, number_of, parse_head
from gritcodec.bitstream.packing import CodeArray
from gritcodec.errors import FormatError, UsageError
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.refine import encoder
from gritcodec.stream import CHUNK_FRAMES, ChunkDecoder, samples_in

# So many packets may be missing at once; a number further ahead is damage.
_MOST_MISSING_SECONDS = 10
# In smaller packets there is too little to go by.
_FRAMES_FOR_ENTROPY = 16


def live_header(header: Header, packet_frames: int, kbps: float) -> Header:
    """Return the header of a live stream.

    Args:
        header: of a file of the codec, with all its stages.
        packet_frames: frames in a packet, 1 to 64.
        kbps: each channel.

    Raises:
        UsageError: there is no such packet, or rate.
    """
    if not 1 <= packet_frames <= CHUNK_FRAMES:
        raise UsageError(f"a packet has 1 to {CHUNK_FRAMES} frames, not {packet_frames}")
    coding = header.coding if packet_frames >= _FRAMES_FOR_ENTROPY else PLAIN
    header = replace(header, packet_frames=packet_frames, coding=coding)
    problem = header.problem()
    if problem is not None:
        raise UsageError(f"this cannot be a stream: {problem}")
    return replace(header, stages=min(needed_stages(header, kbps, short=True), header.stages))


class StreamEncoder:
    """Samples in, packets out; `Codec.stream_encoder` makes one.

    All pieces one after the other are a .grit file. Codes are those that `Codec.encode` gives for the whole signal,
    whatever the sizes of what is pushed and of the packets.
    """

    def __init__(
        self, network: Autoencoder, header: Header, kbps: float, contexts: ContextModel | None, effort: int = 0
    ) -> None:
        """Begin a stream.

        Args:
            network: of the codec.
            header: of the stream, without a number of samples.
            kbps: what all bytes may cost, each channel, from 10 s on.
            contexts: of the codec, where the header says that codes are entropy-coded.
            effort: as in `Codec.encode`; packets then come five seconds late, and several at once.
        """
        self.header = header
        self._coding = coding_for(header, contexts)
        self._writer = LiveWriter(header, kbps)
        self._encoder = encoder(
            network, header.sample_rate, header.channels, header.stages, header.packet_frames, effort
        )
        self._begun = self._ended = False

    @property
    def num_samples(self) -> int:
        """Samples in each channel so far."""
        return self._encoder.num_samples

    def push(self, samples: NDArray[np.floating] | torch.Tensor) -> list[bytes]:
        """Feed floating point [channels, samples], any number of them.

        Returns:
            The pieces that are ready: the header first, then packets.

        Raises:
            UsageError: wrong shape or type, or the stream has ended.
            AudioError: NaN, infinite or absurdly large samples.
        """
        if self._ended:
            raise UsageError("the stream has ended")
        block = audio.as_waveform(audio.as_array(samples), self.header.sample_rate)
        if block.shape[0] != self.header.channels:
            raise UsageError(f"the stream has {self.header.channels} channels, and this block {block.shape[0]}")
        return self._start() + self._pack(self._encoder.push(block))

    def flush(self) -> list[bytes]:
        """End the stream; return the pieces that remain, the end of the file last."""
        if self._ended:
            return []
        pieces = self._start() + self._pack(self._encoder.finish())
        self._ended = True
        return [*pieces, self._writer.finish(self._encoder.num_samples)]

    def _start(self) -> list[bytes]:
        pieces = [] if self._begun else [self._writer.begin()]
        self._begun = True
        return pieces

    def _pack(self, chunks: list[CodeArray]) -> list[bytes]:
        return [self._writer.add(Body.of(self._coding, chunk)) for chunk in chunks]


class StreamDecoder:
    """Packets in, samples out; `Codec.stream_decoder` makes one.

    Attributes:
        header: of the stream, once it was pushed.
        lost: packets that were concealed.
    """

    def __init__(
        self,
        network: Autoencoder,
        contexts: ContextModel | None,
        check: Callable[[Header], None],
        header: Header | None,
    ) -> None:
        """Wait for a stream.

        Args:
            network: of the codec.
            contexts: of the codec.
            check: refuses the header of another model.
            header: of the stream, where it came another way.
        """
        self._network, self._contexts, self._check = network, contexts, check
        self.header: Header | None = None
        self.lost = 0
        self._next = self._frames = 0
        self._ended = False
        if header is not None:
            self._begin(header)

    def push(self, piece: bytes | None) -> NDArray[np.float32]:
        """Feed one piece of `StreamEncoder`: the header, a packet, or the end; None for a packet that was lost.

        A packet that is damaged counts as lost, and so do those that the number of a later one shows to be missing:
        the sound fades within a few frames, and comes back where it should be. One that comes twice or too
        late is passed over.

        Returns:
            float32 [channels, samples] at the stream's rate; what a packet holds, but for the decoder's overlap, comes
            at once.

        Raises:
            FormatError, WrongModelError: the header is damaged, or of another model.
            UsageError: nothing but a header can be first.
        """
        if piece is not None and piece[: len(MAGIC)] == MAGIC:
            if self.header is None:
                self._begin(parse_header(piece)[0])
            return self._nothing()
        if self.header is None:
            raise UsageError("a stream begins with its header")
        if piece is not None and piece[:1] == bytes([END]) and self._finish_with(piece):
            return self._nothing()
        found = None if piece is None else self._parse(piece)
        if found is None:
            return self._conceal(1)
        number, codes = found
        if number < self._next or self._ended:
            return self._nothing()
        gap = self._conceal(number - self._next)
        self._next += 1
        self._frames += codes.shape[2]
        return np.concatenate([gap, self._decoder.push(codes)], axis=1)

    def flush(self) -> NDArray[np.float32]:
        """Return the last samples, [channels, samples]."""
        if self.header is None:
            return np.zeros((1, 0), dtype=np.float32)
        total = self.header.num_samples
        whole = samples_in(self._network, self._frames, self.header.sample_rate)
        return self._decoder.finish(whole if total is None else min(whole, total))

    def _begin(self, header: Header) -> None:
        self._check(header)
        self.header = header
        self._coding = coding_for(header, self._contexts)
        self._decoder = ChunkDecoder(self._network, header.sample_rate, header.channels, None, hold=False)

    def _finish_with(self, piece: bytes) -> bool:
        """Take the number of samples from the end of the stream; whether it is one."""
        assert self.header is not None
        try:
            ending = parse_ending(piece)
        except FormatError:
            return False
        if not ending.header.fits(self.header):
            return False
        self.header, self._ended = ending.header, True
        return True

    def _parse(self, piece: bytes) -> tuple[int, CodeArray] | None:
        """Return number and codes of a packet, or None where it is damaged."""
        assert self.header is not None
        head = parse_head(piece, self.header)
        if head is None:
            return None
        stages, frames, at = head
        length = self._coding.length(piece[at:], stages, frames)
        if length is None or len(piece) != at + length + CRC_BYTES:
            return None
        number = number_of(piece, self._next)
        most = _MOST_MISSING_SECONDS * self.header.frame_rate // (100 * self.header.packet_frames) + 1
        if not 0 <= number <= self._next + most:
            return None
        try:
            return number, self._coding.unpack(piece[at:-CRC_BYTES], stages, frames)
        except FormatError:
            return None

    def _conceal(self, packets: int) -> NDArray[np.float32]:
        assert self.header is not None
        self._next += packets
        self.lost += packets
        self._frames += packets * self.header.packet_frames
        return self._decoder.conceal(packets * self.header.packet_frames)

    def _nothing(self) -> NDArray[np.float32]:
        return np.zeros((self.header.channels if self.header else 1, 0), dtype=np.float32)
