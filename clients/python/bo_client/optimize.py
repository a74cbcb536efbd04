"""The loop suggest → evaluate → complete over a function, on one thread or several."""

import inspect
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from bo_client.errors import (
    BoClientError,
    DeadlineExceeded,
    InvalidRequest,
    PauseTrial,
    ServerUnavailable,
    StopTrial,
    TrialFailed,
)
from bo_client.failures import described, failure_of
from bo_client.models import Failure, FailureReason, Heartbeat, Shortfall, Trial
from bo_client.out_of_memory import MemoryKills
from bo_client.outcomes import FinalMetrics, Outcomes, Paused, why_no_more
from bo_client.progress_bar import progress_of
from bo_client.running import RunningTrial, no_suggest
from bo_client.trial_loop import HeartbeatThread, RunLimit, TrialSource, end, final_metrics, last_metrics

if TYPE_CHECKING:
    from bo_client.study import Study

CRASHES_IN_A_ROW = 3
SHOWN = 100
"""Characters of a result that an error quotes."""

Callback = Callable[["Study", Trial], object]
Catch = type[Exception] | tuple[type[Exception], ...]


@dataclass(frozen=True)
class RunOptions:
    """How `Study.optimize` runs trials; see there."""

    n_trials: int | None = None
    worker_id: str | None = None
    raise_errors: bool = False
    n_jobs: int = 1
    timeout: float | None = None
    callbacks: Sequence[Callback] | None = ()
    catch: Catch = ()
    progress: bool | None = None
    can_resume: bool = False

    def check(self) -> None:
        """Check the options before a trial is taken.

        Raises:
            InvalidRequest: an option is invalid.
        """
        if not (self.n_trials is None or (_is_whole(self.n_trials) and self.n_trials >= 0)):
            raise InvalidRequest.of("n_trials", f"is {self.n_trials!r}; give a whole number of trials, or None")
        if not (_is_whole(self.n_jobs) and (self.n_jobs >= 1 or self.n_jobs == -1)):
            raise InvalidRequest.of("n_jobs", f"is {self.n_jobs!r}; give the number of threads, or -1 for one per CPU")
        is_number = isinstance(self.timeout, Real) and not isinstance(self.timeout, bool)
        if self.timeout is not None and not (is_number and self.timeout > 0):
            raise InvalidRequest.of("timeout", f"is {self.timeout!r}; give seconds above 0, or None")
        kinds = self.catch if isinstance(self.catch, tuple) else (self.catch,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
            example = "such as catch=(ValueError, OSError)"
            raise InvalidRequest.of("catch", f"is {self.catch!r}; give classes of exceptions, {example}")
        if callable(self.callbacks) or not all(callable(callback) for callback in self.callbacks or ()):
            wanted = "give a list of functions of the study and the trial that has ended"
            raise InvalidRequest.of("callbacks", f"are {self.callbacks!r}; {wanted}")

    @property
    def threads(self) -> int:
        """Number of threads."""
        return int(self.n_jobs) if self.n_jobs > 0 else os.cpu_count() or 1


class ObjectiveTrial(RunningTrial):
    """What an objective sees of its trial: `report` raises StopTrial to end it, and PauseTrial to pause it."""

    def __init__(self, trial: RunningTrial) -> None:
        super().__init__(trial.study, trial.snapshot, trial.lease_token, trial.lease_seconds)

    def report(
        self, metrics: float | Mapping[str, float], step: int, elapsed: float | None = None, checkpoint_uri: str = ""
    ) -> Heartbeat:
        """Report as RunningTrial.report does.

        Raises:
            StopTrial: the trial should end now.
            PauseTrial: it should pause at its checkpoint, which was given now or before.
        """
        answer = super().report(metrics, step, elapsed, checkpoint_uri)
        if answer.should_stop or self.is_lost:
            raise StopTrial(answer.reason)
        if answer.should_pause:
            raise PauseTrial(answer.reason)
        return answer


def optimize(study: "Study", objective: Callable[..., Any], options: RunOptions) -> None:
    """Run trials, and log why the run ended; see Study.optimize."""
    _check_objective(objective)
    options.check()
    if options.n_trials is None and options.timeout is None and not study.info().has_limit:
        what = "is missing, and the study has no max_trials, max_steps or max_seconds; give one of them, or a timeout"
        raise InvalidRequest.of("n_trials", what)
    run = _Run(study, objective, options)
    with study.running(run.limit):
        run.execute()


def _is_whole(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


_LATER = (
    (inspect.iscoroutinefunction, "an async function"),
    (inspect.isgeneratorfunction, "a generator"),
    (inspect.isasyncgenfunction, "an async generator"),
)
"""Functions whose calls return at once, before they have a result."""


def _check_objective(objective: object) -> None:
    """Raise InvalidRequest where no trial could run: before one is taken."""
    wanted = "give a function of the parameters, or of the parameters and the trial"
    if not callable(objective):
        raise InvalidRequest.of("objective", f"is {_brief(objective)}; {wanted}")
    for is_kind, kind in _LATER:
        if is_kind(objective):
            what = f"is {kind}, whose result is no number; {wanted} that returns it"
            raise InvalidRequest.of("objective", what)
    try:
        signature = inspect.signature(objective)
    except (TypeError, ValueError):
        return  # of some builtins; what they take isn't known
    try:
        signature.bind(*[None] * (2 if takes_trial(objective) else 1))
    except TypeError as error:
        raise InvalidRequest.of("objective", f"takes {signature}: {error}; {wanted}") from None


class _Run:
    """One call of `Study.optimize`. Its threads share the limit, the outcomes and the crashes in a row."""

    def __init__(self, study: "Study", objective: Callable[..., Any], options: RunOptions) -> None:
        self.limit = RunLimit(options.n_trials, options.timeout)
        self._study = study
        self._objective = objective
        self._options = options
        self._outcomes = Outcomes(study.name, options.n_trials)
        self._progress = progress_of(study.definition, options.n_trials, options.progress)
        self._lock = threading.RLock()
        self._running: dict[int, ObjectiveTrial] = {}
        self._crashes = 0
        self._shortfall: Shortfall | None = None
        self._errors: list[BaseException] = []

    def execute(self) -> None:
        """Run until there are as many trials as wanted, or the study has no more, and log why."""
        try:
            if self._options.threads == 1:
                self._work()
            else:
                self._work_in_threads()
        except BaseException as error:
            self._outcomes.end(described(error))
            raise
        finally:
            self._progress.close()
        wanted = self._options.n_trials
        is_enough = wanted is not None and self._outcomes.ran >= wanted
        why = "all have run" if is_enough else self.limit.why or why_no_more(self._study, self._shortfall)
        self._outcomes.end(why, self._shortfall is Shortfall.COMPLETED, is_requested=bool(self.limit.why))

    def _work_in_threads(self) -> None:
        """Work on threads that end with the program: an objective can't be interrupted, and Ctrl-C doesn't wait."""
        threads = [
            threading.Thread(target=self._work_on_thread, name=f"{self._study.name} job {number}", daemon=True)
            for number in range(1, self._options.threads + 1)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException as interrupt:
            self.limit.stop(described(interrupt))
            for trial in list(self._running.values()):
                with suppress(BoClientError):
                    end(trial.hasty(), failure_of(interrupt))
            raise
        if self._errors:
            raise self._errors[0]

    def _work_on_thread(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._errors.append(error)
            self.limit.stop(described(error))

    def _work(self) -> None:
        source = TrialSource(self._study, self._options.worker_id, self.limit, can_resume=self._options.can_resume)
        for taken in source:
            trial = ObjectiveTrial(taken)
            self._running[trial.number] = trial
            try:
                evaluated = evaluate(trial, self._objective, self._outcomes)
            finally:
                self._running.pop(trial.number, None)
            with self._lock:
                self._finish(trial, evaluated)
        self._shortfall = source.shortfall or self._shortfall

    def _finish(self, trial: ObjectiveTrial, evaluated: "Evaluated") -> None:
        """Call the callbacks, and raise the exception of the objective that ends the run."""
        self._progress.update(self._outcomes, evaluated.final)
        if self._options.callbacks and not isinstance(evaluated.final, Paused):
            ended = self._study.trial(trial.number, full=False)
            for callback in self._options.callbacks:
                callback(self._study, ended)
        error = evaluated.error
        is_caught = isinstance(error, self._options.catch)
        is_crash = error is not None and not is_caught and failure_of(error).reason is FailureReason.CRASHED
        self._crashes = self._crashes + 1 if is_crash else 0
        if error is None or is_caught:
            return
        if self._crashes == CRASHES_IN_A_ROW:
            self._outcomes.end(f"{self._crashes} trials in a row crashed, the last with {described(error)}")
            raise error
        if self._options.raise_errors and (is_crash or not isinstance(error, TrialFailed)):
            raise error


@dataclass(frozen=True)
class Evaluated:
    """The outcome of an evaluation of the objective."""

    final: FinalMetrics | Failure | Paused | None = None
    """None if the trial was lost."""
    error: Exception | None = None
    """The exception that the objective raised."""


def evaluate(trial: ObjectiveTrial, objective: Callable[..., Any], outcomes: Outcomes) -> Evaluated:
    """Run the objective, end the trial and count it.

    At an interruption the trial is ended with its result, or given back where it has none yet; then that is raised.
    """
    kills = MemoryKills()
    final: FinalMetrics | Failure | Paused | None = None
    has_returned = False
    with HeartbeatThread(trial):
        try:
            returned = objective(trial.parameters, trial) if takes_trial(objective) else objective(trial.parameters)
            has_returned = True  # what is raised from here on says itself what is wrong with the result
            final = final_metrics(trial.study.definition, _result(trial.study, returned))
            end(trial, final)
        except StopTrial as stop:
            if trial.is_lost:
                outcomes.lose(trial.number, str(stop))
                return Evaluated()
            final, refusal = _end_early(trial, stop)
            if refusal is not None:
                outcomes.record(trial.number, final)
                return Evaluated(final, refusal)
        except (ServerUnavailable, DeadlineExceeded):
            raise  # no server is there to be told
        except Exception as raised:
            error = _explained(raised)
            failure = failure_of(error, kills)
            outcomes.fail(trial.number, failure, None if has_returned or isinstance(error, TrialFailed) else error)
            end(trial, failure)
            return Evaluated(failure, error)
        except BaseException as interrupt:
            with suppress(BoClientError):  # nothing is waited for
                end(trial.hasty(), final or failure_of(interrupt, kills))
            raise
    outcomes.record(trial.number, final)
    return Evaluated(final)


def _explained(error: Exception) -> Exception:
    """Return the exception, with what an objective's argument is if the objective took it for an object.

    If it is about `suggest_…` of the parameters, another is returned that says where the space is defined.
    """
    if not isinstance(error, AttributeError) or not isinstance(error.obj, Mapping):
        return error
    if str(error.name).startswith("suggest_"):
        return AttributeError(no_suggest(str(error.name))).with_traceback(error.__traceback__)
    error.add_note('The objective is called with a dict of its parameters: write parameters["NAME"].')
    return error


def _end_early(trial: ObjectiveTrial, stop: StopTrial) -> tuple[FinalMetrics | Failure | Paused, InvalidRequest | None]:
    """End a trial that should stop, or pause one that should pause; return what it ended with.

    A trial that can't be paused, as it has no checkpoint, fails with the error that is returned too.
    """
    if isinstance(stop, PauseTrial) and trial.pause_reason is None:
        refusal = InvalidRequest(
            "PauseTrial was raised where nothing asked the trial to pause; leave it to trial.report"
        )
        unasked = Failure(FailureReason.CRASHED, str(refusal))
        end(trial, unasked)
        return unasked, refusal
    final: FinalMetrics | Failure | Paused = Paused(str(stop))
    if not isinstance(stop, PauseTrial):
        final = last_metrics(trial, str(stop))
    try:
        end(trial, final)
    except InvalidRequest as error:
        if not isinstance(final, Paused):
            raise
        why = f"{error}; give the checkpoint_uri to trial.report or trial.checkpoint, or leave can_resume out"
        final = Failure(FailureReason.CRASHED, why)
        end(trial, final)
        return final, error
    return final, None


def _result(study: "Study", returned: Any) -> Mapping[str, float]:
    """Return the metrics that an objective returned.

    Raises:
        InvalidRequest: One that is needed is missing, or one is no number.
    """
    needed = [metric.name for metric in study.definition.modelled_metrics]
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
    return metrics


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def takes_trial(objective: Callable[..., Any]) -> bool:
    """Return whether the objective needs a second argument."""
    try:
        parameters = inspect.signature(objective).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) >= 2
