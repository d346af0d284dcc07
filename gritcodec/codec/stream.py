"""Waveforms <-> codes of one signal, chunk by chunk: flat memory in the network whatever the length.

Chunks are the packets of a file: they have a fixed number of frames, counted from the beginning of the signal,
and the network's streaming state goes from each to the next; so the result does not depend on how the caller
cuts the signal into blocks.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gritcodec.arguments import whole
from gritcodec.bitstream import MAX_PACKET_FRAMES, MAX_SAMPLE_RATE, PACKET_FRAMES
from gritcodec.engine.interface import Engine, State
from gritcodec.errors import UsageError
from gritcodec.nn.config import NetworkConfig
from gritcodec.sound.audio import Waveform
from gritcodec.sound.pauses import Activity, Pauser, Quiet, comfort_noise
from gritcodec.sound.resampling import Resampler

# A packet, where nothing else is asked for: damage costs no more, a pipe is late by no more, and decoding can begin at
# any of them with equal values. So many frames go through the network at once, whatever the packets.
CHUNK_FRAMES = PACKET_FRAMES
# Many channels go through the network in groups: memory stays bounded for 255 of them.
_CHANNELS_AT_ONCE = 8
# A lost packet repeats the last frame and fades within so many hops; what follows it fades in within a part of one.
_FADE_HOPS = 3
_RETURN_PARTS = 4

CodeArray = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Codes:
    """A coded signal.

    Attributes:
        indices: int64 [channels, stages, frames], of numpy or of torch as the waveform was, each from 0 to
            codebook_size - 1; the first stages alone are a valid, coarser coding.
        sample_rate: of the original, Hz.
        num_samples: of the original, in each channel, exact.
    """

    indices: Any
    sample_rate: int
    num_samples: int


def checked_frames(packet_frames: object) -> int:
    """Return the frames of a packet; UsageError where a file has no such packets."""
    frames = whole(packet_frames, "packet_frames")
    if not 1 <= frames <= MAX_PACKET_FRAMES:
        raise UsageError(f"a packet has 1 to {MAX_PACKET_FRAMES} frames, not {frames}")
    return frames


def model_samples(num_samples: int, sample_rate: int, model_rate: int) -> int:
    """Return the samples at the model's rate: ceil(num_samples * model_rate / sample_rate), exactly."""
    return -(-num_samples * model_rate // sample_rate)


def frames_for(config: NetworkConfig, num_samples: int, sample_rate: int) -> int:
    """Return the frames for `num_samples` samples at `sample_rate` Hz; the decoder's delay needs room too."""
    at_model = model_samples(num_samples, sample_rate, config.sample_rate)
    return -(-(at_model + config.delay) // config.hop_length) if num_samples else 0


def code_problem(config: NetworkConfig, indices: NDArray[np.generic], sample_rate: int, num_samples: int) -> str | None:
    """Return why codes are none of a network for a signal of `num_samples` samples at `sample_rate` Hz, or None."""
    stages, size = config.quantizer.stages, config.quantizer.codebook_size
    if indices.ndim != 3 or indices.dtype.kind not in "iu" or not len(indices):
        return f"codes must be integers [channels, stages, frames], not {indices.dtype} {indices.shape}"
    if not 1 <= indices.shape[1] <= stages:
        return f"codes have {indices.shape[1]} stages; the model has 1 to {stages}"
    if not 1 <= sample_rate <= MAX_SAMPLE_RATE or num_samples < 0:
        return f"there are no {num_samples:,} samples at {sample_rate:,} Hz"
    frames = frames_for(config, num_samples, sample_rate)
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
        self, engine: Engine, sample_rate: int, channels: int, stages: int, frames: int = CHUNK_FRAMES
    ) -> None:
        """Begin a signal of `channels` channels at `sample_rate` Hz, to be coded in `stages` stages.

        Chunks have `frames` frames; the codes are the same whatever it is.
        """
        self._chunk = frames
        self._activity: Activity | None = None
        self._pauser: Pauser | None = None
        self.num_samples = 0
        self._engine = engine
        self._hop = engine.config.hop_length
        self._sample_rate = sample_rate
        self._stages = stages
        self._resampler = Resampler(sample_rate, engine.config.sample_rate, channels)
        self._pending = np.zeros((channels, 0), dtype=np.float32)
        self._frames = 0
        self._groups = _grouped(channels, engine.encoder_state)

    def watch(self, noise: bool = False) -> None:
        """Look for pauses from now on, before the first samples; `noise`: in steady noise too."""
        config = self._engine.config
        self._activity = Activity(self._pending.shape[0], config.hop_length, config.window, noise)
        self._pauser = Pauser(self._chunk)

    def parts(self, block: Waveform) -> list[CodeArray | Quiet]:
        """Feed samples as to `push`; return packets of codes and pauses, after `watch`."""
        assert self._pauser is not None
        return self._pauser.push(self.push(block))

    def last_parts(self) -> list[CodeArray | Quiet]:
        """End the signal as `finish` does; return the packets and pauses that remain."""
        assert self._pauser is not None
        return self._pauser.push(self.finish(), last=True)

    def push(self, block: Waveform) -> list[CodeArray]:
        """Feed float32 [channels, samples]; return chunks now ready, uint16 [channels, stages, frames]."""
        self.num_samples += block.shape[1]
        return self._feed(self._resampler.push(block))

    def _feed(self, samples: Waveform, last: bool = False) -> list[CodeArray]:
        if self._pauser is not None and self._activity is not None:
            self._pauser.know(self._activity.push(samples))
        return self._take(samples, last)

    def finish(self) -> list[CodeArray]:
        """End the signal and return the chunks that remain."""
        total = model_samples(self.num_samples, self._sample_rate, self._engine.config.sample_rate)
        rest = self._feed(self._resampler.finish(total))
        frames = frames_for(self._engine.config, self.num_samples, self._sample_rate) - self._frames
        missing = frames * self._hop - self._waiting()
        return rest + self._feed(np.zeros((self._pending.shape[0], missing), dtype=np.float32), last=True)

    def _waiting(self) -> int:
        """Return how many samples, at the model's rate, no frame has been made of yet."""
        return self._pending.shape[1]

    def _take(self, samples: Waveform, last: bool) -> list[CodeArray]:
        hop = self._hop
        self._pending = np.concatenate([self._pending, samples], axis=1)
        chunks = []
        while (ready := min(self._pending.shape[1] // hop, self._chunk)) == self._chunk or (last and ready):
            chunks.append(self._encode(self._pending[:, : ready * hop]))
            self._pending = self._pending[:, ready * hop :]
            self._frames += ready
        return chunks

    def _encode(self, samples: Waveform) -> CodeArray:
        step = CHUNK_FRAMES * self._hop
        pieces = [samples[:, start : start + step] for start in range(0, samples.shape[1], step)] or [samples]
        return np.concatenate(
            [
                np.concatenate([self._engine.encode(x[group], self._stages, state) for group, state in self._groups])
                for x in pieces
            ],
            axis=2,
        )


def all_chunks(encoder: ChunkEncoder, blocks: Iterable[Waveform]) -> Iterator[CodeArray]:
    """Yield the chunks of a whole signal that comes in blocks."""
    for block in blocks:
        yield from encoder.push(block)
    yield from encoder.finish()


def all_parts(encoder: ChunkEncoder, blocks: Iterable[Waveform]) -> Iterator[CodeArray | Quiet]:
    """Yield the packets and pauses of a whole signal that comes in blocks, from an encoder that watches."""
    for block in blocks:
        yield from encoder.parts(block)
    yield from encoder.last_parts()


def samples_in(config: NetworkConfig, frames: int, sample_rate: int) -> int:
    """Return the samples at `sample_rate` Hz that so many frames hold for sure, the decoder's delay taken off."""
    return max(frames * config.hop_length - config.delay, 0) * sample_rate // config.sample_rate


class ChunkDecoder:
    """Chunks of codes in, blocks of samples at the original rate out."""

    def __init__(
        self, engine: Engine, sample_rate: int, channels: int, num_samples: int | None, hold: bool = True
    ) -> None:
        """Begin a signal of `channels` channels, `num_samples` samples each at `sample_rate` Hz.

        With None for `num_samples` one frame is held back until `finish` tells, unless `hold` is False: then the
        sound may go on for up to a frame after the end of the signal.
        """
        self._hop = engine.config.hop_length
        self._hold = self._hop if hold else 0
        model_rate = engine.config.sample_rate
        self._engine = engine
        self._rates = sample_rate, model_rate
        self._resampler = Resampler(model_rate, sample_rate, channels)
        self._late = engine.config.delay
        self._known = num_samples is not None
        self._wanted = model_samples(num_samples or 0, sample_rate, model_rate)
        self._left = num_samples or 0
        self._held = np.zeros((channels, 0), dtype=np.float32)
        self._given = self._fed = 0
        self._groups = _grouped(channels, engine.decoder_state)
        # Noise that goes on under what comes after a pause, [channels, delay].
        self._under = np.zeros((channels, 0), dtype=np.float32)
        self._last: NDArray[np.integer] = np.zeros((channels, 1, 1), dtype=np.uint16)
        self._silent = False
        self._began = False

    def push(self, codes: NDArray[np.integer]) -> Waveform:
        """Feed [channels, stages, frames]; return what is ready, float32 [channels, samples].

        The values do not depend on how the codes are cut into chunks, to the last bit.
        """
        samples = self._decode(codes)
        if self._silent:
            count = min(self._hop // _RETURN_PARTS, samples.shape[1])
            samples[:, :count] *= np.linspace(0, 1, count, dtype=np.float32)
        self._last, self._silent, self._began = codes[:, :, -1:], False, True
        return self._take(self._with_noise(samples))

    def pause(self, frames: int, noise: bytes = b"", start: int = 0) -> Waveform:
        """Let so many frames pass without codes; what comes next is decoded as a signal's beginning is.

        Args:
            frames: 1 or more.
            noise: as in RFC 3389; empty: silence.
            start: the pause's first frame, so that its noise is the same wherever decoding began.
        """
        channels, hop = self._held.shape[0], self._hop
        samples = np.zeros((channels, frames * hop), dtype=np.float32)
        tail = self._engine.config.delay
        if not self._silent:
            for group, state in self._groups:
                rest = self._engine.fade(state)
                count = min(rest.shape[1], samples.shape[1])
                samples[group, :count] = rest[:, :count]
        samples = self._with_noise(samples)
        if noise:
            found = comfort_noise(noise, start, channels, samples.shape[1] + tail)
            # The squares of the two slopes add up to one: noise that overlaps keeps its level.
            slope = np.sin(np.linspace(0, np.pi / 2, tail, dtype=np.float32))
            found[:, :tail] *= slope
            found[:, samples.shape[1] :] *= slope[::-1]
            samples += found[:, : samples.shape[1]]
            self._under = found[:, samples.shape[1] :]
        self._groups = _grouped(channels, self._engine.decoder_state)
        self._silent = self._began = False
        return self._take(samples)

    def _with_noise(self, samples: Waveform) -> Waveform:
        """Add what is left of a pause's noise."""
        count = min(self._under.shape[1], samples.shape[1])
        if count:
            samples = samples.copy()
            samples[:, :count] += self._under[:, :count]
        self._under = self._under[:, count:]
        return samples

    def conceal(self, frames: int) -> Waveform:
        """Stand in for so many lost frames: the last one again, fading; silence from there on."""
        if not frames:
            return np.zeros((self._held.shape[0], 0), dtype=np.float32)
        samples = self._decode(np.repeat(self._last, frames, axis=2))
        count = 0 if self._silent or not self._began else _FADE_HOPS * self._hop
        count = min(count, samples.shape[1])
        samples[:, :count] *= np.linspace(1, 0, count, dtype=np.float32)
        samples[:, count:] = 0
        self._silent = True
        return self._take(self._with_noise(samples))

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

    def _decode(self, codes: NDArray[np.integer]) -> Waveform:
        pieces = [codes[:, :, start : start + CHUNK_FRAMES] for start in range(0, codes.shape[2], CHUNK_FRAMES)] or [
            codes
        ]
        return np.concatenate(
            [np.concatenate([self._engine.decode(x[group], state) for group, state in self._groups]) for x in pieces],
            axis=1,
        )


def _grouped(channels: int, begin: Callable[[int], State]) -> list[tuple[slice, State]]:
    """Return the channels that go through the network together, with a state for each such group."""
    firsts = range(0, channels, _CHANNELS_AT_ONCE)
    return [
        (slice(first, first + _CHANNELS_AT_ONCE), begin(min(_CHANNELS_AT_ONCE, channels - first))) for first in firsts
    ]
