"""One place for a trial: asks for trials and evaluates them, one after another."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bo_client import (
    DeadlineExceeded,
    FailedPrecondition,
    Failure,
    FailureReason,
    InvalidRequest,
    NotFound,
    ObjectiveSpec,
    RunningTrial,
    ServerUnavailable,
    Shortfall,
    Study,
    Value,
)
from bo_client.outcomes import FinalMetrics, Outcomes, Paused
from bo_client.trial_loop import HeartbeatThread, TrialLimit, TrialSource, end, final_metrics, last_metrics

from bo_worker.evaluation import Outcome, SetupFailure, Stopped, Task
from bo_worker.evaluators import Evaluator
from bo_worker.trial_files import add_artifacts, set_aside_artifacts
from bo_worker.trial_watch import TrialWatch

logger = logging.getLogger("bo_objectives")

DELIVERY_TIMEOUT_S = 600.0
"""How long a result is kept for a server that is away."""


class ShutdownSignal(TrialLimit):
    """Whether the worker should end, and why. Its slots share it."""

    def __init__(self, most_failures: int) -> None:
        super().__init__()
        self._most = most_failures
        self.shortfall: Shortfall | None = None
        """Why the study has no more trials, once that has been said."""
        self._failures = 0
        self._guard = threading.Lock()
        self._event = threading.Event()
        self.error = ""
        """What is wrong; empty where nothing is."""

    def ask(self, error: str = "") -> None:
        """Ask the worker to end; the first error is kept."""
        with self._guard:
            self.error = self.error or error
            self._event.set()

    def count(self, failure: str | None) -> None:
        """Count a trial that has ended; the worker ends after too many broken ones in a row."""
        with self._guard:
            self._failures = 0 if failure is None else self._failures + 1
            is_enough = failure is not None and self._failures >= self._most
        if is_enough:
            self.ask(f"{self._failures} trials in a row broke down; the last: {failure}")

    def take(self) -> bool:
        return not self.is_asked() and super().take()

    def is_asked(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, and return whether the worker should end before that time."""
        return self._event.wait(seconds)


@dataclass(frozen=True)
class Slot:
    """Runs trials until there are no more. `study` is patient with a server that is away, `no_retry_study` is not."""

    study: Study
    no_retry_study: Study
    evaluator: Evaluator
    worker_id: str
    directory: Path
    ending: ShutdownSignal
    outcomes: Outcomes
    objective: ObjectiveSpec | None = None
    """What is evaluated: the server refuses it where the study has come to be of another."""
    can_resume: bool = False
    """Whether the objective can be trained in parts."""

    def run(self) -> None:
        """Run trials until the study has no more, or the worker ends."""
        source = TrialSource(self.study, self.worker_id, self.ending, self.objective, logger, self.can_resume)
        try:
            for trial in source:
                self._run(trial)
            self.ending.shortfall = source.shortfall or self.ending.shortfall
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

    def _run(self, trial: RunningTrial) -> None:
        watch = TrialWatch(self._impatiently(trial), self.ending.is_asked)
        directory = self.directory / f"trial-{trial.number:04d}"
        parameters, until_step = dict(trial.parameters), trial.until_step
        task = Task(trial.number, trial.attempt, trial.checkpoint_uri, directory, parameters, until_step=until_step)
        logger.info("trial %d begins (attempt %d): %s", trial.number, trial.attempt, _brief(trial.parameters))
        set_aside_artifacts(trial, directory)
        with HeartbeatThread(watch.trial, watch.beat):
            outcome = self.evaluator.evaluate(task, watch)
            if watch.trial.is_lost:
                self.outcomes.lose(trial.number, watch.stop_reason or "")
                return
            watch.flush(DELIVERY_TIMEOUT_S, self.ending.wait)
            add_artifacts(self._impatiently(trial), directory)
            final = self._end(trial, watch, final_outcome(outcome, watch.trial))
        self.outcomes.record(trial.number, final)
        if isinstance(final, SetupFailure):
            self.ending.ask(final.message)
        crash = final if isinstance(final, Failure) and final.reason is FailureReason.CRASHED else None
        self.ending.count(crash.message if crash else None)

    def _end(
        self, trial: RunningTrial, watch: TrialWatch, final: FinalMetrics | Failure | Paused
    ) -> FinalMetrics | Failure | Paused:
        """Report to the server, and return what was reported: a result that it refuses is a failure."""
        ours = self._impatiently(trial) if self.ending.is_asked() else trial
        for name, text in watch.labels.items():
            logger.info("trial %d: %s: %s", trial.number, name, text)
        try:
            end(ours, final, watch.elapsed, watch.labels)
        except InvalidRequest as refusal:
            if isinstance(final, Failure):
                raise
            what = "pause" if isinstance(final, Paused) else "result"
            final = Failure(FailureReason.CRASHED, f"the server refused the {what}: {refusal}")
            end(ours, final, watch.elapsed, watch.labels)
        return final

    def _impatiently(self, trial: RunningTrial) -> RunningTrial:
        return RunningTrial(self.no_retry_study, trial.snapshot, trial.lease_token, trial.lease_seconds)


def final_outcome(outcome: Outcome, trial: RunningTrial) -> FinalMetrics | Failure | Paused:
    """Return what the server is told: a stopped trial's last measurement counts; a result that is none is a failure."""
    if isinstance(outcome, Stopped):
        if trial.stop_reason is None and trial.pause_reason is not None:
            return Paused(trial.pause_reason)
        if trial.stop_reason is None:
            return Failure(FailureReason.PREEMPTED, "its worker was asked to end")
        return last_metrics(trial, trial.stop_reason)
    if isinstance(outcome, Failure):
        return outcome
    try:
        return final_metrics(trial.study.definition, outcome.metrics)
    except InvalidRequest as error:
        return Failure(FailureReason.CRASHED, str(error))


def _brief(values: Mapping[str, Value]) -> str:
    return " ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())
