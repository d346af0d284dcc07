"""How the frames of a file and the samples of its sound belong together, which its model tells."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """How frames and samples of a model belong together.

    Attributes:
        sample_rate: of the model, Hz.
        hop_length: samples of a frame.
        delay: samples by which the decoded signal lags.
        warmup: frames before a sample that its value depends on, at the recording's rate.
    """

    sample_rate: int
    hop_length: int
    delay: int
    warmup: int

    def frames(self, num_samples: int, sample_rate: int) -> int:
        """Return the frames of a segment of so many samples at `sample_rate` Hz, its start trim included."""
        at_model = -(-num_samples * self.sample_rate // sample_rate)
        return -(-(at_model + self.delay) // self.hop_length) if num_samples else 0

    def samples(self, frames: int, sample_rate: int) -> int:
        """Return the most samples at `sample_rate` Hz, the start trim included, that so many frames give."""
        return max(frames * self.hop_length - self.delay, 0) * sample_rate // self.sample_rate
