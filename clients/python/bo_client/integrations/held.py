"""A trial that another tool runs: held, with signs of life from a thread, until the tool says what came of it."""

import threading
from collections.abc import Mapping
from contextlib import suppress

from bo_client.errors import FailedPrecondition, NotFound
from bo_client.optimize import PAUSE, Heart, fail, succeed
from bo_client.running import RunningTrial
from bo_client.study import Study
from bo_client.values import FailureReason, Shortfall


class HeldTrial:
    """Ends once, by `succeed`, `stop`, `fail` or `give_back`. One that was ended elsewhere is left as it is."""

    def __init__(self, trial: RunningTrial) -> None:
        self.trial = trial
        self.last_step: int | None = None
        """The last step reported."""
        self._heart = Heart(trial)
        self._heart.__enter__()

    def report(self, metrics: Mapping[str, float], step: int) -> str | None:
        """Adds to the learning curve. Returns why the trial should end now, or None. Raises BoClientError."""
        try:
            answer = self.trial.report(metrics, step)
        except (FailedPrecondition, NotFound) as error:
            return str(error)
        self.last_step = step
        return answer.reason if answer.should_stop or not answer.lease_valid else None

    def succeed(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Ends it with its result; as DIVERGED where that isn't finite."""
        self.release()
        succeed(self.trial, metrics, step)

    def stop(self, metrics: Mapping[str, float], why: str, step: int | None = None) -> None:
        """Ends it early with what it has measured: STOPPED."""
        self.release()
        with suppress(FailedPrecondition, NotFound):
            self.trial.study.stop_trial(self.trial.number, why)
        succeed(self.trial, metrics, step)

    def fail(self, reason: FailureReason | str, message: str) -> None:
        """Ends it without a result."""
        self.release()
        fail(self.trial, FailureReason(reason), message[:1000])

    def give_back(self, why: str) -> None:
        """Ends it as if it had never been: it was not run."""
        self.release()
        fail(self.trial, FailureReason.PREEMPTED, why)
        with suppress(FailedPrecondition, NotFound):
            self.trial.study.delete_trial(self.trial.number)

    def release(self) -> None:
        """No more signs of life."""
        self._heart.__exit__(None, None, None)


def ask(study: Study, ended: threading.Event | None = None) -> RunningTrial | Shortfall:
    """A trial, or why there is none. Waits while the study is paused, unless `ended` is set meanwhile."""
    while True:
        suggestions = study.suggest()
        if suggestions:
            return suggestions[0]
        shortfall = suggestions.shortfall or Shortfall.COMPLETED
        if shortfall is not Shortfall.PAUSED:
            return shortfall
        if (ended or threading.Event()).wait(suggestions.retry_delay or PAUSE):
            return shortfall
