"""Trials and their life cycle: QUEUED → RUNNING → SUCCEEDED | FAILED | INFEASIBLE | STOPPED, and RUNNING ⇄ PAUSED.

Trials are immutable: each transition returns the new trial, or raises. A lease is a fencing token with an expiry. The
worker of an earlier attempt may still deliver a late result, as long as the trial has not ended.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from bo_service.domain import attempts
from bo_service.domain.artifacts import TrialNote
from bo_service.domain.attempts import Attempt, AttemptOutcome
from bo_service.domain.budget import Spent
from bo_service.domain.constraints import Configuration
from bo_service.domain.errors import InvalidArgument, Violation, WrongState
from bo_service.domain.explanation import Explanation as Explanation
from bo_service.domain.explanation import Intent as Intent
from bo_service.domain.explanation import Origin as Origin
from bo_service.domain.failures import Failure as Failure  # one of a trial's own words
from bo_service.domain.failures import FailureReason as FailureReason
from bo_service.domain.interruptions import Pause as Pause
from bo_service.domain.interruptions import Prediction as Prediction
from bo_service.domain.interruptions import StopRequest as StopRequest
from bo_service.domain.limits import MAX_LABELS
from bo_service.domain.measurement import Measurement as Measurement
from bo_service.domain.study import Metric, MetricRole


class TrialState(Enum):
    """The state of a trial."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INFEASIBLE = "infeasible"
    STOPPED = "stopped"
    PAUSED = "paused"

    def __init__(self, name: str) -> None:
        self.is_ended = name not in ("queued", "running", "paused")
        """Whether no worker will run the trial any more."""


