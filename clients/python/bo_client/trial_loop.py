"""What every process that runs trials does: ask for them, send heartbeats, and end each with a result or a failure.

`Study.optimize`, `bo-worker` and the adapters of other tools share it.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from bo_client.errors import BoClientError, FailedPrecondition, InvalidRequest, NotFound
from bo_client.models import Failure, FailureReason, ObjectiveSpec, Shortfall, StudyInfo
from bo_client.outcomes import FinalMetrics, Paused, Waiting
from bo_client.running import RunningTrial

if TYPE_CHECKING:
    from bo_client.study import Study

logger = logging.getLogger("bo_client")

PAUSE_S = 1.0
"""Time until the next request for a trial where the server names none."""
HEARTBEATS_PER_LEASE = 4
"""A heartbeat is sent where this part of the lease has passed without a call."""


class TrialLimit:
    """How many trials a run may begin, and how it waits. Threads may share it."""

    def __init__(self, count: int | None = None) -> None:
        """Create a limit of `count` trials; None for no limit."""
        self._left = count
        self._lock = threading.Lock()

    def set(self, count: int | None) -> None:
        """Let so many more trials begin."""
        self._left = count

    def take(self) -> bool:
        """Return whether one more trial may begin, and count it."""
        with self._lock:
            if self._left is None:
                return True
            self._left -= 1
            return self._left >= 0

    def give_back(self) -> None:
        """Return the place of a trial that did not begin."""
        with self._lock:
            if self._left is not None:
                self._left += 1

    def wait(self, seconds: float) -> bool:
        """Wait, and return whether the run should end now."""
        time.sleep(seconds)
        return False


class RunLimit(TrialLimit):
    """A limit that also ends a run after some time, or on request; running trials are finished."""

    def __init__(self, count: int | None = None, timeout: float | None = None) -> None:
        """Create a limit of `count` trials that begin within `timeout` seconds; None for no limit."""
        super().__init__(count)
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._ended = threading.Event()
        self.why = ""
        """The reason why the run ends before `count` trials; empty if it does not."""

    def stop(self, why: str) -> None:
        """Let no more trials begin, and wake those that wait."""
        self.why = self.why or why
        self._ended.set()

    def take(self) -> bool:
        """Return whether one more trial may begin, and count it."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.stop(f"the timeout of {self._timeout:g} s has passed")
        return not self._ended.is_set() and super().take()

    def wait(self, seconds: float) -> bool:
        """Wait, and return whether the run should end now."""
        left = seconds if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        return self._ended.wait(min(seconds, left))


class TrialSource:
    """Gives one worker a study's trials, one after the other, until the study has no more or the limit is reached."""

    def __init__(
        self,
        study: "Study",
        worker_id: str | None,
        limit: TrialLimit,
        objective: ObjectiveSpec | None = None,
        log: logging.Logger = logger,
        can_resume: bool = False,
    ) -> None:
        self._study = study
        self._can_resume = can_resume
        self._worker_id = worker_id
        self._limit = limit
        self._objective = objective
        self._log = log
        self.shortfall: Shortfall | None = None
        """Why the study has no more trials; None as long as it has, and where the limit was reached first."""

    def __iter__(self) -> Iterator[RunningTrial]:
        waiting = Waiting(self._study, self._log)
        while self._limit.take():
            suggestions = self._study._suggestions(
                1, self._worker_id, objective=self._objective, can_resume=self._can_resume
            )
            if suggestions:
                yield suggestions[0]
                waiting = Waiting(self._study, self._log)
                continue
            self._limit.give_back()
            if suggestions.shortfall is None or suggestions.shortfall.is_final:
                self.shortfall = suggestions.shortfall
                return
            waiting.tell(suggestions.shortfall)
            if self._limit.wait(suggestions.retry_delay or PAUSE_S):
                return


class HeartbeatThread:
    """Keeps the lease of a trial from a thread of its own, until the trial is lost or the block ends."""

    def __init__(self, trial: RunningTrial, beat: Callable[[], object] | None = None) -> None:
        """Create the heartbeats; `beat` makes the call, by default a heartbeat without retries."""
        self._trial = trial
        self._beat = beat or (lambda: trial.heartbeat(patience=0))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat of {trial.name}", daemon=True)

    def __enter__(self) -> "HeartbeatThread":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._trial.is_lost and not self._stopped.wait(self._trial.lease_seconds / HEARTBEATS_PER_LEASE):
            if time.monotonic() - self._trial.renewed_at >= self._trial.lease_seconds / HEARTBEATS_PER_LEASE:
                with suppress(BoClientError):  # the next one may get through
                    self._beat()


def final_metrics(study: StudyInfo, metrics: Mapping[str, float], step: int | None = None) -> FinalMetrics | Failure:
    """Return what a trial ends with that has measured these metrics: as DIVERGED where one of them isn't finite.

    Metrics for information alone are left out where they aren't finite.

    Raises:
        InvalidRequest: An objective or constraint metric is missing.
    """
    needed = [metric.name for metric in study.modelled_metrics]
    missing = [name for name in needed if name not in metrics]
    if missing:
        given = ", ".join(sorted(metrics)) or "nothing"
        raise InvalidRequest.of("metrics", f"the objective gave {given}, without {', '.join(missing)}")
    diverged = [f"{name} is {metrics[name]!r}" for name in needed if not math.isfinite(metrics[name])]
    if diverged:
        return Failure(FailureReason.DIVERGED, ", ".join(diverged))
    return FinalMetrics({n: v for n, v in metrics.items() if n in needed or math.isfinite(v)}, step)


def last_metrics(trial: RunningTrial, why: str) -> FinalMetrics | Failure:
    """Return what a trial ends with that was told to stop: its last measurement; PREEMPTED where that is incomplete."""
    measured, step = trial.last_report or ({}, None)
    missing = [m.name for m in trial.study.definition.modelled_metrics if m.name not in measured]
    if trial.last_report is None or missing:
        what = f"before {', '.join(missing)} had been measured" if measured else "before its first measurement"
        return Failure(FailureReason.PREEMPTED, f"stopped {what}: {why}")
    return final_metrics(trial.study.definition, measured, step)


def end(
    trial: RunningTrial,
    final: FinalMetrics | Failure | Paused,
    elapsed: float | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """End or pause the trial, unless it has ended elsewhere or is deleted.

    Raises:
        InvalidRequest: The server refuses the result.
        BoClientError: The server doesn't answer in time, or refuses the call.
    """
    try:
        if isinstance(final, Failure):
            trial.fail(final.reason, final.message, labels)
        elif isinstance(final, Paused):
            trial.pause(final.checkpoint_uri, labels)
        else:
            trial.complete(final.metrics, final.step, elapsed, labels)
    except (FailedPrecondition, NotFound) as error:
        logger.warning("%s: %s", trial.name, error)
