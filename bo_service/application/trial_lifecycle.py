"""Running trials: reports, results, and leases that run out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bo_service.application.context import (
    AppContext,
    StudyTransaction,
    change_idempotently,
    retry_on_conflict,
    study_transaction,
)
from bo_service.application.early_stopping import apply_stopping_rule
from bo_service.application.fidelity import apply_fidelity
from bo_service.application.ports import Beat, RequestKey
from bo_service.application.trials import check_length
from bo_service.application.views import Heartbeat, PauseOutcome
from bo_service.domain.errors import NotFound, UnknownLease
from bo_service.domain.trial import Failure, Measurement, Trial, TrialState, check_final

SWEEP = 100
KEPT_ANSWERS = timedelta(days=7)
MOMENT = timedelta(microseconds=1)


@retry_on_conflict
def report_measurements(
    app: AppContext,
    study_id: str,
    number: int,
    token: str,
    measurements: Sequence[Measurement],
    checkpoint_uri: str = "",
) -> Heartbeat:
    """Renew the lease and add to the learning curve; a lost lease is reported, and nothing is recorded.

    Raises:
        NotFound: no such trial.
        WrongLease: the token was never given out for it.
        LimitExceeded: too many measurements.
    """
    with study_transaction(app, study_id) as transaction:
        trial, _ = owned(transaction, number, token)
        if not trial.is_held_by(token):
            return Heartbeat(lease_valid=False, should_stop=True, stop_reason=why_lost(trial))
        duration = transaction.study.spec.execution.lease_duration
        if measurements:
            check_length(transaction.records.count_measurements(study_id, number) + len(measurements))
            transaction.add_measurements(trial, list(measurements))
            received = [replace(m, receive_time=transaction.at) for m in measurements]
            before, trial = trial, trial.report(received, checkpoint_uri)
            trial = apply_stopping_rule(transaction, before, trial, received)
            trial = apply_fidelity(transaction, trial, received)
        elif checkpoint_uri:
            trial = trial.report((), checkpoint_uri)
        trial = trial.renew(transaction.at, duration)
        if measurements or checkpoint_uri:
            trial = transaction.save(trial)
        else:
            transaction.records.save_trials(trial)  # a heartbeat alone is nothing that watchers want to hear of
        assert trial.lease is not None
        asked = trial.stop_request
        pause = trial.pause if trial.is_pause_requested and not asked else None
        return Heartbeat(
            lease_valid=True,
            lease_expire_time=trial.lease.expire_time,
            lease_remaining=trial.lease.expire_time - transaction.at,
            should_stop=asked is not None,
            stop_reason=asked.reason if asked else "",
            should_pause=pause is not None,
            pause_reason=pause.reason if pause else "",
            until_step=trial.until_step,
        )


@retry_on_conflict
def complete_trial(
    app: AppContext,
    study_id: str,
    number: int,
    token: str,
    outcome: Measurement | Failure | PauseOutcome,
    key: RequestKey | None,
    labels: Mapping[str, str] | None = None,
) -> Trial:
    """Return the trial after its result or pause, with labels added. A late result counts unless the trial has ended.

    Raises:
        NotFound: no such trial.
        WrongLease: the token was never given out for it.
        WrongState: it has ended, or it wasn't asked to pause.
        InvalidArgument: a final measurement that lacks a metric or isn't finite, too many labels, or a pause without
            checkpoint.
    """

    def complete(transaction: StudyTransaction) -> Trial:
        trial, attempt = owned(transaction, number, token)
        if isinstance(outcome, Measurement):
            return transaction.save(_succeed(transaction, trial.label(labels) if labels else trial, outcome, attempt))
        is_lost = not trial.is_held_by(token) and not trial.state.is_ended
        if isinstance(outcome, PauseOutcome):
            is_last = attempt == trial.attempt and trial.state is TrialState.PAUSED
            if is_lost and not is_last:
                return trial  # another attempt is queued, running, or has paused it
            labeled = trial.label(labels) if labels else trial
            return transaction.save(labeled.wait(transaction.at, outcome.checkpoint_uri))
        if is_lost and not outcome.reason.blames_parameters:
            return trial  # the next attempt is already queued or running
        most = transaction.study.spec.execution.max_attempts
        labeled = trial.label(labels) if labels else trial
        return transaction.save(labeled.fail(outcome, most, transaction.at, attempt))

    return change_idempotently(app, study_id, key, Trial, complete)


def _succeed(transaction: StudyTransaction, trial: Trial, final: Measurement, attempt: int) -> Trial:
    check_final(final, transaction.study.spec.metrics)
    last, fidelity = trial.latest_measurement, transaction.study.spec.fidelity
    step = last.step if last is not None and final.step == 0 else final.step
    trained_to = None
    if fidelity is not None and final.step == 0 and not any(a.steps for a in trial.attempts if a.number == attempt):
        trained_to = fidelity.max_step  # no curve was reported, and a result is of a whole trial
    final = replace(final, step=step, receive_time=transaction.at)
    return trial.complete(final, transaction.at, attempt, trained_to)


def owned(transaction: StudyTransaction, number: int, token: str) -> tuple[Trial, int]:
    """Return the trial, and which attempt at it the token is of. Raises NotFound, WrongLease."""
    trial = transaction.records.get_trial(transaction.study.study_id, number)
    if trial.is_held_by(token):
        return trial, trial.attempt
    attempt = transaction.records.attempt_of(token, trial.study_id, number)
    if attempt is None:
        raise UnknownLease(
            f"lease_token is not one that was given out for {trial.name}; send the token that SuggestTrials returned",
            trial=trial.name,
        )
    return trial, attempt


def why_lost(trial: Trial) -> str:
    """Return in one phrase why a worker has lost the lease of a trial.

    Args:
        trial: the trial as it is now.
    """
    if trial.state.is_ended:
        return f"{trial.name} has ended as {trial.state.name}"
    if trial.state is TrialState.PAUSED:
        return f"{trial.name} is paused"
    holder = f"was given to worker {trial.lease.worker_id!r}" if trial.lease else "went back to the queue"
    return f"the lease ran out, and {trial.name} {holder}"


def expire_leases(app: AppContext) -> int:
    """Take trials from workers that have gone silent, and return how many.

    Silent is who said nothing until a server was last known to be alive, not until now: in between, nobody listened.
    """
    with app.store.read() as records:
        now = app.clock.now()
        at = records.last_beat(Beat.SERVER) or now
        if at > now:
            return 0  # the clock was set back: the next pulse says by how much leases are moved
        silent = records.expired_trials(at, SWEEP)
    return sum(_expire(app, trial, at) for trial in silent)


def expire_leases_of(app: AppContext, has_ended: Callable[[str], bool]) -> int:
    """Take trials at once from workers that have ended, and return how many.

    Args:
        app: the application.
        has_ended: whether the worker with an id is known to have ended.
    """
    with app.store.read() as records:
        running = records.running_trials()
    orphans = [trial for trial in running if trial.lease is not None and has_ended(trial.lease.worker_id)]
    return sum(_expire(app, trial, trial.lease.expire_time + MOMENT) for trial in orphans if trial.lease is not None)


@retry_on_conflict
def _expire(app: AppContext, seen: Trial, at: datetime) -> bool:
    try:
        with study_transaction(app, seen.study_id) as transaction:
            trial = transaction.records.get_trial(seen.study_id, seen.number)
            if trial.state is not TrialState.RUNNING or trial.lease is None or trial.lease.expire_time >= at:
                return False  # it was renewed or ended meanwhile
            transaction.save(trial.expire(transaction.study.spec.execution.max_attempts, transaction.at))
            return True
    except NotFound:
        return False  # it was deleted meanwhile


def forget_old_answers(app: AppContext) -> None:
    """Delete answers that are older than a week, for which calls are safe to repeat."""
    more = True
    while more:
        with app.store.write() as records:
            more = records.delete_answers(app.clock.now() - KEPT_ANSWERS)
