"""What the use cases answer with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from bo_service.application.ports import UnitOfWork
from bo_service.application.promotion import waiting_for_resume
from bo_service.application.sessions import Sessions
from bo_service.domain.budget import Limit
from bo_service.domain.failures import MIN_FAILED, NUM_RECENT, RecentFailures, recent_failures
from bo_service.domain.study import Study, StudyState
from bo_service.domain.trial import Measurement, Trial, TrialState

FAILED = (TrialState.FAILED, TrialState.INFEASIBLE)


@dataclass(frozen=True)
class StudyView:
    """A study, how many of its trials are in each state, and whether most of the recent ones failed."""

    study: Study
    counts: Mapping[TrialState, int]
    recent_failures: RecentFailures | None = None
    resumable_count: int = 0
    """How many trials wait for a worker that can resume; 0 while any runs."""

    @property
    def reached_limit(self) -> Limit | None:
        """The limit that keeps further trials from beginning; None if none does."""
        return self.study.spec.execution.reached_limit(sum(self.counts.values()), self.study.spent)


@dataclass(frozen=True)
class TrialView:
    """A trial; its learning curve where that was asked for."""

    trial: Trial
    measurements: tuple[Measurement, ...] | None = None


@dataclass(frozen=True)
class Page:
    """Some trials in order; `next_after` is the number of the last if there are more, else None."""

    trials: tuple[TrialView, ...]
    next_after: int | None


class Shortfall(Enum):
    """Why fewer trials were handed out than asked for."""

    ALL_IN_PROGRESS = "all_in_progress"
    PAUSED = "paused"
    COMPLETED = "completed"
    SPACE_EXHAUSTED = "space_exhausted"
    NEEDS_RESUME = "needs_resume"


@dataclass(frozen=True)
class SuggestResult:
    """Trials that were given to a worker."""

    trials: tuple[Trial, ...]
    shortfall: Shortfall | None = None
    retry_delay: timedelta | None = None
    reached_limit: Limit | None = None
    """The limit of the study because of which there are fewer."""


@dataclass(frozen=True)
class Heartbeat:
    """The answer to a report of a worker: whether it goes on, and how long its lease lasts."""

    lease_valid: bool
    lease_expire_time: datetime | None = None
    lease_remaining: timedelta | None = None
    should_stop: bool = False
    stop_reason: str = ""
    should_pause: bool = False
    pause_reason: str = ""
    until_step: int | None = None
    """How far to go on; None: to the end."""


@dataclass(frozen=True)
class PauseOutcome:
    """The pause of a trial at its checkpoint; without a URI, at the checkpoint last reported."""

    checkpoint_uri: str = ""


@dataclass(frozen=True)
class Empty:
    """The answer of calls that return nothing."""


@dataclass(frozen=True)
class StudyChanges:
    """The changes of a study up to `revision`."""

    study: StudyView
    trials: tuple[TrialView, ...]
    deleted: tuple[int, ...]
    revision: int


def view_study(records: UnitOfWork, study: Study, sessions: Sessions) -> StudyView:
    """Return the study as the transaction sees it; its trials are counted only without a session's counts."""
    held_counts = sessions.counts(study)
    counts = records.count_trials(study.study_id) if held_counts is None else held_counts
    failures = None
    if sum(counts.get(state, 0) for state in FAILED) >= MIN_FAILED:
        failures = recent_failures(records.last_endings(study.study_id, NUM_RECENT))
    return StudyView(study, counts, failures, _resumable_count(records, study, counts, sessions))


def _resumable_count(records: UnitOfWork, study: Study, counts: Mapping[TrialState, int], sessions: Sessions) -> int:
    is_waiting = counts.get(TrialState.PAUSED) or counts.get(TrialState.QUEUED)
    if study.spec.fidelity is None or study.state is not StudyState.ACTIVE or not is_waiting:
        return 0
    if counts.get(TrialState.RUNNING):
        return 0  # its end may change which trials go on
    snapshot = sessions.of(study.study_id).at(records, study)
    return len(waiting_for_resume(records, study, snapshot.summaries))


def view_trials(records: UnitOfWork, study_id: str, trials: list[Trial], full: bool) -> tuple[TrialView, ...]:
    """Return the trials, with their learning curves when `full`."""
    if not full:
        return tuple(TrialView(t) for t in trials)
    curves = records.get_measurements(study_id, [t.number for t in trials])
    return tuple(TrialView(t, tuple(curves.get(t.number, ()))) for t in trials)
