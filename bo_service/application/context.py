"""What every use case is given, and the transactions in which a study is changed."""

import functools
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from bo_service.application.learning_curves import read_curves
from bo_service.application.ports import Clock, IssuedLease, Optimizer, RequestKey, Store, TrialSummary, UnitOfWork
from bo_service.application.prefetch import CacheOutcome
from bo_service.application.promotion import promotable
from bo_service.application.session import StudySession
from bo_service.application.sessions import Sessions
from bo_service.application.snapshot import StudyDelta, StudySnapshot
from bo_service.domain.attempts import spent_on
from bo_service.domain.budget import Limit, Spent
from bo_service.domain.errors import BoError, StorageUnavailable, TransactionConflict
from bo_service.domain.fidelity import FidelitySettings, Promotion
from bo_service.domain.limits import MAX_TRIALS
from bo_service.domain.study import Study, StudyState
from bo_service.domain.trial import Lease, Measurement, Trial, TrialState

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

MAX_ATTEMPTS = 5
PAUSE_S = 0.01
"""Before the second attempt, at most; each further pause may be twice as long."""
UNFINISHED = (TrialState.QUEUED, TrialState.RUNNING)


@dataclass(frozen=True)
class AppContext:
    """The ports, and what this process shares among its calls."""

    store: Store
    clock: Clock
    optimizer: Optimizer
    sessions: Sessions
    """What this process holds of each study in memory."""

    @classmethod
    def of(
        cls,
        store: Store,
        clock: Clock,
        optimizer: Optimizer,
        on_outcome: Callable[[CacheOutcome], None] | None = None,
    ) -> "AppContext":
        """Return the context of a server that holds nothing in memory yet; see `Sessions` for `on_outcome`."""
        return cls(store, clock, optimizer, Sessions(store, optimizer, on_outcome))


