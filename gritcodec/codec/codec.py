"""The codec: waveforms, codes, bytes and files, through one model.

codec = load("speech-16k")
data = codec.compress(waveform, sample_rate, bitrate=3.0)
waveform, sample_rate = codec.decompress(data)
"""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec import bitstream, files, model_store
from gritcodec import engine as engines
from gritcodec.arguments import as_bytes, whole
from gritcodec.bitstream import Header, Part, Reader, pause_parts
from gritcodec.bitstream.plan import BUDGET_FROM_SECONDS
from gritcodec.codec.about import About
from gritcodec.codec.described import Described
from gritcodec.codec.live import StreamDecoder, StreamEncoder, live_header
from gritcodec.codec.parts import merged, packed, with_marks
from gritcodec.codec.playback import Playback, Span
from gritcodec.codec.refining import encoder
from gritcodec.codec.settings import Progress, Settings
from gritcodec.codec.stream import (
    CHUNK_FRAMES,
    ChunkDecoder,
    Codes,
    all_chunks,
    all_parts,
    checked_frames,
    code_problem,
)
from gritcodec.errors import UsageError
from gritcodec.files import PathLike
from gritcodec.sound import audio
from gritcodec.sound.audio import Waveform
from gritcodec.sound.pauses import Quiet

DEFAULT_MODEL = "speech-16k"

Tags = Sequence[tuple[str, str]]
# A numpy array or a torch tensor, floating point [channels, samples].
Samples = Any


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT_MODEL, engine: str = "auto", device: str | None = None
) -> "Codec":
    """Load a model for compressing and decompressing.

    Args:
        name_or_path: a shipped model's name, or a folder with config.yaml and weights.safetensors.
        engine: what runs the network: `onnx` (ONNX Runtime, on the CPU), `torch`, or `auto`: onnx, unless a device is
            named. Files of either play by the other, to within rounding; codes of one and the same sound differ
            between them in less than one of a thousand.
        device: of torch: `cpu`, `cuda`, `cuda:1` ...

    Raises:
        ModelError: there is no such model, or its files are damaged.
        ConfigError: its configuration is not valid.
        UsageError: there is no such engine or device, or a package that it needs is not installed.
    """
    model = model_store.read(model_store.resolve(name_or_path))
    return Codec(model, engines.make(model, engine, device))


