"""The budget of a study: what its trials may spend, and what they have spent."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class Limit(Enum):
    """A limit of a study's execution settings at which no more trials begin."""

    MAX_TRIALS = "max_trials"
    MAX_STEPS = "max_steps"
    MAX_SECONDS = "max_seconds"

    @property
    def is_spent(self) -> bool:
        """Whether this is a limit on training. Once such a limit is reached, queued and paused trials wait too."""
        return self is not Limit.MAX_TRIALS


@dataclass(frozen=True)
class Spent:
    """What was spent on training, over all attempts, those that failed or were lost included."""

    steps: int = 0
    """Steps that were trained; those that were trained again count again."""
    time: timedelta = timedelta()
    """As workers reported it, else as the server measured it."""

    @property
    def seconds_per_step(self) -> float | None:
        """Seconds that a step took; None if no time or no step was counted."""
        return self.time.total_seconds() / self.steps if self.steps and self.time else None

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.steps + other.steps, self.time + other.time)

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.steps - other.steps, self.time - other.time)
