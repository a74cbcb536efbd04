"""The sessions of the studies that this server was asked about last, and the threads that prefetch for them."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from bo_service.application.ports import Optimizer, Store
from bo_service.application.prefetch import CacheOutcome
from bo_service.application.session import DELETED, StudySession
from bo_service.domain.errors import StorageUnavailable
from bo_service.domain.study import Study
from bo_service.domain.trial import TrialState

logger = logging.getLogger("bo_service.prefetch")

MAX_SESSIONS = 1000
MAX_CACHED_TRIALS = 50_000
"""Trials that all sessions hold together, unless one alone has more."""
PAUSE_S = 1.0
ENDING_S = 5.0


class Sessions:
    """One session for each study. Those used last are kept; another lives for as long as a call or a thread uses it."""

    def __init__(
        self, store: Store, optimizer: Optimizer, on_outcome: Callable[[CacheOutcome], None] | None = None
    ) -> None:
        """Start without sessions; `on_outcome` is called with how each call came by the surrogate's suggestions."""
        self.max_trials, self.max_sessions = MAX_CACHED_TRIALS, MAX_SESSIONS
        self.on_outcome = on_outcome or (lambda _: None)
        self._store, self._optimizer = store, optimizer
        self._lock = threading.Condition()
        self._alive: WeakValueDictionary[str, StudySession] = WeakValueDictionary()
        self._recent: OrderedDict[str, tuple[StudySession, int]] = OrderedDict()
        """Sessions that hold trials and how many these are, the least recently used first."""
        self._num_trials = 0
        self._unsaved: dict[str, StudySession] = {}
        """Sessions with hyperparameters that aren't stored yet."""
        self._scheduled: OrderedDict[str, StudySession] = OrderedDict()
        self._is_closed = False

    def of(self, study_id: str) -> StudySession:
        """Return the session of a study, whether the study exists or not."""
        with self._lock:
            session = self._alive.get(study_id)
            if session is None:
                session = self._alive[study_id] = StudySession(study_id, self._store, self._optimizer, self)
            elif study_id in self._recent:
                self._recent.move_to_end(study_id)
            elif session.num_trials:
                self.keep(session)
            return session

    def counts(self, study: Study) -> Mapping[TrialState, int] | None:
        """Return how many trials of a study are in each state; None where no session holds it exactly like this."""
        session = self._alive.get(study.study_id)
        return None if session is None else session.counts(study)

    def notice_changes(self) -> None:
        """Look which studies were changed through other servers; tell their watchers, and prefetch for them."""
        with self._lock:
            followed = [s for s in self._alive.values() if s.watchers.num_watching or s.is_prefetched]
        if followed:
            with self._store.read() as records:
                revisions = records.revisions({session.study_id for session in followed})
            for session in followed:
                session.notice(revisions.get(session.study_id, DELETED))

    def save_hyperparameters(self) -> None:
        """Store what surrogates have learned since the last time.

        Raises:
            StorageUnavailable: what is left is stored the next time.
        """
        with self._lock:
            unsaved = sorted(self._unsaved.items())
            self._unsaved.clear()
        while unsaved:
            try:
                unsaved[0][1].save_hyperparameters()
            except BaseException:
                with self._lock:
                    self._unsaved.update(unsaved)
                raise
            del unsaved[0]

    def next_scheduled(self) -> StudySession | None:
        """Return the session that has waited longest to be prefetched for; None when closed."""
        with self._lock:
            self._lock.wait_for(lambda: self._scheduled or self._is_closed)
            return None if self._is_closed else self._scheduled.popitem(last=False)[1]

    def close(self) -> None:
        """Cancel what is being computed; `next_scheduled` returns None."""
        with self._lock:
            self._is_closed = True
            sessions = list(self._alive.values())
            self._lock.notify_all()
        for session in sessions:
            session.cancel()

    def keep(self, session: StudySession) -> None:
        """Make a session the last to be dropped, and drop others where there are too many."""
        with self._lock:
            _, former_size = self._recent.pop(session.study_id, (session, 0))
            size = session.num_trials
            self._num_trials += size - former_size
            if size:
                self._recent[session.study_id] = session, size
            while self._num_trials > self.max_trials or len(self._recent) > self.max_sessions:
                if len(self._recent) < 2:
                    break  # one alone may be of any size
                _, (_, dropped) = self._recent.popitem(last=False)
                self._num_trials -= dropped

    def schedule_prefetch(self, session: StudySession) -> None:
        with self._lock:
            self._scheduled.setdefault(session.study_id, session)
            self._lock.notify()

    def learned(self, session: StudySession) -> None:
        with self._lock:
            self._unsaved[session.study_id] = session


class PrefetchThreads:
    """Threads that prefetch suggestions, one study each at a time. They only wait: processes compute."""

    def __init__(self, sessions: Sessions, count: int) -> None:
        """Start `count` threads."""
        self._sessions = sessions
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"prefetch-{i}", daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return when the threads have ended, or hang with the process that computes for them."""
        self._stopped.set()
        self._sessions.close()
        for thread in self._threads:
            thread.join(ENDING_S)

    def _run(self) -> None:
        while (session := self._sessions.next_scheduled()) is not None:
            try:
                session.prefetch()
            except StorageUnavailable as error:
                logger.warning("no prefetch for studies/%s: %s", session.study_id, error.message)
                self._stopped.wait(PAUSE_S)
            except Exception:
                logger.exception("no prefetch for studies/%s", session.study_id)
            del session  # while it waits for the next, the thread keeps no session alive