class StudyTransaction:
    """One study inside a write transaction: every change counts its revision up."""

    def __init__(self, records: UnitOfWork, session: StudySession, at: datetime) -> None:
        """Start with a study's row of the store.

        Raises:
            NotFound: there is no such study.
        """
        self.records = records
        self.study = records.get_study(session.study_id)
        self.at = at
        self._session = session
        self._affects_surrogate = False
        self._opened = self.study
        self._saved: dict[int, Trial] = {}
        self._deleted: list[int] = []

    @property
    def snapshot(self) -> StudySnapshot:
        """The study with its trials, as this transaction sees them."""
        return self._session.at(self.records, self.study)

    def save(self, trial: Trial, is_annotation: bool = False, has_trained: bool = True) -> Trial:
        """Store a trial that was added or changed.

        Args:
            trial: the trial.
            is_annotation: whether only what people added has changed, which the optimizer does not see.
            has_trained: whether an attempt at it may have spent something since it was stored.
        """
        spent = self._spent_with(trial) if has_trained and not is_annotation else self.study.spent
        self.study = replace(self.study, revision=self.study.revision + 1, update_time=self.at, spent=spent)
        saved = replace(trial, revision=self.study.revision)
        self.records.save_trials(saved)
        if not is_annotation:
            self._affects_surrogate |= trial.state is not TrialState.RUNNING or trial.is_pause_requested
            self._saved[saved.number] = saved
        return saved

    def delete(self, trial: Trial) -> None:
        """Delete a trial."""
        self.records.delete_trial(trial.study_id, trial.number, self.update().revision)
        self._deleted.append(trial.number)

    def update(self, **changes: Any) -> Study:
        """Change fields of the study."""
        self._affects_surrogate = True
        self.study = replace(self.study, revision=self.study.revision + 1, update_time=self.at, **changes)
        return self.study

    def remaining_capacity(self, wanted: int = 1) -> int:
        """Return how many more trials the study may have; exact where these are fewer than wanted."""
        limit = self.study.spec.execution.max_trials
        most = MAX_TRIALS if limit is None else limit
        if most - self.study.last_number >= wanted:  # else it depends on how many were deleted
            return most - self.study.last_number
        return most - sum(self.records.count_trials(self.study.study_id).values())

    def reached_limit(self) -> Limit | None:
        """Return the limit that keeps further trials from beginning, as far as training was counted."""
        execution = self.study.spec.execution
        made = 0 if execution.max_trials is None else execution.max_trials - self.remaining_capacity()
        return execution.reached_limit(made, self.study.spent)

    def committed(self, reporting: Trial | None = None) -> Spent:
        """Return what was spent, and what the running trials will have spent where they pause or end.

        Args:
            reporting: a running trial as it is now, where that isn't stored yet.
        """
        running = {t.number: t for t in self.records.list_trials(self.study.study_id, (TrialState.RUNNING,))}
        total = self.study.spent
        if reporting is not None:
            total = self._spent_with(reporting)
            running[reporting.number] = reporting
        fidelity = self.study.spec.fidelity
        return sum((in_flight(trial, fidelity, self.at) for trial in running.values()), total)

    def _spent_with(self, trial: Trial) -> Spent:
        """Return what was spent on the study, with a trial as it is now."""
        spent = self.study.spent
        if not trial.attempts:
            return spent
        before = self.records.find_trial(trial.study_id, trial.number)
        old, new = spent_on(before.attempts if before is not None else ()), spent_on(trial.attempts)
        return Spent(spent.steps + new.steps - old.steps, spent.time + new.time - old.time)

    def next_number(self) -> int:
        """Return a number that the study has never used, not even for a trial deleted since."""
        self.study = replace(self.study, last_number=self.study.last_number + 1)
        return self.study.last_number

    def start(
        self,
        trial: Trial,
        worker_id: str,
        can_resume: bool,
        lease_duration: timedelta | None = None,
    ) -> Trial:
        """Hand a queued or paused trial to a worker, under a new lease.

        Args:
            trial: the trial.
            worker_id: who runs it.
            can_resume: whether that worker trains in parts, where the study has a fidelity.
            lease_duration: how long the lease lasts; None for the study's setting.
        """
        duration = self.study.spec.execution.lease_duration if lease_duration is None else lease_duration
        lease = Lease(secrets.token_urlsafe(18), worker_id, self.at + duration, duration)
        until_step = self.until_step(trial) if can_resume else None
        started = self.save(trial.start(lease, self.at, until_step), has_trained=False)
        self.records.save_lease(started.study_id, started.number, IssuedLease(lease.token, worker_id, started.attempt))
        return started

    def until_step(self, trial: Trial) -> int | None:
        """Return how far a worker that can resume trains a trial before it may pause; None without a fidelity."""
        fidelity = self.study.spec.fidelity
        if fidelity is None or fidelity.promotion is Promotion.NONE:
            return None if fidelity is None else fidelity.max_step
        return fidelity.next_stop(trial.latest_measurement.step if trial.latest_measurement else 0)

    def note_longer_curve(self) -> None:
        """Note that the optimizer is given more of a running trial's curve than before."""
        self._affects_surrogate = True

    def add_measurements(self, trial: Trial, measurements: list[Measurement]) -> None:
        """Add to a trial's learning curve."""
        received = [replace(m, receive_time=self.at) for m in measurements]
        self.records.save_measurements(trial.study_id, trial.number, received)

    def flush(self) -> None:
        """Store the study; complete it once a limit is reached, and no trial will run any more."""
        execution = self.study.spec.execution
        if self.study.state is StudyState.ACTIVE and (
            execution.max_trials or execution.max_steps or execution.max_seconds
        ):
            limit = self.reached_limit()
            if limit is not None and self._has_ended(limit):
                self.update(state=StudyState.COMPLETED)
        self.records.save_study(self.study)

    def _has_ended(self, limit: Limit) -> bool:
        """Return whether no trial runs, and none will: where training is spent, queued and paused ones stay."""
        counts = self.records.count_trials(self.study.study_id)
        if limit.is_spent:
            return not counts.get(TrialState.RUNNING)
        is_open = any(counts.get(state) for state in UNFINISHED)
        return not is_open and not (counts.get(TrialState.PAUSED) and self.last_promotable())

    def last_promotable(self) -> list[int]:
        """Return which paused trials go on where no other trial is running, and no new one can be made.

        At least the best of each rung goes on then, so that some trial is trained to its end.
        """
        return promotable(self.records, self.study, self.snapshot.summaries, at_least=1)

    def finish(self) -> StudyDelta | None:
        """Store the study, and return what was made of it; None if nothing was."""
        if self.study is self._opened:
            return None
        self.flush()
        changed = [TrialSummary.of(trial) for trial in self._saved.values()]
        curves = {} if self.study.spec.fidelity is None else read_curves(self.records, self.study, changed)
        return StudyDelta(self._opened, self.study, changed, self._deleted, self._affects_surrogate, curves)


