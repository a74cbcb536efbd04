"""Follows one trial on behalf of the server: reports, signs of life, and what the server wants.

Nothing waits for a server that is away: reports are kept, and sent when it is back.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from bo_client import (
    BoClientError,
    DeadlineExceeded,
    FailedPrecondition,
    Heartbeat,
    NotFound,
    RunningTrial,
    ServerUnavailable,
)

from bo_objectives.worker.evaluation import Report

logger = logging.getLogger("bo_objectives")

RETRY_S = 0.5


class TrialWatch:
    """The watch over one running trial, whose client must not be patient. Threads may share it."""

    def __init__(self, trial: RunningTrial, is_ending: Callable[[], bool]) -> None:
        self._trial = trial
        self._is_ending = is_ending
        self._guard = threading.Lock()
        self._unsent: deque[tuple[Report, float]] = deque()
        self._began = time.monotonic()
        self._beat_at = self._began
        self.last: Report | None = None
        """The last report with metrics."""
        self.stop_reason: str | None = None
        self.labels: dict[str, str] = {}
        """To be kept with the trial when it ends."""
        self.is_lost = False
        """Whether the trial has ended elsewhere, or is another worker's."""

    @property
    def is_over(self) -> bool:
        return self.is_lost or self._is_ending()

    @property
    def elapsed(self) -> float:
        """Seconds since the evaluation began."""
        return time.monotonic() - self._began

    def report(self, report: Report) -> None:
        """Sends it, or keeps it until the server is back."""
        with self._guard:
            if report.metrics:
                self.last = report
            self._unsent.append((report, self.elapsed))
            self._send()

    def label(self, labels: Mapping[str, str]) -> None:
        """Kept for the trial's end; the same name again replaces its text."""
        self.labels.update(labels)

    def beat(self) -> None:
        """A sign of life, four to a lease."""
        with self._guard:
            if time.monotonic() - self._beat_at < self._trial.lease_seconds / 4:
                return
            if self._unsent:
                self._send()
            else:
                self._listen(self._trial.heartbeat)

    def deliver(self, patience: float, wait: Callable[[float], bool]) -> None:
        """Sends what is kept; waits up to `patience` seconds for a server that is away, or until `wait` is true."""
        deadline = time.monotonic() + patience
        while True:
            with self._guard:
                self._send()
            if not self._unsent or self.is_lost or time.monotonic() > deadline or wait(RETRY_S):
                return

    def _send(self) -> None:
        while self._unsent and not self.is_lost:
            report, elapsed = self._unsent[0]
            if not self._listen(lambda report=report, elapsed=elapsed: self._told(report, elapsed)):  # type: ignore[misc]
                return
            self._unsent.popleft()

    def _told(self, report: Report, elapsed: float) -> Heartbeat:
        if not report.metrics:
            return self._trial.checkpoint(report.checkpoint_uri)
        return self._trial.report(report.metrics, report.step, elapsed, report.checkpoint_uri)

    def _listen(self, call: Callable[[], Heartbeat]) -> bool:
        """Whether the server has answered."""
        self._beat_at = time.monotonic()
        try:
            answer = call()
        except (ServerUnavailable, DeadlineExceeded) as error:
            logger.warning("%s: %s", self._trial.name, error)
            return False
        except (NotFound, FailedPrecondition) as error:
            logger.warning("%s: %s", self._trial.name, error)
            self.is_lost = True
            return True
        except BoClientError as error:  # a report that the server refuses is not worth the trial
            logger.warning("%s: a report was refused: %s", self._trial.name, error)
            return True
        self.is_lost = not answer.lease_valid
        if answer.should_stop:
            self.stop_reason = answer.reason
        return True