@dataclass(frozen=True)
class Lease:
    """A worker's exclusive, expiring claim on a running trial."""

    token: str
    worker_id: str
    expire_time: datetime
    duration: timedelta | None = None
    """Time between the last renewal and the expiry; None if an older server stored the lease."""

    def latest_end(self, at: datetime, duration: timedelta) -> datetime:
        """Return the latest time at which the lease can expire, unless the clock is set back.

        Args:
            at: the current time.
            duration: the study's lease duration, for leases without their own.
        """
        return at + (self.duration or duration)


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
    """Every assignment to a worker, in order."""
    pause: Pause | None = None
    """The last request to pause."""
    until_step: int | None = None
    """The step up to which a running trial goes now; None: to its end in one go."""
    note: TrialNote | None = None

    @property
    def name(self) -> str:
        return f"studies/{self.study_id}/trials/{self.number}"

    @property
    def spent(self) -> Spent:
        """What was spent on the trial, over all of its attempts."""
        return attempts.spent_on(self.attempts)

    @property
    def is_pause_requested(self) -> bool:
        """Whether the worker that runs the trial was asked to pause it."""
        return self.state is TrialState.RUNNING and self.pause is not None and self.pause.attempt == self.attempt

    def start(self, lease: Lease, at: datetime, until_step: int | None = None) -> "Trial":
        """Assign a queued or paused trial to a worker.

        Args:
            lease: the worker's lease.
            at: the current time.
            until_step: the step up to which the worker runs it; None to run it to its end.

        Raises:
            WrongState: the trial is neither QUEUED nor PAUSED.
        """
        if self.state is not TrialState.PAUSED:
            self._require(TrialState.QUEUED, "be started")
        step = attempts.resume_step(self.attempts) if self.attempts else 0
        latest = self.latest_measurement
        elapsed = timedelta() if latest is None or latest.elapsed is None else latest.elapsed
        attempt = Attempt(self.attempt + 1, lease.worker_id, at, begin_step=step, elapsed_before=elapsed)
        return replace(
            self,
            state=TrialState.RUNNING,
            lease=lease,
            attempt=attempt.number,
            start_time=at,
            attempts=(*self.attempts, attempt),
            until_step=until_step,
        )

    def is_held_by(self, token: str) -> bool:
        return self.state is TrialState.RUNNING and self.lease is not None and self.lease.token == token

    def renew(self, at: datetime, duration: timedelta) -> "Trial":
        """Extend the lease. A lease that was issued for longer keeps its expiry.

        Args:
            at: the current time.
            duration: how long the lease is valid from now.

        Raises:
            WrongState: the trial is not RUNNING.
        """
        self._require(TrialState.RUNNING, "renew its lease")
        assert self.lease is not None
        held = min(self.lease.expire_time, self.lease.latest_end(at, duration))
        end = max(at + duration, held)
        return replace(self, lease=replace(self.lease, expire_time=end, duration=end - at))

    def report(self, measurements: Sequence[Measurement], checkpoint_uri: str = "") -> "Trial":
        """Record new measurements.

        Raises:
            WrongState: the trial is not RUNNING.
        """
        self._require(TrialState.RUNNING, "take measurements")
        latest = self.latest_measurement
        for measurement in measurements:
            if latest is None or measurement.step >= latest.step:
                latest = measurement
        recorded = attempts.reported(self.attempts, self.attempt, measurements, bool(checkpoint_uri))
        checkpoint_uri = checkpoint_uri or self.checkpoint_uri
        return replace(self, latest_measurement=latest, checkpoint_uri=checkpoint_uri, attempts=recorded)

    def run_until(self, step: int) -> "Trial":
        """Let the trial run up to another step.

        Raises:
            WrongState: the trial is not RUNNING.
        """
        self._require(TrialState.RUNNING, "go on")
        return replace(self, until_step=step)

    def request_pause(self, request: Pause) -> "Trial":
        """Ask the worker to pause the trial.

        Raises:
            WrongState: the trial is not RUNNING.
        """
        self._require(TrialState.RUNNING, "be asked to pause")
        return replace(self, pause=request)

    def wait(self, at: datetime, checkpoint_uri: str = "") -> "Trial":
        """Pause the trial as was requested, or end it if it should stop; a paused trial takes a newer checkpoint.

        Args:
            at: the current time.
            checkpoint_uri: where it can be resumed; by default what was last reported.

        Raises:
            WrongState: the trial was not asked to pause.
            InvalidArgument: there is no checkpoint.
        """
        waiting = replace(self, checkpoint_uri=checkpoint_uri or self.checkpoint_uri)
        if self.state is TrialState.PAUSED:
            return waiting
        self._require_open("be paused")
        if not self.is_pause_requested:
            why = "can't be paused: it wasn't asked to; go on until ReportMeasurements answers should_pause"
            raise WrongState(f"{self.name} {why}", state=self.state.name)
        recorded = waiting._ended_attempts(None, AttemptOutcome.PAUSED, at)
        ended = replace(waiting, attempts=attempts.reported(recorded, self.attempt, (), bool(checkpoint_uri)))
        if self.stop_request:
            return ended._end(TrialState.STOPPED, at)
        if not waiting.checkpoint_uri:
            what = "is empty, and none was reported; give where the trial can be resumed, or don't ask with can_resume"
            raise InvalidArgument.of("pause.checkpoint_uri", what)
        return ended._at_rest()

    def complete(
        self, measurement: Measurement, at: datetime, attempt: int | None = None, trained_to: int | None = None
    ) -> "Trial":
        """End the trial with a result, as SUCCEEDED, or as STOPPED if a stop or a pause was requested.

        Args:
            measurement: the final measurement.
            at: the current time.
            attempt: the attempt that delivers; by default the last.
            trained_to: the step up to which it has trained; by default that of the measurement.

        Raises:
            WrongState: the trial has ended.
        """
        self._require_open("be completed")
        is_paused = self.state is TrialState.PAUSED or self.is_pause_requested
        is_short = is_paused and self.pause is not None and measurement.step < self.pause.expected_step
        state = TrialState.STOPPED if self.stop_request or is_short else TrialState.SUCCEEDED
        trained = measurement if trained_to is None else replace(measurement, step=trained_to)
        recorded = self._ended_attempts(attempt, AttemptOutcome.COMPLETED, at, measured=[trained])
        return self._end(state, at, attempts=recorded, final_measurement=measurement, latest_measurement=measurement)

    def label(self, labels: Mapping[str, str]) -> "Trial":
        """Add labels; an existing label gets the new value.

        Raises:
            InvalidArgument: there are more than MAX_LABELS.
        """
        merged = dict(sorted({**self.labels, **labels}.items()))
        if len(merged) > MAX_LABELS:
            raise InvalidArgument.of(
                "labels", f"would be {len(merged)} together with those of {self.name}; at most {MAX_LABELS} are allowed"
            )
        return replace(self, labels=merged)

    def fail(self, failure: Failure, max_attempts: int, at: datetime, attempt: int | None = None) -> "Trial":
        """Record a failure, which queues another attempt, pauses the trial if that was requested, or ends it.

        Another attempt follows if the parameters did not cause the failure, and attempts remain. Nothing happens to a
        paused trial, which no machine runs, unless the parameters are the cause.

        Args:
            failure: the failure.
            max_attempts: the study's maximum number of attempts.
            at: the current time.
            attempt: the attempt that failed; by default the last.

        Raises:
            WrongState: the trial has ended.
        """
        self._require_open("fail")
        if self.state is TrialState.PAUSED and not failure.reason.blames_parameters:
            return self
        recorded = self._ended_attempts(attempt, AttemptOutcome.FAILED, at, failure)
        return replace(self, attempts=recorded)._fail(failure, max_attempts, at)

    def expire(self, max_attempts: int, at: datetime) -> "Trial":
        """End the attempt of a worker whose lease expired.

        Raises:
            WrongState: the trial is not RUNNING.
        """
        self._require(TrialState.RUNNING, "lose its lease")
        assert self.lease is not None
        message = (
            f"worker {self.lease.worker_id!r} sent no heartbeat until {self.lease.expire_time:%Y-%m-%d %H:%M:%S} UTC"
        )
        failure = Failure(FailureReason.PREEMPTED, message)
        alive_until = None if self.lease.duration is None else min(at, self.lease.expire_time - self.lease.duration)
        recorded = self._ended_attempts(None, AttemptOutcome.EXPIRED, at, failure, alive_until=alive_until)
        return replace(self, attempts=recorded)._fail(failure, max_attempts, at)

    def stop(self, request: StopRequest) -> "Trial":
        """End a queued or paused trial; request that the worker of a running trial ends it. The first request is kept.

        Raises:
            WrongState: the trial has ended.
        """
        self._require_open("be stopped")
        requested = replace(self, stop_request=self.stop_request or request)
        return (
            requested if self.state is TrialState.RUNNING else requested._end(TrialState.STOPPED, request.create_time)
        )

    def _fail(self, failure: Failure, max_attempts: int, at: datetime) -> "Trial":
        if failure.reason.blames_parameters:
            return self._end(TrialState.INFEASIBLE, at, failure=failure)
        if self.stop_request:
            return self._end(TrialState.STOPPED, at, failure=failure)
        paused = sum(attempt.outcome is AttemptOutcome.PAUSED for attempt in self.attempts)
        if self.attempt - paused >= max_attempts:
            return self._end(TrialState.FAILED, at, failure=failure)
        if self.is_pause_requested:
            return replace(self._at_rest(), failure=failure)
        return replace(self, state=TrialState.QUEUED, lease=None, failure=failure, until_step=None)

    def _at_rest(self) -> "Trial":
        return replace(self, state=TrialState.PAUSED, lease=None, until_step=None)

    def _ended_attempts(
        self,
        attempt: int | None,
        outcome: AttemptOutcome,
        at: datetime,
        failure: Failure | None = None,
        measured: Sequence[Measurement] = (),
        alive_until: datetime | None = None,
    ) -> tuple[Attempt, ...]:
        """Return the attempts with one of them ended, and also the last one if an earlier attempt ends the trial."""
        number = self.attempt if attempt is None else attempt
        recorded = attempts.ended(self.attempts, number, outcome, at, failure, measured, alive_until)
        if number != self.attempt and self.state is TrialState.RUNNING:
            return attempts.ended(recorded, self.attempt, AttemptOutcome.SUPERSEDED, at)
        return recorded

    def _end(self, state: TrialState, at: datetime, **changes: object) -> "Trial":
        return replace(self, state=state, lease=None, end_time=at, until_step=None, **changes)  # type: ignore[arg-type]

    def _require(self, state: TrialState, verb: str) -> None:
        if self.state is not state:
            raise WrongState(
                f"{self.name} can't {verb}: it is {self.state.name}, not {state.name}", state=self.state.name
            )

    def _require_open(self, verb: str) -> None:
        if self.state.is_ended:
            raise WrongState(f"{self.name} can't {verb}: it has ended as {self.state.name}", state=self.state.name)


def check_final(measurement: Measurement, metrics: Sequence[Metric]) -> None:
    """Check that a final measurement has a finite value for each objective and constraint metric.

    Raises:
        InvalidArgument: names each missing or non-finite metric.
    """
    violations = []
    for name in (m.name for m in metrics if m.role is not MetricRole.INFORMATION):
        value = measurement.metrics.get(name)
        field = f'final_measurement.metrics["{name}"]'
        if value is None:
            names = ", ".join(map(repr, sorted(measurement.metrics))) or "none"
            violations.append(
                Violation(field, f"is missing; a final measurement needs it; metrics given: {names:.200}")
            )
        elif not math.isfinite(value):
            what = "a result must be finite: complete the trial with failure DIVERGED instead"
            violations.append(Violation(field, f"is {value!r}; {what}"))
    if violations:
        raise InvalidArgument(violations)
