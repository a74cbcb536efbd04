"""A study: what is tuned, what is measured, and how suggestions are made and handed out."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from bo_service.core.errors import InvalidArgument, Violation
from bo_service.core.limits import (
    MAX_ATTEMPTS,
    MAX_INITIAL_TRIALS,
    MAX_LEASE_SECONDS,
    MAX_METRICS,
    MAX_OBJECTIVES,
    MAX_SOURCES,
    MAX_TRIALS,
)
from bo_service.core.objective import ObjectiveSpec
from bo_service.core.space import NAME, SearchSpace
from bo_service.core.stopping.settings import StoppingRule, StoppingSettings

MIN_LEASE, MAX_LEASE = timedelta(seconds=1), timedelta(seconds=MAX_LEASE_SECONDS)


class Goal(Enum):
    """Which direction of a metric is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"

    @property
    def sign(self) -> float:
        """Factor that turns the metric so that larger is better."""
        return 1.0 if self is Goal.MAXIMIZE else -1.0


class MetricRole(Enum):
    """What a metric is for."""

    OBJECTIVE = "objective"
    CONSTRAINT = "constraint"
    INFORMATION = "information"


@dataclass(frozen=True)
class Metric:
    """A measured quantity."""

    name: str
    goal: Goal | None
    role: MetricRole = MetricRole.OBJECTIVE
    bound: float | None = None
    unit: str = ""

    def inward(self, value: float) -> float:
        """As the optimizer sees it: larger is better; of a constraint the margin, below 0 where it is violated."""
        assert self.goal is not None
        return self.goal.sign * (value - self._origin)

    def outward(self, value: float) -> float:
        """Back in the user's units and direction."""
        assert self.goal is not None
        return self.goal.sign * value + self._origin

    @property
    def _origin(self) -> float:
        return self.bound if self.role is MetricRole.CONSTRAINT and self.bound is not None else 0.0

    def faults(self) -> Iterator[Violation]:
        if not NAME.fullmatch(self.name):
            yield Violation("name", f"is {self.name[:140]!r}; it needs the form of a parameter's name")
        if self.goal is None and self.role is not MetricRole.INFORMATION:
            yield Violation("goal", "is unspecified; say GOAL_MINIMIZE or GOAL_MAXIMIZE")
        if self.role is MetricRole.CONSTRAINT and (self.bound is None or not math.isfinite(self.bound)):
            yield Violation("bound", f"is {self.bound}; a constraint metric needs a finite bound")


class Algorithm(Enum):
    """How the next configurations are found."""

    GAUSSIAN_PROCESS = "gaussian_process"
    QUASI_RANDOM = "quasi_random"


class Acquisition(Enum):
    """Which acquisition function the surrogate is searched with."""

    LOG_EI = "log_ei"
    UCB = "ucb"
    LOG_PI = "log_pi"
    LOG_NEI = "log_nei"
    PORTFOLIO = "portfolio"


@dataclass(frozen=True)
class SuggestionSettings:
    """Settings of the optimizer; None leaves the choice to the optimizer."""

    algorithm: Algorithm = Algorithm.GAUSSIAN_PROCESS
    acquisition: Acquisition | None = None
    beta: float | None = None
    """Exploration weight of UCB, in posterior standard deviations."""
    xi: float | None = None
    """Improvement asked for by log-EI, in standard deviations of the observed values."""
    initial_trials: int | None = None
    seed: int | None = None
    per_cost: bool = False
    """Whether improvement counts per second that a trial takes."""
    warm_start_studies: tuple[str, ...] = ()
    """Ids of earlier studies to begin from."""

    def faults(self) -> Iterator[Violation]:
        if self.beta is not None and not 0 < self.beta <= 100:
            yield Violation("beta", f"is {self.beta}; it must be above 0 and at most 100")
        if self.xi is not None and not 0 <= self.xi <= 10:
            yield Violation("xi", f"is {self.xi}; it must be from 0 to 10")
        if self.initial_trials is not None and not 1 <= self.initial_trials <= MAX_INITIAL_TRIALS:
            yield Violation("initial_trials", f"is {self.initial_trials}; it must be from 1 to {MAX_INITIAL_TRIALS}")
        count = len(self.warm_start_studies)
        if count > MAX_SOURCES:
            yield Violation("warm_start_studies", f"has more than {MAX_SOURCES}; at most so many are allowed")
        if len(set(self.warm_start_studies)) < count:
            yield Violation("warm_start_studies", "names a study twice; name each once")


