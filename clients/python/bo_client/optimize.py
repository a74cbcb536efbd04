"""The loop suggest → evaluate → complete, with signs of life from a thread beside it."""

import inspect
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
    TrialFailed,
)
from bo_client.failures import described, failure_of
from bo_client.out_of_memory import MemoryKills
from bo_client.outcomes import Outcomes, Waiting, why_no_more
from bo_client.running import RunningTrial
from bo_client.values import Failure, FailureReason, Heartbeat, Shortfall

if TYPE_CHECKING:
    from bo_client.study import Study

CRASHES_IN_A_ROW = 3
PAUSE = 1.0
"""Seconds until the next try where the server names none."""
SHOWN = 100
"""Characters of a result that an error quotes."""


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
    """Runs trials one after the other, and says why it ended; see Study.optimize."""
    _check(objective, n_trials)
    if n_trials is None and study.info().max_trials is None:
        raise InvalidRequest.of("n_trials", "is missing, and the study has no max_trials; give one of them")
    outcomes = Outcomes(study.name, n_trials)
    try:
        shortfall = _run(study, objective, worker_id, raise_errors, outcomes)
    except BaseException as error:
        outcomes.end(described(error))
        raise
    is_enough = n_trials is not None and outcomes.ran >= n_trials
    outcomes.end("all have run" if is_enough else why_no_more(study, shortfall), shortfall is Shortfall.COMPLETED)


def _check(objective: object, n_trials: object) -> None:
    """Raise InvalidRequest where no trial could run: before one is taken."""
    wanted = "give a function of the parameters, or of the parameters and the trial"
    if not callable(objective):
        raise InvalidRequest.of("objective", f"is {_brief(objective)}; {wanted}")
    try:
        signature = inspect.signature(objective)
    except (TypeError, ValueError):
        signature = None  # of some builtins; what they take isn't known
    if signature is not None:
        try:
            signature.bind(*[None] * (2 if takes_trial(objective) else 1))
        except TypeError as error:
            raise InvalidRequest.of("objective", f"takes {signature}: {error}; {wanted}") from None
    is_count = n_trials is None or (isinstance(n_trials, int) and not isinstance(n_trials, bool) and n_trials >= 0)
    if not is_count:
        raise InvalidRequest.of("n_trials", f"is {n_trials!r}; give a whole number of trials, or None")


def _run(
    study: "Study", objective: Callable[..., Any], worker_id: str | None, raise_errors: bool, outcomes: Outcomes
) -> Shortfall | None:
    """Runs trials until there are as many as wanted, or the study has no more; then why it has none."""
    crashes = 0
    waiting = Waiting(study)
    while outcomes.wanted is None or outcomes.ran < outcomes.wanted:
        suggestions = study._suggestions(1, worker_id)
        for trial in suggestions:
            error = evaluate(EvaluatedTrial(trial), objective, outcomes)
            waiting = Waiting(study)
            if error is None:
                crashes = 0
                continue
            is_crash = failure_of(error).reason is FailureReason.CRASHED
            crashes = crashes + 1 if is_crash else 0
            if crashes == CRASHES_IN_A_ROW:
                outcomes.end(f"{crashes} trials in a row crashed, the last with {described(error)}")
                raise error
            if raise_errors and (is_crash or not isinstance(error, TrialFailed)):
                raise error
        if not suggestions:
            if suggestions.shortfall is None or suggestions.shortfall.is_final:
                return suggestions.shortfall
            waiting.tell(suggestions.shortfall)
            time.sleep(suggestions.retry_delay or PAUSE)
    return None


