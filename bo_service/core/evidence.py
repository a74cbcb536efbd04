"""What the optimizer is given, and what it gives back: plain values that cross process boundaries.

Everything is in the user's units, except that objective values are turned so that larger is better; whoever calls flips
the sign, once, on the way in and on the way out.
"""

from dataclasses import dataclass

from bo_service.core.constraints import Configuration
from bo_service.core.space import SearchSpace
from bo_service.core.study import SuggestionSettings
from bo_service.core.trial import Intent, Origin


@dataclass(frozen=True)
class PastTrial:
    """An ended trial that says something about its parameters."""

    number: int
    configuration: Configuration
    value: float | None
    """The objective, larger being better; None where the configuration proved infeasible."""


@dataclass(frozen=True)
class Evidence:
    """All that a suggestion may depend on. The order of `past` and `pending` doesn't matter."""

    space: SearchSpace
    settings: SuggestionSettings
    seed: int
    past: tuple[PastTrial, ...] = ()
    pending: tuple[Configuration, ...] = ()
    """Configurations that are queued or running."""


@dataclass(frozen=True)
class Suggestion:
    """A configuration worth trying, and why."""

    configuration: Configuration
    origin: Origin
    summary: str
    """One sentence for people."""
    mean: float | None = None
    """Posterior mean of the objective, larger being better; None without a surrogate."""
    std: float | None = None
    """Posterior standard deviation of the noise-free objective."""
    acquisition: str = ""
    acquisition_value: float | None = None
    intent: Intent | None = None
    nearest_trial: int | None = None
    """Number of the nearest past trial."""
    nearest_distance: float | None = None
    """Distance to it in the unit cube over the cube's diagonal, in [0, 1]."""


@dataclass(frozen=True)
class PointPrediction:
    """What the surrogate says of one configuration."""

    mean: float
    std: float
    acquisition_value: float


@dataclass(frozen=True)
class Predictions:
    """What the surrogate says of some configurations, in their order."""

    points: tuple[PointPrediction, ...]
    acquisition: str
    observation_count: int
