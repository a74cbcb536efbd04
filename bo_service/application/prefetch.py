"""Suggestions for one study: those that a call is given, and the batches that are computed before they are asked for.

A batch is valid for those who would be given the same: the basis has the version that it was made of, and what is
pending is what was pending then and the first of the batch itself. `StudySession` owns a buffer and guards it.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from bo_service.application.ports import ComputationHandle
from bo_service.application.snapshot import StudySnapshot
from bo_service.domain.constraints import Configuration
from bo_service.domain.study import Study, StudyState
from bo_service.optimizer.inputs import Suggestion

PREFETCH_TTL_S = 3600.0
"""After a request, and for as long as a trial runs, a study's suggestions are prefetched."""
MAX_PREFETCH = 8


class CacheOutcome(Enum):
    """Where the surrogate's suggestions for a call came from, or that a batch was dropped."""

    HIT = "ready"
    JOINED = "joined"
    MISS = "computed"
    TIMEOUT = "too_late"
    EVICTED = "stale"
    """Prefetched, and never asked for."""


@dataclass
class Candidates:
    """Suggestions for the trials that the queue lacks; whoever makes trials of them sets `used`."""

    snapshot: StudySnapshot
    """The study that they were made for."""
    suggestions: list[Suggestion]
    by_surrogate: bool
    is_final: bool
    """Whether there is no time left to make others."""
    used: list[Configuration] | None = None
    """Configurations of trials that were committed; None where nothing was."""

    def fits(self, study: Study) -> bool:
        """Return whether they were made for the study as this is."""
        before = self.snapshot.study
        return before.create_time == study.create_time and before.spec == study.spec

    def is_outdated(self, study: Study) -> bool:
        """Return whether they should be made again: the surrogate would choose the same as other servers' trials."""
        if self.is_final:
            return False
        has_new_trials = study.last_number > self.snapshot.study.last_number
        return not self.fits(study) or (self.by_surrogate and bool(self.suggestions) and has_new_trials)


@dataclass
class PrefetchedBatch:
    """Suggestions for one version of the basis, ready or being computed."""

    version: int
    pending: Mapping[int, Configuration]
    count: int
    handle: ComputationHandle
    suggestions: list[Suggestion] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    is_used: bool = False

    def remaining(self, snapshot: StudySnapshot) -> list[Suggestion] | None:
        """Return those that no trial of the snapshot has; None where they were made for something else."""
        if snapshot.basis.version != self.version:
            return None
        added = [c for number, c in snapshot.pending.items() if number not in self.pending]
        if len(snapshot.pending) - len(added) != len(self.pending):
            return None
        dispatched = [s.configuration for s in self.suggestions[: len(added)]]
        return self.suggestions[len(added) :] if dispatched == added else None

    @property
    def exhausts_space(self) -> bool:
        """Whether the search space has no configuration beyond those of the batch."""
        return len(self.suggestions) < self.count

    def matches(self, snapshot: StudySnapshot) -> bool:
        """Return whether they are made of exactly this snapshot."""
        return self.version == snapshot.basis.version and self.pending == snapshot.pending


@dataclass
class SuggestionBuffer:
    """The batches of one study, and how many suggestions it was asked for."""

    requested_at: float | None = None
    """When suggestions were last requested; None if never, in which case none are prefetched."""
    ready: PrefetchedBatch | None = None
    in_flight: PrefetchedBatch | None = None
    failed: PrefetchedBatch | None = None
    """A batch whose computation failed; it is not tried again for the same snapshot."""
    version: int = 0
    """Version of the basis that was asked about last; 0 once the study has changed."""
    requested: int = 0
    """How many suggestions were requested for this version."""
    demand_history: deque[int] = field(default_factory=lambda: deque(maxlen=8))
    """The same of the versions before."""

    def record_request(self, version: int, count: int) -> None:
        """Note that `count` suggestions are requested for a version of the basis."""
        if version != self.version:
            if self.requested:
                self.demand_history.append(self.requested)
            self.version, self.requested = version, 0
        self.requested += count
        self.requested_at = time.monotonic()

    def predicted_demand(self, version: int) -> int:
        """Return how many more suggestions are likely to be requested."""
        usual = max(self.demand_history, default=1)
        if version != self.version:
            return min(MAX_PREFETCH, max(usual, self.requested))
        going_on = self.requested if self.requested > 1 else 0
        return min(MAX_PREFETCH, max(usual - self.requested, going_on))

    def take_ready(self, snapshot: StudySnapshot, count: int) -> list[Suggestion] | None:
        """Return `count` ready suggestions, or all that an exhausted space has; None where there are fewer."""
        left = self.ready.remaining(snapshot) if self.ready else None
        if self.ready is None or left is None or (len(left) < count and not self.ready.exhausts_space):
            return None
        self.ready.is_used = True
        return left[:count]

    def attach_to_in_flight(self, snapshot: StudySnapshot, count: int) -> PrefetchedBatch | None:
        """Return the batch in flight, urgent from now on, if it will do; cancel it otherwise."""
        batch = self.in_flight
        if batch is None:
            return None
        if batch.matches(snapshot) and batch.count >= count and not batch.handle.is_cancelled:
            batch.handle.raise_priority()
            return batch
        batch.handle.cancel()
        return None

    def begin(self, snapshot: StudySnapshot, count: int, is_urgent: bool) -> PrefetchedBatch:
        """Return a new batch, in flight from now on."""
        handle = ComputationHandle(is_urgent)
        self.in_flight = PrefetchedBatch(snapshot.basis.version, snapshot.pending, count, handle, is_used=is_urgent)
        return self.in_flight

    def finish(self, batch: PrefetchedBatch, suggestions: list[Suggestion] | None) -> bool:
        """Keep what was computed for a batch, None where that failed; return whether an unused batch is replaced."""
        batch.suggestions = suggestions or []
        if self.in_flight is not batch:
            return False  # a newer one took its place
        self.in_flight = None
        if suggestions is None:
            self.failed = self.failed if batch.handle.is_cancelled else batch
            return False
        replaced, self.ready = self.ready, batch
        return replaced is not None and not replaced.is_used

    def shortfall(self, snapshot: StudySnapshot) -> int:
        """Return how many suggestions to prefetch."""
        if self.requested_at is None:
            return 0
        is_wanted = time.monotonic() - self.requested_at < PREFETCH_TTL_S or snapshot.num_running
        if not is_wanted or snapshot.study.state is not StudyState.ACTIVE or not snapshot.inputs.needs_surrogate(1):
            return 0
        if any(batch and batch.matches(snapshot) for batch in (self.in_flight, self.failed)):
            return 0
        if self.in_flight is not None and self.in_flight.handle.is_urgent:
            return 0  # the call that waits for it will ask for more
        left = self.ready.remaining(snapshot) if self.ready else None
        if left or (left is not None and self.ready is not None and self.ready.exhausts_space):
            return 0
        return max(0, min(snapshot.remaining_search, self.predicted_demand(snapshot.basis.version)))
