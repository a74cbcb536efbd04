"""What the optimizer is given, and what it gives back: plain values that cross process boundaries.

Everything is in the user's units, except that objective values are turned so that larger is better; whoever calls flips
the sign, once, on the way in and on the way out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bo_service.core.constraints import Configuration
from bo_service.core.space import SearchSpace
from bo_service.core.study import Algorithm, SuggestionSettings
from bo_service.core.trial import Intent, Origin

Learned = Mapping[str, tuple[float, ...]]
"""A surrogate's hyperparameters, by the digest of what they were learned from; see `numerics/lookups.py`."""

LEAST_INITIAL, MOST_INITIAL = 3, 10


@dataclass(frozen=True)
class PastTrial:
    """An ended trial that says something about its parameters."""

    number: int
    configuration: Configuration
    value: float | None
    """The objective, larger being better; None where the configuration proved infeasible."""
    std: float = 0.0
    """Standard deviation of a value that was not measured but expected, as of a trial that was stopped early."""
    further: tuple[float, ...] = ()
    """Values of the second and third objective, larger being better; none where the configuration was infeasible."""
    margins: tuple[float, ...] = ()
    """By how much each constraint on outcomes is fulfilled, below 0 where it isn't; none where infeasible."""
    seconds: float | None = None
    """How long the trial took, where that is known: above 0."""
    is_short: bool = False
    """Whether a rule stopped it early: its value is what was expected of its full length, and no observation."""

    @property
    def fulfills(self) -> bool:
        """Whether no constraint on outcomes is known to be violated."""
        return all(margin >= 0.0 for margin in self.margins)


@dataclass(frozen=True)
class Source:
    """What an earlier study knows of one objective, in this study's space."""

    name: str
    objective: int
    """Which of this study's objectives it is about, counted from 0."""
    past: tuple[PastTrial, ...]


@dataclass(frozen=True)
class Evidence:
    """All that a suggestion may depend on. The order of `past` and `pending` doesn't matter."""

    space: SearchSpace
    settings: SuggestionSettings
    seed: int
    past: tuple[PastTrial, ...] = ()
    pending: tuple[Configuration, ...] = ()
    """Configurations that are queued or running."""
    sources: tuple[Source, ...] = ()
    """Earlier studies to begin from."""
    spent: tuple[Configuration, ...] = ()
    """Configurations whose trials ended without a result, as those stopped before they began. They are not suggested
    again."""
    failed: tuple[Configuration, ...] = ()
    """Configurations that failed at every attempt, though nobody blamed the parameters. They are not suggested again,
    and configurations near them count as a little less likely to run."""
    study: str = field(default="", compare=False)
    """Whose evidence it is: by this, what was learned of it before is found again."""
    learned: Learned = field(default_factory=dict, compare=False)
    """Hyperparameters learned before: they save time, and change nothing."""

    @property
    def begun(self) -> int:
        """How many trials are past or pending."""
        return len(self.past) + len(self.pending)

    @property
    def initial_trials(self) -> int:
        """How many trials come before the surrogate."""
        default = min(max(len(self.space.parameters), LEAST_INITIAL), MOST_INITIAL)
        return self.settings.initial_trials or default

    @property
    def can_be_fitted(self) -> bool:
        """Whether a surrogate is wanted, and two different values are known."""
        if self.settings.algorithm is not Algorithm.GAUSSIAN_PROCESS:
            return False
        values = ((t.value, *t.further) for t in self.past if t.value is not None and math.isfinite(t.value))
        first = next(values, None)
        return any(other != first for other in values)

    def about(self, objective: int) -> "Evidence":
        """The same of one of several objectives alone, counted from 0."""
        past = tuple(t if t.value is None else _about(t, objective) for t in self.past)
        return replace(self, past=past)

    def needs_surrogate(self, count: int) -> bool:
        """Whether the surrogate is to choose the last of the next `count` configurations."""
        return self.begun + count > self.initial_trials and self.can_be_fitted


def _about(trial: PastTrial, objective: int) -> PastTrial:
    if not objective:
        return replace(trial, further=())
    return replace(trial, value=trial.further[objective - 1], std=0.0, further=())


@dataclass(frozen=True)
class Expected:
    """What is expected of a metric without its noise: posterior mean and standard deviation."""

    mean: float
    std: float


@dataclass(frozen=True)
class Suggestion:
    """A configuration worth trying, and why."""

    configuration: Configuration
    origin: Origin
    summary: str
    """One sentence for people."""
    expected: tuple[Expected, ...] = ()
    """Of each objective, larger being better, and of the margin of each constraint on outcomes; none without a
    surrogate."""
    acquisition: str = ""
    acquisition_value: float | None = None
    intent: Intent | None = None
    nearest_trial: int | None = None
    """Number of the nearest past trial."""
    nearest_distance: float | None = None
    """Distance to it in the unit cube over the cube's diagonal, in [0, 1]."""


@dataclass(frozen=True)
class Suggested:
    """Suggestions, and all hyperparameters that they rest on: with these, the next come sooner."""

    suggestions: list[Suggestion]
    learned: Learned


@dataclass(frozen=True)
class PointPrediction:
    """What the surrogate says of one configuration."""

    expected: tuple[Expected, ...]
    """Of each objective, larger being better, and of the margin of each constraint on outcomes."""
    acquisition_value: float


@dataclass(frozen=True)
class Predictions:
    """What the surrogate says of some configurations, in their order."""

    points: tuple[PointPrediction, ...]
    acquisition: str
    observation_count: int
