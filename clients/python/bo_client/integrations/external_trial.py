"""A trial that another tool runs, with heartbeats from a thread until the tool reports the outcome."""

import atexit
import hashlib
import logging
import math
import os
import threading
import weakref
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache

from bo_client.errors import BoClientError, FailedPrecondition, InvalidRequest, LimitExceeded, NotFound
from bo_client.models import Failure, FailureReason, Shortfall, TrialState
from bo_client.outcomes import Outcomes, Waiting, why_no_more
from bo_client.running import RunningTrial, Suggestions
from bo_client.study import Study
from bo_client.trial_loop import PAUSE_S, HeartbeatThread, end, final_metrics

logger = logging.getLogger("bo_client.integrations")

LATE_LABEL = "late-result-of"
"""Label of a trial that was added because its result came after its lease expired."""


_running: "weakref.WeakSet[ExternalTrial]" = weakref.WeakSet()


@cache
def _return_at_exit() -> None:
    """Return what still runs when the process ends, as after Ctrl-C in a tool that tells nobody of it."""

    def return_running() -> None:
        for external_trial in list(_running):
            external_trial.fail(FailureReason.PREEMPTED, "its process has ended")

    atexit.register(return_running)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_running.clear)  # they are the parent's


class ExternalTrial:
    """A running trial that ends once, by `succeed`, `stop`, `fail` or `withdraw`.

    A trial that ended elsewhere is left unchanged.
    """

    def __init__(self, trial: RunningTrial) -> None:
        self.trial = trial
        self.last_step: int | None = None
        """The last step reported."""
        self.diverged: str | None = None
        """The objective last reported as NaN or infinite, with its step; None if the last values were finite."""
        self._heartbeats = HeartbeatThread(trial)
        self._heartbeats.__enter__()
        _return_at_exit()
        _running.add(self)

    def report(self, metrics: Mapping[str, float], step: int) -> str | None:
        """Add the finite metrics to the learning curve.

        Args:
            metrics: values by name.
            step: position on the curve.

        Returns:
            The reason to end the trial now, or None. With a stopping rule, a NaN or infinite objective is such a
                reason.

        Raises:
            BoClientError: the call failed.
        """
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        objectives = [metric.name for metric in self.trial.study.definition.objectives]
        non_finite = divergence(metrics, objectives, has_rule=True)
        self.diverged = f"{non_finite} at step {step}" if non_finite else None
        try:
            heartbeat = self.trial.report(finite, step) if finite else self.trial.heartbeat()
        except (FailedPrecondition, NotFound) as error:
            return str(error)
        self.last_step = step
        if heartbeat.should_stop or not heartbeat.lease_valid:
            return heartbeat.reason
        has_rule = self.trial.study.definition.settings.get("stopping", "none") != "none"
        return self.diverged if has_rule else None

    def succeed(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """End the trial with its result; as DIVERGED if that is not finite.

        If the trial has failed meanwhile because its lease expired, the result is added as another trial.
        """
        self.release()
        final = final_metrics(self.trial.study.definition, metrics, step)
        if isinstance(final, Failure):
            end(self.trial, final)
            return
        try:
            self.trial.complete(final.metrics, final.step)
        except NotFound:
            return
        except FailedPrecondition:
            self._add_late(metrics)

    def stop(self, metrics: Mapping[str, float], why: str, step: int | None = None) -> None:
        """End the trial early with its measurements, as STOPPED."""
        self.release()
        with suppress(FailedPrecondition, NotFound):
            self.trial.study.stop_trial(self.trial.number, why)
        end(self.trial, final_metrics(self.trial.study.definition, metrics, step))

    def fail(self, reason: FailureReason | str, message: str) -> None:
        """End the trial without a result. An interruption is reported once without retries, and raises nothing."""
        self.release()
        failure = Failure(FailureReason(reason), message[:1000])
        if failure.reason is FailureReason.PREEMPTED:
            with suppress(BoClientError):
                end(self.trial.hasty(), failure)
        else:
            end(self.trial, failure)

    def withdraw(self, why: str) -> None:
        """End and delete the trial, as it was not run."""
        self.release()
        end(self.trial, Failure(FailureReason.PREEMPTED, why))
        with suppress(FailedPrecondition, NotFound):
            self.trial.study.delete_trial(self.trial.number)

    def release(self) -> None:
        """Stop the heartbeats."""
        _running.discard(self)
        self._heartbeats.__exit__(None, None, None)

    def _add_late(self, metrics: Mapping[str, float]) -> None:
        study, name = self.trial.study, self.trial.name
        try:
            if study.trial(self.trial.number, full=False).state is not TrialState.FAILED:
                return
            request_id = f"late-{hashlib.sha256(name.encode()).hexdigest()[:40]}"
            study.add(self.trial.parameters, metrics, None, {LATE_LABEL: name}, request_id)
        except (InvalidRequest, FailedPrecondition, LimitExceeded, NotFound) as refusal:
            logger.warning("the result of %s came after its lease expired, and is lost: %s", name, refusal)


def ask(study: Study, ended: threading.Event | None = None) -> RunningTrial | Shortfall:
    """Return a trial, or the reason why there is none. While the study is paused, it waits until `ended` is set."""
    suggestions = ask_for(study, 1, waiting=(Shortfall.PAUSED,), ended=ended)
    return suggestions[0] if suggestions else suggestions.shortfall or Shortfall.COMPLETED


def ask_for(
    study: Study, count: int, waiting: Collection[Shortfall], ended: threading.Event | None = None
) -> Suggestions:
    """Return trials, or the reason why there are none.

    While that is one of `waiting`, it waits until `ended` is set.
    """
    waiting_log = Waiting(study)
    while True:
        suggestions = study._suggestions(count)
        why = suggestions.shortfall
        if suggestions or why is None or why not in waiting:
            return suggestions
        if ended is None:
            waiting_log.tell(why)
        if (ended or threading.Event()).wait(suggestions.retry_delay or PAUSE_S):
            return suggestions


def divergence(metrics: Mapping[str, float], objectives: Collection[str], has_rule: bool) -> str | None:
    """Return the values of an epoch that make further training useless; None if there are none.

    These are a NaN or infinite loss, as the weights then are too, and with a stopping rule a NaN or infinite objective:
    without one, a metric that is undefined in the first epochs may still become a number.
    """
    names = {"loss", *objectives} if has_rule else {"loss"}
    non_finite = [
        f"{name} is {metrics[name]!r}" for name in metrics if name in names and not math.isfinite(metrics[name])
    ]
    return ", ".join(non_finite) or None


def ending(study: Study, why: Shortfall | None, ran: int, wanted: int | None, failed: int) -> str:
    """Return why a search ended early, with the numbers of its trials and failures."""
    outcomes = Outcomes(study.name, wanted)
    outcomes.succeeded, outcomes.failed = ran - failed, failed
    return outcomes.sentence(f"{why_no_more(study, why)} ({why})")
