"""What every use case is given, and how changes of a study are made."""

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from bo_service.application.changes import Changes
from bo_service.application.ports import Clock, Optimizer, Records, RequestKey, Store
from bo_service.application.reserve import Reserve
from bo_service.core.study import Study, StudyState
from bo_service.core.trial import Lease, Measurement, Trial, TrialState

T = TypeVar("T")


@dataclass(frozen=True)
class Services:
    """The ports, and what this process shares among its calls."""

    store: Store
    clock: Clock
    optimizer: Optimizer
    changes: Changes = field(default_factory=Changes)
    suggesting: "StudyLocks" = field(default_factory=lambda: StudyLocks())
    """Suggestions that are computed together would be the same."""
    reserve: Reserve = field(default_factory=Reserve)


class StudyLocks:
    """One lock for each study, for as long as somebody wants it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._wanted: Counter[str] = Counter()

    @contextmanager
    def hold(self, study_id: str, patience: float) -> Iterator[bool]:
        """Yields whether the lock was got within `patience` seconds."""
        with self._guard:
            lock = self._locks.setdefault(study_id, threading.Lock())
            self._wanted[study_id] += 1
        held = lock.acquire(timeout=max(0.0, patience))
        try:
            yield held
        finally:
            if held:
                lock.release()
            self._leave(study_id)

    def _leave(self, study_id: str) -> None:
        with self._guard:
            self._wanted[study_id] -= 1
            if not self._wanted[study_id]:
                del self._wanted[study_id], self._locks[study_id]


class Ledger:
    """One study inside a write transaction: every change counts its revision up."""

    def __init__(self, records: Records, study: Study, at: datetime) -> None:
        self.records = records
        self.study = study
        self.at = at
        self._opened = study

    @property
    def is_changed(self) -> bool:
        return self.study is not self._opened

    def save(self, trial: Trial) -> Trial:
        """Stores a trial that was added or changed."""
        self.update()
        saved = replace(trial, revision=self.study.revision)
        self.records.trials.save(saved)
        return saved

    def update(self, **changes: Any) -> Study:
        """Changes fields of the study."""
        self.study = replace(self.study, revision=self.study.revision + 1, update_time=self.at, **changes)
        return self.study

    def start(self, trial: Trial, worker_id: str) -> Trial:
        """Hands a queued trial to a worker, under a new lease."""
        lease = Lease(secrets.token_urlsafe(18), worker_id, self.at + self.study.spec.execution.lease_duration)
        started = self.save(trial.start(lease, self.at))
        self.records.leases.add(started)
        return started

    def measure(self, trial: Trial, measurements: list[Measurement]) -> None:
        """Adds to a trial's learning curve."""
        received = [replace(m, receive_time=self.at) for m in measurements]
        self.records.measurements.save(trial.study_id, trial.number, received)

    def close(self) -> None:
        """Stores the study; completes it once all of its trials have been made and ended."""
        limit = self.study.spec.execution.max_trials
        if limit is not None and self.study.state is StudyState.ACTIVE:
            counts = self.records.trials.counts(self.study.study_id)
            still_open = counts.get(TrialState.QUEUED, 0) + counts.get(TrialState.RUNNING, 0)
            if sum(counts.values()) >= limit and not still_open:
                self.update(state=StudyState.COMPLETED)
        self.records.studies.save(self.study)


@contextmanager
def changing(services: Services, study_id: str) -> Iterator[Ledger]:
    """A transaction that changes a study; those who watch it are told afterwards.

    Raises:
        NotFound: no such study.
    """
    with services.store.write(study_id) as records:
        ledger = Ledger(records, records.studies.get(study_id), services.clock.now())
        yield ledger
        if ledger.is_changed:
            ledger.close()
    if ledger.is_changed:
        services.changes.announce(study_id, ledger.study.revision)


def change_once(
    services: Services, study_id: str, key: RequestKey | None, kind: type[T], act: Callable[[Ledger], T]
) -> T:
    """What `act` makes of a study, or what it made of it at the same request before, be the study gone since.

    Raises:
        NotFound: no such study.
        RequestIdReused: the id belongs to another request.
    """
    ledger: Ledger | None = None

    def change() -> T:
        nonlocal ledger
        ledger = Ledger(records, records.studies.get(study_id), at)
        return act(ledger)

    with services.store.write(study_id) as records:
        at = services.clock.now()
        answer = once(records, key, kind, at, change)
        if ledger is not None and ledger.is_changed:
            ledger.close()
    if ledger is not None and ledger.is_changed:
        services.changes.announce(study_id, ledger.study.revision)
    return answer


def once(records: Records, key: RequestKey | None, kind: type[T], at: datetime, act: Callable[[], T]) -> T:
    """What `act` returns, or what it returned to the same request before; both belong to one transaction.

    Raises:
        RequestIdReused: the id belongs to another request.
    """
    if key is None:
        return act()
    answer = records.answers.find(key, kind)
    if answer is None:
        answer = act()
        records.answers.remember(key, answer, at)
    return answer
