"""Trials: enqueue or record, look at, stop, delete, and the best of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bo_service.application.ports import Records, RequestKey
from bo_service.application.repeating import repeated
from bo_service.application.services import Ledger, Services, change_once
from bo_service.application.views import Done, Page, TrialView, view_trials
from bo_service.core.constraints import Configuration
from bo_service.core.errors import InvalidArgument, LimitExceeded, Violation, WrongState
from bo_service.core.limits import MAX_PAGE_MEASUREMENTS, MAX_TRIAL_MEASUREMENTS, MAX_TRIALS
from bo_service.core.space import SearchSpace
from bo_service.core.study import Study, StudyState
from bo_service.core.trial import Failure, Measurement, Origin, StopRequest, Trial, TrialState, check_final


@dataclass(frozen=True)
class NewTrial:
    """A configuration to be queued; or, with a result or a failure, one that was tried elsewhere."""

    configuration: Configuration
    labels: Mapping[str, str]
    checkpoint_uri: str = ""
    measurements: tuple[Measurement, ...] = ()
    final_measurement: Measurement | None = None
    failure: Failure | None = None

    @property
    def is_ended(self) -> bool:
        return self.final_measurement is not None or self.failure is not None


@repeated
def create_trial(services: Services, study_id: str, new: NewTrial, key: RequestKey | None) -> Trial:
    """The trial as queued or recorded.

    Raises:
        NotFound: no such study.
        InvalidArgument: not a configuration of the study, or not a result.
        WrongState: the study is completed.
        LimitExceeded: the study has as many trials as it may have, or the trial too many measurements.
    """
    return change_once(services, study_id, key, Trial, lambda ledger: _create(ledger, new))


def _create(ledger: Ledger, new: NewTrial) -> Trial:
    study = ledger.study
    configuration = checked(study.spec.space, new.configuration, "trial.parameters", must_be_feasible=not new.is_ended)
    if new.final_measurement is not None:
        try:
            check_final(new.final_measurement, study.spec.metrics)
        except InvalidArgument as error:
            raise error.inside("trial") from error
    _check_room(ledger, queued=not new.is_ended)
    check_length(len(new.measurements))
    number = ledger.next_number()
    trial = Trial(
        study.study_id,
        number,
        configuration,
        ledger.at,
        Origin.USER,
        latest_measurement=max(new.measurements, key=lambda m: m.step, default=None),
        labels=new.labels,
        checkpoint_uri=new.checkpoint_uri,
    )
    if new.failure is not None:
        trial = trial.fail(new.failure, max_attempts=0, at=ledger.at)
    elif new.final_measurement is not None:
        trial = trial.complete(new.final_measurement, ledger.at)
    saved = ledger.save(trial)
    ledger.measure(saved, list(new.measurements))
    return saved


def _check_room(ledger: Ledger, queued: bool) -> None:
    study = ledger.study
    if queued and study.state is StudyState.COMPLETED:
        raise WrongState(
            f"{study.name} is completed: nobody would run the trial; set its state to ACTIVE, or raise max_trials",
            state=study.state.name,
        )
    if ledger.room() > 0:
        return
    limit = study.spec.execution.max_trials
    if limit is not None:
        raise LimitExceeded(f"{study.name} has all of its {limit} trials; raise spec.execution.max_trials")
    check_size(study, MAX_TRIALS - ledger.room())


def check_size(study: Study, trials: int) -> None:
    """Raises LimitExceeded where it has as many trials as any study may have."""
    if trials >= MAX_TRIALS:
        raise LimitExceeded(
            f"{study.name} has {trials} trials; a study has at most {MAX_TRIALS:,}: go on in another one, which may "
            "start from this (warm_start_studies)"
        )


def checked(space: SearchSpace, given: Configuration, field: str, must_be_feasible: bool) -> Configuration:
    """The configuration with whole numbers made floats where the parameter is a float, in the space's order.

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
    """Raises LimitExceeded."""
    if measurements > MAX_TRIAL_MEASUREMENTS:
        raise LimitExceeded(
            f"a trial has at most {MAX_TRIAL_MEASUREMENTS} measurements; report every few steps instead"
        )


def get_trial(services: Services, study_id: str, number: int, full: bool) -> TrialView:
    """Raises NotFound."""
    with services.store.read() as records:
        return view_trials(records, study_id, [records.trials.get(study_id, number)], full)[0]


def list_trials(
    services: Services, study_id: str, states: Collection[TrialState], after: int, limit: int, full: bool
) -> Page:
    """Up to `limit` trials in one of the states (any, when there are none), with numbers above `after`.

    Raises:
        NotFound: no such study.
    """
    with services.store.read() as records:
        records.studies.get(study_id)
        found = records.trials.select(study_id, states, after, limit + 1)
        kept = found[:limit]
        if full:
            kept = kept[: _fitting(records, kept)]
        more = kept[-1].number if len(found) > len(kept) else None
        return Page(view_trials(records, study_id, kept, full), more)


def _fitting(records: Records, trials: Sequence[Trial]) -> int:
    """How many of the trials have learning curves that fit on a page; at least one."""
    measurements = 0
    for i, trial in enumerate(trials):
        measurements += records.measurements.count(trial.study_id, trial.number)
        if i and measurements > MAX_PAGE_MEASUREMENTS:
            return i
    return len(trials)


@repeated
def stop_trial(services: Services, study_id: str, number: int, reason: str, key: RequestKey | None) -> Trial:
    """The trial, ended where it was queued, else with a request to its worker. Raises NotFound, WrongState."""

    def stop(ledger: Ledger) -> Trial:
        return ledger.save(ledger.records.trials.get(study_id, number).stop(StopRequest(reason, ledger.at)))

    return change_once(services, study_id, key, Trial, stop)


@repeated
def delete_trial(services: Services, study_id: str, number: int, key: RequestKey | None) -> None:
    """Forgets a trial that isn't running. Raises NotFound, WrongState."""

    def delete(ledger: Ledger) -> Done:
        trial = ledger.records.trials.get(study_id, number)
        if trial.state is TrialState.RUNNING:
            raise WrongState(f"{trial.name} is running; stop it first", state=trial.state.name)
        ledger.delete(trial)
        return Done()

    change_once(services, study_id, key, Done, delete)
