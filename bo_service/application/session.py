"""All that a server holds in memory of one study.

A session is the study as it was last read or committed, the suggestions and quasi-random points that are ready for it,
the hyperparameters that its surrogate has learned, and the change that its watchers were last told of. Only what is
committed becomes visible: reads, and this server's own transactions once they are durable. What a transaction leaves
behind before that is staged, for the transactions after it alone.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Protocol

from bo_service.application.algorithms import require_algorithm
from bo_service.application.ports import Optimizer, Store, UnitOfWork
from bo_service.application.prefetch import MAX_PREFETCH, CacheOutcome, Candidates, PrefetchedBatch, SuggestionBuffer
from bo_service.application.quasi_random_pool import QuasiRandomPool
from bo_service.application.snapshot import StudyDelta, StudySnapshot, is_same_incarnation
from bo_service.application.waiting import Turn, Watchers
from bo_service.application.warm_start import sources_from
from bo_service.domain.errors import BoError, NotFound, StorageUnavailable
from bo_service.domain.study import Study, StudyState
from bo_service.domain.trial import TrialState
from bo_service.optimizer.inputs import HyperparametersByDigest, OptimizerInput, Suggestion

READ_TURN_S = 30.0
PREFETCH_TIMEOUT_S = 300.0
TIMEOUT_NOTE = "The {} was not ready within the time that the caller gave. "
DELETED = 0
"""The revision of a study that doesn't exist."""


class SessionObserver(Protocol):
    """The registry of a session, as the session sees it. A session never calls it while it holds its own lock."""

    def of(self, study_id: str) -> "StudySession":
        """Return the session of another study."""

    def keep(self, session: "StudySession") -> None:
        """Note that the session was used last, and how many trials it holds now."""

    def schedule_prefetch(self, session: "StudySession") -> None:
        """Note that suggestions may have to be prefetched."""

    def learned(self, session: "StudySession") -> None:
        """Note that the surrogate has learned hyperparameters that aren't stored yet."""

    def on_outcome(self, outcome: CacheOutcome) -> None:
        """Note how a call got the surrogate's suggestions, or that prefetched ones were dropped."""


