"""Trials that a scheduler of its own runs: each of its calls reports all of them, and no worker renews a lease.

A trial that is handed out gets the label `external_received`: how many configurations the scheduler had received
before. While its next calls say that it has received no more, that answer was lost, and the trial is handed out again.
Once the scheduler reports a trial with the same parameters, ours gets that trial's name as the label `external_trial`.
A trial that was received, and isn't reported, has ended without a result.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bo_service.application.context import AppContext, StudyTransaction, retry_on_conflict, study_transaction
from bo_service.application.suggest_trials import SuggestRequest, suggest_trials
from bo_service.application.trials import check_size, checked
from bo_service.application.views import Shortfall
from bo_service.domain.constraints import Configuration
from bo_service.domain.early_stopping import StoppingRule
from bo_service.domain.errors import NoConfigurationFound, WrongState
from bo_service.domain.limits import MAX_TRIALS
from bo_service.domain.trial import (
    Failure,
    FailureReason,
    Measurement,
    Origin,
    StopRequest,
    Trial,
    TrialState,
    check_final,
)

NAME, RECEIVED = "external_trial", "external_received"
"""Labels of the trials."""
LEASE = timedelta(days=36_500)
"""Lease of a trial that only its scheduler ends."""
NOT_REPORTED = "its scheduler no longer reports the trial: it ended without metrics, or was deleted"


@dataclass(frozen=True)
class ExternalTrial:
    """A trial as its scheduler reports it; RUNNING without a final measurement and a failure."""

    name: str
    parameters: Configuration
    final_measurement: Measurement | None = None
    failure: Failure | None = None
    stop_reason: str = ""
    """Why it was ended early; empty if it was not."""
    stopping_rule: StoppingRule = StoppingRule.NONE
    """The rule that ended it early; NONE if a person did."""

    @property
    def is_ended(self) -> bool:
        return self.final_measurement is not None or self.failure is not None


@retry_on_conflict
def record_external_trials(
    app: AppContext, study_id: str, reports: Sequence[ExternalTrial], received: int, scheduler: str
) -> None:
    """Record what the scheduler reports. Repeating a call changes nothing.

    Args:
        app: the application.
        study_id: the study.
        reports: all trials that the scheduler has.
        received: how many configurations it has received.
        scheduler: its name, which trials have as their worker.

    Raises:
        NotFound: no such study.
        InvalidArgument: the parameters of a trial are no configuration of the study.
        LimitExceeded: the study has as many trials as it may have.
    """
    with study_transaction(app, study_id) as transaction:
        trials = transaction.records.list_trials(study_id)
        named = {trial.labels[NAME]: trial for trial in trials if NAME in trial.labels}
        unnamed = [trial for trial in trials if _is_unnamed(trial)]
        for i, report in enumerate(reports):
            trial = named.pop(report.name, None) or _claim(unnamed, report)
            if trial is None or _is_late_result(trial, report):
                trial = _adopt(transaction, report, f"trials[{i}].parameters", scheduler)
            _record(transaction, trial, report)
        gone = [*named.values(), *(trial for trial in unnamed if _received_before(trial) < received)]
        for trial in gone:
            if trial.state is TrialState.RUNNING:
                failure = Failure(FailureReason.CRASHED, NOT_REPORTED)
                transaction.save(trial.fail(failure, max_attempts=0, at=transaction.at))


def suggest_external_trials(app: AppContext, request: SuggestRequest, received: int) -> tuple[Trial, ...]:
    """Return as many trials as were requested: those that the scheduler never received, then new ones.

    Only one call for a study may run at a time.

    Args:
        app: the application.
        request: the request; its lease and labels are set here.
        received: how many configurations the scheduler has received.

    Raises:
        NotFound: no such study.
        WrongState: the study is paused or completed.
        NoConfigurationFound: fewer configurations are left. Those that were found are returned by the next call.
    """
    with app.store.read() as records:
        running = records.list_trials(request.study_id, (TrialState.RUNNING,))
    lost = [trial for trial in running if _is_unnamed(trial) and _received_before(trial) >= received][: request.count]
    lacking = request.count - len(lost)
    if not lacking:
        return tuple(lost)
    new = replace(request, count=lacking, lease_duration=LEASE, labels={RECEIVED: str(received)})
    result = suggest_trials(app, new, None)
    if result.shortfall in (Shortfall.PAUSED, Shortfall.COMPLETED):
        state = result.shortfall.name
        raise WrongState(f"studies/{request.study_id} is {state}: set its state to ACTIVE to go on", state=state)
    if result.reached_limit is not None and result.reached_limit.is_spent:
        limit = result.reached_limit.value
        raise WrongState(f"studies/{request.study_id} has spent its {limit}: raise it to go on", state="ACTIVE")
    if len(result.trials) < lacking:
        raise NoConfigurationFound(
            f"the search space has only {len(lost) + len(result.trials)} further configurations, and {request.count} "
            "were requested: lower the number of trials, or widen the space",
            study=f"studies/{request.study_id}",
        )
    return (*lost, *result.trials)


def _is_unnamed(trial: Trial) -> bool:
    """Return whether the trial was handed out to the scheduler, and not reported by it yet."""
    return trial.state is TrialState.RUNNING and RECEIVED in trial.labels and NAME not in trial.labels


def _received_before(trial: Trial) -> int:
    """Return how many configurations the scheduler had received when the trial was handed out."""
    return int(trial.labels[RECEIVED])


def _is_late_result(trial: Trial, report: ExternalTrial) -> bool:
    """Return whether a trial that was given up has a result after all, or still runs."""
    was_given_up = trial.failure is not None and trial.failure.message == NOT_REPORTED
    return trial.state.is_ended and was_given_up and not (report.is_ended and report.final_measurement is None)


def _claim(unnamed: list[Trial], report: ExternalTrial) -> Trial | None:
    """Return the unnamed trial with the parameters of a report, and remove it from the list."""
    for trial in unnamed:
        if trial.parameters == report.parameters:
            unnamed.remove(trial)
            return trial
    return None


def _adopt(transaction: StudyTransaction, report: ExternalTrial, field: str, scheduler: str) -> Trial:
    """Return a new trial for one that was not handed out here, such as by an earlier database."""
    study = transaction.study
    if transaction.remaining_capacity() <= 0:
        check_size(study, MAX_TRIALS)
    configuration = checked(study.spec.space, report.parameters, field, must_be_feasible=False)
    trial = Trial(study.study_id, transaction.next_number(), configuration, transaction.at, Origin.USER)
    return transaction.start(trial.label({NAME: report.name}), scheduler, can_resume=False, lease_duration=LEASE)


def _record(transaction: StudyTransaction, trial: Trial, report: ExternalTrial) -> None:
    """Store the name and the outcome of a trial, where they are new."""
    if trial.state.is_ended:
        return
    changed = trial if trial.labels.get(NAME) == report.name else trial.label({NAME: report.name})
    if report.is_ended and report.stop_reason:
        changed = changed.stop(StopRequest(report.stop_reason, transaction.at, report.stopping_rule))
    if report.final_measurement is not None:
        check_final(report.final_measurement, transaction.study.spec.metrics)
        received = replace(report.final_measurement, receive_time=transaction.at)
        changed = changed.complete(received, transaction.at)
    elif report.failure is not None:
        changed = changed.fail(report.failure, max_attempts=0, at=transaction.at)
    if changed is not trial:
        transaction.save(changed)
