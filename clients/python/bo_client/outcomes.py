"""Outcomes of the trials that a process runs, logged as they end, if most fail, and when the run ends."""

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bo_client.errors import BoClientError
from bo_client.formatting import spent_of
from bo_client.models import Failure, FailureReason, Limit, Shortfall, StudyInfo, TrialState
from bo_client.out_of_memory import storable

if TYPE_CHECKING:
    from bo_client.study import Study

logger = logging.getLogger("bo_client")

NUM_RECENT = 10
"""Number of recent trials that are inspected."""
WAIT_WARNING_S = 10.0
"""Seconds after which it is logged that a run waits for other workers."""
MIN_ENDED = 4
"""Number of ended trials from which failures of most of them are logged."""


@dataclass(frozen=True)
class FinalMetrics:
    """The result of a trial, and its step on the learning curve: the last one where none is given."""

    metrics: Mapping[str, float]
    step: int | None = None


@dataclass(frozen=True)
class Paused:
    """A trial that waits at its checkpoint."""

    reason: str
    checkpoint_uri: str = ""
    """Where it can be resumed: what was last reported where none is given."""


class Outcomes:
    """A counter of the trials of one run of a study, which also logs them. Threads may share it.

    A failure is a warning, the first of each kind with its traceback. A series of failures and an early end are
    warnings too, with the first failure, as a program without logging configuration shows warnings on standard error.
    """

    def __init__(self, study_name: str, wanted: int | None = None, log: logging.Logger = logger) -> None:
        """Create a counter.

        Args:
            study_name: name of the study.
            wanted: requested number of trials; None if the run continues until the study ends.
            log: the logger.
        """
        self.study_name = study_name
        self.wanted = wanted
        self.first_failure = ""
        """The first failed trial of this run with reason and message; empty without one."""
        self.succeeded = self.failed = self.lost = self.paused = 0
        self._log = log
        self._kinds: set[str] = set()
        self._recent: deque[bool] = deque(maxlen=NUM_RECENT)
        self._is_warned = self._has_ended = False
        self._lock = threading.Lock()

    @property
    def ran(self) -> int:
        """Number of trials that have ended or paused here, counting each attempt."""
        return self.succeeded + self.failed + self.lost + self.paused

    def record(self, number: int, final: FinalMetrics | Failure | Paused) -> None:
        """Count and log a trial that has ended or paused."""
        if isinstance(final, Failure):
            self.fail(number, final)
        elif isinstance(final, Paused):
            with self._lock:
                self.paused += 1
            self._log.info("trial %d pauses: %s", number, final.reason)
        else:
            self.succeed(number, final.metrics)

    def succeed(self, number: int, metrics: Mapping[str, float]) -> None:
        """Count and log a trial with a result."""
        with self._lock:
            self.succeeded += 1
            self._recent.append(False)
            self._is_warned = self._is_warned and self._most_fail
        self._log.info("trial %d: %s", number, " ".join(f"{name}={value:.5g}" for name, value in metrics.items()))

    def fail(self, number: int, failure: Failure, error: BaseException | None = None) -> None:
        """Count and log a trial without a result; `error` is the objective's exception.

        PREEMPTED does not count as a failure.
        """
        if failure.reason is FailureReason.PREEMPTED:
            self.lose(number, failure.message)
            return
        kind = f"{failure.reason} {type(error).__name__}"
        with self._lock:
            self.failed += 1
            self._recent.append(True)
            is_new = kind not in self._kinds
            self._kinds.add(kind)
            self.first_failure = self.first_failure or f"trial {number}, {failure.reason}: {failure.message}"
            should_warn = self._most_fail and not self._is_warned
            self._is_warned = self._is_warned or should_warn
            recent = (sum(self._recent), len(self._recent))
        trace, text = _traced(error) if is_new and error is not None else (None, "")
        self._log.warning("trial %d failed, %s: %s%s", number, failure.reason, failure.message, text, exc_info=trace)
        if should_warn:
            self._log.warning(
                "%d of the last %d trials of %s failed; the first failure was %s",
                *recent,
                self.study_name,
                self.first_failure,
            )

    def lose(self, number: int, why: str) -> None:
        """Count and log a trial that was stopped or returned without a result, or that another worker has."""
        with self._lock:
            self.lost += 1
        self._log.warning("trial %d has no result here: %s", number, why or "it ended elsewhere")

    def end(self, why: str, is_complete: bool = False, is_requested: bool = False) -> None:
        """Log why the run ended and how many trials it ran; only the first call has an effect.

        Args:
            why: the reason, such as that of `why_no_more`.
            is_complete: whether a run without `wanted` trials has reached its regular end.
            is_requested: whether the user asked for this end, as with a timeout.
        """
        if self._has_ended:
            return
        self._has_ended = True
        is_whole = self.ran >= self.wanted if self.wanted is not None else is_complete and self.ran > 0
        is_whole = is_whole or is_requested
        is_bad = 2 * self.failed > self.ran
        self._log.log(logging.WARNING if is_bad or not is_whole else logging.INFO, "%s", self.sentence(why))

    def sentence(self, why: str) -> str:
        """Return the number of trials, their outcomes, and why the run ended."""
        count = f"{self.ran} of {self.wanted}" if self.wanted is not None else f"{self.ran}"
        counts = f"{self.succeeded} succeeded, {self.failed} failed"
        if self.lost:
            counts += f", {self.lost} without a result"
        if self.paused:
            counts += f", {self.paused} paused"
        text = f"{self.study_name}: ended after {count} trials ({counts}): {why}"
        return f"{text}. The first failure was {self.first_failure}" if self.first_failure else text

    @property
    def _most_fail(self) -> bool:
        return len(self._recent) >= MIN_ENDED and 2 * sum(self._recent) > len(self._recent)


