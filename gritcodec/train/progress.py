"""What a run says while it goes: where it is, how it does, how long it will take."""

from __future__ import annotations

import time
from collections.abc import Mapping

from gritcodec import messages

# A line at least so often, whatever the steps between log lines.
_SECONDS = 10.0
# The pace is that of the last so many seconds.
_PACE_SECONDS = 60.0
_DETAILS = ("loss", "rate", "seconds")


def span(seconds: float) -> str:
    """Say a time in two figures or three."""
    for size, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {name}" if seconds < 10 * size else f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


class Progress:
    """Lines on stderr about the steps of a run.

    Args:
        step: at which it begins.
        steps: at which it ends.
        minutes: after which it stops; 0: it does not.
    """

    def __init__(self, step: int, steps: int, minutes: float):
        self._first, self._steps, self._limit = step, steps, 60 * minutes
        self._began = self._said = time.monotonic()
        # (time, step) of late.
        self._marks = [(self._began, step)]

    @property
    def took(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    @property
    def is_over(self) -> bool:
        """Whether its time is up."""
        return bool(self._limit) and self.took > self._limit

    def is_due(self, step: int) -> bool:
        """Whether it is time for a line; called after every step."""
        now = time.monotonic()
        if now - self._marks[-1][0] >= 1 or step == self._first + 1:
            self._marks.append((now, step))
            while len(self._marks) > 2 and now - self._marks[1][0] > _PACE_SECONDS:
                self._marks.pop(0)
        return now - self._said > _SECONDS

    def say(self, step: int, loss: float, details: Mapping[str, float] | None = None) -> None:
        """Print a line: step, loss, pace, the time that is left; and measurements by name."""
        self._said = time.monotonic()
        (then, before), now = self._marks[0], self._said
        pace = (now - then) / max(step - before, 1)
        left = pace * (self._steps - step)
        when = f"{span(left)} left"
        if self._limit and self._limit - self.took < left:
            when = f"stops in {span(max(self._limit - self.took, 0.0))}"
        more = "".join(
            f" {name} {value:.4g}"
            for name, value in (details or {}).items()
            if "/" not in name and name not in _DETAILS
        )
        said = f"step {step:,} of {self._steps:,}: loss {loss:.4g}, {pace:.2g} s a step, {when}"
        messages.progress(said + (f" |{more}" if more else ""))

    def ended(self, step: int) -> str:
        """Return how the run ended, and after how long."""
        if step < self._steps:
            return f"stopped at step {step:,} of {self._steps:,}, after {span(self.took)}"
        return f"done: step {step:,} of {self._steps:,}, after {span(self.took)}"
