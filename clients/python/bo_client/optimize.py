"""The loop suggest → evaluate → complete, with signs of life from a thread beside it."""

import inspect
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bo_client.errors import (
    BoClientError,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    ServerUnavailable,
    StopTrial,
)
from bo_client.running import RunningTrial, Suggestions
from bo_client.values import FailureReason, Heartbeat, Shortfall

if TYPE_CHECKING:
    from bo_client.study import Study

logger = logging.getLogger("bo_client")

CRASHES_IN_A_ROW = 3
PAUSE = 1.0
"""Seconds until the next try where the server names none."""


class EvaluatedTrial(RunningTrial):
    """What an objective sees of its trial: `report` raises StopTrial when the trial should end now."""

    def __init__(self, trial: RunningTrial) -> None:
        super().__init__(trial.study, trial.snapshot, trial.lease_token, trial.lease_seconds)
        self.last: tuple[Mapping[str, float], int] | None = None
        """The last metrics reported, and their step."""
        self.is_lost = False
        """Whether the trial has ended or is another worker's."""

    def report(
        self, metrics: float | Mapping[str, float], step: int, elapsed: float | None = None, checkpoint_uri: str = ""
    ) -> Heartbeat:
        """As RunningTrial.report. Raises StopTrial when the trial should end now."""
        answer = super().report(metrics, step, elapsed, checkpoint_uri)
        self.is_lost = not answer.lease_valid
        if not self.is_lost:
            self.last = (self.study.metrics_of(metrics), step)
        if answer.should_stop or self.is_lost:
            raise StopTrial(answer.reason)
        return answer


class Heart:
    """Sends signs of life for a trial from a thread of its own, three to a lease."""

    def __init__(self, trial: RunningTrial) -> None:
        self._trial = trial
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heart of {trial.name}", daemon=True)

    def __enter__(self) -> "Heart":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()

    def _beat(self) -> None:
        while not self._stopped.wait(self._trial.lease_seconds / 3):
            try:
                if not self._trial.heartbeat(patience=0).lease_valid:
                    return
            except (NotFound, FailedPrecondition):
                return  # the next report, or completing the trial, will say so
            except BoClientError:
                continue  # the next beat may get through


def optimize(
    study: "Study", objective: Callable[..., Any], n_trials: int | None, worker_id: str | None, raise_errors: bool
) -> None:
    """Runs trials one after the other; see Study.optimize."""
    if n_trials is None and study.info().max_trials is None:
        raise InvalidRequest.of("n_trials", "is missing, and the study has no max_trials; give one of them")
    ran = crashes = 0
    while n_trials is None or ran < n_trials:
        suggestions = study.suggest(1, worker_id)
        for trial in suggestions:
            error = evaluate(EvaluatedTrial(trial), objective)
            crashes = crashes + 1 if error else 0
            if error and (raise_errors or crashes == CRASHES_IN_A_ROW):
                raise error
            ran += 1
        if not suggestions and not _wait(suggestions):
            _tell_of_end(study, suggestions, ran, n_trials)
            return


def _tell_of_end(study: "Study", suggestions: Suggestions, ran: int, n_trials: int | None) -> None:
    """Warn where there are no more trials before `n_trials` have run."""
    if n_trials is not None:
        why = suggestions.shortfall or "the server gave no reason"
        level = logging.INFO if why is Shortfall.COMPLETED else logging.WARNING
        logger.log(level, "%s has no more trials (%s): %d of n_trials=%d have run", study.name, why, ran, n_trials)


def _wait(suggestions: Suggestions) -> bool:
    """Waits as long as the server says; False where there is nothing to wait for."""
    if suggestions.shortfall is None or suggestions.shortfall.is_final:
        return False
    time.sleep(suggestions.retry_delay or PAUSE)
    return True


def evaluate(trial: EvaluatedTrial, objective: Callable[..., Any]) -> Exception | None:
    """Runs the objective and ends the trial. Returns what the objective raised, if it did."""
    arguments = (trial.parameters, trial) if takes_trial(objective) else (trial.parameters,)
    with Heart(trial):
        try:
            succeed(trial, trial.study.metrics_of(objective(*arguments)))
        except StopTrial as stop:
            _end_early(trial, str(stop))
        except (ServerUnavailable, DeadlineExceeded):
            raise  # nobody is there to be told
        except Exception as error:
            reason = FailureReason.OUT_OF_MEMORY if isinstance(error, MemoryError) else FailureReason.CRASHED
            fail(trial, reason, f"{type(error).__name__}: {error}")
            return error
        except BaseException as interrupt:
            fail(trial, FailureReason.PREEMPTED, f"interrupted by {type(interrupt).__name__}")
            raise
    return None


def takes_trial(objective: Callable[..., Any]) -> bool:
    """Whether it needs a second argument."""
    try:
        parameters = inspect.signature(objective).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) >= 2


def succeed(trial: RunningTrial, metrics: Mapping[str, float], step: int | None = None) -> None:
    """Ends the trial with its result; as DIVERGED where that isn't finite."""
    required = [m.name for m in trial.study.definition.steering]
    wild = [f"{name} is {metrics[name]!r}" for name in required if name in metrics and not math.isfinite(metrics[name])]
    if wild:
        fail(trial, FailureReason.DIVERGED, ", ".join(wild))
        return
    with _unless_ended():
        trial.complete(metrics, step)


def _end_early(trial: EvaluatedTrial, why: str) -> None:
    """The last measurement is the result; a trial that is another worker's is left to it."""
    if trial.is_lost:
        return
    measured = trial.last[0] if trial.last else {}
    missing = [m.name for m in trial.study.definition.steering if m.name not in measured]
    if trial.last is None or missing:
        what = f"before {', '.join(missing)} had been measured" if trial.last else "before its first measurement"
        fail(trial, FailureReason.PREEMPTED, f"stopped {what}: {why}")
    else:
        succeed(trial, *trial.last)


def fail(trial: RunningTrial, reason: FailureReason, message: str) -> None:
    """Ends the trial without one."""
    with _unless_ended():
        trial.fail(reason, message)


def _unless_ended() -> AbstractContextManager[None]:
    """Somebody else may have ended the trial, or deleted its study; then there is nothing left to do."""
    return suppress(FailedPrecondition, NotFound)
