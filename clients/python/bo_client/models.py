"""Immutable snapshots of studies and trials, as last received from the server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from bo_client.metric_values import GOALS
from bo_client.parameters import Value, value_of
from bo_client.predictions import ConfigurationPrediction as ConfigurationPrediction  # part of a trial's own words
from bo_client.predictions import Explanation as Explanation
from bo_client.predictions import Pause as Pause
from bo_client.predictions import Prediction as Prediction
from bo_client.settings import StudySettings
from bo_client.shortfall import Limit as Limit
from bo_client.shortfall import Shortfall as Shortfall
from bo_client.shortfall import Spent as Spent
from bo_client.space import SearchSpace

Goal = Literal["minimize", "maximize"]
Role = Literal["objective", "constraint", "information"]


@dataclass(frozen=True)
class Metric:
    """A measured quantity. `goal` may be omitted only if `role` is "information".

    Up to three metrics are objectives. A constraint metric must be at most its `bound` if the goal is "minimize", and
    at least if it is "maximize"; use `Metric.at_most("latency", 50.0)` and `Metric.at_least`.
    """

    name: str
    goal: Goal | None = None
    role: Role = "objective"
    bound: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.goal, str):
            object.__setattr__(self, "goal", GOALS.get(self.goal.lower(), self.goal))

    @classmethod
    def at_most(cls, name: str, bound: float, unit: str = "") -> "Metric":
        """Return a constraint metric with an upper bound: trials that exceed it are not among the best."""
        return cls(name, "minimize", "constraint", bound, unit)

    @classmethod
    def at_least(cls, name: str, bound: float, unit: str = "") -> "Metric":
        """Return a constraint metric with a lower bound: trials below it are not among the best."""
        return cls(name, "maximize", "constraint", bound, unit)

    @property
    def sign(self) -> float:
        """Factor that turns values so that larger is better."""
        return 1.0 if self.goal == "maximize" else -1.0

    def admits(self, value: float) -> bool:
        """Return whether the value is within the bound; always True without a constraint."""
        return self.role != "constraint" or self.bound is None or self.sign * (value - self.bound) >= 0.0


@dataclass(frozen=True)
class Measurement:
    """The metrics of a trial at one step; `elapsed` in seconds, measured by the worker."""

    metrics: Mapping[str, float]
    step: int = 0
    elapsed: float | None = None
    receive_time: datetime | None = None


class FailureReason(StrEnum):
    """The reason of a failure. The parameters cause the first three, the machine the others."""

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
    """Outcome of an attempt at a trial."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    """The lease expired without a heartbeat of the worker."""
    SUPERSEDED = "SUPERSEDED"
    """The trial ended by a late result of an earlier attempt."""
    PAUSED = "PAUSED"
    """The trial waits at its checkpoint."""


@dataclass(frozen=True)
class Attempt:
    """One assignment of a trial to a worker.

    The times and the outcome are None if unknown: the attempt is running, or an older server did not record them.
    """

    number: int
    worker_id: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    outcome: AttemptOutcome | None = None
    failure: Failure | None = None
    """The failure or expiry; the middle of a long message is omitted."""
    steps: int = 0
    """Steps that it trained, from the checkpoint that it resumed from to the largest that it reported."""
    seconds: float = 0.0
    """Seconds that it trained, as its worker reported them, else as the server measured them."""


class TrialState(StrEnum):
    """The state of a trial: QUEUED → RUNNING → SUCCEEDED | FAILED | INFEASIBLE | STOPPED, and RUNNING ⇄ PAUSED."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    INFEASIBLE = "INFEASIBLE"
    STOPPED = "STOPPED"
    PAUSED = "PAUSED"
    """It waits at its checkpoint for more training, without a final measurement."""

    @property
    def is_ended(self) -> bool:
        """Whether the state is final."""
        return self not in (TrialState.QUEUED, TrialState.RUNNING, TrialState.PAUSED)


class Origin(StrEnum):
    """The source of a trial's parameters."""

    DEFAULT = "DEFAULT"
    QUASI_RANDOM = "QUASI_RANDOM"
    WARM_START = "WARM_START"
    SURROGATE = "SURROGATE"
    USER = "USER"
    CUSTOM_ALGORITHM = "CUSTOM_ALGORITHM"
    RANDOM = "RANDOM"
    GRID = "GRID"
    CONFIRMATION = "CONFIRMATION"


