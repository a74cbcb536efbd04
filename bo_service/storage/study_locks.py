"""A lock for each study, for as long as somebody wants it."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from bo_service.application.waiting import within


class StudyLocks:
    """One lock for each study."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._wanted: Counter[str] = Counter()

    @contextmanager
    def hold(self, study_id: str, timeout: float) -> Iterator[bool]:
        """Yield whether the lock was got within `timeout` seconds, and within the call's deadline."""
        with self._guard:
            lock = self._locks.setdefault(study_id, threading.Lock())
            self._wanted[study_id] += 1
        held = lock.acquire(timeout=within(max(0.0, timeout)))
        try:
            yield held
        finally:
            if held:
                lock.release()
            self._leave(study_id)

    def wanted(self, study_id: str) -> int:
        """Return how many hold it or wait for it."""
        with self._guard:
            return self._wanted.get(study_id, 0)

    def _leave(self, study_id: str) -> None:
        with self._guard:
            self._wanted[study_id] -= 1
            if not self._wanted[study_id]:
                del self._wanted[study_id], self._locks[study_id]
