"""Settings of early stopping, and their defaults."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bo_service.domain.errors import Violation
from bo_service.domain.limits import MAX_STEP

MAX_COMPARED_TRIALS = 1000
DEFAULT_MIN_STEP_DIVISOR = 10
"""The default of `min_step` is max_step divided by this, rounded up."""


class StoppingRule(Enum):
    """A rule that stops unpromising trials early."""

    NONE = "none"
    MEDIAN = "median"
    SUCCESSIVE_HALVING = "successive_halving"
    CURVE = "curve"


@dataclass(frozen=True)
class StoppingSettings:
    """Settings of early stopping. Steps are positions on the learning curve, such as epochs."""

    rule: StoppingRule = StoppingRule.NONE
    min_step: int | None = None
    """The first step at which a trial may be stopped."""
    min_trials: int = 5
    """Number of other trials that are needed for a comparison."""
    reduction_factor: float = 3.0
    """Successive halving: one of this many trials continues at each rung."""
    max_step: int | None = None
    """Last step of a trial that runs in full."""
    confidence: float = 0.95
    """Probability with which the extrapolation must expect a trial not to become the best."""

    def faults(self) -> Iterator[Violation]:
        """Yield the violations of the settings' limits."""
        if self.min_step is not None and not 0 <= self.min_step <= MAX_STEP:
            yield Violation("min_step", f"is {self.min_step}; it must be from 0 to 2^53")
        if not 1 <= self.min_trials <= MAX_COMPARED_TRIALS:
            yield Violation("min_trials", f"is {self.min_trials}; it must be from 1 to {MAX_COMPARED_TRIALS}")
        if not 1 < self.reduction_factor <= 100:
            yield Violation("reduction_factor", f"is {self.reduction_factor}; it must be above 1 and at most 100")
        if self.max_step is not None and not 1 <= self.max_step <= MAX_STEP:
            yield Violation("max_step", f"is {self.max_step}; it must be from 1 to 2^53")
        elif self.max_step is not None and self.min_step is not None and self.min_step >= self.max_step:
            yield Violation("min_step", f"is {self.min_step}; it must be below max_step, which is {self.max_step}")
        if not 0.5 <= self.confidence < 1:
            yield Violation("confidence", f"is {self.confidence}; it must be at least 0.5 and below 1")

    def first_step(self, last_step: int | None) -> int | None:
        """Return the first step at which trials may be stopped.

        Args:
            last_step: last step of a trial that runs in full; None if it is unknown.

        Returns:
            The step; None if it depends on an unknown `last_step`.
        """
        if self.min_step is not None:
            return self.min_step
        return None if last_step is None else math.ceil(last_step / DEFAULT_MIN_STEP_DIVISOR)
