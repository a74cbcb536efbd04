"""Studies: the search space, the metrics, and the settings of suggestion and execution."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property

from bo_service.domain.budget import Limit, Spent
from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.domain.errors import InvalidArgument, Violation
from bo_service.domain.fidelity import FidelitySettings, Promotion
from bo_service.domain.grid import DEFAULT_POINTS, grid_size
from bo_service.domain.limits import (
    MAX_ATTEMPTS,
    MAX_CONFIRMING_TRIALS,
    MAX_GRID_POINTS,
    MAX_GRID_SIZE,
    MAX_INITIAL_TRIALS,
    MAX_LEASE_SECONDS,
    MAX_METRICS,
    MAX_OBJECTIVES,
    MAX_SOURCES,
    MAX_STEP,
    MAX_TRAINING_SECONDS,
    MAX_TRIALS,
)
from bo_service.domain.objective import ObjectiveSpec
from bo_service.domain.search_space import NAME, NAME_FORM, SearchSpace

MIN_LEASE, MAX_LEASE = timedelta(seconds=1), timedelta(seconds=MAX_LEASE_SECONDS)


class Goal(Enum):
    """The better direction of a metric."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"

    def __init__(self, name: str) -> None:
        self.sign = 1.0 if name == "maximize" else -1.0
        """Factor that turns the metric so that larger is better."""


class MetricRole(Enum):
    """The role of a metric."""

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

    def to_maximized(self, value: float) -> float:
        """Return the value in the optimizer's direction: larger is better.

        For a constraint it is the margin, negative if violated.
        """
        assert self.goal is not None
        return self.goal.sign * (value - self._offset)

    def from_maximized(self, value: float) -> float:
        """Return an optimizer's value in the user's units and direction."""
        assert self.goal is not None
        return self.goal.sign * value + self._offset

    @cached_property
    def _offset(self) -> float:
        return self.bound if self.role is MetricRole.CONSTRAINT and self.bound is not None else 0.0

    def faults(self) -> Iterator[Violation]:
        """Yield the violations of the definition."""
        if not NAME.fullmatch(self.name):
            yield Violation("name", f"is {self.name[:140]!r}; {NAME_FORM}")
        if self.goal is None and self.role is not MetricRole.INFORMATION:
            yield Violation("goal", "is unspecified; set GOAL_MINIMIZE or GOAL_MAXIMIZE")
        if self.role is MetricRole.CONSTRAINT and (self.bound is None or not math.isfinite(self.bound)):
            yield Violation("bound", f"is {self.bound}; a constraint metric needs a finite bound")


class Algorithm(Enum):
    """An algorithm that suggests configurations."""

    GAUSSIAN_PROCESS = "gaussian_process"
    QUASI_RANDOM = "quasi_random"
    RANDOM = "random"
    GRID = "grid"
    CUSTOM = "custom"
    """The one that `SuggestionSettings.custom_algorithm` names."""

    def __init__(self, name: str) -> None:
        self.is_blind = name in ("quasi_random", "random", "grid")
        """Whether it chooses without regard to results."""


class Acquisition(Enum):
    """An acquisition function."""

    LOG_EI = "log_ei"
    UCB = "ucb"
    LOG_PI = "log_pi"
    LOG_NEI = "log_nei"
    PORTFOLIO = "portfolio"


@dataclass(frozen=True)
class SuggestionSettings:
    """Settings of the optimizer. None selects the optimizer's default."""

    algorithm: Algorithm = Algorithm.GAUSSIAN_PROCESS
    acquisition: Acquisition | None = None
    beta: float | None = None
    """Exploration weight of UCB, in posterior standard deviations."""
    xi: float | None = None
    """Improvement asked for by log-EI, in standard deviations of the observed values."""
    initial_trials: int | None = None
    seed: int | None = None
    per_cost: bool = False
    """Whether the acquisition value is divided by the expected duration of a trial."""
    warm_start_studies: tuple[str, ...] = ()
    """Ids of earlier studies to begin from."""
    custom_algorithm: str = ""
    """Entry point of an algorithm that is installed beside the server; empty unless `algorithm` is CUSTOM."""
    grid_points: int | None = None
    """Values of each interval, where `algorithm` is GRID."""
    confirming_trials: int | None = None
    """How many of the last trials repeat the configuration that is best on average."""

    def faults(self) -> Iterator[Violation]:
        """Yield the violations of the settings' limits."""
        if self.beta is not None and not 0 < self.beta <= 100:
            yield Violation("beta", f"is {self.beta}; it must be above 0 and at most 100")
        if self.xi is not None and not 0 <= self.xi <= 10:
            yield Violation("xi", f"is {self.xi}; it must be from 0 to 10")
        if self.initial_trials is not None and not 1 <= self.initial_trials <= MAX_INITIAL_TRIALS:
            yield Violation("initial_trials", f"is {self.initial_trials}; it must be from 1 to {MAX_INITIAL_TRIALS}")
        count = len(self.warm_start_studies)
        if count > MAX_SOURCES:
            yield Violation("warm_start_studies", f"has {count}; at most {MAX_SOURCES} are allowed")
        if len(set(self.warm_start_studies)) < count:
            yield Violation("warm_start_studies", "names a study twice; name each once")
        if self.custom_algorithm and not NAME.fullmatch(self.custom_algorithm):
            yield Violation("custom_algorithm", f"is {self.custom_algorithm[:140]!r}; {NAME_FORM}")
        if self.grid_points is not None and not 2 <= self.grid_points <= MAX_GRID_POINTS:
            yield Violation("grid_points", f"is {self.grid_points}; it must be from 2 to {MAX_GRID_POINTS:,}")
        if self.confirming_trials is not None and not 1 <= self.confirming_trials <= MAX_CONFIRMING_TRIALS:
            what = f"is {self.confirming_trials}; it must be from 1 to {MAX_CONFIRMING_TRIALS}"
            yield Violation("confirming_trials", what)


