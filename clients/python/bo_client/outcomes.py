"""What came of the trials that one process runs: told as they end, when most of them fail, and when the run ends."""

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bo_client.errors import BoClientError
from bo_client.out_of_memory import storable
from bo_client.values import Failure, FailureReason, Shortfall, StudyInfo

if TYPE_CHECKING:
    from bo_client.study import Study

logger = logging.getLogger("bo_client")

RECENT = 10
"""How many of the last trials are looked at."""
LONG_WAIT = 10.0
"""Seconds after which it is said that a run waits for other workers."""
FEWEST = 4
"""Trials that must have ended before it is said that most fail."""


class Outcomes:
    """Counts the trials of one run of a study and logs them. Threads may share it.

    A failure is a warning, the first of each kind with its traceback. So are a run of failures and an early end, with
    the first failure, for a program that has set up no logging still shows warnings on standard error.
    """

    def __init__(self, study_name: str, wanted: int | None = None, log: logging.Logger = logger) -> None:
        """`wanted` is how many trials the run was asked for; None where it goes on until the study ends."""
        self.study_name = study_name
        self.wanted = wanted
        self.first_failure = ""
        """Of this run: which trial, the reason and the message. Empty where none has failed."""
        self.succeeded = self.failed = self.lost = 0
        self._log = log
        self._kinds: set[str] = set()
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._is_warned = self._has_ended = False
        self._lock = threading.Lock()

    @property
    def ran(self) -> int:
        """How many trials have ended here, each attempt counted."""
        return self.succeeded + self.failed + self.lost

    def succeed(self, number: int, metrics: Mapping[str, float]) -> None:
        """Counts and logs a trial that has a result."""
        with self._lock:
            self.succeeded += 1
            self._recent.append(False)
            self._is_warned = self._is_warned and self._most_fail
        self._log.info("trial %d: %s", number, " ".join(f"{name}={value:.5g}" for name, value in metrics.items()))

    def fail(self, number: int, failure: Failure, error: BaseException | None = None) -> None:
        """Counts and logs a trial that has none; `error` is what its objective raised. PREEMPTED is no failure here."""
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
            says = self._most_fail and not self._is_warned
            self._is_warned = self._is_warned or says
            recent = (sum(self._recent), len(self._recent))
        trace, text = _traced(error) if is_new and error is not None else (None, "")
        self._log.warning("trial %d failed, %s: %s%s", number, failure.reason, failure.message, text, exc_info=trace)
        if says:
            self._log.warning(
                "%d of the last %d trials of %s failed; the first failure was %s",
                *recent,
                self.study_name,
                self.first_failure,
            )

    def lose(self, number: int, why: str) -> None:
        """Counts and logs a trial that was stopped or given back without a result, or is another worker's."""
        with self._lock:
            self.lost += 1
        self._log.warning("trial %d has no result here: %s", number, why or "it has ended elsewhere")

    def end(self, why: str, is_complete: bool = False) -> None:
        """Logs why the run has ended and how many trials it ran; the first call counts.

        Args:
            why: in words, such as those of `why_no_more`.
            is_complete: whether this is the end that a run without `wanted` trials goes on to.
        """
        if self._has_ended:
            return
        self._has_ended = True
        is_whole = self.ran >= self.wanted if self.wanted is not None else is_complete and self.ran > 0
        is_bad = 2 * self.failed > self.ran
        self._log.log(logging.WARNING if is_bad or not is_whole else logging.INFO, "%s", self.sentence(why))

    def sentence(self, why: str) -> str:
        """How many trials ran, what came of them, and why the run has ended."""
        count = f"{self.ran} of {self.wanted}" if self.wanted is not None else f"{self.ran}"
        came = f"{self.succeeded} succeeded, {self.failed} failed"
        if self.lost:
            came += f", {self.lost} without a result"
        told = f"{self.study_name}: ended after {count} trials ({came}): {why}"
        return f"{told}. The first failure was {self.first_failure}" if self.first_failure else told

    @property
    def _most_fail(self) -> bool:
        return len(self._recent) >= FEWEST and 2 * sum(self._recent) > len(self._recent)


def _traced(error: BaseException) -> tuple[BaseException | None, str]:
    """The error for `exc_info`; or its traceback as text, where the error says what UTF-8 can't hold."""
    text = "".join(traceback.format_exception(error))
    kept = storable(text)
    return (error, "") if kept == text else (None, f"\n{kept}")


class Waiting:
    """Says once for what a run waits: at once where its study is paused, and for other workers after a while."""

    def __init__(self, study: "Study", log: logging.Logger = logger) -> None:
        self._study = study
        self._log = log
        self._began = time.monotonic()
        self._is_told = False

    def tell(self, shortfall: Shortfall) -> None:
        """Logs it, where it is time to."""
        is_paused = shortfall is Shortfall.PAUSED
        if not self._is_told and (is_paused or time.monotonic() - self._began >= LONG_WAIT):
            self._is_told = True
            hint = f"; `bo resume {self._study.id}` goes on with it" if is_paused else " by other workers"
            self._log.warning("%s: waiting because %s%s", self._study.name, shortfall.explanation, hint)


def why_no_more(study: "Study", shortfall: Shortfall | None) -> str:
    """Why the study gives no more trials, in words; asks the server how many there are."""
    if shortfall is Shortfall.COMPLETED:
        try:
            return completed(study.hasty().info())
        except BoClientError:
            return shortfall.explanation
    return "the server gave no trial and no reason" if shortfall is None else shortfall.explanation


def completed(info: StudyInfo) -> str:
    """How a study came to be complete, and how to go on with it."""
    if info.max_trials is None or info.ended < info.max_trials:
        again = f'study.update(state="ACTIVE") or `bo resume {info.id}`'
        return f"{info.name} was marked as completed; to go on with it, {again}"
    return (
        f"{info.name} is complete: {info.ended} of its {info.max_trials} trials (max_trials) have ended; for more, "
        f"study.update(max_trials=…) or `bo resume {info.id} --max-trials …`"
    )