@dataclass(frozen=True)
class ExecutionSettings:
    """How trials are handed to workers."""

    lease_duration: timedelta = timedelta(seconds=60)
    max_attempts: int = 3
    max_trials: int | None = None

    def faults(self) -> Iterator[Violation]:
        if not MIN_LEASE <= self.lease_duration <= MAX_LEASE:
            yield Violation(
                "lease_duration", f"is {self.lease_duration.total_seconds():g} s; it must be from 1 s to 24 h"
            )
        if not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            yield Violation("max_attempts", f"is {self.max_attempts}; it must be from 1 to {MAX_ATTEMPTS}")
        if self.max_trials is not None and not 1 <= self.max_trials <= MAX_TRIALS:
            yield Violation("max_trials", f"is {self.max_trials}; it must be from 1 to {MAX_TRIALS:,}")


@dataclass(frozen=True)
class StudySpec:
    """What defines a study.

    Raises:
        InvalidArgument: naming every field at fault.
    """

    space: SearchSpace
    metrics: tuple[Metric, ...]
    suggestion: SuggestionSettings = SuggestionSettings()
    execution: ExecutionSettings = ExecutionSettings()
    stopping: StoppingSettings = field(default_factory=StoppingSettings)

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise InvalidArgument(faults)

    @property
    def objectives(self) -> tuple[Metric, ...]:
        return tuple(m for m in self.metrics if m.role is MetricRole.OBJECTIVE)

    @property
    def objective(self) -> Metric:
        """The metric that is optimized; the first of several."""
        return self.objectives[0]

    @property
    def limits(self) -> tuple[Metric, ...]:
        """The metrics that must keep to a bound."""
        return tuple(m for m in self.metrics if m.role is MetricRole.CONSTRAINT)

    @property
    def steering(self) -> tuple[Metric, ...]:
        """The metrics that the optimizer is told of, in its order."""
        return (*self.objectives, *self.limits)

    def _faults(self) -> Iterator[Violation]:
        if not 1 <= len(self.metrics) <= MAX_METRICS:
            yield Violation("metrics", f"has {len(self.metrics)}; a study has 1 to {MAX_METRICS} metrics")
        elif not self.objectives:
            yield Violation("metrics", "has none of METRIC_ROLE_OBJECTIVE; one must be optimized")
        elif len(self.objectives) > MAX_OBJECTIVES:
            count = len(self.objectives)
            what = f"has {count} of METRIC_ROLE_OBJECTIVE; at most {MAX_OBJECTIVES} are optimized together"
            yield Violation("metrics", f"{what}: make the others METRIC_ROLE_CONSTRAINT, or METRIC_ROLE_INFORMATION")
        names: set[str] = set()
        for i, metric in enumerate(self.metrics):
            yield from (f.inside(f"metrics[{i}]") for f in metric.faults())
            if metric.name in names:
                yield Violation(f"metrics[{i}].name", f"{metric.name!r} occurs twice; names must be distinct")
            names.add(metric.name)
        yield from (f.inside("suggestion") for f in self.suggestion.faults())
        acquisition = self.suggestion.acquisition
        if len(self.objectives) > 1 and acquisition is not None:
            what = f"is {acquisition.name}, which is of one objective; several are searched by hypervolume improvement"
            yield Violation("suggestion.acquisition", f"{what}: leave it unspecified")
        yield from (f.inside("execution") for f in self.execution.faults())
        yield from (f.inside("stopping") for f in self.stopping.faults())
        if self.stopping.rule is not StoppingRule.NONE and len(self.steering) > 1:
            rule, fix = self.stopping.rule.name, "choose STOPPING_RULE_NONE, or give the others METRIC_ROLE_INFORMATION"
            yield Violation("stopping.rule", f"is {rule}, which judges one objective without constraint metrics; {fix}")


class StudyState(Enum):
    """Whether a study gives out trials."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"


@dataclass(frozen=True)
class Study:
    """A study as stored."""

    study_id: str
    spec: StudySpec
    create_time: datetime
    update_time: datetime
    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    state: StudyState = StudyState.ACTIVE
    revision: int = 1
    last_number: int = 0
    """Of the trials that were ever made, those deleted since included."""
    objective: ObjectiveSpec | None = None
    """What its values depend on; None where nobody has said it."""

    @property
    def name(self) -> str:
        return f"studies/{self.study_id}"
