"""Trials: enqueue or record, look at, stop, delete, and the best of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from bo_service.application.context import AppContext, StudyTransaction, change_idempotently, retry_on_conflict
from bo_service.application.ports import RequestKey, UnitOfWork
from bo_service.application.trial_order import Position, TrialOrder
from bo_service.application.views import Empty, Page, TrialView, view_trials
from bo_service.domain.constraints import Configuration
from bo_service.domain.errors import InvalidArgument, LimitExceeded, Violation, WrongState
from bo_service.domain.limits import MAX_PAGE_MEASUREMENTS, MAX_TRIAL_MEASUREMENTS, MAX_TRIALS
from bo_service.domain.search_space import SearchSpace
from bo_service.domain.study import Study, StudyState
from bo_service.domain.trial import Failure, Measurement, Origin, StopRequest, Trial, TrialState, check_final


@dataclass(frozen=True)
class NewTrial:
    """A configuration to be queued; or, with a result or a failure, one that was tried elsewhere."""

    configuration: Configuration
    labels: Mapping[str, str]
    checkpoint_uri: str = ""
    measurements: tuple[Measurement, ...] = ()
    final_measurement: Measurement | None = None
    failure: Failure | None = None
    stop_reason: str | None = None
    """Why it was ended early, which makes a trial with a result STOPPED; None if it was not."""

    @property
    def is_ended(self) -> bool:
        return self.final_measurement is not None or self.failure is not None


@retry_on_conflict
def create_trial(app: AppContext, study_id: str, new: NewTrial, key: RequestKey | None) -> Trial:
    """Return the trial as queued or recorded.

    Raises:
        NotFound: no such study.
        InvalidArgument: not a configuration of the study, or not a result.
        WrongState: the study is completed.
        LimitExceeded: the study has as many trials as it may have, or the trial too many measurements.
    """
    return change_idempotently(app, study_id, key, Trial, lambda transaction: _create(transaction, new))


def _create(transaction: StudyTransaction, new: NewTrial) -> Trial:
    study = transaction.study
    configuration = check_new(study, new)
    _check_room(transaction, queued=not new.is_ended)
    number = transaction.next_number()
    trial = Trial(
        study.study_id,
        number,
        configuration,
        transaction.at,
        Origin.USER,
        latest_measurement=max(new.measurements, key=lambda m: m.step, default=None),
        labels=new.labels,
        checkpoint_uri=new.checkpoint_uri,
    )
    if new.failure is not None:
        trial = trial.fail(new.failure, max_attempts=0, at=transaction.at)
    elif new.final_measurement is not None:
        if new.stop_reason is not None:
            trial = replace(trial, stop_request=StopRequest(new.stop_reason, transaction.at))
        trial = trial.complete(new.final_measurement, transaction.at)
    saved = transaction.save(trial)
    transaction.add_measurements(saved, list(new.measurements))
    return saved


def check_new(study: Study, new: NewTrial) -> Configuration:
    """Return the configuration as the study has it.

    Raises:
        InvalidArgument: it is no configuration of the study, or the trial's result is none.
        LimitExceeded: too many measurements.
    """
    configuration = checked(study.spec.space, new.configuration, "trial.parameters", must_be_feasible=not new.is_ended)
    if new.final_measurement is not None:
        try:
            check_final(new.final_measurement, study.spec.metrics)
        except InvalidArgument as error:
            raise error.inside("trial") from error
    check_length(len(new.measurements))
    return configuration


def _check_room(transaction: StudyTransaction, queued: bool) -> None:
    study = transaction.study
    if queued and study.state is StudyState.COMPLETED:
        raise WrongState(
            f"{study.name} is completed: no worker would run the trial; {_how_to_reopen(transaction)}",
            state=study.state.name,
        )
    if transaction.remaining_capacity() > 0:
        return
    limit = study.spec.execution.max_trials
    if limit is not None:
        raise LimitExceeded(f"{study.name} has all of its {limit} trials; raise spec.execution.max_trials")
    check_size(study, MAX_TRIALS - transaction.remaining_capacity())


def _how_to_reopen(transaction: StudyTransaction) -> str:
    limit = transaction.reached_limit()
    return "set its state to ACTIVE" if limit is None else f"raise spec.execution.{limit.value}, which is reached"


def check_size(study: Study, trials: int) -> None:
    """Refuse further trials where a study has as many as any study may have.

    Raises:
        LimitExceeded: the study is full.
    """
    if trials >= MAX_TRIALS:
        raise LimitExceeded(
            f"{study.name} has {trials} trials; a study has at most {MAX_TRIALS:,}: go on in another one, which may "
            "start from this (warm_start_studies)"
        )


def checked(space: SearchSpace, given: Configuration, field: str, must_be_feasible: bool) -> Configuration:
    """Return the configuration in the space's order, with whole numbers as floats for float parameters.

    Raises:
        InvalidArgument: it isn't a configuration of the space, or violates a constraint.
    """
    configuration = space.coerce(given)
    faults = [Violation(f'{field}["{fault.field}"]', fault.description) for fault in space.faults(configuration)]
    if not faults and must_be_feasible and not space.is_feasible(configuration):
        faults.append(Violation(field, "violate a constraint of the study's space; change one of the values in it"))
    if faults:
        raise InvalidArgument(faults)
    return space.restrict(configuration)


def check_length(measurements: int) -> None:
    """Refuse a learning curve that has as many points as a curve may have.

    Raises:
        LimitExceeded: the curve is full.
    """
    if measurements > MAX_TRIAL_MEASUREMENTS:
        raise LimitExceeded(
            f"a trial has at most {MAX_TRIAL_MEASUREMENTS} measurements; report every few steps instead"
        )


def get_trial(app: AppContext, study_id: str, number: int, full: bool) -> TrialView:
    """Return a trial, with or without its learning curve.

    Raises:
        NotFound: there is no such study or trial.
    """
    with app.store.read() as records:
        return view_trials(records, study_id, [records.get_trial(study_id, number)], full)[0]


def list_trials(
    app: AppContext, study_id: str, states: Collection[TrialState], after: int, limit: int, full: bool
) -> Page:
    """Return up to `limit` trials in one of the states (any, if empty), with numbers above `after`.

    Raises:
        NotFound: no such study.
    """
    with app.store.read() as records:
        records.get_study(study_id)
        trials = records.list_trials(study_id, states, after, limit + 1)
        kept = trials[:limit]
        if full:
            kept = kept[: fitting(records, kept)]
        more = kept[-1].number if len(trials) > len(kept) else None
        return Page(view_trials(records, study_id, kept, full), more)


def list_ordered_trials(
    app: AppContext,
    study_id: str,
    states: Collection[TrialState],
    order: TrialOrder,
    after: Position | None,
    limit: int,
    full: bool,
) -> Page:
    """Return up to `limit` trials in one of the states (any, if empty) that follow a position in an order.

    Raises:
        NotFound: no such study.
        InvalidArgument: the study has no metric or parameter of the order's name.
    """
    with app.sessions.of(study_id).reading() as (records, snapshot):
        order.check(snapshot.study)
        candidates = (t for t in snapshot.summaries.values() if not states or t.state in states)
        numbers = order.first(candidates, after, limit + 1)
        kept = [records.get_trial(study_id, number) for number in numbers[:limit]]
        if full:
            kept = kept[: fitting(records, kept)]
        more = kept[-1].number if len(numbers) > len(kept) else None
        return Page(view_trials(records, study_id, kept, full), more)


def fitting(records: UnitOfWork, trials: Sequence[Trial]) -> int:
    """Return how many of the trials have learning curves that fit on a page; at least one."""
    measurements = 0
    for i, trial in enumerate(trials):
        measurements += records.count_measurements(trial.study_id, trial.number)
        if i and measurements > MAX_PAGE_MEASUREMENTS:
            return i
    return len(trials)


@retry_on_conflict
def stop_trial(app: AppContext, study_id: str, number: int, reason: str, key: RequestKey | None) -> Trial:
    """Return the trial, ended where it was queued, else with a request to its worker. Raises NotFound, WrongState."""

    def stop(transaction: StudyTransaction) -> Trial:
        return transaction.save(
            transaction.records.get_trial(study_id, number).stop(StopRequest(reason, transaction.at))
        )

    return change_idempotently(app, study_id, key, Trial, stop)


@retry_on_conflict
def delete_trial(app: AppContext, study_id: str, number: int, key: RequestKey | None) -> None:
    """Delete a trial that isn't running. Raises NotFound, WrongState."""

    def delete(transaction: StudyTransaction) -> Empty:
        trial = transaction.records.get_trial(study_id, number)
        if trial.state is TrialState.RUNNING:
            raise WrongState(f"{trial.name} is running; stop it first", state=trial.state.name)
        transaction.delete(trial)
        return Empty()

    change_idempotently(app, study_id, key, Empty, delete)
