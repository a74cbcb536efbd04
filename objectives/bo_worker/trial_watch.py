"""Follows one trial on behalf of the server: reports, heartbeats, and what the server wants.

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
    LimitExceeded,
    NotFound,
    RunningTrial,
    ServerUnavailable,
)

from bo_worker.evaluation import Report

logger = logging.getLogger("bo_objectives")

RETRY_S = 0.5


class TrialWatch:
    """The watch over one running trial, whose client must not be patient. Threads may share it."""

    def __init__(self, trial: RunningTrial, is_ending: Callable[[], bool]) -> None:
        self.trial = trial
        self._is_ending = is_ending
        self._guard = threading.Lock()
        self._unsent: deque[tuple[Report, float]] = deque()
        self._began = time.monotonic()
        self.labels: dict[str, str] = {}
        """To be kept with the trial when it ends."""

    @property
    def stop_reason(self) -> str | None:
        return self.trial.stop_reason

    @property
    def pause_reason(self) -> str | None:
        return self.trial.pause_reason

    @property
    def until_step(self) -> int | None:
        return self.trial.until_step

    @property
    def has_unsent(self) -> bool:
        """Whether reports wait to be sent to the server."""
        return bool(self._unsent) and not self.trial.is_lost

    @property
    def is_over(self) -> bool:
        return self.trial.is_lost or self._is_ending()

    @property
    def elapsed(self) -> float:
        """Seconds of evaluation, those of the trial's earlier attempts included."""
        return self.trial.elapsed_before + time.monotonic() - self._began

    def report(self, report: Report) -> None:
        """Send it, or keep it until the server is back."""
        with self._guard:
            self._unsent.append((report, self.elapsed))
            self._send()

    def label(self, labels: Mapping[str, str]) -> None:
        """Keep labels for the trial's end; the same name again replaces its text."""
        self.labels.update(labels)

    def beat(self) -> None:
        """Send what is kept, or else a heartbeat."""
        with self._guard:
            if self._unsent:
                self._send()
            else:
                self._is_answered(self.trial.heartbeat)

    def flush(self, patience: float, wait: Callable[[float], bool]) -> None:
        """Send what is kept; for a server that is away, wait up to `patience` seconds, or until `wait` returns True."""
        deadline = time.monotonic() + patience
        while True:
            with self._guard:
                self._send()
            if not self._unsent or self.trial.is_lost or time.monotonic() > deadline or wait(RETRY_S):
                return

    def _send(self) -> None:
        while self._unsent and not self.trial.is_lost:
            report, elapsed = self._unsent[0]
            if not self._is_answered(lambda report=report, elapsed=elapsed: self._report(report, elapsed)):  # type: ignore[misc]
                return
            self._unsent.popleft()

    def _report(self, report: Report, elapsed: float) -> Heartbeat:
        if not report.metrics:
            return self.trial.checkpoint(report.checkpoint_uri)
        return self.trial.report(report.metrics, report.step, elapsed, report.checkpoint_uri)

    def _is_answered(self, call: Callable[[], Heartbeat]) -> bool:
        """Make a call, and return whether it need not be made again."""
        try:
            call()
        except (ServerUnavailable, DeadlineExceeded) as error:
            logger.warning("%s: %s", self.trial.name, error)
            return False
        except (NotFound, FailedPrecondition) as error:
            logger.warning("%s: %s", self.trial.name, error)
        except LimitExceeded as error:
            logger.warning("%s: %s", self.trial.name, error)
            return error.retry_delay is None  # else it is sent again
        except BoClientError as error:  # a report that the server refuses is not worth the trial
            logger.warning("%s: a report was refused: %s", self.trial.name, error)
        return True
