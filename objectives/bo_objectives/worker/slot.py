"""One place for a trial: asks for trials and evaluates them, one after another."""

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bo_client import (
    DeadlineExceeded,
    FailedPrecondition,
    Failure,
    FailureReason,
    InvalidRequest,
    Metric,
    NotFound,
    ObjectiveSpec,
    RunningTrial,
    ServerUnavailable,
    Shortfall,
    Study,
    Suggestions,
    Value,
)
from bo_client.outcomes import Outcomes, Waiting

from bo_objectives.worker.evaluation import Failed, Outcome, Stopped, Task
from bo_objectives.worker.evaluators import Evaluator
from bo_objectives.worker.watch import TrialWatch

logger = logging.getLogger("bo_objectives")

PATIENCE_S = 600.0
"""How long a result is kept for a server that is away."""
PAUSE_S = 2.0


class Ending:
    """Whether the worker should end, and why. Its slots share it."""

    def __init__(self, most_failures: int) -> None:
        self._most = most_failures
        self._left: int | None = None
        self.shortfall: Shortfall | None = None
        """Why the study has no more trials, once that has been said."""
        self._failures = 0
        self._guard = threading.Lock()
        self._event = threading.Event()
        self.error = ""
        """What is wrong; empty where nothing is."""

    def ask(self, error: str = "") -> None:
        """The first error stays."""
        with self._guard:
            self.error = self.error or error
            self._event.set()

    def count(self, failure: str | None) -> None:
        """A trial has ended: too many broken ones in a row, and the worker ends."""
        with self._guard:
            self._failures = 0 if failure is None else self._failures + 1
            is_enough = failure is not None and self._failures >= self._most
        if is_enough:
            self.ask(f"{self._failures} trials in a row broke down; the last: {failure}")

    def limit(self, most_trials: int | None) -> None:
        """How many trials the worker begins at most; None for no limit of its own."""
        self._left = most_trials

    def take(self) -> bool:
        """Whether one more trial may begin, which is then counted."""
        with self._guard:
            if self._left is None:
                return True
            self._left -= 1
            return self._left >= 0

    def give_back(self) -> None:
        """No trial began after all."""
        with self._guard:
            if self._left is not None:
                self._left += 1

    def is_asked(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """True where the worker should end before that time."""
        return self._event.wait(seconds)


@dataclass(frozen=True)
class Final:
    """A result, and its place on the learning curve: the last one where none is given."""

    metrics: Mapping[str, float]
    step: int | None = None


@dataclass(frozen=True)
class Slot:
    """Runs trials until there are no more. `study` is patient with a server that is away, `impatient` is not."""

    study: Study
    impatient: Study
    evaluator: Evaluator
    worker_id: str
    directory: Path
    ending: Ending
    outcomes: Outcomes
    objective: ObjectiveSpec | None = None
    """What is evaluated: the server refuses it where the study has come to be of another."""

    def run(self) -> None:
        """Returns when the study has no more trials, or the worker ends."""
        try:
            waiting = Waiting(self.study, logger)
            while not self.ending.is_asked() and self.ending.take():
                suggestions = self.study._suggestions(1, self.worker_id, objective=self.objective)
                for trial in suggestions:
                    self._run(trial)
                    waiting = Waiting(self.study, logger)
                if not suggestions:
                    self.ending.give_back()
                    if not self._waited(suggestions, waiting):
                        return
        except NotFound:
            self.ending.ask(f"{self.study.name} is gone")
        except FailedPrecondition as error:
            self.ending.ask(str(error))
        except Exception as error:
            if self.ending.is_asked() and isinstance(error, ServerUnavailable | DeadlineExceeded):
                return  # the worker ends without waiting for a server that is away
            logger.exception("a slot broke down")
            self.ending.ask(f"{type(error).__name__}: {error}")
        finally:
            self.evaluator.close()

    def _waited(self, suggestions: Suggestions, waiting: Waiting) -> bool:
        """Whether to ask again, now that it is time."""
        shortfall = suggestions.shortfall
        if shortfall is None or shortfall.is_final:
            self.ending.shortfall = shortfall
            return False
        waiting.tell(shortfall)
        return not self.ending.wait(suggestions.retry_delay or PAUSE_S)

    def _run(self, trial: RunningTrial) -> None:
        watch = TrialWatch(self._impatiently(trial), self.ending.is_asked)
        directory = self.directory / f"trial-{trial.number:04d}"
        task = Task(trial.number, trial.attempt, trial.checkpoint_uri, directory, dict(trial.parameters))
        logger.info("trial %d begins (attempt %d): %s", trial.number, trial.attempt, _brief(trial.parameters))
        outcome = self.evaluator.evaluate(task, watch)
        if watch.is_lost:
            self.outcomes.lose(trial.number, watch.stop_reason or "")
            return
        watch.deliver(PATIENCE_S, self.ending.wait)
        final = settled(outcome, watch, self.study.definition.metrics)
        self._account(self._end(trial, watch, final))

    def _end(self, trial: RunningTrial, watch: TrialWatch, final: Final | Failed) -> Final | Failed:
        """Tells the server, and returns what it was told: a result that it refuses is a failure."""
        ours = self._impatiently(trial) if self.ending.is_asked() else trial
        for name, text in watch.labels.items():
            logger.info("trial %d: %s: %s", trial.number, name, text)
        try:
            if isinstance(final, Final):
                try:
                    ours.complete(final.metrics, final.step, watch.elapsed, watch.labels)
                except InvalidRequest as refusal:
                    final = Failed(FailureReason.CRASHED, f"the server refused the result: {refusal}")
            if isinstance(final, Failed):
                ours.fail(final.reason, final.message, watch.labels)
        except (FailedPrecondition, NotFound) as error:  # somebody else has ended or deleted it
            logger.warning("%s: %s", trial.name, error)
        if isinstance(final, Failed):
            self.outcomes.fail(trial.number, Failure(final.reason, final.message))
        else:
            self.outcomes.succeed(trial.number, final.metrics)
        return final

    def _account(self, final: Final | Failed) -> None:
        if not isinstance(final, Failed):
            self.ending.count(None)
            return
        if final.is_setup:
            self.ending.ask(final.message)
        self.ending.count(final.message if final.reason is FailureReason.CRASHED else None)

    def _impatiently(self, trial: RunningTrial) -> RunningTrial:
        return RunningTrial(self.impatient, trial.snapshot, trial.lease_token, trial.lease_seconds)


def settled(outcome: Outcome, watch: TrialWatch, metrics: Sequence[Metric]) -> Final | Failed:
    """What the server is told: a stopped trial's last measurement counts; a result that is none is a failure."""
    if isinstance(outcome, Failed):
        return outcome
    if isinstance(outcome, Stopped):
        if watch.stop_reason is None or watch.last is None:
            return Failed(FailureReason.PREEMPTED, watch.stop_reason or "its worker was asked to end")
        final = Final(watch.last.metrics, watch.last.step)
    else:
        final = Final(outcome.metrics)
    required = [m.name for m in metrics if m.role != "information"]
    missing = [name for name in required if name not in final.metrics]
    if missing:
        given = ", ".join(sorted(final.metrics)) or "nothing"
        return Failed(FailureReason.CRASHED, f"the objective gave {given}, without {', '.join(missing)}")
    wild = [f"{name} is {final.metrics[name]}" for name in required if not math.isfinite(final.metrics[name])]
    if wild:
        return Failed(FailureReason.DIVERGED, ", ".join(wild))
    return Final({n: v for n, v in final.metrics.items() if n in required or math.isfinite(v)}, final.step)


def _brief(values: Mapping[str, Value]) -> str:
    return " ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())
