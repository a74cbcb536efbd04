"""A trial that another tool runs: held, with signs of life from a thread, until the tool says what came of it."""

import hashlib
import logging
import math
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress

from bo_client.errors import BoClientError, FailedPrecondition, InvalidRequest, LimitExceeded, NotFound
from bo_client.optimize import PAUSE, Heart, fail, succeed
from bo_client.outcomes import Outcomes, Waiting, why_no_more
from bo_client.running import RunningTrial, Suggestions
from bo_client.study import Study
from bo_client.values import FailureReason, Shortfall, TrialState

logger = logging.getLogger("bo_client.integrations")

LATE_LABEL = "late-result-of"
"""Label of a trial that was added because its result came after its lease had run out."""


class HeldTrial:
    """Ends once, by `succeed`, `stop`, `fail` or `give_back`. One that was ended elsewhere is left as it is."""

    def __init__(self, trial: RunningTrial) -> None:
        self.trial = trial
        self.last_step: int | None = None
        """The last step reported."""
        self.diverged: str | None = None
        """Which objective was last reported as NaN or infinite, and at which step; None where the last was finite."""
        self._heart = Heart(trial)
        self._heart.__enter__()

    def report(self, metrics: Mapping[str, float], step: int) -> str | None:
        """Adds the finite metrics to the learning curve.

        Returns:
            Why the trial should end now, or None. Where the study has a stopping rule, an objective that is NaN or
            infinite is such a reason.

        Raises:
            BoClientError.
        """
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        objectives = [metric.name for metric in self.trial.study.definition.objectives]
        wild = divergence(metrics, objectives, has_rule=True)
        self.diverged = f"{wild} at step {step}" if wild else None
        try:
            answer = self.trial.report(finite, step) if finite else self.trial.heartbeat()
        except (FailedPrecondition, NotFound) as error:
            return str(error)
        self.last_step = step
        if answer.should_stop or not answer.lease_valid:
            return answer.reason
        has_rule = self.trial.study.definition.settings.get("stopping", "none") != "none"
        return self.diverged if has_rule else None

    def succeed(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Ends it with its result; as DIVERGED where that isn't finite.

        Where the trial has failed meanwhile because its lease ran out, the result is added as a trial of its own.
        """
        self.release()
        if not all(math.isfinite(value) for value in metrics.values()):
            succeed(self.trial, metrics, step)
            return
        try:
            self.trial.complete(metrics, step)
        except NotFound:
            return
        except FailedPrecondition:
            self._add_late(metrics)

    def stop(self, metrics: Mapping[str, float], why: str, step: int | None = None) -> None:
        """Ends it early with what it has measured: STOPPED."""
        self.release()
        with suppress(FailedPrecondition, NotFound):
            self.trial.study.stop_trial(self.trial.number, why)
        succeed(self.trial, metrics, step)

    def fail(self, reason: FailureReason | str, message: str) -> None:
        """Ends it without a result. An interruption is told at once or not at all, and raises nothing."""
        self.release()
        if reason == FailureReason.PREEMPTED:
            with suppress(BoClientError):
                fail(self.trial.hasty(), FailureReason.PREEMPTED, message[:1000])
        else:
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

    def _add_late(self, metrics: Mapping[str, float]) -> None:
        study, name = self.trial.study, self.trial.name
        try:
            if study.trial(self.trial.number, full=False).state is not TrialState.FAILED:
                return
            request_id = f"late-{hashlib.sha256(name.encode()).hexdigest()[:40]}"
            study.add(self.trial.parameters, metrics, None, {LATE_LABEL: name}, request_id)
        except (InvalidRequest, FailedPrecondition, LimitExceeded, NotFound) as refusal:
            logger.warning("the result of %s came after its lease had run out, and is lost: %s", name, refusal)


def ask(study: Study, ended: threading.Event | None = None) -> RunningTrial | Shortfall:
    """Returns a trial, or why there is none. Waits while the study is paused, unless `ended` is set meanwhile."""
    suggestions = ask_for(study, 1, waiting=(Shortfall.PAUSED,), ended=ended)
    return suggestions[0] if suggestions else suggestions.shortfall or Shortfall.COMPLETED


def ask_for(
    study: Study, count: int, waiting: Collection[Shortfall], ended: threading.Event | None = None
) -> Suggestions:
    """Returns trials, or why there are none. Waits while that is one of `waiting`, unless `ended` is set meanwhile."""
    told = Waiting(study)
    while True:
        suggestions = study._suggestions(count)
        why = suggestions.shortfall
        if suggestions or why is None or why not in waiting:
            return suggestions
        if ended is None:
            told.tell(why)
        if (ended or threading.Event()).wait(suggestions.retry_delay or PAUSE):
            return suggestions


def divergence(metrics: Mapping[str, float], objectives: Collection[str], has_rule: bool) -> str | None:
    """Which values of an epoch say that going on is of no use; None where none does.

    Those are a loss that is NaN or infinite, as the weights then are, and an objective where the study has a stopping
    rule: without one, a metric that is undefined in the first epochs may still become a number.
    """
    names = {"loss", *objectives} if has_rule else {"loss"}
    wild = [f"{name} is {metrics[name]!r}" for name in metrics if name in names and not math.isfinite(metrics[name])]
    return ", ".join(wild) or None


def ending(study: Study, why: Shortfall | None, ran: int, wanted: int | None, failed: int) -> str:
    """Says why a search has ended early, after how many of how many trials, and how many of these failed."""
    outcomes = Outcomes(study.name, wanted)
    outcomes.succeeded, outcomes.failed = ran - failed, failed
    return outcomes.sentence(f"{why_no_more(study, why)} ({why})")
