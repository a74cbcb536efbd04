"""Studies: create, look at, change, delete."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from bo_service.application.algorithms import check_algorithm
from bo_service.application.context import (
    AppContext,
    StudyTransaction,
    change_idempotently,
    idempotently,
    retry_on_conflict,
)
from bo_service.application.ports import RequestKey, UnitOfWork
from bo_service.application.views import Empty, StudyView, view_study
from bo_service.application.warm_start import check_sources
from bo_service.domain.errors import AlreadyExists, InvalidArgument
from bo_service.domain.objective import ObjectiveSpec, differences
from bo_service.domain.study import Algorithm, Study, StudySpec, StudyState
from bo_service.optimizer.encoding.contradictions import contradictions

SPACE = "study.spec.space"


@dataclass(frozen=True)
class NewStudy:
    """A study to be created."""

    study_id: str
    spec: StudySpec
    display_name: str
    labels: Mapping[str, str]
    objective: ObjectiveSpec | None = None


@dataclass(frozen=True)
class StudyUpdate:
    """Changes of a study; None leaves a field as it is."""

    revise: Callable[[StudySpec], StudySpec] | None = None
    """From the present spec to the new one, which differs in settings alone."""
    display_name: str | None = None
    labels: Mapping[str, str] | None = None
    state: StudyState | None = None
    objective: ObjectiveSpec | None = None
    forgets_objective: bool = False
    """Whether the study has none afterwards: the next worker that names one sets it."""


@retry_on_conflict
def create_study(app: AppContext, new: NewStudy, key: RequestKey | None) -> StudyView:
    """Return the study as created, or as it is where it exists with the same spec and no other objective.

    Raises:
        AlreadyExists: the id belongs to a study with another spec or objective.
        InvalidArgument: it can't start from the studies that it names, its constraints contradict each other, its
            space is too wide, or its algorithm is not installed.
    """
    too_wide = list(new.spec.space.width_faults())
    wrong = too_wide or contradictions(new.spec.space)
    with app.store.write(new.study_id) as records:
        now = app.clock.now()

        def create() -> StudyView:
            study = records.find_study(new.study_id)
            if study is None:
                if wrong:
                    raise InvalidArgument([violation.inside(SPACE) for violation in wrong])
                check_algorithm(new.spec.suggestion)
                check_sources(records, new.study_id, new.spec)
                study = Study(new.study_id, new.spec, now, now, new.display_name or new.study_id, new.labels)
                study = replace(study, objective=new.objective)
                records.save_study(study)
            elif study.spec != new.spec:
                raise AlreadyExists(
                    f"{study.name} exists with another spec; choose another study_id, use the study as it is, "
                    "or change its settings with UpdateStudy",
                    study=study.name,
                )
            elif different := differences(study.objective, new.objective):
                raise AlreadyExists(
                    f"{study.name} exists with another objective: {'; '.join(different)}; choose another study_id, or "
                    "give the study's own objective and options",
                    study=study.name,
                )
            return view_study(records, study, app.sessions)

        return idempotently(records, key, StudyView, now, create)


def get_study(app: AppContext, study_id: str) -> StudyView:
    """Return a study with the counts of its trials.

    Raises:
        NotFound: there is no such study.
    """
    with app.store.read() as records:
        return view_study(records, records.get_study(study_id), app.sessions)


def list_studies(
    app: AppContext, after: str, limit: int, is_seen: Callable[[str], bool] = lambda _: True
) -> tuple[list[StudyView], str]:
    """Return up to `limit` studies with ids after `after`, and the last one's id if there are more, else "".

    Studies whose ids aren't seen by the caller are passed over.
    """
    with app.store.read() as records:
        seen = (study for study in _studies_after(records, after, limit + 1) if is_seen(study.study_id))
        studies = list(islice(seen, limit + 1))
        more = studies[limit - 1].study_id if len(studies) > limit else ""
        return [view_study(records, study, app.sessions) for study in studies[:limit]], more


def _studies_after(records: UnitOfWork, after: str, at_once: int) -> Iterator[Study]:
    while page := records.list_studies(after, at_once):
        yield from page
        after = page[-1].study_id


@retry_on_conflict
def update_study(app: AppContext, study_id: str, change: StudyUpdate, key: RequestKey | None) -> StudyView:
    """Return the study as changed.

    Raises:
        NotFound: no such study.
        InvalidArgument: a setting that isn't allowed.
    """

    def update(transaction: StudyTransaction) -> StudyView:
        given: dict[str, Any] = {"display_name": change.display_name, "labels": change.labels, "state": change.state}
        given["objective"] = change.objective
        fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if change.forgets_objective:
            fields["objective"] = None
        if change.revise is not None:
            spec = fields["spec"] = change.revise(transaction.study.spec)
            if _algorithm(spec) != _algorithm(transaction.study.spec):
                check_algorithm(spec.suggestion)
            if spec.suggestion.warm_start_studies != transaction.study.spec.suggestion.warm_start_studies:
                check_sources(transaction.records, study_id, spec)
            if _is_reopened(transaction, spec):
                fields.setdefault("state", StudyState.ACTIVE)
        transaction.update(**fields)
        transaction.flush()
        return view_study(transaction.records, transaction.study, app.sessions)

    return change_idempotently(app, study_id, key, StudyView, update)


def _algorithm(spec: StudySpec) -> tuple[Algorithm, str]:
    return spec.suggestion.algorithm, spec.suggestion.custom_algorithm


def _is_reopened(transaction: StudyTransaction, spec: StudySpec) -> bool:
    """Return whether a study that was completed by a limit goes on because its limits were raised."""
    study = transaction.study
    made = sum(transaction.records.count_trials(study.study_id).values())
    if study.state is not StudyState.COMPLETED or study.spec.execution.reached_limit(made, study.spent) is None:
        return False
    return spec.execution.reached_limit(made, study.spent) is None


@retry_on_conflict
def delete_study(app: AppContext, study_id: str, key: RequestKey | None) -> None:
    """Delete the study with its trials. Raises NotFound."""
    with app.store.write(study_id) as records:

        def delete() -> Empty:
            records.delete_study(records.get_study(study_id).study_id)
            return Empty()

        idempotently(records, key, Empty, app.clock.now(), delete)
    app.sessions.of(study_id).close()
