"""Requests that a running trial should end or pause, and what is predicted of it then."""

from dataclasses import dataclass
from datetime import datetime

from bo_service.domain.early_stopping import StoppingRule


@dataclass(frozen=True)
class Prediction:
    """The predicted value of a metric, in its own units."""

    metric: str
    mean: float
    std: float


@dataclass(frozen=True)
class StopRequest:
    """A request that a running trial should end early."""

    reason: str
    create_time: datetime
    rule: StoppingRule = StoppingRule.NONE
    """The rule that made the request; NONE if a user did."""
    expected: Prediction | None = None
    """The result that the rule predicted for a trial that runs in full."""
    expected_step: int | None = None
    """The last step of such a trial; set together with `expected`."""


@dataclass(frozen=True)
class Pause:
    """A request that a running trial should write its checkpoint and come back later."""

    reason: str
    create_time: datetime
    step: int
    """At which the trial was compared with others."""
    attempt: int
    """The attempt that was asked."""
    expected: Prediction | None = None
    """The result that is predicted for the full length."""
    expected_step: int = 0
    """That length: the last step of a whole trial."""
    seconds_per_step: float | None = None
    """Training time of a step until then; None if no time or no step was counted."""
