"""Waveforms <-> codes of one signal, chunk by chunk: flat memory in the network whatever the length.

Chunks have a fixed number of frames, counted from the beginning of the signal, and the network's streaming
state goes from each to the next; so the result does not depend on how the caller cuts the signal into blocks.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from gritcodec.audio import Resampler, Waveform
from gritcodec.bitstream import PACKET_FRAMES
from gritcodec.nn.autoencoder import Autoencoder

# About ten seconds, and whole packets, so that the packed bytes of chunks can be joined.
CHUNK_FRAMES = 8 * PACKET_FRAMES
# Many channels go through the network in groups: memory stays bounded for 255 of them.
_CHANNELS_AT_ONCE = 8

CodeArray = NDArray[np.uint16]


def model_samples(num_samples: int, sample_rate: int, model_rate: int) -> int:
    """Return the samples at the model's rate: ceil(num_samples * model_rate / sample_rate), exactly."""
    return -(-num_samples * model_rate // sample_rate)


def frames_for(network: Autoencoder, num_samples: int, sample_rate: int) -> int:
    """Return the frames for `num_samples` samples at `sample_rate` Hz; the decoder's delay needs room too."""
    config = network.config
    at_model = model_samples(num_samples, sample_rate, config.sample_rate)
    return -(-(at_model + network.delay) // config.hop_length) if num_samples else 0


class ChunkEncoder:
    """Blocks of samples in, chunks of codes out.

    Attributes:
        num_samples: samples in each channel so far.
    """

    def __init__(self, network: Autoencoder, sample_rate: int, channels: int, stages: int) -> None:
        """Begin a signal of `channels` channels at `sample_rate` Hz, to be coded in `stages` stages."""
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
        missing = frames * self._network.config.hop_length - self._pending.shape[1]
        return rest + self._take(np.zeros((self._pending.shape[0], missing), dtype=np.float32), last=True)

    def _take(self, samples: Waveform, last: bool) -> list[CodeArray]:
        hop = self._network.config.hop_length
        self._pending = np.concatenate([self._pending, samples], axis=1)
        chunks = []
        while (ready := min(self._pending.shape[1] // hop, CHUNK_FRAMES)) == CHUNK_FRAMES or (last and ready):
            chunks.append(self._encode(self._pending[:, : ready * hop]))
            self._pending = self._pending[:, ready * hop :]
            self._frames += ready
        return chunks

    @torch.inference_mode()
    def _encode(self, samples: Waveform) -> CodeArray:
        parts = []
        for group, state in self._groups:
            batch = torch.from_numpy(np.ascontiguousarray(samples[group]))[:, None]
            parts.append(self._network.encode(batch, self._stages, state).numpy().astype(np.uint16))
        return np.concatenate(parts)


class ChunkDecoder:
    """Chunks of codes in, blocks of samples at the original rate out."""

    def __init__(self, network: Autoencoder, sample_rate: int, channels: int, num_samples: int) -> None:
        """Begin a signal of `channels` channels, `num_samples` samples each at `sample_rate` Hz."""
        model_rate = network.config.sample_rate
        self._network = network
        self._resampler = Resampler(model_rate, sample_rate, channels)
        self._late = network.delay
        self._wanted = model_samples(num_samples, sample_rate, model_rate)
        self._num_samples = num_samples
        self._left = num_samples
        self._groups = [(group, network.initial_state()) for group in _channel_groups(channels)]

    def push(self, codes: NDArray[np.integer]) -> Waveform:
        """Feed [channels, stages, frames]; return what is ready, float32 [channels, samples].

        Every chunk but the last should have `CHUNK_FRAMES` frames, for values that are equal to the last bit.
        """
        samples = self._decode(codes)
        dropped = min(self._late, samples.shape[1])
        self._late -= dropped
        samples = samples[:, dropped:][:, : self._wanted]
        self._wanted -= samples.shape[1]
        return self._give(self._resampler.push(samples))

    def finish(self) -> Waveform:
        """Return the rest, [channels, samples], so that all blocks together have the original's length."""
        return self._give(self._resampler.finish(self._num_samples))

    def _give(self, samples: Waveform) -> Waveform:
        samples = samples[:, : self._left]
        self._left -= samples.shape[1]
        return samples

    @torch.inference_mode()
    def _decode(self, codes: NDArray[np.integer]) -> Waveform:
        parts = []
        for group, state in self._groups:
            batch = torch.from_numpy(codes[group].astype(np.int64))
            parts.append(self._network.decode(batch, state)[:, 0].numpy())
        return np.concatenate(parts)


def _channel_groups(channels: int) -> list[slice]:
    return [slice(first, first + _CHANNELS_AT_ONCE) for first in range(0, channels, _CHANNELS_AT_ONCE)]