def evaluate(
    trial: EvaluatedTrial, objective: Callable[..., Any], outcomes: Outcomes | None = None
) -> Exception | None:
    """Runs the objective, ends the trial and counts it. Returns what the objective raised, if it did.

    At an interruption the trial is ended with its result, or given back where it has none yet; then that is raised.
    """
    outcomes = outcomes or Outcomes(trial.study.name)
    kills = MemoryKills()
    metrics: Mapping[str, float] = {}
    is_ours = False
    with Heart(trial):
        try:
            arguments = (trial.parameters, trial) if takes_trial(objective) else (trial.parameters,)
            returned = objective(*arguments)
            is_ours = True  # what is raised from here on says itself what is wrong with the result
            metrics = _result(trial.study, returned)
            _count(outcomes, trial, succeed(trial, metrics), metrics)
        except StopTrial as stop:
            _end_early(trial, str(stop), outcomes)
        except (ServerUnavailable, DeadlineExceeded):
            raise  # no server is there to be told
        except Exception as error:
            failure = failure_of(error, kills)
            outcomes.fail(trial.number, failure, None if is_ours or isinstance(error, TrialFailed) else error)
            fail(trial, failure.reason, failure.message)
            return error
        except BaseException as interrupt:
            _interrupted(trial.hasty(), failure_of(interrupt, kills), metrics)
            raise
    return None


def _result(study: "Study", returned: Any) -> Mapping[str, float]:
    """The metrics that an objective returned, without what isn't finite among those that aren't needed.

    Raises:
        InvalidRequest: a metric is missing or is no number.
    """
    needed = [metric.name for metric in study.definition.steering]
    example = ", ".join(f"{name!r}: …" for name in needed)
    wanted = f"return {{{example}}}" if len(needed) > 1 else f"return a number, or {{{example}}}"
    try:
        metrics = study.metrics_of(returned)
    except (InvalidRequest, TypeError, ValueError) as error:
        why = f" ({error})" if isinstance(returned, Mapping) else ""
        raise InvalidRequest.of("metrics", f"the objective returned {_brief(returned)}{why}; {wanted}") from error
    missing = ", ".join(repr(name) for name in needed if name not in metrics)
    if missing:
        raise InvalidRequest.of("metrics", f"the objective returned {_brief(returned)}, without {missing}; {wanted}")
    return {name: value for name, value in metrics.items() if name in needed or math.isfinite(value)}


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _interrupted(trial: RunningTrial, failure: Failure, metrics: Mapping[str, float]) -> None:
    """Ends the trial with its result if there is one, or gives it back; nothing is waited for."""
    with suppress(BoClientError):
        if metrics:
            succeed(trial, metrics)
        else:
            fail(trial, failure.reason, failure.message)


def _count(outcomes: Outcomes, trial: RunningTrial, failure: Failure | None, metrics: Mapping[str, float]) -> None:
    if failure is None:
        outcomes.succeed(trial.number, metrics)
    else:
        outcomes.fail(trial.number, failure)


def takes_trial(objective: Callable[..., Any]) -> bool:
    """Whether it needs a second argument."""
    try:
        parameters = inspect.signature(objective).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) >= 2


def succeed(trial: RunningTrial, metrics: Mapping[str, float], step: int | None = None) -> Failure | None:
    """Ends the trial with its result; as DIVERGED where that isn't finite, which is returned."""
    required = [m.name for m in trial.study.definition.steering]
    wild = [f"{name} is {metrics[name]!r}" for name in required if name in metrics and not math.isfinite(metrics[name])]
    if wild:
        failure = Failure(FailureReason.DIVERGED, ", ".join(wild))
        fail(trial, failure.reason, failure.message)
        return failure
    with _unless_ended():
        trial.complete(metrics, step)
    return None


def _end_early(trial: EvaluatedTrial, why: str, outcomes: Outcomes) -> None:
    """The last measurement is the result; a trial that is another worker's is left to it."""
    if trial.is_lost:
        outcomes.lose(trial.number, why)
        return
    measured = trial.last[0] if trial.last else {}
    missing = [m.name for m in trial.study.definition.steering if m.name not in measured]
    if trial.last is None or missing:
        what = f"before {', '.join(missing)} had been measured" if trial.last else "before its first measurement"
        failure = Failure(FailureReason.PREEMPTED, f"stopped {what}: {why}")
        fail(trial, failure.reason, failure.message)
        outcomes.fail(trial.number, failure)
    else:
        _count(outcomes, trial, succeed(trial, *trial.last), trial.last[0])


def fail(trial: RunningTrial, reason: FailureReason, message: str) -> None:
    """Ends the trial without one."""
    with _unless_ended():
        trial.fail(reason, message)


def _unless_ended() -> AbstractContextManager[None]:
    """Somebody else may have ended the trial, or deleted its study; then there is nothing left to do."""
    return suppress(FailedPrecondition, NotFound)