@dataclass(frozen=True)
class ExecutionSettings:
    """Settings of the assignment of trials to workers."""

    lease_duration: timedelta = timedelta(seconds=60)
    max_attempts: int = 3
    max_trials: int | None = None
    max_steps: int | None = None
    """Steps of training, over all attempts at all trials, after which no more training begins."""
    max_seconds: float | None = None
    """The same in seconds of training."""

    def reached_limit(self, num_trials: int, spent: Spent) -> Limit | None:
        """Return the limit that keeps further trials from beginning; None if none does.

        Args:
            num_trials: how many trials the study has.
            spent: what they have spent.
        """
        if self.max_steps is not None and spent.steps >= self.max_steps:
            return Limit.MAX_STEPS
        if self.max_seconds is not None and spent.time.total_seconds() >= self.max_seconds:
            return Limit.MAX_SECONDS
        return Limit.MAX_TRIALS if self.max_trials is not None and num_trials >= self.max_trials else None

    @property
    def has_budget(self) -> bool:
        """Whether training is limited, in steps or in seconds."""
        return self.max_steps is not None or self.max_seconds is not None

    def faults(self) -> Iterator[Violation]:
        """Yield the violations of the settings' limits."""
        if not MIN_LEASE <= self.lease_duration <= MAX_LEASE:
            yield Violation(
                "lease_duration", f"is {self.lease_duration.total_seconds():g} s; it must be from 1 s to 24 h"
            )
        if not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            yield Violation("max_attempts", f"is {self.max_attempts}; it must be from 1 to {MAX_ATTEMPTS}")
        if self.max_trials is not None and not 1 <= self.max_trials <= MAX_TRIALS:
            yield Violation("max_trials", f"is {self.max_trials}; it must be from 1 to {MAX_TRIALS:,}")
        if self.max_steps is not None and not 1 <= self.max_steps <= MAX_STEP:
            yield Violation("max_steps", f"is {self.max_steps}; it must be from 1 to 2^53")
        if self.max_seconds is not None and not 0 < self.max_seconds <= MAX_TRAINING_SECONDS:
            yield Violation(
                "max_seconds", f"is {self.max_seconds:g}; it must be above 0 and at most {MAX_TRAINING_SECONDS:,}"
            )


