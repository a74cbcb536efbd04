"""Studies and trials as the server last told them: snapshots that never change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from bo_client.parameters import Value
from bo_client.settings import StudySettings
from bo_client.space import SearchSpace

Goal = Literal["minimize", "maximize"]
Role = Literal["objective", "constraint", "information"]


@dataclass(frozen=True)
class Metric:
    """A measured quantity. `goal` may be left out only where `role` is "information".

    Up to three are objectives. A constraint must be at most its `bound` where the goal is "minimize", at least where
    it is "maximize"; `Metric.at_most("latency", 50.0)` and `Metric.at_least` say so.
    """

    name: str
    goal: Goal | None = None
    role: Role = "objective"
    bound: float | None = None
    unit: str = ""

    @classmethod
    def at_most(cls, name: str, bound: float, unit: str = "") -> "Metric":
        """A constraint on what is measured: trials with more are not among the best."""
        return cls(name, "minimize", "constraint", bound, unit)

    @classmethod
    def at_least(cls, name: str, bound: float, unit: str = "") -> "Metric":
        """A constraint on what is measured: trials with less are not among the best."""
        return cls(name, "maximize", "constraint", bound, unit)

    @property
    def sign(self) -> float:
        """Factor that turns values so that larger is better."""
        return 1.0 if self.goal == "maximize" else -1.0

    def admits(self, value: float) -> bool:
        """Whether the value keeps to the bound; always where the metric is no constraint."""
        return self.role != "constraint" or self.bound is None or self.sign * (value - self.bound) >= 0.0


@dataclass(frozen=True)
class Measurement:
    """The metrics of a trial at one step; `elapsed` in seconds, as the worker counts them."""

    metrics: Mapping[str, float]
    step: int = 0
    elapsed: float | None = None
    receive_time: datetime | None = None


class FailureReason(StrEnum):
    """Why a trial didn't succeed. The first three blame its parameters, the others a machine."""

    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    DIVERGED = "DIVERGED"
    INVALID_CONFIGURATION = "INVALID_CONFIGURATION"
    CRASHED = "CRASHED"
    PREEMPTED = "PREEMPTED"
    TIMEOUT = "TIMEOUT"


@dataclass(frozen=True)
class Failure:
    """A failure, as reported."""

    reason: FailureReason
    message: str = ""


class AttemptOutcome(StrEnum):
    """How an attempt at a trial ended."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    """Its lease ran out: the worker gave no sign of life."""
    SUPERSEDED = "SUPERSEDED"
    """The trial ended by what the worker of an earlier attempt delivered late."""


@dataclass(frozen=True)
class Attempt:
    """One hand-out of a trial to a worker: who ran it, when, and how it ended.

    The times and the outcome are None where they aren't known: the attempt runs, or a server of an older version didn't
    record them.
    """

    number: int
    worker_id: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    outcome: AttemptOutcome | None = None
    failure: Failure | None = None
    """Why it failed or expired; the middle of a long message is left out."""


class TrialState(StrEnum):
    """Where a trial is in its life: QUEUED → RUNNING → SUCCEEDED | FAILED | INFEASIBLE | STOPPED."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    INFEASIBLE = "INFEASIBLE"
    STOPPED = "STOPPED"

    @property
    def is_ended(self) -> bool:
        """Whether nothing can change it any more."""
        return self not in (TrialState.QUEUED, TrialState.RUNNING)


class Origin(StrEnum):
    """Where a trial's parameters come from."""

    DEFAULT = "DEFAULT"
    QUASI_RANDOM = "QUASI_RANDOM"
    WARM_START = "WARM_START"
    SURROGATE = "SURROGATE"
    USER = "USER"


class StudyState(StrEnum):
    """Whether a study gives out trials."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"


class Shortfall(StrEnum):
    """Why fewer trials were handed out than asked for."""

    ALL_IN_PROGRESS = "ALL_IN_PROGRESS"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    SPACE_EXHAUSTED = "SPACE_EXHAUSTED"

    @property
    def is_final(self) -> bool:
        """Whether there is no use in asking again."""
        return self in (Shortfall.COMPLETED, Shortfall.SPACE_EXHAUSTED)

    @property
    def explanation(self) -> str:
        """The reason in words."""
        return SHORTFALLS[self]


SHORTFALLS = {
    Shortfall.ALL_IN_PROGRESS: "all remaining trials are being run",
    Shortfall.PAUSED: "the study is paused",
    Shortfall.COMPLETED: "the study is complete",
    Shortfall.SPACE_EXHAUSTED: "no configuration of the search space is left that has not been tried",
}


@dataclass(frozen=True)
class Prediction:
    """What the surrogate says of one configuration about one metric, in the metric's own units."""

    metric: str
    mean: float
    std: float
    """Posterior standard deviation of the noise-free value."""


@dataclass(frozen=True)
class ConfigurationPrediction:
    """What the surrogate says of one configuration."""

    predictions: tuple[Prediction, ...]
    acquisition_value: float
    """Larger is better; comparable only within one study and one moment."""

    @property
    def mean(self) -> float:
        """Of the first objective metric."""
        return self.predictions[0].mean

    @property
    def std(self) -> float:
        """Of the first objective metric."""
        return self.predictions[0].std


