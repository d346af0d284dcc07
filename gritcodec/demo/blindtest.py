"""Blind A/B/X: which of two sounds is X? Drawing, judging and counting, without sounds."""

import math
import random
from dataclasses import dataclass, field

NAMES = ("original", "gritcodec", "Opus")


@dataclass(frozen=True)
class Trial:
    """One question.

    Attributes:
        a: the name of what A plays, one of the pair.
        b: the other.
        x: the name of what X plays: `a` or `b`.
    """

    a: str
    b: str
    x: str


@dataclass
class Score:
    """Answers so far, for one pair.

    Attributes:
        right: how many were right.
        asked: how many were given.
    """

    right: int = 0
    asked: int = 0

    @property
    def chance(self) -> float:
        """Probability that guessing does at least as well."""
        if not self.asked:
            return 1.0
        ways = sum(math.comb(self.asked, k) for k in range(self.right, self.asked + 1))
        return ways / 2**self.asked


@dataclass
class Examiner:
    """Asks, judges, keeps the score of every pair.

    Attributes:
        trial: the open question, or None.
        scores: by pair, its names sorted.
    """

    trial: Trial | None = None
    scores: dict[tuple[str, str], Score] = field(default_factory=dict)

    def ask(self, pair: tuple[str, str], source: random.Random | None = None) -> Trial:
        """Draw a question about two of `NAMES`; one that is open is dropped without counting."""
        draw = source or random.SystemRandom()
        a, b = draw.sample(pair, 2)
        self.trial = Trial(a, b, draw.choice(pair))
        return self.trial

    def answer(self, says_a: bool) -> tuple[Trial, bool]:
        """Judge "X is A" or "X is B"; the question is closed.

        Returns:
            The question and whether the answer is right.

        Raises:
            ValueError: there is no open question.
        """
        if self.trial is None:
            raise ValueError("no question is open")
        trial, self.trial = self.trial, None
        right = trial.x == (trial.a if says_a else trial.b)
        score = self.score((trial.a, trial.b))
        score.asked += 1
        score.right += right
        return trial, right

    def score(self, pair: tuple[str, str]) -> Score:
        """Return the score of a pair, in any order."""
        first, second = sorted(pair)
        return self.scores.setdefault((first, second), Score())
