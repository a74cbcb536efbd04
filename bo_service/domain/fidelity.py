"""Settings of training in parts: the steps at which trials pause, and which of them go on."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from bo_service.domain.errors import Violation
from bo_service.domain.limits import MAX_STEP
from bo_service.domain.search_space import NAME, NAME_FORM

REDUCTION_FACTOR = 3
"""Of so many trials one goes on at each rung, and each rung is so many times as far as the one before."""


class Promotion(Enum):
    """A rule that decides which paused trials go on."""

    ASHA = "asha"
    """By rank: those of the best third at a rung."""
    FORECAST = "forecast"
    """By forecast of the final value: those of the best third at a rung, as the surrogate of all curves sees them."""
    NONE = "none"
    """Trials do not pause."""


@dataclass(frozen=True)
class FidelitySettings:
    """Settings of training in parts. Steps are positions on the learning curve, such as epochs."""

    max_step: int
    """Last step of a whole trial."""
    min_step: int = 1
    """The first step at which trials pause."""
    step_name: str = "step"
    """What a step is, such as epoch."""
    promotion: Promotion = Promotion.ASHA

    def faults(self) -> Iterator[Violation]:
        """Yield the violations of the settings' limits, named as the fields of the contract."""
        if not NAME.fullmatch(self.step_name):
            yield Violation("metric", f"is {self.step_name[:140]!r}; {NAME_FORM}")
        if not 2 <= self.max_step <= MAX_STEP:
            yield Violation("max", f"is {self.max_step}; it must be from 2 to 2^53: the last step of a whole trial")
        elif not 1 <= self.min_step < self.max_step:
            yield Violation("min", f"is {self.min_step}; it must be from 1 to below max, which is {self.max_step}")

    @property
    def rungs(self) -> tuple[int, ...]:
        """The steps at which trials may pause: min·3^k below max."""
        steps = [self.min_step]
        while steps[-1] * REDUCTION_FACTOR < self.max_step:
            steps.append(steps[-1] * REDUCTION_FACTOR)
        return tuple(steps)

    @property
    def stops(self) -> tuple[int, ...]:
        """The steps at which the curve of a running trial is read: the rungs, and one step between each two of them."""
        between = (round(rung * math.sqrt(REDUCTION_FACTOR)) for rung in self.rungs)
        return tuple(sorted({step for step in (*self.rungs, *between) if step < self.max_step}))

    def last_stop(self, step: int) -> int | None:
        """Return the largest stop that a trial has reached with a step; None below the first."""
        return max((stop for stop in self.stops if stop <= step), default=None)

    def last_rung(self, step: int) -> int | None:
        """Return the largest rung that a trial has reached with a step; None below the first."""
        return max((rung for rung in self.rungs if rung <= step), default=None)

    def next_stop(self, step: int) -> int:
        """Return the smallest rung above a step, or the last step of a whole trial."""
        return min((rung for rung in self.rungs if rung > step), default=self.max_step)


def best_third(values: Mapping[int, float], at_least: int = 0) -> list[int]:
    """Return the numbers of the best third of the trials at a rung, rounded down; the best first.

    Args:
        values: of the trials that have reached the rung, by number; larger is better. Of equals the earlier is better.
        at_least: how many to return in any case, as far as there are so many.
    """
    places = max(len(values) // REDUCTION_FACTOR, at_least)
    return sorted(values, key=lambda number: (-values[number], number))[:places]
