"""Waveforms <-> codes of one signal, chunk by chunk: flat memory in the network whatever the length.

Chunks are the packets of a file: they have a fixed number of frames, counted from the beginning of the signal,
and the network's streaming state goes from each to the next; so the result does not depend on how the caller
cuts the signal into blocks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gritcodec.audio import Waveform
from gritcodec.bitstream import MAX_SAMPLE_RATE, PACKET_FRAMES
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.resampling import Resampler

# A packet: a live stream is late by no more, and decoding can begin at any of them with equal values.
CHUNK_FRAMES = PACKET_FRAMES
# Many channels go through the network in groups: memory stays bounded for 255 of them.
_CHANNELS_AT_ONCE = 8
# A lost packet repeats the last frame and fades within so many hops; what follows it fades in within a part of one.
_FADE_HOPS = 3
_RETURN_PARTS = 4
# Samples, at the lower of the two rates, after which a resampler has forgotten where it began.
_RESAMPLER_MEMORY = 1024

CodeArray = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Codes:
    """A coded signal.

    Attributes:
        indices: int64 [channels, stages, frames], each from 0 to codebook_size - 1; the first stages alone
            are a valid, coarser coding.
        sample_rate: of the original, Hz.
        num_samples: of the original, in each channel, exact.
    """

    indices: torch.Tensor
    sample_rate: int
    num_samples: int


def model_samples(num_samples: int, sample_rate: int, model_rate: int) -> int:
    """Return the samples at the model's rate: ceil(num_samples * model_rate / sample_rate), exactly."""
    return -(-num_samples * model_rate // sample_rate)


def frames_for(network: Autoencoder, num_samples: int, sample_rate: int) -> int:
    """Return the frames for `num_samples` samples at `sample_rate` Hz; the decoder's delay needs room too."""
    config = network.config
    at_model = model_samples(num_samples, sample_rate, config.sample_rate)
    return -(-(at_model + network.delay) // config.hop_length) if num_samples else 0


def code_problem(network: Autoencoder, indices: NDArray[np.generic], sample_rate: int, num_samples: int) -> str | None:
    """Return why codes are none of this network for a signal of `num_samples` samples at `sample_rate` Hz, or None."""
    stages, size = network.config.quantizer.stages, network.config.quantizer.codebook_size
    if indices.ndim != 3 or indices.dtype.kind not in "iu":
        return f"codes must be integers [channels, stages, frames], not {indices.dtype} {indices.shape}"
    if not 1 <= indices.shape[1] <= stages:
        return f"codes have {indices.shape[1]} stages; the model has 1 to {stages}"
    if not 1 <= sample_rate <= MAX_SAMPLE_RATE or num_samples < 0:
        return f"there are no {num_samples:,} samples at {sample_rate:,} Hz"
    frames = frames_for(network, num_samples, sample_rate)
    if indices.shape[2] != frames:
        return f"{num_samples:,} samples at {sample_rate:,} Hz have {frames:,} frames, not {indices.shape[2]:,}"
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < size:
        return f"codes must be from 0 to {size - 1}, not {indices.min()} to {indices.max()}"
    return None


class ChunkEncoder:
    """Blocks of samples in, chunks of codes out.

    Attributes:
        num_samples: samples in each channel so far.
    """

    def __init__(
        self, network: Autoencoder, sample_rate: int, channels: int, stages: int, frames: int = CHUNK_FRAMES
    ) -> None:
        """Begin a signal of `channels` channels at `sample_rate` Hz, to be coded in `stages` stages.

        Chunks have `frames` frames; the codes are the same whatever it is.
        """
        self._chunk = frames
        self.num_samples = 0
        self._network = network
        self._sample_rate = sample_rate
        self._stages = stages
        self._resampler = Resampler(sample_rate, network.config.sample_rate, channels)
        self._pending = np.zeros((channels, 0), dtype=np.float32)
        self._frames = 0
        self._groups = [(group, network.initial_state()) for group in _channel_groups(channels)]

    def push(self, block: Waveform) -> list[CodeArray]:
        """Feed float32 [channels, samples]; return chunks now ready, uint16 [channels, stages, frames]."""
        self.num_samples += block.shape[1]
        return self._take(self._resampler.push(block), last=False)

    def finish(self) -> list[CodeArray]:
        """End the signal and return the chunks that remain."""
        total = model_samples(self.num_samples, self._sample_rate, self._network.config.sample_rate)
        rest = self._take(self._resampler.finish(total), last=False)
        frames = frames_for(self._network, self.num_samples, self._sample_rate) - self._frames
        missing = frames * self._network.config.hop_length - self._waiting()
        return rest + self._take(np.zeros((self._pending.shape[0], missing), dtype=np.float32), last=True)

    def _waiting(self) -> int:
        """Return how many samples, at the model's rate, no frame has been made of yet."""
        return self._pending.shape[1]

    def _take(self, samples: Waveform, last: bool) -> list[CodeArray]:
        hop = self._network.config.hop_length
        self._pending = np.concatenate([self._pending, samples], axis=1)
        chunks = []
        while (ready := min(self._pending.shape[1] // hop, self._chunk)) == self._chunk or (last and ready):
            chunks.append(self._encode(self._pending[:, : ready * hop]))
            self._pending = self._pending[:, ready * hop :]
            self._frames += ready
        return chunks

    @torch.inference_mode()
    def _encode(self, samples: Waveform) -> CodeArray:
        parts = []
        for group, state in self._groups:
            batch = torch.from_numpy(np.ascontiguousarray(samples[group]))[:, None]
            hop = self._network.config.hop_length
            found = [
                self._network.encode(batch[..., first * hop : last * hop], self._stages, state).numpy()
                for first, last in even_blocks(batch.shape[-1] // hop)
            ]
            parts.append(np.concatenate(found, axis=2).astype(np.uint16))
        return np.concatenate(parts)


def all_chunks(encoder: ChunkEncoder, blocks: Iterable[Waveform]) -> Iterator[CodeArray]:
    """Yield the chunks of a whole signal that comes in blocks."""
    for block in blocks:
        yield from encoder.push(block)
    yield from encoder.finish()


def samples_in(network: Autoencoder, frames: int, sample_rate: int) -> int:
    """Return the samples at `sample_rate` Hz that so many frames hold for sure, the decoder's delay taken off."""
    config = network.config
    return max(frames * config.hop_length - network.delay, 0) * sample_rate // config.sample_rate


def warmup_frames(network: Autoencoder, sample_rate: int) -> int:
    """Return how many frames before a sample its value at `sample_rate` Hz depends on; a few more, to be sure."""
    config = network.config
    coarse = 3 + config.decoder_coarse_blocks * (config.kernel - 1)
    fine = config.decoder_fine_blocks * (config.kernel - 1) + config.window // config.fine_hop
    # Eight frames more than the decoder's levels need: room for its head.
    frames = coarse + -(-fine * config.fine_hop // config.hop_length) + 8
    if sample_rate != config.sample_rate:
        memory = _RESAMPLER_MEMORY * config.sample_rate / min(sample_rate, config.sample_rate)
        frames += int(memory // config.hop_length) + 1
    return frames


class ChunkDecoder:
    """Chunks of codes in, blocks of samples at the original rate out."""

    def __init__(
        self, network: Autoencoder, sample_rate: int, channels: int, num_samples: int | None, hold: bool = True
    ) -> None:
        """Begin a signal of `channels` channels, `num_samples` samples each at `sample_rate` Hz.

        With None for `num_samples` one frame is held back until `finish` tells, unless `hold` is False: then the
        sound may go on for up to a frame after the end of the signal.
        """
        self._hold = network.config.hop_length if hold else 0
        model_rate = network.config.sample_rate
        self._network = network
        self._rates = sample_rate, model_rate
        self._resampler = Resampler(model_rate, sample_rate, channels)
        self._late = network.delay
        self._known = num_samples is not None
        self._wanted = model_samples(num_samples or 0, sample_rate, model_rate)
        self._left = num_samples or 0
        self._held = np.zeros((channels, 0), dtype=np.float32)
        self._given = self._fed = 0
        self._groups = [(group, network.initial_state()) for group in _channel_groups(channels)]
        self._last: NDArray[np.integer] = np.zeros((channels, 1, 1), dtype=np.uint16)
        self._silent = False
        self._began = False

    def push(self, codes: NDArray[np.integer]) -> Waveform:
        """Feed [channels, stages, frames]; return what is ready, float32 [channels, samples].

        The values do not depend on how the codes are cut into chunks, to the last bit.
        """
        samples = self._decode(codes)
        if self._silent:
            count = min(self._network.config.hop_length // _RETURN_PARTS, samples.shape[1])
            samples[:, :count] *= np.linspace(0, 1, count, dtype=np.float32)
        self._last, self._silent, self._began = codes[:, :, -1:], False, True
        return self._take(samples)

    def conceal(self, frames: int) -> Waveform:
        """Stand in for so many lost frames: the last one again, fading; silence from there on."""
        if not frames:
            return np.zeros((self._held.shape[0], 0), dtype=np.float32)
        samples = self._decode(np.repeat(self._last, frames, axis=2))
        count = 0 if self._silent or not self._began else _FADE_HOPS * self._network.config.hop_length
        count = min(count, samples.shape[1])
        samples[:, :count] *= np.linspace(1, 0, count, dtype=np.float32)
        samples[:, count:] = 0
        self._silent = True
        return self._take(samples)

    def finish(self, num_samples: int | None = None) -> Waveform:
        """Return the rest, [channels, samples].

        Args:
            num_samples: the length of the signal where it was not known at the beginning, or where it ended
                early; None: as was said at the beginning.
        """
        if num_samples is not None:
            self._wanted = max(model_samples(num_samples, *self._rates) - self._fed, 0)
            self._left, self._known = max(num_samples - self._given, 0), True
        rest = self._give(self._resampler.push(self._certain(np.zeros_like(self._held[:, :0]))))
        total = self._given + self._left
        return np.concatenate([rest, self._give(self._resampler.finish(total))], axis=1)

    def _take(self, samples: Waveform) -> Waveform:
        dropped = min(self._late, samples.shape[1])
        self._late -= dropped
        return self._give(self._resampler.push(self._certain(samples[:, dropped:])))

    def _certain(self, samples: Waveform) -> Waveform:
        """Return the samples that belong to the signal for sure; hold the others back."""
        if self._known:
            samples = np.concatenate([self._held, samples], axis=1)[:, : self._wanted]
            self._held = self._held[:, :0]
            self._wanted -= samples.shape[1]
        else:
            samples = np.concatenate([self._held, samples], axis=1)
            certain = max(samples.shape[1] - self._hold, 0)
            samples, self._held = samples[:, :certain], samples[:, certain:]
        self._fed += samples.shape[1]
        return samples

    def _give(self, samples: Waveform) -> Waveform:
        if self._known:
            samples = samples[:, : self._left]
            self._left -= samples.shape[1]
        self._given += samples.shape[1]
        return samples

    @torch.inference_mode()
    def _decode(self, codes: NDArray[np.integer]) -> Waveform:
        parts = []
        for group, state in self._groups:
            batch = torch.from_numpy(codes[group].astype(np.int64))
            blocks = even_blocks(batch.shape[2])
            found = [self._network.decode(batch[:, :, first:last], state)[:, 0].numpy() for first, last in blocks]
            parts.append(np.concatenate(found, axis=1))
        return np.concatenate(parts)


def even_blocks(frames: int) -> list[tuple[int, int]]:
    """Cut frames into blocks of 64, then 32, 16 ... 1: the first and the frame after the last of each.

    The network gives the same bits in blocks of these sizes, on one thread and on several, and not in all others: rows
    of a matrix product are shared among threads, and a few that are left over may be rounded in another way.
    """
    blocks, first = [], 0
    while first < frames:
        size = min(CHUNK_FRAMES, 1 << (frames - first).bit_length() - 1)
        blocks.append((first, first + size))
        first += size
    return blocks


def _channel_groups(channels: int) -> list[slice]:
    return [slice(first, first + _CHANNELS_AT_ONCE) for first in range(0, channels, _CHANNELS_AT_ONCE)]