@dataclass(frozen=True)
class Explanation:
    """Why a configuration was suggested."""

    summary: str
    predictions: tuple[Prediction, ...] = ()
    acquisition: str = ""
    acquisition_value: float | None = None
    intent: Literal["EXPLORE", "EXPLOIT"] | None = None
    nearest_trial: str = ""
    nearest_distance: float | None = None
    """From 0 (the same) to 1, in the scaled unit cube."""


@dataclass(frozen=True)
class Trial:
    """One evaluation of the objective. `measurements` is filled only where it was asked for."""

    number: int
    name: str
    parameters: Mapping[str, Value]
    state: TrialState
    measurements: tuple[Measurement, ...] = ()
    latest_measurement: Measurement | None = None
    final_measurement: Measurement | None = None
    failure: Failure | None = None
    worker_id: str = ""
    """Who runs it, or whose attempt ended it; empty while it is queued and where no worker had it."""
    attempt: int = 0
    checkpoint_uri: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None
    explanation: Explanation | None = None
    stop_reason: str | None = None
    """Set once the trial should end early; may be empty."""
    stop_rule: str | None = None
    """The stopping rule that asked for the end, such as MEDIAN; None where a person did, or nobody."""
    expected: Prediction | None = None
    """What the rule expected of the trial at its full length: a forecast, and no measurement."""
    expected_step: int | None = None
    """That full length, as a step."""
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    revision: int = 0
    attempts: tuple[Attempt, ...] = ()
    """Every hand-out to a worker, in order."""

    def value(self, metric: str) -> float | None:
        """The final value of a metric; None while there is none."""
        return self.final_measurement.metrics.get(metric) if self.final_measurement else None

    @property
    def is_cut_short(self) -> bool:
        """Whether a stopping rule ended it before its full length: its result is that of a part of a trial."""
        if self.final_measurement is None or self.stop_rule is None or not self.state.is_ended:
            return False
        return self.expected_step is None or self.final_measurement.step < self.expected_step

    def _repr_html_(self) -> str:
        from bo_client.notebook import trial_html  # loaded by those who look

        return trial_html(self)


class Trials(list[Trial]):
    """Trials that a notebook shows as a table, as in Trials(study.trials())."""

    def _repr_html_(self) -> str:
        from bo_client.notebook import trials_html

        return trials_html(self)


@dataclass(frozen=True)
class ObjectiveSpec:
    """What a study's values depend on besides the parameters: the objective, and its options that change them."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecentFailures:
    """Says that most of a study's recent trials failed."""

    failed: int
    trials: int
    """How many of the last trials were looked at."""
    first_trial: int
    """Number of the first of those that failed."""
    first_failure: str
    """Its reason and message."""

    def __str__(self) -> str:
        cause = " ".join(self.first_failure.split())
        return f"{self.failed} of the last {self.trials} trials failed; first (trial {self.first_trial}): {cause}"


@dataclass(frozen=True)
class StudyInfo:
    """A study and where it stands."""

    id: str
    name: str
    space: SearchSpace
    metrics: tuple[Metric, ...]
    state: StudyState
    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    settings: StudySettings = field(default_factory=lambda: StudySettings())
    counts: Mapping[TrialState, int] = field(default_factory=dict)
    create_time: datetime | None = None
    update_time: datetime | None = None
    revision: int = 0
    objective_spec: ObjectiveSpec | None = None
    """What its values depend on; None where nobody has said it."""
    recent_failures: RecentFailures | None = None
    """Set where most of the recent trials failed."""

    @property
    def max_trials(self) -> int | None:
        """Trials of the study in all; None without a limit."""
        return self.settings.get("max_trials")

    @property
    def objectives(self) -> tuple[Metric, ...]:
        """The metrics that are optimized."""
        return tuple(m for m in self.metrics if m.role == "objective")

    @property
    def objective(self) -> Metric:
        """The first metric that is optimized."""
        return self.objectives[0]

    @property
    def limits(self) -> tuple[Metric, ...]:
        """The metrics that must keep to a bound."""
        return tuple(m for m in self.metrics if m.role == "constraint")

    @property
    def steering(self) -> tuple[Metric, ...]:
        """What each result must have: the objectives, then the constraints."""
        return (*self.objectives, *self.limits)

    def admits(self, metrics: Mapping[str, float]) -> bool:
        """Whether a result with these metrics keeps to every bound."""
        return all(m.admits(metrics[m.name]) for m in self.limits)

    @property
    def warm_start_studies(self) -> tuple[str, ...]:
        """Ids of the earlier studies that it starts from."""
        return tuple(str(study_id) for study_id in self.settings.get("warm_start_studies", ()))

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return sum(n for state, n in self.counts.items() if state.is_ended)

    def _repr_html_(self) -> str:
        from bo_client.notebook import study_html

        return study_html(self)


@dataclass(frozen=True)
class Change:
    """What has changed in a study since the change before."""

    study: StudyInfo
    trials: tuple[Trial, ...]
    deleted_trials: tuple[int, ...]
    """Numbers of the trials that are gone."""
    revision: int
    """Everything up to here has been told."""


@dataclass(frozen=True)
class Heartbeat:
    """The server's answer to a sign of life."""

    should_stop: bool
    reason: str
    lease_valid: bool
    """False when the trial has ended or is another worker's; nothing reported was recorded."""
    lease_remaining: float
    """In seconds from now."""
