"""Live streams: samples in and packets out, packets in and samples out, without waiting for more."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.arguments import as_bytes
from gritcodec.bitstream import (
    CHAINED,
    MAGIC,
    PLAIN,
    Body,
    Chunk,
    ContextModel,
    Header,
    Item,
    LiveWriter,
    Packet,
    Pause,
    coding_for,
    needed_stages,
    parse_header,
    pause_parts,
)
from gritcodec.bitstream.chained import KEY_FRAMES, Chain, chained_block, chained_body
from gritcodec.bitstream.ending import parse_ending
from gritcodec.bitstream.header import CRC_BYTES
from gritcodec.bitstream.items import END, HEAD_BYTES, MARK, item_of, layout_of, mark_payload, position_of
from gritcodec.bitstream.packing import CodeArray
from gritcodec.codec.refining import encoder
from gritcodec.codec.stream import ChunkDecoder, checked_frames, samples_in
from gritcodec.engine.interface import Engine
from gritcodec.errors import FormatError, UsageError
from gritcodec.sound import audio
from gritcodec.sound.pauses import Quiet

# So much may be missing at once; a place further ahead is damage.
_MOST_MISSING_SECONDS = 10
# In smaller packets there is too little to go by, unless the past is looked at.
_FRAMES_FOR_ENTROPY = 16
# Of what a stage plainly packed takes, before anything is known; and how fast that is learnt.
_GUESS = 0.85
_LEARNING = 0.05


def live_header(header: Header, packet_frames: int, kbps: float, check: bool = True, chain: bool = False) -> Header:
    """Return the header of a live stream.

    Args:
        header: of a file of the codec, with all its stages.
        packet_frames: frames in a packet, 1 to 512.
        kbps: each channel.
        check: whether packets carry a check of their own.
        chain: whether short packets look at those before them.

    Raises:
        UsageError: there is no such packet, or rate.
    """
    checked_frames(packet_frames)
    coding, keys = header.coding, None
    if packet_frames < _FRAMES_FOR_ENTROPY:
        coding = CHAINED if chain and coding != PLAIN else PLAIN
        keys = -(-KEY_FRAMES // packet_frames) * packet_frames if coding == CHAINED else None
    header = replace(header, packet_frames=packet_frames, coding=coding, bare=not check, key_frames=keys)
    problem = header.problem()
    if problem is not None:
        raise UsageError(f"this cannot be a stream: {problem}")
    # Where nothing is spent on checks, there is room for more than the bitrate's own stages.
    return replace(header, stages=min(needed_stages(header, kbps, short=True), header.stages))


class StreamEncoder:
    """Samples in, packets out; `Codec.stream_encoder` makes one.

    All pieces one after the other are a .grit file. Codes are those that `Codec.encode` gives for the whole signal,
    whatever the sizes of what is pushed and of the packets.
    """

    def __init__(
        self,
        engine: Engine,
        header: Header,
        kbps: float,
        contexts: ContextModel | None,
        effort: int = 0,
        noise: bool = False,
    ) -> None:
        """Begin a stream.

        Args:
            engine: of the codec.
            header: of the stream, without a number of samples.
            kbps: what all bytes may cost, each channel, from 10 s on.
            contexts: of the codec, where the header says that codes are entropy-coded.
            effort: as in `Codec.encode`; packets then come five seconds late, and several at once.
            noise: whether steady noise is sent as a pause.
        """
        self.header = header
        self._coding = coding_for(header, contexts)
        self._chain = Chain(header, contexts) if header.coding == CHAINED else None
        # What a stage of a chained packet takes, about; and whether the next one looks at none before it.
        self._stage_bytes = _GUESS * header.body_bytes(8, header.packet_frames) / 8
        self._fresh = False
        self._writer = LiveWriter(header, kbps)
        self._encoder = encoder(
            engine, header.sample_rate, header.channels, header.stages, header.packet_frames, effort
        )
        self._encoder.watch(noise)
        self._begun = self._ended = False

    @property
    def num_samples(self) -> int:
        """Samples in each channel so far."""
        return self._encoder.num_samples

    def push(self, samples: Any) -> list[bytes]:
        """Feed [channels, samples], any number of them; of one channel [samples] too, and types as in `Codec.encode`.

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
        return self._start() + self._pack(self._encoder.parts(block))

    def flush(self) -> list[bytes]:
        """End the stream; return the pieces that remain, the end of the file last."""
        if self._ended:
            return []
        pieces = self._start() + self._pack(self._encoder.last_parts())
        self._ended = True
        # What carries packets without checks says where they end.
        return pieces if self.header.bare else [*pieces, self._writer.finish(self._encoder.num_samples)]

    def _start(self) -> list[bytes]:
        pieces = [] if self._begun else [self._writer.begin()]
        self._begun = True
        return pieces

    def mark(self, name: str) -> bytes:
        """Return a piece that marks the sample that is fed next, as a chapter for instance.

        Raises:
            UsageError: the stream has not begun, or has ended.
        """
        if not self._begun or self._ended:
            raise UsageError("a mark stands between the first packet of a stream and its end")
        payload = mark_payload(self._encoder.num_samples, name)
        return self._writer.add(Chunk(0, MARK, payload, 0))

    def _pack(self, parts: Sequence[CodeArray | Quiet]) -> list[bytes]:
        pieces = []
        for part in parts:
            if isinstance(part, Quiet):
                pieces += [self._writer.add(pause) for pause in pause_parts(part.frames, part.noise)]
                self._fresh = True
            elif self._chain is None:
                pieces.append(self._writer.add(Body.of(self._coding, part)))
            else:
                pieces.append(self._writer.add(self._chained(self._chain, part)))
        return pieces

    def _chained(self, chain: Chain, codes: CodeArray) -> Body:
        """Pack codes with the stages that there is room for, by what stages took before."""
        frames = codes.shape[2]
        # A byte for the length; what a wrong guess costs is taken from the packets that follow.
        room = self._writer.room(frames) - 1
        share = self._stage_bytes * frames / self.header.packet_frames
        stages = min(max(int(room / share), 1), codes.shape[1])
        block = chain.pack(codes[:, :stages], self._writer.frames, self._fresh)
        self._fresh = False
        if frames == self.header.packet_frames:
            self._stage_bytes += _LEARNING * (len(block) / stages - self._stage_bytes)
        return Body(stages, frames, block if self.header.bare else chained_body(block))


