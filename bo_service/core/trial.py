"""A trial and its life: QUEUED → RUNNING → SUCCEEDED | FAILED | INFEASIBLE | STOPPED.

Trials are values: each verb returns the trial as it is afterwards, or raises. A lease is a fencing token with an
expiry; whoever got the trial first may still deliver a late result, as long as nobody has ended the trial.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from bo_service.core import attempts
from bo_service.core.attempts import Attempt, AttemptOutcome
from bo_service.core.constraints import Configuration
from bo_service.core.errors import InvalidArgument, Violation, WrongState
from bo_service.core.failures import Failure as Failure  # one of a trial's own words
from bo_service.core.failures import FailureReason as FailureReason
from bo_service.core.stopping.settings import StoppingRule
from bo_service.core.study import Metric, MetricRole

MAX_LABELS = 64


class TrialState(Enum):
    """Where a trial is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INFEASIBLE = "infeasible"
    STOPPED = "stopped"

    @property
    def is_ended(self) -> bool:
        return self not in (TrialState.QUEUED, TrialState.RUNNING)


class Origin(Enum):
    """Where a trial's parameters come from."""

    DEFAULT = "default"
    QUASI_RANDOM = "quasi_random"
    WARM_START = "warm_start"
    SURROGATE = "surrogate"
    USER = "user"


class Intent(Enum):
    """What a suggestion is after."""

    EXPLORE = "explore"
    EXPLOIT = "exploit"


@dataclass(frozen=True)
class Measurement:
    """The metrics of a trial at one step."""

    metrics: Mapping[str, float]
    step: int = 0
    elapsed: timedelta | None = None
    receive_time: datetime | None = None


@dataclass(frozen=True)
class Lease:
    """A worker's hold on a running trial."""

    token: str
    worker_id: str
    expire_time: datetime
    duration: timedelta | None = None
    """From when it was last given to its end; None in what older servers have stored."""

    def latest_end(self, at: datetime, duration: timedelta) -> datetime:
        """When it ends at the latest, unless the clock has been set back; `duration` is that of the study's leases."""
        return at + (self.duration or duration)


@dataclass(frozen=True)
class Prediction:
    """What is expected of one metric, in its own units."""

    metric: str
    mean: float
    std: float


@dataclass(frozen=True)
class StopRequest:
    """A request that a running trial should end early."""

    reason: str
    create_time: datetime
    rule: StoppingRule = StoppingRule.NONE
    """The rule that made it; NONE where somebody did."""
    expected: Prediction | None = None
    """What a rule expected of the trial at its full length."""
    expected_step: int | None = None
    """That full length; given with `expected`."""


@dataclass(frozen=True)
class Explanation:
    """Why a configuration was suggested. `nearest_trial` is a trial's number."""

    summary: str
    predictions: tuple[Prediction, ...] = ()
    acquisition: str = ""
    acquisition_value: float | None = None
    intent: Intent | None = None
    nearest_trial: int | None = None
    nearest_distance: float | None = None


