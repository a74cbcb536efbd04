"""Every change of a study, as it happens."""

import threading
from collections.abc import Callable, Iterator

from bo_service.application.context import AppContext
from bo_service.application.session import StudySession
from bo_service.application.trials import fitting
from bo_service.application.views import StudyChanges, view_study, view_trials

PAGE = 100
AT_ONCE = 2
"""Streams that read changes at the same moment; many that work side by side keep short calls from the interpreter."""
_READING = threading.BoundedSemaphore(AT_ONCE)
KEEPALIVE_S = 15.0
"""Seconds between messages while nothing changes."""


def watch_study(
    app: AppContext, study_id: str, after_revision: int, full: bool, is_active: Callable[[], bool]
) -> Iterator[StudyChanges]:
    """Yield what changed after a revision, then every further change, while `is_active()`.

    Raises:
        NotFound: no such study, or it was deleted meanwhile.
    """
    seen, session = after_revision, app.sessions.of(study_id)
    with session.watchers.watching():
        while is_active():
            num_changes = session.watchers.num_changes
            with _READING:
                change = _changes(app, study_id, seen, full)
            session.watchers.mark_seen(change.study.study.revision)
            yield change
            seen = change.revision
            if change.revision == change.study.study.revision:
                _wait(session, num_changes, is_active)


def _wait(session: StudySession, num_changes: int, is_active: Callable[[], bool]) -> None:
    for _ in range(int(KEEPALIVE_S)):
        if session.watchers.wait(num_changes, timeout=1.0) or not is_active():
            return


def _changes(app: AppContext, study_id: str, after: int, full: bool) -> StudyChanges:
    with app.store.read() as records:
        study = records.get_study(study_id)
        if after > study.revision:  # another study had the name
            after = 0
        changed = records.list_changed_trials(study_id, after, PAGE + 1)
        kept = changed[:PAGE]
        if full:
            kept = kept[: fitting(records, kept)]
        revision = kept[-1].revision if len(changed) > len(kept) else study.revision
        deleted = records.deleted_trials(study_id, after, revision) if after else {}
        trials = view_trials(records, study_id, kept, full)
        return StudyChanges(view_study(records, study, app.sessions), trials, tuple(deleted), revision)