class StudySession:
    """One study in memory. `_lock` guards all of it and is held for moments; what takes long has turns."""

    def __init__(self, study_id: str, store: Store, optimizer: Optimizer, observer: SessionObserver) -> None:
        self.study_id = study_id
        self._store, self._optimizer, self._observer = store, optimizer, observer
        self._lock = threading.Lock()
        self._read_turn, self._surrogate_turn = Turn(), Turn()
        self._snapshot: StudySnapshot | None = None
        self._staged: StudySnapshot | None = None
        """The study as a transaction leaves it that isn't durable yet."""
        self._is_outdated = False
        """Whether the snapshot lacks changes that this server knows of."""
        self._buffer = SuggestionBuffer()
        self._pool = QuasiRandomPool()
        self._hyperparameters: HyperparametersByDigest | None = None
        self.watchers = Watchers(self._lock)

    # The snapshot

    @property
    def num_trials(self) -> int:
        """The number of trials that the session holds; 1 if it holds none, but quasi-random points for the first."""
        snapshot = self._snapshot
        return len(snapshot.summaries if snapshot is not None else ()) or int(self._pool.has_points)

    def read(self) -> StudySnapshot:
        """Return the study as it is committed. Raises NotFound."""
        with self.reading() as (_, snapshot):
            return snapshot

    @contextmanager
    def reading(self) -> Iterator[tuple[UnitOfWork, StudySnapshot]]:
        """Open a transaction that reads, and yield it with the study in it. Raises NotFound."""
        with ExitStack() as stack:
            with self._read_turn.taken(READ_TURN_S) as is_next:  # each sees at least what the one before saw
                records = stack.enter_context(self._store.read())
                snapshot = self.at(records, records.get_study(self.study_id), is_committed=is_next)
            yield records, snapshot

    def at(self, records: UnitOfWork, study: Study, is_committed: bool = False) -> StudySnapshot:
        """Return the study as a transaction sees it, reading only what has changed.

        Args:
            records: the transaction.
            study: the study as the transaction sees it.
            is_committed: whether that is committed, so that the session may keep it.
        """
        snapshot = self._refreshed(records, study, is_committed)
        names = study.spec.suggestion.warm_start_studies
        if not names and not snapshot.source_versions:
            return snapshot
        sources = [(name, self._observer.of(name)._as_source(records, is_committed)) for name in names]
        versions = tuple(source.basis.version if source else 0 for _, source in sources)
        if versions != snapshot.source_versions:
            trials = {name: list(source.summaries.values()) for name, source in sources if source}
            basis = snapshot.basis.with_sources(sources_from(trials, study.spec))
            snapshot = replace(snapshot, basis=basis, source_versions=versions)
            if is_committed:
                self._keep(snapshot)
        return snapshot

    def apply(self, delta: StudyDelta) -> Callable[[], None]:
        """Take in what a transaction of this server makes of the study. Those of one study come in their order.

        Returns:
            What to call once the transaction is durable: readers, prefetch and watchers learn of it then.
        """
        before = next((s for s in (self._staged, self._snapshot) if s is not None and s.study == delta.before), None)
        self._staged = None if before is None else before.after(delta)
        return partial(self._committed, delta, self._staged)

    def undo(self) -> None:
        """Drop what is staged: what a transaction has made of the study may be lost."""
        self._staged = None

    def counts(self, study: Study) -> Mapping[TrialState, int] | None:
        """Return how many trials are in each state; None where the study isn't held exactly like this."""
        snapshot = self._snapshot
        return snapshot.counts if snapshot is not None and snapshot.study == study else None

    def close(self) -> None:
        """Clear everything: the study was deleted."""
        self.cancel()
        with self._lock:
            self._snapshot, self._staged, self._buffer = None, None, SuggestionBuffer()
            self._hyperparameters = None
            self.watchers.announce(DELETED)
        self._pool.clear()
        self._observer.keep(self)

    def recalled(self) -> StudySnapshot | None:
        """Return the study without reading it, if that will do: no suggestion depends on the results of others."""
        snapshot = None if self._is_outdated else self._snapshot
        if snapshot is None or snapshot.study.spec.suggestion.warm_start_studies:
            return None
        return snapshot if snapshot.study.spec.suggestion.algorithm.is_blind else None

    def _refreshed(self, records: UnitOfWork, study: Study, is_committed: bool) -> StudySnapshot:
        """Return the same as `at`, without looking at the studies that it starts from."""
        staged, before = self._staged, self._snapshot
        if staged is not None and staged.study == study:
            return staged
        if before is not None and before.study == study:
            self._is_outdated &= not is_committed
            return before
        if before is None or not is_same_incarnation(before.study, study) or before.study.revision > study.revision:
            snapshot = StudySnapshot.read(records, study)
        else:
            snapshot = before.after(StudyDelta.since(before.study, records, study))
        if is_committed:
            self._keep(snapshot)
        return snapshot

    def _as_source(self, records: UnitOfWork, is_committed: bool) -> StudySnapshot | None:
        """Return this study for one that starts from it; None where it doesn't exist."""
        study, before = records.find_study(self.study_id), self._snapshot
        if study is None:
            return None
        if before is not None and is_same_incarnation(before.study, study) and before.study.revision >= study.revision:
            return before  # another thread has read it meanwhile
        return self._refreshed(records, study, is_committed)

    def _keep(self, snapshot: StudySnapshot) -> None:
        with self._lock:
            before, study = self._snapshot, snapshot.study
            is_same = before is not None and is_same_incarnation(before.study, study)
            if is_same and before is not None and before.study.revision > study.revision:
                return  # a transaction was committed since it was read
            self._snapshot, self._is_outdated = snapshot, False
        self._observer.keep(self)

    def _committed(self, delta: StudyDelta, staged: StudySnapshot | None) -> None:
        with self._lock:
            before, study = self._snapshot, delta.after
            if self._staged is staged:
                self._staged = None
            if before is not None and not (
                is_same_incarnation(before.study, study) and before.study.revision >= study.revision
            ):
                self._snapshot, self._is_outdated = staged or before, staged is None
            if delta.affects_surrogate:
                self._buffer.version, in_flight = 0, self._buffer.in_flight
                if in_flight is not None and not in_flight.handle.is_urgent:  # no call waits for it
                    in_flight.handle.cancel()
            self.watchers.announce(study.revision)
        self._observer.keep(self)
        if delta.affects_surrogate and self.is_prefetched:
            self._observer.schedule_prefetch(self)

    # Suggestions

    @property
    def is_prefetched(self) -> bool:
        """Whether suggestions are prefetched, as they are once a call has asked the surrogate for some."""
        return self._buffer.requested_at is not None

    @property
    def num_waiting(self) -> int:
        """How many calls ask the surrogate or wait for their turn to do so."""
        return self._surrogate_turn.waiting

    @contextmanager
    def suggest(self, count: int, deadline: float, can_resume: bool = True) -> Iterator[Candidates]:
        """Yield candidates for the trials that the queue lacks, and take back those that the block hasn't used.

        One call at a time asks the surrogate. One without a turn or an answer in time gets quasi-random points.

        Args:
            count: how many trials are wanted, those in the queue included.
            deadline: on the monotonic clock.
            can_resume: whether a candidate may be a paused trial that goes on.

        Raises:
            NotFound: no such study.
            AlgorithmNotInstalled: the study's own algorithm is not installed on this server.
        """
        snapshot = self.recalled() or self.read()
        turn: AbstractContextManager[bool] = nullcontext(False)
        if not snapshot.study.spec.suggestion.algorithm.is_blind:
            turn = self._surrogate_turn.taken(deadline - time.monotonic())
        with turn as may_ask:
            if not snapshot.study.spec.suggestion.algorithm.is_blind:
                snapshot = self.read()  # again: the call before has added trials
            snapshot = snapshot if can_resume or not snapshot.basis.curves else snapshot.without_paused()
            is_final = time.monotonic() >= deadline
            candidates = self._candidates(snapshot, count, deadline if may_ask else None, is_final)
            try:
                yield candidates
            except BoError as error:
                if isinstance(error, StorageUnavailable) and error.has_begun:
                    self._pool.clear()  # they may have become trials all the same
                else:
                    self._settle(candidates)
                raise
            self._settle(candidates)

    def quasi_random(self, inputs: OptimizerInput, count: int, is_late: bool = True) -> list[Suggestion]:
        """Return quasi-random points. They say so where a computation should have chosen them, and was too late."""
        points = self._optimizer.suggest_quasi_random(inputs, count)
        return self._noted(points, inputs) if is_late else points

    def _noted(self, points: Sequence[Suggestion], inputs: OptimizerInput) -> list[Suggestion]:
        """Return points with a note where a computation should have chosen them, and was too late."""
        note = TIMEOUT_NOTE.format(f"algorithm {own!r}" if (own := inputs.settings.custom_algorithm) else "surrogate")
        is_late = inputs.needs_surrogate
        return [replace(p, summary=note + p.summary) if is_late(i) else p for i, p in enumerate(points, start=1)]

    def prefetch(self) -> None:
        """Compute what is likely to be requested next, unless it is ready."""
        try:
            snapshot = self.read()
        except NotFound:
            with self._lock:
                self._buffer = SuggestionBuffer()
            return
        with self._lock:
            count = self._buffer.shortfall(snapshot)
            if not count:
                return
            if self._buffer.in_flight is not None:
                self._buffer.in_flight.handle.cancel()
            batch = self._buffer.begin(snapshot, count, is_urgent=False)
        self._compute(batch, snapshot, PREFETCH_TIMEOUT_S)
        if batch.handle.is_cancelled:  # for a newer snapshot, or for a call that waits
            self._observer.schedule_prefetch(self)

    def cancel(self) -> None:
        """Cancel what is being computed."""
        with self._lock:
            if self._buffer.in_flight is not None:
                self._buffer.in_flight.handle.cancel()

    def _candidates(self, snapshot: StudySnapshot, count: int, deadline: float | None, is_final: bool) -> Candidates:
        """Choose candidates; the surrogate has until the deadline, if any."""
        lacking = min(count - len(snapshot.queued_numbers), snapshot.remaining_search)
        if lacking <= 0 or snapshot.study.state is not StudyState.ACTIVE:
            return Candidates(snapshot, [], False, is_final)
        require_algorithm(snapshot.study)
        if deadline is not None and snapshot.inputs.needs_surrogate(lacking):
            suggestions = self._ask_surrogate(snapshot, lacking, deadline)
            if suggestions is not None:
                return Candidates(snapshot, suggestions, True, is_final)
        points = self._pool.take(snapshot, lacking, self._optimizer.suggest_quasi_random)  # kept if the caller goes
        if not snapshot.study.spec.suggestion.algorithm.is_blind:
            points = self._noted(points, snapshot.inputs)
        return Candidates(snapshot, points, False, is_final)

    def _settle(self, candidates: Candidates) -> None:
        """Return unused candidates, and schedule a prefetch where more are likely to be requested."""
        if candidates.used is None:
            self._is_outdated = True  # perhaps; the next call reads the study
        if not candidates.by_surrogate:
            self._pool.return_unused(candidates.snapshot, candidates.suggestions, candidates.used or ())
            self._observer.keep(self)
            return
        with self._lock:
            demand = self._buffer.predicted_demand(candidates.snapshot.basis.version)
        if candidates.used is not None and demand > 0:
            self._observer.schedule_prefetch(self)

    def _ask_surrogate(self, snapshot: StudySnapshot, count: int, deadline: float) -> list[Suggestion] | None:
        """Return the surrogate's suggestions: those ready, those in flight, or computed now; None if too late."""
        with self._lock:
            self._buffer.record_request(snapshot.basis.version, count)
            is_ready = self._buffer.take_ready(snapshot, count) is not None
            joined = None if is_ready else self._buffer.attach_to_in_flight(snapshot, count)
        if joined is not None:
            joined.done.wait(max(0.0, deadline - time.monotonic()))
        with self._lock:
            suggestions = self._buffer.take_ready(snapshot, count)
            is_late = joined is not None and not joined.done.is_set()
            if suggestions is None and not is_late:
                ahead = min(MAX_PREFETCH, count + self._surrogate_turn.waiting - 1)
                batch = self._buffer.begin(snapshot, max(count, ahead), is_urgent=True)
        if suggestions is not None:
            outcome = CacheOutcome.HIT if joined is None else CacheOutcome.JOINED
        elif is_late:
            outcome = CacheOutcome.TIMEOUT
        else:
            computed = self._compute(batch, snapshot, deadline - time.monotonic())
            suggestions = None if computed is None else computed[:count]
            outcome = CacheOutcome.TIMEOUT if computed is None else CacheOutcome.MISS
            self._observer.schedule_prefetch(self)
        self._observer.on_outcome(outcome)
        return suggestions

    def _compute(self, batch: PrefetchedBatch, snapshot: StudySnapshot, timeout: float) -> list[Suggestion] | None:
        suggestions = None
        try:
            computed = self._optimizer.suggest(self._with_hyperparameters(snapshot), batch.count, timeout, batch.handle)
            if computed is not None:
                suggestions = computed.suggestions
                if computed.hyperparameters and computed.hyperparameters != self._hyperparameters:
                    self._hyperparameters = computed.hyperparameters
                    self._observer.learned(self)
        finally:
            with self._lock:
                is_wasted = self._buffer.finish(batch, suggestions)
            batch.done.set()
        if is_wasted:
            self._observer.on_outcome(CacheOutcome.EVICTED)
        return suggestions

    # Hyperparameters

    def inputs(self) -> tuple[Study, OptimizerInput]:
        """Return the study as it is committed, and what the optimizer is given of it. Raises NotFound."""
        snapshot = self.read()
        return snapshot.study, self._with_hyperparameters(snapshot)

    def _with_hyperparameters(self, snapshot: StudySnapshot) -> OptimizerInput:
        if self._hyperparameters is None:
            with self._store.read() as records:
                self._hyperparameters = records.get_hyperparameters(self.study_id)
        return replace(snapshot.inputs, hyperparameters=self._hyperparameters)

    def save_hyperparameters(self) -> None:
        """Store what the surrogate has learned, if the study still exists. Raises StorageUnavailable."""
        learned = self._hyperparameters
        if learned:
            with self._store.write(self.study_id) as records:
                if records.find_study(self.study_id) is not None:
                    records.save_hyperparameters(self.study_id, learned)

    # Watchers

    def notice(self, revision: int) -> None:
        """Take in that the study was read with this revision, DELETED where it doesn't exist."""
        with self._lock:
            self.watchers.announce(revision)
            is_foreign = self._snapshot is None or self._snapshot.study.revision != revision
            self._is_outdated |= is_foreign
        if is_foreign and self.is_prefetched:
            self._observer.schedule_prefetch(self)