class StreamDecoder:
    """Packets in, samples out; `Codec.stream_decoder` makes one.

    Attributes:
        header: of the stream, once it was pushed.
        lost: packets that were concealed.
    """

    def __init__(
        self,
        engine: Engine,
        contexts: ContextModel | None,
        check: Callable[[Header], None],
        header: Header | None,
    ) -> None:
        """Wait for a stream.

        Args:
            engine: of the codec.
            contexts: of the codec.
            check: refuses the header of another model.
            header: of the stream, where it came another way.
        """
        self._engine, self._contexts, self._check = engine, contexts, check
        self.header: Header | None = None
        self._decoder: ChunkDecoder
        self.lost = 0
        # The frame that comes next.
        self._next = 0
        self._ended = False
        if header is not None:
            self._begin(header)

    def push(self, piece: bytes | bytearray | memoryview | None) -> NDArray[np.float32]:
        """Feed one piece of `StreamEncoder`: the header, a packet, or the end; None for a packet that was lost.

        A packet that is damaged counts as lost, and so do those that the place of a later one shows to be missing:
        the sound fades within a few frames, and comes back where it should be. One that comes twice or too
        late is passed over.

        Returns:
            float32 [channels, samples] at the stream's rate; what a packet holds, but for the decoder's overlap, comes
            at once.

        Raises:
            FormatError, WrongModelError: the header is damaged, or of another model, or the stream of a later version.
            UsageError: nothing but a header can be first.
        """
        piece = None if piece is None else as_bytes(piece)
        if piece is not None and piece[: len(MAGIC)] == MAGIC:
            if self.header is None:
                self._begin(parse_header(piece)[0])
            return self._nothing()
        if self.header is None:
            raise UsageError("a stream begins with its header")
        if piece is not None and piece[:1] == bytes([END]) and self._finish_with(piece):
            return self._nothing()
        item = None if piece is None else self._parse(piece)
        if item is None:
            return self._nothing() if self._ended else self._conceal(self.header.packet_frames)
        if isinstance(item, Chunk):
            item.require_known()
        if item.start < self._next or self._ended or isinstance(item, Chunk):
            return self._nothing()
        gap = self._conceal(item.start - self._next)
        return np.concatenate([gap, self._play(item)], axis=1)

    def _play(self, item: Packet | Pause) -> NDArray[np.float32]:
        """Return the sound of what comes next."""
        if isinstance(item, Pause):
            self._fresh = True
            self._next += item.frames
            return self._decoder.pause(item.frames, item.noise, item.start)
        codes = self._codes(item)
        if codes is None:
            return self._conceal(item.frames)
        self._next += item.frames
        return self._decoder.push(codes)

    def flush(self) -> NDArray[np.float32]:
        """Return the last samples, [channels, samples]."""
        if self.header is None:
            return np.zeros((1, 0), dtype=np.float32)
        total = self.header.num_samples
        whole = samples_in(self._engine.config, self._next, self.header.sample_rate)
        return self._decoder.finish(whole if total is None else min(whole, total))

    def _begin(self, header: Header) -> None:
        self._check(header)
        self.header = header
        self._coding = coding_for(header, self._contexts)
        self._chain = Chain(header, self._contexts) if header.coding == CHAINED else None
        self._fresh = False
        self._decoder = ChunkDecoder(self._engine, header.sample_rate, header.channels, None, hold=False)

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

    def _parse(self, piece: bytes) -> Item | None:
        """Return what a piece holds, or None where it is damaged."""
        header = self.header
        assert header is not None
        length = self._coding.length
        if header.bare and self._chain is not None:
            # Nothing but the packet's end tells its length.
            layout = layout_of(piece, header, lambda rest, stages, frames: len(rest))
        else:
            layout = layout_of(piece[:HEAD_BYTES], header, length)
        if layout is None or len(piece) != layout.at + layout.length + (0 if header.bare else CRC_BYTES):
            return None
        if header.bare:
            return item_of(piece, layout, self._next)
        start = position_of(piece, self._next)
        most = _MOST_MISSING_SECONDS * header.frame_rate // 100 + header.packet_frames
        return item_of(piece, layout, start) if 0 <= start <= self._next + most else None

    def _codes(self, packet: Packet) -> CodeArray | None:
        assert packet.body is not None and self.header is not None
        try:
            if self._chain is None:
                return self._coding.unpack(packet.body, packet.stages, packet.frames)
            block = packet.body if self.header.bare else chained_block(packet.body)
            codes = self._chain.unpack(block, packet.stages, packet.frames, packet.start, self._fresh)
            self._fresh = False
            return codes
        except FormatError:
            return None

    def _conceal(self, frames: int) -> NDArray[np.float32]:
        assert self.header is not None
        if frames and self._chain is not None:
            self._chain.lost()
            self._fresh = False
        self._next += frames
        self.lost += -(-frames // self.header.packet_frames)
        return self._decoder.conceal(frames)

    def _nothing(self) -> NDArray[np.float32]:
        return np.zeros((self.header.channels if self.header else 1, 0), dtype=np.float32)
