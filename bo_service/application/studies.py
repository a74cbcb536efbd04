"""Studies: create, look at, change, delete."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from bo_service.application.changes import GONE
from bo_service.application.ports import Records, RequestKey
from bo_service.application.repeating import repeated
from bo_service.application.services import Ledger, Services, change_once, once
from bo_service.application.views import Done, StudyView, view_study
from bo_service.application.warm_start import check_sources
from bo_service.core.encoded.contradiction import contradictions
from bo_service.core.errors import AlreadyExists, InvalidArgument
from bo_service.core.objective import ObjectiveSpec, differences
from bo_service.core.study import Study, StudySpec, StudyState

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


@repeated
def create_study(services: Services, new: NewStudy, key: RequestKey | None) -> StudyView:
    """The study as created, or as it is where it exists with the same spec and no other objective.

    Raises:
        AlreadyExists: the id belongs to a study with another spec or objective.
        InvalidArgument: it can't start from the studies that it names, or its constraints contradict each other.
    """
    contradicting = contradictions(new.spec.space)
    with services.store.write(new.study_id) as records:
        now = services.clock.now()

        def create() -> StudyView:
            found = records.studies.find(new.study_id)
            if found is None:
                if contradicting:
                    raise InvalidArgument([violation.inside(SPACE) for violation in contradicting])
                check_sources(records, new.study_id, new.spec)
                found = Study(new.study_id, new.spec, now, now, new.display_name or new.study_id, new.labels)
                found = replace(found, objective=new.objective)
                records.studies.add(found)
            elif found.spec != new.spec:
                raise AlreadyExists(
                    f"{found.name} exists with another spec; choose another study_id, use the study as it is, "
                    "or change its settings with UpdateStudy",
                    study=found.name,
                )
            elif different := differences(found.objective, new.objective):
                raise AlreadyExists(
                    f"{found.name} exists with another objective: {'; '.join(different)}; choose another study_id, or "
                    "give the study's own objective and options",
                    study=found.name,
                )
            return view_study(records, found, services.memory)

        return once(records, key, StudyView, now, create)


def get_study(services: Services, study_id: str) -> StudyView:
    """Raises NotFound."""
    with services.store.read() as records:
        return view_study(records, records.studies.get(study_id), services.memory)


def list_studies(
    services: Services, after: str, limit: int, is_seen: Callable[[str], bool] = lambda _: True
) -> tuple[list[StudyView], str]:
    """Up to `limit` studies with ids after `after`, and the last one's id where there are more, else "".

    Studies whose ids aren't seen by the caller are passed over.
    """
    with services.store.read() as records:
        seen = (study for study in _studies_after(records, after, limit + 1) if is_seen(study.study_id))
        found = list(islice(seen, limit + 1))
        more = found[limit - 1].study_id if len(found) > limit else ""
        return [view_study(records, study, services.memory) for study in found[:limit]], more


def _studies_after(records: Records, after: str, at_once: int) -> Iterator[Study]:
    while page := records.studies.page(after, at_once):
        yield from page
        after = page[-1].study_id


@repeated
def update_study(services: Services, study_id: str, change: StudyUpdate, key: RequestKey | None) -> StudyView:
    """The study as changed.

    Raises:
        NotFound: no such study.
        InvalidArgument: a setting that isn't allowed.
    """

    def update(ledger: Ledger) -> StudyView:
        given: dict[str, Any] = {"display_name": change.display_name, "labels": change.labels, "state": change.state}
        given["objective"] = change.objective
        fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if change.forgets_objective:
            fields["objective"] = None
        if change.revise is not None:
            spec = fields["spec"] = change.revise(ledger.study.spec)
            if spec.suggestion.warm_start_studies != ledger.study.spec.suggestion.warm_start_studies:
                check_sources(ledger.records, study_id, spec)
            if _is_reopened(ledger, spec):
                fields.setdefault("state", StudyState.ACTIVE)
        ledger.update(**fields)
        ledger.close()
        return view_study(ledger.records, ledger.study, services.memory)

    return change_once(services, study_id, key, StudyView, update)


def _is_reopened(ledger: Ledger, spec: StudySpec) -> bool:
    """Whether a study that was completed by its `max_trials` goes on because these were raised."""
    made = sum(ledger.records.trials.counts(ledger.study.study_id).values())
    old, new = ledger.study.spec.execution.max_trials, spec.execution.max_trials
    was_full = ledger.study.state is StudyState.COMPLETED and old is not None and made >= old
    return was_full and (new is None or new > made)


@repeated
def delete_study(services: Services, study_id: str, key: RequestKey | None) -> None:
    """Deletes it with its trials. Raises NotFound."""
    with services.store.write(study_id) as records:

        def delete() -> Done:
            records.studies.delete(records.studies.get(study_id).study_id)
            return Done()

        once(records, key, Done, services.clock.now(), delete)
    services.memory.forget(study_id)
    services.changes.announce(study_id, GONE)
