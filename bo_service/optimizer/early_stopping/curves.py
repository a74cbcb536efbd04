"""What a rule sees of trials: the learning curve of the one that is judged, and the others at the same step.

Values are those of the objective metric, turned so that larger is better.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """A learning curve: rising steps, and finite values as many."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, points: Iterable[tuple[int, float]]) -> "Curve":
        """Make a curve of (step, value) in any order.

        The later of two at one step counts; those that aren't finite don't.
        """
        known = sorted((step, value) for step, value in dict(points).items() if math.isfinite(value))
        return cls(tuple(step for step, _ in known), tuple(value for _, value in known))

    def until(self, step: int) -> "Curve":
        """Return the part up to a step, that step included."""
        kept = sum(s <= step for s in self.steps)
        return Curve(self.steps[:kept], self.values[:kept])

    def at(self, step: int) -> float:
        """Return the value at or before a step, else the first. The curve must have a point."""
        return (self.until(step).values or self.values[:1])[-1]


@dataclass(frozen=True)
class OtherTrial:
    """Another trial, seen at the step at which one is judged."""

    value: float
    """Its finite value at or before that step."""
    has_come_so_far: bool
    """Whether it went on to that step, or ended before it as a whole trial."""
    final: float | None = None
    """What it achieved, where it SUCCEEDED."""
