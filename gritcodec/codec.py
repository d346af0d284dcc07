"""The codec: waveforms, codes, bytes and files, through one model.

codec = load("speech-16k")
data = codec.compress(waveform, sample_rate, bitrate=3.0)
waveform, sample_rate = codec.decompress(data)
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gritcodec import audio, bitstream, files, model_store
from gritcodec.audio import Waveform
from gritcodec.bitstream import Header
from gritcodec.errors import CorruptFileError, UsageError, WrongModelError
from gritcodec.files import PathLike
from gritcodec.stream import CHUNK_FRAMES, ChunkDecoder, ChunkEncoder, CodeArray, frames_for

DEFAULT_MODEL = "speech-16k"
DEFAULT_BITRATE = 3.0

# Called with the seconds of audio done so far and, where they are known, of the whole signal.
Progress = Callable[[float, float | None], None]


@dataclass(frozen=True, eq=False)
class Codes:
    """A coded signal.

    Attributes:
        indices: int64 [channels, stages, frames], each from 0 to codebook_size - 1; the first stages alone
            are a valid, coarser coding.
        sample_rate: of the original, Hz.
        num_samples: of the original, in each channel, exact.
    """

    indices: Tensor
    sample_rate: int
    num_samples: int


def load(name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> "Codec":
    """Load a model for compressing and decompressing, on the CPU.

    Args:
        name_or_path: a shipped model's name, or a folder with config.yaml and weights.safetensors.

    Raises:
        ModelError: there is no such model, or its files are damaged.
        ConfigError: its configuration is not valid.
    """
    return Codec(model_store.load(model_store.resolve(name_or_path)))


def find_model(header: Header) -> Path:
    """Return the folder of the shipped model that made a file.

    Raises:
        WrongModelError: none of the shipped models did.
    """
    names = model_store.available()
    for name in names:
        folder = model_store.resolve(name)
        if model_store.fingerprint(folder) == header.fingerprint:
            return folder
    raise WrongModelError(
        f"the file was made with model {header.fingerprint.hex()}, which is none of the shipped ones "
        f"({', '.join(names) or 'there are none'}): name its folder with --model"
    )


class Codec:
    """One model, ready to use. It keeps no state between calls."""

    def __init__(self, model: model_store.LoadedModel) -> None:
        """Wrap a loaded model; `load` is the usual way here."""
        self._model = model
        self._network = model.network
        self._config = model.network.config

    def __repr__(self) -> str:
        return f"Codec({self.name!r}, fingerprint={self.fingerprint}, sample_rate={self.sample_rate})"

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def fingerprint(self) -> str:
        """What names the model's weights in a file: 16 hexadecimal digits."""
        return self._model.fingerprint.hex()

    @property
    def sample_rate(self) -> int:
        """The rate at which the network works, Hz; audio of any rate goes in and comes out."""
        return self._config.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples, at the model's rate, in a frame."""
        return self._config.hop_length

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop_length

    @property
    def algorithmic_delay(self) -> float:
        """Seconds that a live signal would lag, computing time aside: one frame and the decoder's overlap."""
        return (self.hop_length + self._network.delay) / self.sample_rate

    @property
    def bitrates(self) -> tuple[float, ...]:
        """Bitrates a channel can have, kbps, ascending: one for each number of stages, without headers."""
        stages = self._config.quantizer.stages
        return tuple(round(k * self._code_bits * self.frame_rate / 1000, 6) for k in range(1, stages + 1))

    @property
    def _code_bits(self) -> int:
        return self._config.quantizer.codebook_size.bit_length() - 1

    def stages_for(self, bitrate: float | None = None) -> int:
        """Return how many stages a bitrate gives.

        Args:
            bitrate: kbps a channel; the largest of `bitrates` not above it is used. None: 3, or the nearest.

        Raises:
            UsageError: it is below the smallest of `bitrates`, or not a number.
        """
        rates = self.bitrates
        if bitrate is None:
            return 1 + min(range(len(rates)), key=lambda k: abs(rates[k] - DEFAULT_BITRATE))
        if math.isnan(bitrate) or bitrate < rates[0] - 1e-6:
            known = ", ".join(f"{rate:g}" for rate in rates)
            raise UsageError(f"{self.name} has no bitrate {bitrate:g} kbps; it has {known}")
        # A hair of tolerance: 0.1 * 15 must find 1.5.
        return sum(rate <= bitrate + 1e-6 for rate in rates)

    def encode(self, waveform: Tensor | NDArray, sample_rate: int, bitrate: float | None = None) -> Codes:
        """Code a waveform.

        Args:
            waveform: floating point [channels, samples], nominally -1 to 1; louder is coded as it is.
                Channels are coded as independent mono signals.
            sample_rate: Hz, 1 to 768000.
            bitrate: kbps a channel, see `stages_for`.

        Raises:
            UsageError: wrong shape, type, rate or bitrate.
            AudioError: NaN, infinite or absurdly large samples.
        """
        samples = _as_waveform(waveform, sample_rate)
        stages = self.stages_for(bitrate)
        encoder = ChunkEncoder(self._network, sample_rate, samples.shape[0], stages)
        chunks = list(_encoded(encoder, _blocks(samples, sample_rate)))
        empty = np.zeros((samples.shape[0], stages, 0), dtype=np.uint16)
        indices = np.concatenate([empty, *chunks], axis=2).astype(np.int64)
        return Codes(torch.from_numpy(indices), sample_rate, samples.shape[1])

    def decode(self, codes: Codes) -> Tensor:
        """Turn codes back into sound.

        Returns:
            float32 [channels, samples] at `codes.sample_rate`, `codes.num_samples` of them; not clipped.

        Raises:
            UsageError: the codes do not fit this model: stages, range, or frames that do not fit the samples.
        """
        indices = codes.indices.numpy(force=True)
        self._check_codes(indices, codes)
        return self._decode(indices, codes.sample_rate, codes.num_samples)

    def compress(self, waveform: Tensor | NDArray, sample_rate: int, bitrate: float | None = None) -> bytes:
        """Return the bytes of a .grit file; arguments and errors as in `encode`."""
        codes = self.encode(waveform, sample_rate, bitrate)
        channels, stages, _ = codes.indices.shape
        header = self._header(sample_rate, channels, codes.num_samples, stages)
        return bitstream.pack(header, codes.indices.numpy())

    def decompress(self, data: bytes) -> tuple[Tensor, int]:
        """Decode the bytes of a .grit file.

        Returns:
            float32 [channels, samples], and the sample rate in Hz, both as they were before compression.

        Raises:
            FormatError: not a .grit file, of an unknown version, cut short or damaged.
            WrongModelError: made with another model.
        """
        header, payload = bitstream.parse(data)
        self._check_header(header)
        codes = bitstream.unpack_codes(payload, header.channels, header.stages, header.frames, header.code_bits)
        return self._decode(codes, header.sample_rate, header.num_samples), header.sample_rate

    def compress_file(
        self,
        source: PathLike,
        target: PathLike,
        bitrate: float | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Header:
        """Compress an audio file into a .grit file; memory grows with the result, not with the audio.

        Args:
            source: a file that libsndfile reads.
            target: appears when it is whole, and only then.
            bitrate: kbps a channel, see `stages_for`.
            overwrite: whether `target` may be replaced.
            progress: called as the work goes on.

        Returns:
            The header of the file written.

        Raises:
            UsageError: no such file or folder, `target` exists, or no such bitrate.
            AudioError: the audio cannot be read.
            OutputError: the file cannot be written.
        """
        stages = self.stages_for(bitrate)
        files.require_distinct(source, target)
        with audio.AudioReader(source) as reader, files.atomic_output(target, overwrite) as temporary:
            encoder = ChunkEncoder(self._network, reader.sample_rate, reader.channels, stages)
            pieces = []
            for chunk in _encoded(encoder, reader.blocks()):
                pieces.append(bitstream.pack_codes(chunk, self._code_bits))
                if progress:
                    progress(encoder.num_samples / reader.sample_rate, reader.expected_seconds)
            header = self._header(reader.sample_rate, reader.channels, encoder.num_samples, stages)
            with files.system_errors(target):
                temporary.write_bytes(bitstream.assemble(header, b"".join(pieces)))
        return header

    def decompress_file(
        self, source: PathLike, target: PathLike, overwrite: bool = False, progress: Progress | None = None
    ) -> Header:
        """Decompress a .grit file into 16-bit wav or flac, by the ending of `target`.

        Memory does not grow with the audio, only with the .grit file.

        Returns:
            The header of the file read.

        Raises:
            FormatError, WrongModelError: as in `decompress`.
            UsageError: no such file or folder, `target` exists, or its ending is unknown.
            AudioError: `target` is a flac file and flac cannot hold the signal.
            OutputError: the file cannot be written.
        """
        files.require_distinct(source, target)
        header, payload = bitstream.parse(files.read_bytes(source))
        self._check_header(header)
        rate, channels, num_samples = header.sample_rate, header.channels, header.num_samples
        decoder = ChunkDecoder(self._network, rate, channels, num_samples)
        done = 0
        with audio.open_writer(target, rate, channels, num_samples, overwrite) as writer:
            for chunk in _unpacked(header, payload):
                block = decoder.push(chunk)
                writer.write(block)
                done += block.shape[1]
                if progress:
                    progress(done / rate, header.seconds)
            writer.write(decoder.finish())
        return header

    def _decode(self, codes: NDArray[np.integer], sample_rate: int, num_samples: int) -> Tensor:
        decoder = ChunkDecoder(self._network, sample_rate, codes.shape[0], num_samples)
        starts = range(0, codes.shape[2], CHUNK_FRAMES)
        blocks = [decoder.push(codes[:, :, start : start + CHUNK_FRAMES]) for start in starts]
        return torch.from_numpy(np.concatenate([*blocks, decoder.finish()], axis=1))

    def _header(self, sample_rate: int, channels: int, num_samples: int, stages: int) -> Header:
        frames = frames_for(self._network, num_samples, sample_rate)
        fingerprint = self._model.fingerprint
        return Header(fingerprint, sample_rate, channels, num_samples, stages, frames, self._code_bits)

    def _check_header(self, header: Header) -> None:
        """Refuse a file of another model, and one whose numbers contradict this model."""
        if header.fingerprint != self._model.fingerprint:
            raise WrongModelError(
                f"the file was made with model {header.fingerprint.hex()}, and this is {self.name} ({self.fingerprint})"
            )
        expected = self._header(header.sample_rate, header.channels, header.num_samples, header.stages)
        if header != expected or header.stages > len(self.bitrates):
            raise CorruptFileError(
                "the header contradicts the model: "
                f"{header.num_samples:,} samples at {header.sample_rate:,} Hz in {header.frames:,} frames "
                f"of {header.stages} codes of {header.code_bits} bits"
            )

    def _check_codes(self, indices: NDArray[np.integer], codes: Codes) -> None:
        stages, size = len(self.bitrates), self._config.quantizer.codebook_size
        if indices.ndim != 3 or indices.dtype.kind not in "iu":
            raise UsageError(f"codes must be integers [channels, stages, frames], not {indices.dtype} {indices.shape}")
        if not 1 <= indices.shape[1] <= stages:
            raise UsageError(f"codes have {indices.shape[1]} stages; {self.name} has 1 to {stages}")
        if not 1 <= codes.sample_rate <= bitstream.MAX_SAMPLE_RATE or codes.num_samples < 0:
            raise UsageError(f"there are no {codes.num_samples:,} samples at {codes.sample_rate:,} Hz")
        frames = frames_for(self._network, codes.num_samples, codes.sample_rate)
        if indices.shape[2] != frames:
            raise UsageError(
                f"{codes.num_samples:,} samples at {codes.sample_rate:,} Hz have {frames:,} frames, "
                f"not {indices.shape[2]:,}"
            )
        if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < size:
            raise UsageError(f"codes must be from 0 to {size - 1}, not {indices.min()} to {indices.max()}")


def _encoded(encoder: ChunkEncoder, blocks: Iterable[Waveform]) -> Iterator[CodeArray]:
    for block in blocks:
        yield from encoder.push(block)
    yield from encoder.finish()


def _blocks(samples: Waveform, sample_rate: int) -> Iterator[Waveform]:
    step = audio.block_samples(sample_rate)
    for start in range(0, samples.shape[1], step):
        yield samples[:, start : start + step]


def _unpacked(header: Header, payload: memoryview) -> Iterator[CodeArray]:
    """Unpack a payload one chunk at a time."""
    shape = header.channels, header.stages
    chunk_bytes = bitstream.payload_bytes(*shape, CHUNK_FRAMES, header.code_bits)
    for number, start in enumerate(range(0, header.frames, CHUNK_FRAMES)):
        piece = payload[number * chunk_bytes : (number + 1) * chunk_bytes]
        yield bitstream.unpack_codes(piece, *shape, min(CHUNK_FRAMES, header.frames - start), header.code_bits)


def _as_waveform(waveform: Tensor | NDArray, sample_rate: int) -> Waveform:
    """Check what the caller gave and return float32 [channels, samples]."""
    array = waveform.numpy(force=True) if isinstance(waveform, Tensor) else np.asarray(waveform)
    if array.ndim != 2:
        raise UsageError(f"a waveform must be [channels, samples], not of shape {array.shape}")
    if array.dtype.kind != "f":
        raise UsageError(f"a waveform must be floating point within -1 to 1, not {array.dtype}")
    if not 1 <= array.shape[0] <= bitstream.MAX_CHANNELS:
        raise UsageError(
            f"a waveform must be [channels, samples] with 1 to {bitstream.MAX_CHANNELS} channels, "
            f"not of shape {array.shape}"
        )
    if not 1 <= sample_rate <= bitstream.MAX_SAMPLE_RATE:
        raise UsageError(f"the sample rate must be 1 to {bitstream.MAX_SAMPLE_RATE:,} Hz, not {sample_rate}")
    # Overflow becomes infinite, which is refused in the next line with a clear message.
    with np.errstate(over="ignore"):
        samples = array.astype(np.float32, copy=False)
    audio.require_sound(samples, sample_rate)
    return samples