class StudyState(StrEnum):
    """The state of a study."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"


@dataclass(frozen=True)
class TrialNote:
    """What people have written about a trial."""

    text: str
    author: str
    """Name of the token that wrote it."""
    update_time: datetime | None


@dataclass(frozen=True)
class Trial:
    """One evaluation of the objective. `measurements` is empty unless requested."""

    number: int
    name: str
    parameters: Mapping[str, Value]
    state: TrialState
    measurements: tuple[Measurement, ...] = ()
    latest_measurement: Measurement | None = None
    final_measurement: Measurement | None = None
    failure: Failure | None = None
    worker_id: str = ""
    """The worker that runs it or ended it; empty while it is queued and without a worker."""
    attempt: int = 0
    checkpoint_uri: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None
    explanation: Explanation | None = None
    stop_reason: str | None = None
    """Set once the trial should end early; may be empty."""
    stop_rule: str | None = None
    """The stopping rule that requested the end, such as MEDIAN; None if a user did, or nothing was requested."""
    expected: Prediction | None = None
    """The rule's prediction of the trial's full-length result."""
    expected_step: int | None = None
    """The step of the full length."""
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    revision: int = 0
    attempts: tuple[Attempt, ...] = ()
    """Every assignment to a worker, in order."""
    pause: Pause | None = None
    """The last request to pause the trial; None if there was none."""
    until_step: int | None = None
    """The step up to which a running trial is trained now; None if it is trained to its end in one go."""
    note: TrialNote | None = None

    def __getitem__(self, name: str) -> Value:
        """Return the value of a parameter. Raises KeyError if the trial has no such parameter."""
        return value_of(self.parameters, name)

    @property
    def params(self) -> Mapping[str, Value]:
        """The parameters, by the name that Optuna uses."""
        return self.parameters

    def value(self, metric: str) -> float | None:
        """Return the final value of a metric; None while there is none."""
        return self.final_measurement.metrics.get(metric) if self.final_measurement else None

    @property
    def is_cut_short(self) -> bool:
        """Whether a rule ended the trial before its full length."""
        if self.final_measurement is None or not self.state.is_ended:
            return False
        is_paused = self.state is TrialState.STOPPED and self.pause is not None
        if is_paused and self.pause is not None and self.final_measurement.step < self.pause.expected_step:
            return True
        if self.stop_rule is None:
            return False
        return self.expected_step is None or self.final_measurement.step < self.expected_step

    def _repr_html_(self) -> str:
        from bo_client.notebook import trial_html  # loaded by those who look

        return trial_html(self)


class Trials(list[Trial]):
    """A list of trials that notebooks show as a table, as in Trials(study.trials())."""

    def _repr_html_(self) -> str:
        from bo_client.notebook import trials_html

        return trials_html(self)


@dataclass(frozen=True)
class ObjectiveSpec:
    """The objective and the options that a study's metrics depend on."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecentFailures:
    """A summary of a study in which most recent trials failed."""

    failed: int
    trials: int
    """Number of trials inspected."""
    first_trial: int
    """Number of the first failed trial."""
    first_failure: str
    """Its reason and message."""

    def __str__(self) -> str:
        cause = " ".join(self.first_failure.split())
        return f"{self.failed} of the last {self.trials} trials failed; first (trial {self.first_trial}): {cause}"


@dataclass(frozen=True)
class StudyInfo:
    """A study with its progress."""

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
    """The objective that the metrics depend on; None if no worker has set it."""
    recent_failures: RecentFailures | None = None
    """Set if most recent trials failed."""
    resumable_count: int = 0
    """Number of trials that wait for a worker that can resume; 0 while any trial runs."""
    spent: Spent = field(default_factory=Spent)
    """What the trials have spent on training, those that failed and each lost attempt included."""
    reached_limit: Limit | None = None
    """The limit because of which no further trials are made; None if there is none."""

    @property
    def has_limit(self) -> bool:
        """Whether the study ends by itself."""
        return any(limit.setting in self.settings for limit in Limit)

    @property
    def step_name(self) -> str:
        """What a step of its trials is, such as "epoch"."""
        fidelity = self.settings.get("fidelity")
        return "step" if fidelity is None else fidelity.get("metric", "step")

    @property
    def max_trials(self) -> int | None:
        """Total number of trials; None without a limit."""
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
        """The metrics that have a bound."""
        return tuple(m for m in self.metrics if m.role == "constraint")

    @property
    def modelled_metrics(self) -> tuple[Metric, ...]:
        """The metrics that each result needs: the objectives, then the constraints."""
        return (*self.objectives, *self.limits)

    def admits(self, metrics: Mapping[str, float]) -> bool:
        """Return whether a result with these metrics is within all bounds."""
        return all(m.admits(metrics[m.name]) for m in self.limits)

    @property
    def warm_start_studies(self) -> tuple[str, ...]:
        """Ids of the earlier studies whose observations are reused."""
        return tuple(str(study_id) for study_id in self.settings.get("warm_start_studies", ()))

    @property
    def paused(self) -> int:
        """Number of trials that wait at a checkpoint."""
        return self.counts.get(TrialState.PAUSED, 0)

    @property
    def ended(self) -> int:
        """Number of ended trials."""
        return sum(n for state, n in self.counts.items() if state.is_ended)

    def _repr_html_(self) -> str:
        from bo_client.notebook import study_html

        return study_html(self)


@dataclass(frozen=True)
class Change:
    """The changes of a study since the previous change."""

    study: StudyInfo
    trials: tuple[Trial, ...]
    deleted_trials: tuple[int, ...]
    """Numbers of deleted trials."""
    revision: int
    """All changes up to this revision have been received."""


@dataclass(frozen=True)
class Heartbeat:
    """The server's response to a heartbeat."""

    should_stop: bool
    reason: str
    lease_valid: bool
    """False if the trial has ended or belongs to another worker; then the report was not recorded."""
    lease_remaining: float
    """Seconds until the lease expires."""
    should_pause: bool = False
    """Whether to write the checkpoint now and pause the trial, for `reason`."""
    until_step: int | None = None
    """How far to train now; None: to the end."""
