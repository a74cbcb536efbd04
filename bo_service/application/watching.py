"""Every change of a study, as it happens."""

from collections.abc import Callable, Iterator

from bo_service.application.changes import GONE
from bo_service.application.services import Services
from bo_service.application.views import StudyChanges, view_study, view_trials

PAGE = 100
SIGN_OF_LIFE = 15.0
"""Seconds between messages while nothing changes."""


def watch_study(
    services: Services, study_id: str, after_revision: int, full: bool, is_heard: Callable[[], bool]
) -> Iterator[StudyChanges]:
    """What changed after a revision, then every further change, for as long as `is_heard()`.

    Raises:
        NotFound: no such study, or it was deleted meanwhile.
    """
    seen = after_revision
    with services.changes.watched(study_id):
        while is_heard():
            announced = services.changes.count(study_id)
            change = _changes(services, study_id, seen, full)
            services.changes.saw(study_id, change.study.study.revision)
            yield change
            seen = change.revision
            if change.revision == change.study.study.revision:
                _wait(services, study_id, announced, is_heard)


def notice_changes(services: Services) -> None:
    """Wakes those who watch a study that was changed through another server, and those who prepare for it."""
    watched, prepared = services.changes.watched_studies(), services.preparations.studies()
    if not watched and not prepared:
        return
    with services.store.read() as records:
        found = records.studies.revisions({*watched, *prepared})
    services.changes.notice({study_id: found.get(study_id, GONE) for study_id in watched})
    for study_id in prepared:
        if found.get(study_id, GONE) != services.memory.revision(study_id):
            services.preparations.want(study_id)


def _wait(services: Services, study_id: str, announced: int, is_heard: Callable[[], bool]) -> None:
    for _ in range(int(SIGN_OF_LIFE)):
        if services.changes.wait(study_id, announced, timeout=1.0) or not is_heard():
            return


def _changes(services: Services, study_id: str, after: int, full: bool) -> StudyChanges:
    with services.store.read() as records:
        study = records.studies.get(study_id)
        if after > study.revision:  # another study had the name
            after = 0
        found = records.trials.changed(study_id, after, PAGE + 1)
        more, found = len(found) > PAGE, found[:PAGE]
        revision = found[-1].revision if more else study.revision
        deleted = records.trials.deleted(study_id, after, revision) if after else []
        trials = view_trials(records, study_id, found, full)
        return StudyChanges(view_study(records, study, services.memory), trials, tuple(deleted), revision)