@dataclass(frozen=True)
class Trial:
    """One evaluation of the objective."""

    study_id: str
    number: int
    parameters: Configuration
    create_time: datetime
    origin: Origin
    state: TrialState = TrialState.QUEUED
    latest_measurement: Measurement | None = None
    final_measurement: Measurement | None = None
    failure: Failure | None = None
    lease: Lease | None = None
    attempt: int = 0
    checkpoint_uri: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    explanation: Explanation | None = None
    stop_request: StopRequest | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    revision: int = 0
    attempts: tuple[Attempt, ...] = ()
    """Every hand-out to a worker, in order."""

    @property
    def name(self) -> str:
        return f"studies/{self.study_id}/trials/{self.number}"

    def start(self, lease: Lease, at: datetime) -> "Trial":
        """Hands a queued trial to a worker. Raises WrongState."""
        self._require(TrialState.QUEUED, "be started")
        number = self.attempt + 1
        made = (*self.attempts, Attempt(number, lease.worker_id, at))
        return replace(self, state=TrialState.RUNNING, lease=lease, attempt=number, start_time=at, attempts=made)

    def is_held_by(self, token: str) -> bool:
        return self.state is TrialState.RUNNING and self.lease is not None and self.lease.token == token

    def renew(self, at: datetime, duration: timedelta) -> "Trial":
        """Extends the lease to that long from now; one that was given for longer keeps its end. Raises WrongState."""
        self._require(TrialState.RUNNING, "renew its lease")
        assert self.lease is not None
        held = min(self.lease.expire_time, self.lease.latest_end(at, duration))
        end = max(at + duration, held)
        return replace(self, lease=replace(self.lease, expire_time=end, duration=end - at))

    def report(self, measurements: Sequence[Measurement], checkpoint_uri: str = "") -> "Trial":
        """Takes in new measurements. Raises WrongState."""
        self._require(TrialState.RUNNING, "take measurements")
        latest = self.latest_measurement
        for measurement in measurements:
            if latest is None or measurement.step >= latest.step:
                latest = measurement
        return replace(self, latest_measurement=latest, checkpoint_uri=checkpoint_uri or self.checkpoint_uri)

    def complete(self, measurement: Measurement, at: datetime, attempt: int | None = None) -> "Trial":
        """Ends with what it achieved: SUCCEEDED, or STOPPED where that was asked for. Raises WrongState.

        `attempt` is the one that delivers, by default the last.
        """
        self._require_open("be completed")
        state = TrialState.STOPPED if self.stop_request else TrialState.SUCCEEDED
        told = self._tell(attempt, AttemptOutcome.COMPLETED, at)
        return told._end(state, at, final_measurement=measurement, latest_measurement=measurement)

    def label(self, labels: Mapping[str, str]) -> "Trial":
        """Adds labels; one that is there gets the new value. Raises InvalidArgument where they are too many."""
        merged = dict(sorted({**self.labels, **labels}.items()))
        if len(merged) > MAX_LABELS:
            raise InvalidArgument.of(
                "labels", f"would be {len(merged)} together with those of {self.name}; at most {MAX_LABELS} are allowed"
            )
        return replace(self, labels=merged)

    def fail(self, failure: Failure, max_attempts: int, at: datetime, attempt: int | None = None) -> "Trial":
        """Ends, or queues another attempt where a machine is to blame and attempts are left. Raises WrongState.

        `attempt` is the one that failed, by default the last.
        """
        self._require_open("fail")
        return self._tell(attempt, AttemptOutcome.FAILED, at, failure)._fail(failure, max_attempts, at)

    def expire(self, max_attempts: int, at: datetime) -> "Trial":
        """Takes the trial from a worker that has gone silent. Raises WrongState."""
        self._require(TrialState.RUNNING, "lose its lease")
        assert self.lease is not None
        gone = (
            f"worker {self.lease.worker_id!r} gave no sign of life until {self.lease.expire_time:%Y-%m-%d %H:%M:%S} UTC"
        )
        failure = Failure(FailureReason.PREEMPTED, gone)
        return self._tell(None, AttemptOutcome.EXPIRED, at, failure)._fail(failure, max_attempts, at)

    def stop(self, request: StopRequest) -> "Trial":
        """Ends a queued trial; asks a running one's worker to end it. The first request counts. Raises WrongState."""
        self._require_open("be stopped")
        asked = replace(self, stop_request=self.stop_request or request)
        return asked._end(TrialState.STOPPED, request.create_time) if self.state is TrialState.QUEUED else asked

    def _fail(self, failure: Failure, max_attempts: int, at: datetime) -> "Trial":
        if failure.reason.blames_parameters:
            return self._end(TrialState.INFEASIBLE, at, failure=failure)
        if self.stop_request:
            return self._end(TrialState.STOPPED, at, failure=failure)
        if self.attempt >= max_attempts:
            return self._end(TrialState.FAILED, at, failure=failure)
        return replace(self, state=TrialState.QUEUED, lease=None, failure=failure)

    def _tell(
        self, attempt: int | None, outcome: AttemptOutcome, at: datetime, failure: Failure | None = None
    ) -> "Trial":
        """With one of its attempts ended; and the last one, where another ends the trial meanwhile."""
        number = self.attempt if attempt is None else attempt
        told = attempts.ended(self.attempts, number, outcome, at, failure)
        if number != self.attempt and self.state is TrialState.RUNNING:
            told = attempts.ended(told, self.attempt, AttemptOutcome.SUPERSEDED, at)
        return replace(self, attempts=told)

    def _end(self, state: TrialState, at: datetime, **changes: object) -> "Trial":
        return replace(self, state=state, lease=None, end_time=at, **changes)  # type: ignore[arg-type]

    def _require(self, state: TrialState, verb: str) -> None:
        if self.state is not state:
            raise WrongState(
                f"{self.name} can't {verb}: it is {self.state.name}, not {state.name}", state=self.state.name
            )

    def _require_open(self, verb: str) -> None:
        if self.state.is_ended:
            raise WrongState(f"{self.name} can't {verb}: it has ended as {self.state.name}", state=self.state.name)


def is_short(final: Measurement | None, request: StopRequest | None) -> bool:
    """Whether a rule asked for the end, and the result is of a step before the full length, as far as that is known."""
    if final is None or request is None or request.rule is StoppingRule.NONE:
        return False
    return request.expected_step is None or final.step < request.expected_step


def check_final(measurement: Measurement, metrics: Sequence[Metric]) -> None:
    """Refuses a final measurement that lacks an objective or constraint metric, or isn't finite.

    Raises:
        InvalidArgument: with each metric's name and what to do.
    """
    faults = []
    for name in (m.name for m in metrics if m.role is not MetricRole.INFORMATION):
        value = measurement.metrics.get(name)
        field = f'final_measurement.metrics["{name}"]'
        if value is None:
            given = ", ".join(map(repr, sorted(measurement.metrics))) or "none"
            faults.append(Violation(field, f"is missing; a final measurement needs it; metrics given: {given:.200}"))
        elif not math.isfinite(value):
            what = "a result must be finite: complete the trial with failure DIVERGED instead"
            faults.append(Violation(field, f"is {value!r}; {what}"))
    if faults:
        raise InvalidArgument(faults)
