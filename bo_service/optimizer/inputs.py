"""What the optimizer is given, and what it gives back: plain values that cross process boundaries.

Everything is in the user's units, except that objective values are turned so that larger is better; whoever calls flips
the sign, once, on the way in and on the way out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bo_service.domain.constraints import Configuration
from bo_service.domain.fidelity import FidelitySettings
from bo_service.domain.search_space import SearchSpace
from bo_service.domain.study import Algorithm, SuggestionSettings
from bo_service.domain.trial import Intent, Origin

HyperparametersByDigest = Mapping[str, tuple[float, ...]]
"""A surrogate's hyperparameters, by the digest of what they were learned from; see `numerics/cache.py`."""

MIN_INITIAL, MAX_INITIAL = 3, 10


@dataclass(frozen=True)
class Observation:
    """An ended trial that says something about its parameters."""

    number: int
    configuration: Configuration
    value: float | None
    """The objective, larger being better; None where the configuration proved infeasible."""
    std: float = 0.0
    """Standard deviation of a value that was not measured but expected, as of a trial that was stopped early."""
    secondary_values: tuple[float, ...] = ()
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
class LearningCurve:
    """Hold what a trial has measured so far, where trials are trained in parts; larger is better."""

    number: int
    configuration: Configuration
    steps: tuple[int, ...]
    """Rising; at least one."""
    values: tuple[float, ...]
    """Finite, as many."""
    is_paused: bool = False
    """Whether the trial waits to go on."""
    is_running: bool = False
    """Whether a worker has it, or it waits in the queue."""
    is_ranked: bool = True
    """Whether it counts where trials are ranked."""

    def value_at(self, step: int) -> float | None:
        """Return the last value at or before a step; None where the trial has not come so far."""
        if self.steps[-1] < step:
            return None
        return next((v for s, v in zip(reversed(self.steps), reversed(self.values), strict=True) if s <= step), None)


@dataclass(frozen=True)
class TrainingInParts:
    """The learning curves of a study whose trials pause, and go on where their forecast says so."""

    fidelity: FidelitySettings
    curves: tuple[LearningCurve, ...]
    """In the order of their trials."""


@dataclass(frozen=True)
class Source:
    """Hold the observations of one objective in an earlier study, converted to this study's space."""

    name: str
    objective: int
    """Which of this study's objectives it is about, counted from 0."""
    observations: tuple[Observation, ...]


@dataclass(frozen=True)
class OptimizerInput:
    """Hold all that a suggestion may depend on. The order of `observations` and `pending` doesn't matter."""

    space: SearchSpace
    settings: SuggestionSettings
    seed: int
    observations: tuple[Observation, ...] = ()
    pending: tuple[Configuration, ...] = ()
    """Configurations that are queued or running."""
    sources: tuple[Source, ...] = ()
    """Earlier studies to begin from."""
    discarded: tuple[Configuration, ...] = ()
    """Configurations whose trials ended without a result, as those stopped before they began. They are not suggested
    again."""
    failed: tuple[Configuration, ...] = ()
    """Configurations that failed at every attempt, though nobody blamed the parameters. They are not suggested again,
    and configurations near them count as a little less likely to run."""
    training: TrainingInParts | None = None
    """The learning curves, where they decide which trials go on."""
    study: str = field(default="", compare=False)
    """Whose evidence it is: by this, what was learned of it before is found again."""
    hyperparameters: HyperparametersByDigest = field(default_factory=dict, compare=False)
    """Hyperparameters learned before: they save time, and change nothing."""

    @property
    def num_started(self) -> int:
        """How many trials are past or pending."""
        return len(self.observations) + len(self.pending)

    @property
    def initial_trials(self) -> int:
        """How many trials come before the surrogate."""
        default = min(max(len(self.space.parameters), MIN_INITIAL), MAX_INITIAL)
        return self.settings.initial_trials or default

    @property
    def can_be_fitted(self) -> bool:
        """Whether a surrogate is wanted, and two different values are known."""
        if self.settings.algorithm is not Algorithm.GAUSSIAN_PROCESS:
            return False
        values = (
            (t.value, *t.secondary_values) for t in self.observations if t.value is not None and math.isfinite(t.value)
        )
        first = next(values, None)
        return any(other != first for other in values)

    def for_objective(self, objective: int) -> "OptimizerInput":
        """Return the same input with one of several objectives alone, counted from 0."""
        past = tuple(t if t.value is None else _about(t, objective) for t in self.observations)
        return replace(self, observations=past)

    def needs_surrogate(self, count: int) -> bool:
        """Return whether the last of the next `count` configurations takes a computation.

        That is what the surrogate chooses after the initial design, and all that a custom algorithm chooses.
        """
        if self.settings.algorithm is Algorithm.CUSTOM:
            return True
        return self.num_started + count > self.initial_trials and self.can_be_fitted


def _about(trial: Observation, objective: int) -> Observation:
    if not objective:
        return replace(trial, secondary_values=())
    return replace(trial, value=trial.secondary_values[objective - 1], std=0.0, secondary_values=())


@dataclass(frozen=True)
class NormalPrediction:
    """Predict a metric without its noise: hold the posterior mean and standard deviation."""

    mean: float
    std: float


@dataclass(frozen=True)
class Continuation:
    """A paused trial that goes on."""

    number: int
    step: int
    """How far it is."""
    best: float
    """The best final value that is expected of any trial, paused ones included, without noise; larger is better."""
    whole_seconds: float | None = None
    """How long all steps of a trial of its configuration are expected to take, where that counts."""


@dataclass(frozen=True)
class Suggestion:
    """A configuration worth trying, and why."""

    configuration: Configuration
    origin: Origin
    summary: str
    """One sentence for people."""
    expected: tuple[NormalPrediction, ...] = ()
    """Of each objective, larger being better, and of the margin of each constraint on outcomes; none without a
    surrogate."""
    acquisition: str = ""
    acquisition_value: float | None = None
    intent: Intent | None = None
    nearest_trial: int | None = None
    """Number of the nearest past trial."""
    nearest_distance: float | None = None
    """Distance to it in the unit cube over the cube's diagonal, in [0, 1]."""
    continues: Continuation | None = None
    """The paused trial that goes on; None for a new one."""
    fault: str = ""
    """Why a custom algorithm did not choose it, if it should have."""


@dataclass(frozen=True)
class SuggestionBatch:
    """Suggestions, and all hyperparameters that they rest on: with these, the next come sooner."""

    suggestions: list[Suggestion]
    hyperparameters: HyperparametersByDigest


@dataclass(frozen=True)
class PointPrediction:
    """Hold the surrogate's predictions of each metric at one configuration."""

    expected: tuple[NormalPrediction, ...]
    """Of each objective, larger being better, and of the margin of each constraint on outcomes."""
    acquisition_value: float


@dataclass(frozen=True)
class Predictions:
    """Hold the surrogate's predictions at some configurations, in their order."""

    points: tuple[PointPrediction, ...]
    acquisition: str
    observation_count: int
