"""What every use case is given, and how changes of a study are made."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from bo_service.application.changes import Changes
from bo_service.application.known import Change
from bo_service.application.memory import Memory
from bo_service.application.ports import Clock, Optimizer, Records, RequestKey, Store, TrialOutline
from bo_service.application.preparing import Preparations
from bo_service.application.reserve import Reserve
from bo_service.application.study_locks import StudyLocks
from bo_service.core.errors import BoError, StorageUnavailable, TransactionLost
from bo_service.core.limits import MAX_TRIALS
from bo_service.core.study import Study, StudyState
from bo_service.core.trial import Lease, Measurement, Trial, TrialState

T = TypeVar("T")
OPEN = (TrialState.QUEUED, TrialState.RUNNING)


@dataclass(frozen=True)
class Services:
    """The ports, and what this process shares among its calls."""

    store: Store
    clock: Clock
    optimizer: Optimizer
    changes: Changes = field(default_factory=Changes)
    suggesting: StudyLocks = field(default_factory=StudyLocks)
    """Suggestions that are computed together would be the same."""
    memory: Memory = field(default_factory=Memory)
    preparations: Preparations = field(default_factory=Preparations)
    reserve: Reserve = field(default_factory=Reserve)


class Ledger:
    """One study inside a write transaction: every change counts its revision up."""

    def __init__(self, records: Records, study: Study, at: datetime) -> None:
        self.records = records
        self.study = study
        self.at = at
        self.is_heard = False
        """Whether the optimizer will hear of a change."""
        self._opened = study
        self._saved: dict[int, Trial] = {}
        self._deleted: list[int] = []
        self._is_edited = False

    @property
    def is_changed(self) -> bool:
        return self.study is not self._opened

    def save(self, trial: Trial) -> Trial:
        """Stores a trial that was added or changed."""
        self._count_up()
        self.is_heard |= trial.state is not TrialState.RUNNING
        saved = replace(trial, revision=self.study.revision)
        self.records.trials.save(saved)
        self._saved[saved.number] = saved
        return saved

    def delete(self, trial: Trial) -> None:
        """Forgets a trial."""
        self.records.trials.delete(trial, self.update().revision)
        self._deleted.append(trial.number)

    def update(self, **changes: Any) -> Study:
        """Changes fields of the study."""
        self.is_heard = True
        self._is_edited |= bool(changes)
        return self._count_up(**changes)

    def room(self, wanted: int = 1) -> int:
        """How many trials more the study may have: exactly where these are fewer than wanted."""
        limit = self.study.spec.execution.max_trials
        most = MAX_TRIALS if limit is None else limit
        if most - self.study.last_number >= wanted:  # else it depends on how many were deleted
            return most - self.study.last_number
        return most - sum(self.records.trials.counts(self.study.study_id).values())

    def next_number(self) -> int:
        """One that has never been used in the study, not even by a trial deleted since."""
        self.study = replace(self.study, last_number=self.study.last_number + 1)
        return self.study.last_number

    def start(self, trial: Trial, worker_id: str) -> Trial:
        """Hands a queued trial to a worker, under a new lease."""
        duration = self.study.spec.execution.lease_duration
        lease = Lease(secrets.token_urlsafe(18), worker_id, self.at + duration, duration)
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
        if limit is not None and self.study.state is StudyState.ACTIVE and self.room() <= 0:
            counts = self.records.trials.counts(self.study.study_id)
            if not any(counts.get(state) for state in OPEN):
                self.update(state=StudyState.COMPLETED)
        save = self.records.studies.save if self._is_edited else self.records.studies.advance
        save(self.study)

    @property
    def change(self) -> Change:
        """All of it together."""
        return Change(self._opened, self.study, [TrialOutline.of(t) for t in self._saved.values()], self._deleted)

    def _count_up(self, **changes: Any) -> Study:
        self.study = replace(self.study, revision=self.study.revision + 1, update_time=self.at, **changes)
        return self.study


def _close(services: Services, ledger: Ledger) -> None:
    """Stores what was changed, and has it remembered once it is committed."""
    ledger.close()
    change = ledger.change
    ledger.records.when_committed(partial(services.memory.learn, change, services.memory.foresee(change)))


def _tell(services: Services, ledger: Ledger) -> None:
    """Those who wait for changes of a study, once they are made."""
    services.changes.announce(ledger.study.study_id, ledger.study.revision)
    if ledger.is_heard:
        services.preparations.disturb(ledger.study.study_id)


@contextmanager
def changing(services: Services, study_id: str) -> Iterator[Ledger]:
    """A transaction that changes a study; those who watch it are told afterwards.

    Raises:
        NotFound: no such study.
    """
    try:
        with services.store.write(study_id) as records:
            ledger = Ledger(records, records.studies.get(study_id), services.clock.now())
            yield ledger
            if ledger.is_changed:
                _close(services, ledger)
    except (StorageUnavailable, TransactionLost):
        services.memory.doubt(study_id)
        raise
    if ledger.is_changed:
        _tell(services, ledger)


def change_once(
    services: Services, study_id: str, key: RequestKey | None, kind: type[T], act: Callable[[Ledger], T]
) -> T:
    """What `act` makes of a study, or what it made of it at the same request before, be the study gone since.

    Raises:
        NotFound: no such study.
        RequestIdReused: the id belongs to another request.
    """
    try:
        with changing(services, study_id) as ledger:
            answer = act(ledger)
            if key is not None:
                ledger.records.answers.remember(key, answer, ledger.at)  # refused where it has an answer
    except StorageUnavailable:
        raise
    except BoError:
        found = _answered(services, study_id, key, kind)
        if found is None:
            raise
        return found
    return answer


def _answered(services: Services, study_id: str, key: RequestKey | None, kind: type[T]) -> T | None:
    """What the same request was answered before. That it was is rare, so it is looked for last."""
    if key is None:
        return None
    with services.store.write(study_id) as records:  # a reader doesn't see an answer that waits for its commit
        return records.answers.find(key, kind)


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
