"""Records that a unit of work keeps besides studies and trials, and its summaries of trials."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from bo_service.domain.constraints import Configuration
from bo_service.domain.early_stopping import StoppingRule
from bo_service.domain.errors import RequestIdReused
from bo_service.domain.trial import Measurement, Pause, StopRequest, Trial, TrialState


@dataclass(frozen=True)
class IntermediateValue:
    """The value of a trial's metric at a step of its learning curve."""

    number: int
    value: float
    """The last finite value at or before the step."""
    last_step: int
    """The largest step that the trial has measured, which may be after that step."""


@dataclass(frozen=True)
class IssuedLease:
    """A lease that was given out for a trial; it may have ended."""

    token: str
    worker_id: str
    attempt: int


@dataclass(frozen=True)
class RequestKey:
    """The identity of a request, under which its answer is stored, so that the call is safe to repeat."""

    request_id: str
    """Tells apart callers, methods, studies, and the ids that callers give to their requests."""
    method: str
    digest: str
    """Of the whole request."""

    def require_same(self, method: str, digest: str) -> None:
        """Raise RequestIdReused where the id was used before for another method or another request."""
        if (method, digest) != (self.method, self.digest):
            raise RequestIdReused(
                f"request_id: you have sent another {method} request with it; choose a new one for each logical call, "
                "and keep it for the retries of that call alone"
            )


class Beat(Enum):
    """A time in the database that all of its servers keep up to date."""

    SERVER = 1
    """When a server last answered the calls of workers."""
    STORAGE = 2
    """When a server last made sure that the database takes writes."""


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """The part of a trial that the optimizer needs. A server holds thousands of them."""

    number: int
    state: TrialState
    parameters: Configuration
    final_measurement: Measurement | None
    stop_request: StopRequest | None
    start_time: datetime | None = None
    end_time: datetime | None = None
    pause: Pause | None = None

    @classmethod
    def of(cls, trial: Trial) -> "TrialSummary":
        """Return the summary of a trial."""
        ended = trial.final_measurement, trial.stop_request, trial.start_time, trial.end_time, trial.pause
        return cls(trial.number, trial.state, trial.parameters, *ended)

    @property
    def has_forecast(self) -> bool:
        """Whether the trial has not ended, and the forecast with which it was asked to pause counts as its value."""
        return not self.state.is_ended and self.pause is not None and self.pause.expected is not None

    @property
    def is_informative(self) -> bool:
        """Whether the trial is an observation for the surrogate. A trial that a machine's failure ended is none."""
        if not self.state.is_ended:
            return self.has_forecast
        return self.state is TrialState.INFEASIBLE or self.final_measurement is not None

    @property
    def is_cut_short(self) -> bool:
        """Whether a rule ended or paused the trial before its full length, so that its final value is not known."""
        if not self.state.is_ended:
            return self.has_forecast
        request, pause, final = self.stop_request, self.pause, self.final_measurement
        if final is None or self.state is TrialState.INFEASIBLE:
            return False
        if self.state is TrialState.STOPPED and pause is not None and final.step < pause.expected_step:
            return True
        if request is None or request.rule is StoppingRule.NONE:
            return False
        return request.expected_step is None or final.step < request.expected_step

    @property
    def seconds(self) -> float | None:
        """The duration of the trial: as its worker measured it, else from its start to its end; None if unknown or 0.

        For a trial that was paused and has not ended, it is the expected duration of the whole trial.
        """
        elapsed = self.final_measurement.elapsed if self.final_measurement else None
        if elapsed is not None:
            return elapsed.total_seconds() or None
        rate = self.pause.seconds_per_step if self.pause else None
        if not self.state.is_ended:
            return rate * self.pause.expected_step if rate and self.pause else None
        if not (self.start_time and self.end_time):
            return None
        before = rate * self.pause.step if rate and self.pause else 0.0  # the start is that of its last part
        return before + (self.end_time - self.start_time).total_seconds() or None
