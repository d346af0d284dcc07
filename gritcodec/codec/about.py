"""What a file says about its recording beside the sound."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gritcodec.errors import UsageError

_LEAST_GAIN, _MOST_GAIN = -128.0, 32767 / 256


@dataclass(frozen=True)
class About:
    """Tags, times and marks of a recording.

    Attributes:
        tags: (name, value) pairs of text; a name may come more than once.
        start_time: microseconds of Unix time at the first sample.
        gain: dB by which a player is to make it louder so that it is as loud as wanted, -128 to 127.996; kept in
            steps of 1/256 dB.
        channel_mask: loudspeakers of the channels, as dwChannelMask of WAVE_FORMAT_EXTENSIBLE.
        marks: (sample, name) of chapters and other places.
    """

    tags: Sequence[tuple[str, str]] = ()
    start_time: int | None = None
    gain: float | None = None
    channel_mask: int | None = None
    marks: Sequence[tuple[int, str]] = field(default=())

    def __post_init__(self) -> None:
        """Refuse a gain that cannot be kept, with UsageError."""
        if self.gain is not None and not _LEAST_GAIN <= self.gain <= _MOST_GAIN:
            raise UsageError(f"a gain is from -128 to 127.996 dB, not {self.gain} dB")

    @property
    def gain_steps(self) -> int | None:
        """The gain in 256ths of a dB, or None."""
        return None if self.gain is None else round(256 * self.gain)

    def with_tags(self, tags: Sequence[tuple[str, str]]) -> "About":
        """Return the same with tags before its own."""
        return replace(self, tags=(*tags, *self.tags))
