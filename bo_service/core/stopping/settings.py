"""When running trials are told to stop: what the user chose, and what follows for what was left open."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bo_service.core.errors import Violation
from bo_service.core.limits import MAX_STEP

MOST_TRIALS = 1000
EARLIEST = 10
"""Without a `min_step`, the first tenth of a trial is left in peace."""


class StoppingRule(Enum):
    """Which rule stops unpromising trials early."""

    NONE = "none"
    MEDIAN = "median"
    SUCCESSIVE_HALVING = "successive_halving"
    CURVE = "curve"


@dataclass(frozen=True)
class StoppingSettings:
    """A rule, and its measures. Steps are positions on the learning curve, such as epochs."""

    rule: StoppingRule = StoppingRule.NONE
    min_step: int | None = None
    """No trial is stopped before this step."""
    min_trials: int = 5
    """No trial is stopped before so many others can be compared with."""
    reduction_factor: float = 3.0
    """Of how many trials one goes on at each rung of successive halving."""
    max_step: int | None = None
    """Last step of a whole trial."""
    confidence: float = 0.95
    """How sure the extrapolation must be that a trial won't beat the best."""

    def faults(self) -> Iterator[Violation]:
        if self.min_step is not None and not 0 <= self.min_step <= MAX_STEP:
            yield Violation("min_step", f"is {self.min_step}; it must be from 0 to 2^53")
        if not 1 <= self.min_trials <= MOST_TRIALS:
            yield Violation("min_trials", f"is {self.min_trials}; it must be from 1 to {MOST_TRIALS}")
        if not 1 < self.reduction_factor <= 100:
            yield Violation("reduction_factor", f"is {self.reduction_factor}; it must be above 1 and at most 100")
        if self.max_step is not None and not 1 <= self.max_step <= MAX_STEP:
            yield Violation("max_step", f"is {self.max_step}; it must be from 1 to 2^53")
        elif self.max_step is not None and self.min_step is not None and self.min_step >= self.max_step:
            yield Violation("min_step", f"is {self.min_step}; it must be below max_step, which is {self.max_step}")
        if not 0.5 <= self.confidence < 1:
            yield Violation("confidence", f"is {self.confidence}; it must be at least 0.5 and below 1")

    def first_step(self, last_step: int | None) -> int | None:
        """The step from which trials may be stopped, where whole trials have `last_step`; None while that is open."""
        if self.min_step is not None:
            return self.min_step
        return None if last_step is None else math.ceil(last_step / EARLIEST)