def _traced(error: BaseException) -> tuple[BaseException | None, str]:
    """Return the error for `exc_info`, or its traceback as text if it contains invalid characters."""
    text = "".join(traceback.format_exception(error))
    storable_text = storable(text)
    return (error, "") if storable_text == text else (None, f"\n{storable_text}")


class Waiting:
    """A logger of the reason of a wait: at once if the study is paused, and after a while if others run trials."""

    def __init__(self, study: "Study", log: logging.Logger = logger) -> None:
        self._study = study
        self._log = log
        self._began = time.monotonic()
        self._is_logged = False

    def tell(self, shortfall: Shortfall) -> None:
        """Log the reason, if it is time to."""
        is_paused = shortfall is Shortfall.PAUSED
        if not self._is_logged and (is_paused or time.monotonic() - self._began >= WAIT_WARNING_S):
            self._is_logged = True
            hint = f"; run `bo study resume {self._study.id}` to continue" if is_paused else " by other workers"
            self._log.warning("%s: waiting because %s%s", self._study.name, shortfall.explanation, hint)


def why_no_more(study: "Study", shortfall: Shortfall | None) -> str:
    """Return the reason why the study has no more trials, which may query the server."""
    if shortfall is Shortfall.COMPLETED:
        try:
            return completed(study.hasty().info())
        except BoClientError:
            return shortfall.explanation
    if shortfall is Shortfall.NEEDS_RESUME:
        return (
            f"{shortfall.explanation}: run one with can_resume=True, or a bo-worker whose objective resumes, or "
            f"end the trials with `bo trial stop {study.id} TRIAL`"
        )
    return "the server gave no trial and no reason" if shortfall is None else shortfall.explanation


def completed(info: StudyInfo) -> str:
    """Return how a study was completed, and how to continue it."""
    limit = info.reached_limit
    if limit is None and info.max_trials is not None and info.ended + info.paused >= info.max_trials:
        limit = Limit.MAX_TRIALS  # a server of an older version names none
    if limit is None:
        again = f'study.update(state="ACTIVE") or `bo study resume {info.id}`'
        return f"{info.name} was marked as completed; to go on with it, {again}"
    verb = "update" if limit is Limit.MAX_TRIALS else "resume"
    again = f"study.{verb}({limit.setting}=…) or `bo study resume {info.id} {limit.option} …`"
    return f"{info.name} is complete: {_reached(info, limit)}; for more, {again}"


def _reached(info: StudyInfo, limit: Limit) -> str:
    """Return what has reached a limit, and which trials wait all the same."""
    if limit is Limit.MAX_TRIALS:
        left = f", and {info.paused} paused where they are not among the best" if info.paused else ""
        return f"{info.ended} of its {info.max_trials} trials (max_trials) have ended{left}"
    waiting = [(info.paused, "paused"), (info.counts.get(TrialState.QUEUED, 0), "queued")]
    left = "".join(f", and {count} {state}" for count, state in waiting if count)
    return f"{spent_of(info, limit)} ({limit.setting}) were trained; {info.ended} trials have ended{left}"
