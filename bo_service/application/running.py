"""Running trials: reports, results, and leases that run out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bo_service.application.ports import RequestKey
from bo_service.application.repeating import repeated
from bo_service.application.services import Ledger, Services, change_once, changing
from bo_service.application.stopping import judged
from bo_service.application.trials import check_length
from bo_service.application.views import Heartbeat
from bo_service.core.errors import NotFound, WrongLease
from bo_service.core.trial import Failure, Measurement, Trial, TrialState, check_final

SWEEP = 100
KEPT_ANSWERS = timedelta(days=7)


@repeated
def report_measurements(
    services: Services,
    study_id: str,
    number: int,
    token: str,
    measurements: Sequence[Measurement],
    checkpoint_uri: str = "",
) -> Heartbeat:
    """Renews the lease and adds to the learning curve; under a lease that was lost, says so and records nothing.

    Raises:
        NotFound: no such trial.
        WrongLease: the token was never given out for it.
        LimitExceeded: too many measurements.
    """
    with changing(services, study_id) as ledger:
        trial, _ = _owned(ledger, number, token)
        if not trial.is_held_by(token):
            return Heartbeat(lease_valid=False, should_stop=True, stop_reason=_why_lost(trial))
        duration = ledger.study.spec.execution.lease_duration
        if measurements:
            check_length(ledger.records.measurements.count(study_id, number) + len(measurements))
            ledger.measure(trial, list(measurements))
            received = [replace(m, receive_time=ledger.at) for m in measurements]
            before, trial = trial, trial.report(received, checkpoint_uri)
            trial = judged(services, ledger, before, trial, received)
        elif checkpoint_uri:
            trial = trial.report((), checkpoint_uri)
        trial = trial.renew(ledger.at, duration)
        if measurements or checkpoint_uri:
            trial = ledger.save(trial)
        else:
            ledger.records.trials.save(trial)  # a heartbeat alone is nothing that watchers want to hear of
        assert trial.lease is not None
        asked = trial.stop_request
        return Heartbeat(
            lease_valid=True,
            lease_expire_time=trial.lease.expire_time,
            lease_remaining=trial.lease.expire_time - ledger.at,
            should_stop=asked is not None,
            stop_reason=asked.reason if asked else "",
        )


@repeated
def complete_trial(
    services: Services,
    study_id: str,
    number: int,
    token: str,
    outcome: Measurement | Failure,
    key: RequestKey | None,
    labels: Mapping[str, str] | None = None,
) -> Trial:
    """The trial after its result, with these labels beside its own. A late result counts, unless the trial has ended.

    Raises:
        NotFound: no such trial.
        WrongLease: the token was never given out for it.
        WrongState: it has ended.
        InvalidArgument: a final measurement that lacks a metric or isn't finite, or too many labels.
    """

    def complete(ledger: Ledger) -> Trial:
        trial, attempt = _owned(ledger, number, token)
        if isinstance(outcome, Measurement):
            return ledger.save(_succeed(ledger, trial.label(labels) if labels else trial, outcome, attempt))
        is_lost = not trial.is_held_by(token) and not trial.state.is_ended
        if is_lost and not outcome.reason.blames_parameters:
            return trial  # the next attempt is already queued or running
        most = ledger.study.spec.execution.max_attempts
        labeled = trial.label(labels) if labels else trial
        return ledger.save(labeled.fail(outcome, most, ledger.at, attempt))

    return change_once(services, study_id, key, Trial, complete)


def _succeed(ledger: Ledger, trial: Trial, final: Measurement, attempt: int) -> Trial:
    check_final(final, ledger.study.spec.metrics)
    last = trial.latest_measurement
    step = last.step if last is not None and final.step == 0 else final.step
    return trial.complete(replace(final, step=step, receive_time=ledger.at), ledger.at, attempt)


def _owned(ledger: Ledger, number: int, token: str) -> tuple[Trial, int]:
    """Return the trial, and which attempt at it the token is of. Raises NotFound, WrongLease."""
    trial = ledger.records.trials.get(ledger.study.study_id, number)
    if trial.is_held_by(token):
        return trial, trial.attempt
    attempt = ledger.records.leases.attempt_of(token, trial.study_id, number)
    if attempt is None:
        raise WrongLease(
            f"lease_token is not one that was given out for {trial.name}; send the token that SuggestTrials returned",
            trial=trial.name,
        )
    return trial, attempt


def _why_lost(trial: Trial) -> str:
    if trial.state.is_ended:
        return f"{trial.name} has ended as {trial.state.name}"
    holder = f"was given to worker {trial.lease.worker_id!r}" if trial.lease else "went back to the queue"
    return f"the lease ran out, and {trial.name} {holder}"


def expire_leases(services: Services) -> int:
    """Takes trials from workers that have gone silent; how many.

    Silent is who said nothing until a server was last known to be alive, not until now: in between, nobody listened.
    """
    with services.store.read() as records:
        now = services.clock.now()
        at = records.pulse.last() or now
        if at > now:
            return 0  # the clock was set back: the next pulse says by how much leases are moved
        silent = records.trials.expired(at, SWEEP)
    return sum(_expire(services, trial, at) for trial in silent)


@repeated
def _expire(services: Services, seen: Trial, at: datetime) -> bool:
    try:
        with changing(services, seen.study_id) as ledger:
            trial = ledger.records.trials.get(seen.study_id, seen.number)
            if trial.state is not TrialState.RUNNING or trial.lease is None or trial.lease.expire_time >= at:
                return False  # it was renewed or ended meanwhile
            ledger.save(trial.expire(ledger.study.spec.execution.max_attempts, ledger.at))
            return True
    except NotFound:
        return False  # it was deleted meanwhile


def forget_old_answers(services: Services) -> None:
    """Calls are safe to repeat for a week."""
    more = True
    while more:
        with services.store.write() as records:
            more = records.answers.forget_before(services.clock.now() - KEPT_ANSWERS)
