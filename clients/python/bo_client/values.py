"""Studies and trials as the server last told them: snapshots that never change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypedDict

from bo_client.parameters import Value
from bo_client.space import SearchSpace

Goal = Literal["minimize", "maximize"]
Role = Literal["objective", "constraint", "information"]


@dataclass(frozen=True)
class Metric:
    """A measured quantity. `goal` may be left out only where `role` is "information"."""

    name: str
    goal: Goal | None = None
    role: Role = "objective"
    bound: float | None = None
    unit: str = ""


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
    attempt: int = 0
    checkpoint_uri: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None
    explanation: Explanation | None = None
    stop_reason: str | None = None
    """Set once the trial should end early; may be empty."""
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    revision: int = 0

    def value(self, metric: str) -> float | None:
        """The final value of a metric; None while there is none."""
        return self.final_measurement.metrics.get(metric) if self.final_measurement else None


class StudySettings(TypedDict, total=False):
    """How suggestions are made and handed out. What is left out, the server chooses."""

    max_trials: int
    lease_duration: float
    """In seconds."""
    max_attempts: int
    seed: int
    algorithm: Literal["gaussian_process", "quasi_random"]
    acquisition: Literal["log_ei", "ucb"]
    initial_trials: int
    beta: float
    xi: float
    stopping: Literal["none", "median", "successive_halving", "curve"]
    """Which rule tells running trials to stop early, judging what they report."""
    stopping_min_step: int
    """No trial is stopped before this step."""
    stopping_min_trials: int
    """No trial is stopped before so many others can be compared with."""
    stopping_reduction_factor: float
    """Of how many trials one goes on, for "successive_halving"."""
    stopping_max_step: int
    """Last step of a whole trial."""
    stopping_confidence: float
    """How sure it must be that a trial won't beat the best, for "curve"."""


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

    @property
    def max_trials(self) -> int | None:
        """Trials of the study in all; None without a limit."""
        return self.settings.get("max_trials")

    @property
    def objective(self) -> Metric:
        """The first metric that is optimized."""
        return next(m for m in self.metrics if m.role == "objective")

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return sum(n for state, n in self.counts.items() if state.is_ended)


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