class Codec(Described):
    """One model, ready to use. It keeps no state between calls, and may be called from several threads at once.

    It can be pickled, which takes the model's folder and fingerprint along and loads it again at the other end; a
    child process made by fork can go on using the one it was born with.
    """

    def __repr__(self) -> str:
        return (
            f"Codec({self.name!r}, fingerprint={self.fingerprint}, sample_rate={self.sample_rate}, "
            f"engine={self.engine!r})"
        )

    def encode(self, waveform: Samples, sample_rate: int, bitrate: float | None = None, effort: int = 0) -> Codes:
        """Code a waveform.

        Args:
            waveform: floating point [channels, samples] of numpy or torch, nominally -1 to 1; louder is coded as it is.
                Or [samples] of one channel; int16, int32 and uint8 too, whose range stands for -1 to 1.
                Channels are coded as independent mono signals.
            sample_rate: Hz, 1 to 768000.
            bitrate: kbps a channel, see `stages_for`.
            effort: steps, 0 to 100, in which codes are refined by what the decoder makes of them: more of them take
                longer and sound better at the same bitrate. Refined codes of all bitrates have their first stages in
                common, as others have; they may depend on the machine and the number of threads.

        Raises:
            UsageError: wrong shape, type, rate, bitrate or effort.
            AudioError: NaN, infinite or absurdly large samples.
        """
        sample_rate = audio.as_rate(sample_rate)
        samples = audio.as_waveform(audio.as_array(waveform), sample_rate)
        stages = self.stages_for(bitrate)
        coder = encoder(self._engine, sample_rate, samples.shape[0], stages, effort=whole(effort, "effort"))
        chunks = list(all_chunks(coder, audio.in_blocks(samples, sample_rate)))
        empty = np.zeros((samples.shape[0], stages, 0), dtype=np.uint16)
        indices = np.concatenate([empty, *chunks], axis=2).astype(np.int64)
        return Codes(audio.like(waveform, indices), sample_rate, samples.shape[1])

    def decode(self, codes: Codes) -> Any:
        """Turn codes back into sound.

        Returns:
            float32 [channels, samples] at `codes.sample_rate`, `codes.num_samples` of them; not clipped. Of numpy or
            of torch as the codes are.

        Raises:
            UsageError: the codes do not fit this model: stages, range, or frames that do not fit the samples; or what
                is given is no `Codes`.
        """
        if not isinstance(codes, Codes):
            given = type(codes).__name__
            raise UsageError(f"decode takes gritcodec.Codes (indices, sample_rate, num_samples), not {given}")
        rate, num_samples = audio.as_rate(codes.sample_rate), whole(codes.num_samples, "num_samples")
        indices = audio.as_array(codes.indices)
        problem = code_problem(self._config, indices, rate, num_samples)
        if problem is not None:
            raise UsageError(problem)
        return audio.like(codes.indices, self._decode(indices, rate, num_samples))

    def compress(
        self,
        waveform: Samples,
        sample_rate: int,
        bitrate: float | None = None,
        tags: Tags = (),
        effort: int = 0,
        about: About | None = None,
        dtx: bool = False,
        packet_frames: int = CHUNK_FRAMES,
    ) -> bytes:
        """Code a waveform into the bytes of a .grit file.

        Args:
            waveform: as in `encode`.
            sample_rate: Hz, 1 to 768000.
            bitrate: kbps a channel that the file may cost, overhead included; recordings of less than 10 s
                keep all stages of their bitrate instead, and none has less than one stage.
            tags: (name, value) pairs of text for the header.
            effort: as in `encode`.
            about: more to say about the recording, tags among it; those of `tags` come first.
            dtx: whether steady noise between words is a pause too, of comfort noise; silence always is.
            packet_frames: frames in a packet, 1 to 512: more of them take up to 1.5 % fewer bytes, and damage costs a
                whole packet.

        Raises:
            UsageError: wrong shape, type, rate, bitrate or effort.
            AudioError: NaN, infinite or absurdly large samples.
        """
        sample_rate = audio.as_rate(sample_rate)
        samples = audio.as_waveform(audio.as_array(waveform), sample_rate)
        blocks = audio.in_blocks(samples, sample_rate)
        about = (about or About()).with_tags(tags)
        return self.compress_blocks(
            blocks, sample_rate, samples.shape[0], bitrate, None, about, None, effort, dtx, packet_frames
        )

    def compress_blocks(
        self,
        blocks: Iterable[Waveform],
        sample_rate: int,
        channels: int,
        bitrate: float | None = None,
        size_limit: int | None = None,
        about: About | None = None,
        coded: Callable[[int], None] | None = None,
        effort: int = 0,
        dtx: bool = False,
        packet_frames: int = CHUNK_FRAMES,
    ) -> bytes:
        """Code a waveform that comes in blocks; memory grows with the result, not with the audio.

        Args:
            blocks: float32 [channels, samples] each.
            sample_rate: Hz, 1 to 768000.
            channels: 1 to 255.
            bitrate: as in `compress`.
            size_limit: bytes that the file may have; instead of a bitrate.
            about: tags, times and marks.
            coded: called after each packet with the bytes so far, to within what the end decides.
            effort: as in `encode`.
            dtx, packet_frames: as in `compress`.

        Raises:
            UsageError: no such bitrate, effort or packet, or one stage alone takes more than `size_limit`.
        """
        sample_rate, channels = audio.as_rate(sample_rate), whole(channels, "the number of channels")
        every, effort = len(self.bitrates), whole(effort, "effort")
        frames = checked_frames(packet_frames)
        size_limit = None if size_limit is None else whole(size_limit, "the size")
        kbps = self._kbps(bitrate)
        about = about or About()
        header = self._header(sample_rate, channels, 0, every, about, frames)
        most = min(bitstream.needed_stages(header, kbps, short=False), every) if size_limit is None else every
        coder = encoder(self._engine, sample_rate, channels, most, frames, effort)
        coder.watch(dtx)
        coding = bitstream.coding_for(header, self.contexts)
        parts: list[Part] = []
        size = 0
        for part in packed(coding, all_parts(coder, blocks)):
            if isinstance(part, Quiet):
                parts += pause_parts(part.frames, part.noise)
                continue
            parts.append(part)
            size += len(part.data)
            if coded:
                # Stages beyond what the bitrate has room for are dropped at the end.
                room = kbps * 125 * channels * coder.num_samples / sample_rate if size_limit is None else size_limit
                coded(round(min(size, room)))
        parts = with_marks(
            merged(parts), about.marks, self.hop_length * sample_rate / self.sample_rate, coder.num_samples
        )
        header = self._header(sample_rate, channels, coder.num_samples, every, about, frames)
        if coder.num_samples < BUDGET_FROM_SECONDS * sample_rate:
            # The name stands in a file twice: in a short one it would cost a few percent.
            header = replace(header, encoder=None)
        return bitstream.assemble_within(header, parts, None if size_limit is not None else kbps, size_limit)

    def compress_live(
        self,
        blocks: Iterable[Waveform],
        sample_rate: int,
        channels: int,
        bitrate: float | None = None,
        about: About | None = None,
        effort: int = 0,
        dtx: bool = False,
        packet_frames: int = CHUNK_FRAMES,
    ) -> Iterator[bytes]:
        """Code a waveform while it comes; each piece of the file is given out as soon as it is known.

        Arguments and errors as in `compress_blocks`; the bitrate is the largest of `bitrates` not above the one
        asked for, and the file is within it at every moment from 10 s on. Marks are left out.
        """
        stream = self.stream_encoder(sample_rate, channels, bitrate, packet_frames, effort=effort, about=about, dtx=dtx)
        for block in blocks:
            yield from stream.push(block)
        yield from stream.flush()

    def stream_encoder(
        self,
        sample_rate: int,
        channels: int = 1,
        bitrate: float | None = None,
        packet_frames: int = 1,
        tags: Tags = (),
        effort: int = 0,
        about: About | None = None,
        dtx: bool = False,
        check: bool = True,
        chain: bool = False,
    ) -> StreamEncoder:
        """Return what codes a live signal.

        Args:
            sample_rate: Hz, 1 to 768000.
            channels: 1 to 255.
            bitrate: as in `compress_live`; what each packet costs besides its codes counts: 5 bytes, or one without
                a check.
            packet_frames: frames in a packet, 1 to 512: a packet comes as soon as its last frame is there.
            tags: (name, value) pairs of text for the header.
            effort: as in `encode`: not for live signals, packets come five seconds late.
            about: more to say about the recording; marks come by `StreamEncoder.mark`.
            dtx: as in `compress`.
            check: whether packets have a checksum and tell their place. Without, they are four bytes shorter, and what
                carries them must do both (UDP, RTP, Ogg): the decoder is told of every one that is lost.
            chain: whether packets of less than 16 frames are entropy-coded with a look at those before them, once a
                second excepted: more stages at the same bitrate, and a lost packet costs up to a second.

        Raises:
            UsageError: there is no such bitrate, rate, packet or effort.
        """
        sample_rate, channels = audio.as_rate(sample_rate), whole(channels, "the number of channels")
        packet_frames, effort = checked_frames(packet_frames), whole(effort, "effort")
        kbps = self.bitrates[self.stages_for(bitrate) - 1]
        header = self._header(sample_rate, channels, None, len(self.bitrates), (about or About()).with_tags(tags))
        header = live_header(header, packet_frames, kbps, check, chain)
        return StreamEncoder(self._engine, header, kbps, self.contexts, effort, dtx)

    def stream_decoder(self, header: Header | None = None) -> StreamDecoder:
        """Return what turns the pieces of a stream encoder into sound as they come, lost ones concealed.

        Args:
            header: of the stream, where it came another way than by the first piece.

        Raises:
            WrongModelError: it is another model's.
        """
        return StreamDecoder(self._engine, self.contexts, self._model.check_header, header)

    def decompress(self, data: bytes | bytearray | memoryview, strict: bool = True) -> tuple[Waveform, int]:
        """Decode the bytes of a .grit file.

        Args:
            data: the whole file; those that are chained to it are decoded too.
            strict: whether damage is an error; otherwise lost parts fade to silence, and a file that is cut
                gives what is there. `play` also tells what was wrong.

        Returns:
            float32 [channels, samples] of numpy, and the sample rate in Hz, both as they were before compression.

        Raises:
            FormatError: not a .grit file, of an unknown version or, with `strict`, damaged.
            WrongModelError: made with another model.
        """
        reader: Reader | None = Reader(io.BytesIO(as_bytes(data)), strict)
        blocks: list[Waveform] = []
        rate = channels = 0
        while reader is not None:
            playback = self.play(reader)
            if blocks and (playback.sample_rate, playback.channels) != (rate, channels):
                raise UsageError(
                    "the files that are chained differ in sample rate or channels: decompress each by itself"
                )
            rate, channels = playback.sample_rate, playback.channels
            blocks += [np.zeros((channels, 0), dtype=np.float32), *playback.blocks()]
            reader = reader.following()
        return np.concatenate(blocks, axis=1), rate

    def play(self, reader: Reader, span: Span | None = None) -> Playback:
        """Prepare to decode a .grit stream, or a part of it, block by block.

        Raises:
            WrongModelError: made with another model.
            CorruptFileError: the header contradicts the model.
            UsageError: the recording ends before the span begins.
        """
        self._model.check_header(reader.header)
        reader.use(self.contexts)
        return Playback(self._engine, reader, span)

    def compress_file(
        self,
        source: PathLike,
        target: PathLike,
        bitrate: float | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
        effort: int = 0,
    ) -> Header:
        """Compress an audio file into a .grit file; see `transfer.compress` for pipes and more choices.

        Args:
            source: a file that libsndfile reads.
            target: appears when it is whole, and only then.
            bitrate: as in `compress`.
            overwrite: whether `target` may be replaced.
            progress: called as the work goes on.
            effort: as in `encode`.

        Returns:
            The header of the file written.

        Raises:
            UsageError: no such file or folder, `target` exists, or no such bitrate or effort.
            AudioError: the audio cannot be read.
            OutputError: the file cannot be written.
        """
        from gritcodec.codec import transfer

        settings = Settings(bitrate, effort=effort, overwrite=overwrite)
        return transfer.compress(self, source, target, settings, progress).header

    def decompress_file(
        self, source: PathLike, target: PathLike, overwrite: bool = False, progress: Progress | None = None
    ) -> Header:
        """Decompress a sound .grit file into 16-bit wav or flac, by the ending of `target`; see `transfer.decompress`.

        Returns:
            The header of the file read.

        Raises:
            FormatError, WrongModelError: as in `decompress`.
            UsageError: no such file or folder, `target` exists, or its ending is unknown.
            AudioError: `target` is a flac file and flac cannot hold the signal.
            OutputError: the file cannot be written.
        """
        from gritcodec.codec import transfer

        files.require_distinct(source, target)
        with transfer.open_grit(source, strict=True) as reader:
            return transfer.decompress(self, reader, target, overwrite=overwrite, progress=progress).header

    def _decode(self, codes: NDArray[np.integer], sample_rate: int, num_samples: int) -> Waveform:
        decoder = ChunkDecoder(self._engine, sample_rate, codes.shape[0], num_samples)
        starts = range(0, codes.shape[2], CHUNK_FRAMES)
        blocks = [decoder.push(codes[:, :, start : start + CHUNK_FRAMES]) for start in starts]
        return np.concatenate([*blocks, decoder.finish()], axis=1)