def in_flight(trial: Trial, fidelity: FidelitySettings | None, at: datetime) -> Spent:
    """Return what a running trial will have spent, beyond what was counted, where it pauses or ends.

    Args:
        trial: the trial.
        fidelity: of its study; without one, steps are not counted.
        at: the current time, until which its time counts.
    """
    if trial.state is not TrialState.RUNNING or not trial.attempts:
        return Spent()
    attempt = trial.attempts[-1]
    until = trial.until_step or (fidelity.max_step if fidelity is not None else 0)
    return Spent(max(0, until - attempt.last_step), attempt.count(at).time - attempt.time)


@contextmanager
def study_transaction(app: AppContext, study_id: str) -> Iterator[StudyTransaction]:
    """Open a transaction that changes a study.

    Raises:
        NotFound: no such study.
    """
    session = app.sessions.of(study_id)
    try:
        with app.store.write(study_id) as records:
            transaction = StudyTransaction(records, session, app.clock.now())
            yield transaction
            delta = transaction.finish()
            if delta is not None:
                records.on_commit.append(session.apply(delta))
    except (StorageUnavailable, TransactionConflict):
        session.undo()
        raise


def change_idempotently(
    app: AppContext, study_id: str, key: RequestKey | None, kind: type[T], act: Callable[[StudyTransaction], R]
) -> R | T:
    """Return what `act` makes of a study, or what it made of it at the same request before.

    An answer of None isn't kept. The answer of an earlier request is returned even if the study was deleted since.

    Raises:
        NotFound: no such study.
        RequestIdReused: the id belongs to another request.
    """
    try:
        with study_transaction(app, study_id) as transaction:
            answer = act(transaction)
            if key is not None and answer is not None:
                transaction.records.save_answer(key, answer, transaction.at)  # refused where it has an answer
    except StorageUnavailable:
        raise
    except BoError:
        earlier = earlier_answer(app, study_id, key, kind)  # last, since it is rare
        if earlier is None:
            raise
        return earlier
    return answer


def earlier_answer(app: AppContext, study_id: str, key: RequestKey | None, kind: type[T]) -> T | None:
    """Return what the same request was answered before; None without a key or an answer.

    Raises:
        RequestIdReused: the id belongs to another request.
    """
    if key is None:
        return None
    with app.store.write(study_id) as records:  # a reader doesn't see an answer that waits for its commit
        return records.find_answer(key, kind)


def idempotently(records: UnitOfWork, key: RequestKey | None, kind: type[T], at: datetime, act: Callable[[], T]) -> T:
    """Return what `act` returns, or returned to the same request before; both belong to one transaction.

    Raises:
        RequestIdReused: the id belongs to another request.
    """
    if key is None:
        return act()
    answer = records.find_answer(key, kind)
    if answer is None:
        answer = act()
        records.save_answer(key, answer, at)
    return answer


def retry_on_conflict(use_case: Callable[P, T]) -> Callable[P, T]:
    """Make a use case that is tried up to five times while it raises TransactionConflict: it has changed nothing."""

    @functools.wraps(use_case)
    def act(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempts_before in range(MAX_ATTEMPTS - 1):
            try:
                return use_case(*args, **kwargs)
            except TransactionConflict:
                time.sleep(random.uniform(0, PAUSE_S * 2**attempts_before))  # noqa: S311 - jitter
        return use_case(*args, **kwargs)

    return act