@dataclass(frozen=True)
class StudySpec:
    """The definition of a study.

    Raises:
        InvalidArgument: names every invalid field.
    """

    space: SearchSpace
    metrics: tuple[Metric, ...]
    suggestion: SuggestionSettings = SuggestionSettings()
    execution: ExecutionSettings = ExecutionSettings()
    stopping: StoppingSettings = field(default_factory=StoppingSettings)
    fidelity: FidelitySettings | None = None
    """That trials are trained in parts; None if each runs to its end."""

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise InvalidArgument(faults)

    @cached_property
    def objectives(self) -> tuple[Metric, ...]:
        return tuple(m for m in self.metrics if m.role is MetricRole.OBJECTIVE)

    @cached_property
    def objective(self) -> Metric:
        """The metric that is optimized; the first of several."""
        return self.objectives[0]

    @cached_property
    def constraint_metrics(self) -> tuple[Metric, ...]:
        """The metrics that have a bound."""
        return tuple(m for m in self.metrics if m.role is MetricRole.CONSTRAINT)

    @cached_property
    def modelled_metrics(self) -> tuple[Metric, ...]:
        """The metrics that the surrogate models, in the optimizer's order."""
        return (*self.objectives, *self.constraint_metrics)

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
        yield from self._grid_faults()
        acquisition = self.suggestion.acquisition
        if len(self.objectives) > 1 and acquisition is not None:
            what = f"is {acquisition.name}, which supports one objective; several use hypervolume improvement"
            yield Violation("suggestion.acquisition", f"{what}: leave it unspecified")
        yield from (f.inside("execution") for f in self.execution.faults())
        yield from (f.inside("stopping") for f in self.stopping.faults())
        if self.stopping.rule is not StoppingRule.NONE and len(self.modelled_metrics) > 1:
            rule, fix = self.stopping.rule.name, "choose STOPPING_RULE_NONE, or give the others METRIC_ROLE_INFORMATION"
            yield Violation(
                "stopping.rule", f"is {rule}, which supports one objective without constraint metrics; {fix}"
            )
        yield from self._fidelity_faults()
        yield from self._confirmation_faults()
        yield from self._budget_faults()

    def _confirmation_faults(self) -> Iterator[Violation]:
        confirming, limit = self.suggestion.confirming_trials, self.execution.max_trials
        if confirming is None:
            return
        fault = ""
        if limit is None:
            fault = "and the study has no max_trials, of which they would be the last: set execution.max_trials"
        elif confirming >= limit:
            fault = f"which leaves no trial of execution.max_trials, {limit}, to search with: lower it, or raise those"
        elif len(self.objectives) > 1:
            fault = f"which supports one objective, and the study has {len(self.objectives)}: clear this field"
        elif self.fidelity is not None:
            fault = "and trials of a study with a fidelity are not repeated: clear this field, or leave fidelity out"
        if fault:
            yield Violation("suggestion.confirming_trials", f"is {confirming}, {fault}")

    def _budget_faults(self) -> Iterator[Violation]:
        steps, fidelity = self.execution.max_steps, self.fidelity
        if steps is None:
            return
        if fidelity is None:
            what = f"is {steps}, and the study has no fidelity, which says what a step is and how many a trial has"
            yield Violation("execution.max_steps", f"{what}: set max_seconds or max_trials instead, or give a fidelity")
        elif steps < fidelity.max_step:
            what = f"is {steps}, less than one whole trial, which has {fidelity.max_step} steps (fidelity.max)"
            yield Violation("execution.max_steps", f"{what}: give at least that many, or a study with a lower max")

    def _grid_faults(self) -> Iterator[Violation]:
        given, algorithm = self.suggestion.grid_points, self.suggestion.algorithm
        if given is not None and algorithm is not Algorithm.GRID:
            what = f"is {given}, but algorithm is ALGORITHM_{algorithm.name}"
            yield Violation("suggestion.grid_points", f"{what}: choose ALGORITHM_GRID, or clear this field")
        points = given or DEFAULT_POINTS
        if algorithm is not Algorithm.GRID or not 2 <= points <= MAX_GRID_POINTS:
            return
        if grid_size(self.space, points) > MAX_GRID_SIZE:
            what = f"is {points}, which gives a grid of more than {MAX_GRID_SIZE:,} combinations"
            yield Violation("suggestion.grid_points", f"{what}: lower it, shorten lists, or choose ALGORITHM_RANDOM")

    def _fidelity_faults(self) -> Iterator[Violation]:
        if self.fidelity is None:
            return
        yield from (f.inside("fidelity") for f in self.fidelity.faults())
        if len(self.modelled_metrics) > 1:
            count = len(self.modelled_metrics)
            what = f"needs one objective without constraint metrics; the study has {count} metrics of these roles"
            yield Violation("fidelity", f"{what}: give the others METRIC_ROLE_INFORMATION, or leave fidelity out")
        algorithm = self.suggestion.algorithm
        if self.fidelity.promotion is Promotion.FORECAST and algorithm is not Algorithm.GAUSSIAN_PROCESS:
            what = f"is PROMOTION_FORECAST, which the algorithm {algorithm.name} has no forecasts for"
            fix = "choose ALGORITHM_GAUSSIAN_PROCESS or PROMOTION_ASHA"
            yield Violation("fidelity.promotion", f"{what}: {fix}")
        if self.stopping.rule is not StoppingRule.NONE:
            rule = self.stopping.rule.name
            what = f"is {rule}, and the study has a fidelity, whose trials pause instead of being stopped"
            yield Violation("stopping.rule", f"{what}: choose STOPPING_RULE_NONE, or leave fidelity out")


class StudyState(Enum):
    """The state of a study."""

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
    """Number of the last trial created, including deleted trials."""
    objective: ObjectiveSpec | None = None
    """The objective that the metrics depend on; None if no worker has set it."""
    spent: Spent = field(default_factory=Spent)
    """What its trials have spent on training, deleted ones included."""

    @property
    def name(self) -> str:
        return f"studies/{self.study_id}"
