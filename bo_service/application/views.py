"""What the use cases answer with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from bo_service.application.memory import Memory
from bo_service.application.ports import Records
from bo_service.core.failures import LEAST_FAILED, RECENT, RecentFailures, recent_failures
from bo_service.core.study import Study
from bo_service.core.trial import Measurement, Trial, TrialState

FAILED = (TrialState.FAILED, TrialState.INFEASIBLE)


@dataclass(frozen=True)
class StudyView:
    """A study, how many of its trials are in each state, and whether most of the recent ones failed."""

    study: Study
    counts: Mapping[TrialState, int]
    recent_failures: RecentFailures | None = None


@dataclass(frozen=True)
class TrialView:
    """A trial; its learning curve where that was asked for."""

    trial: Trial
    measurements: tuple[Measurement, ...] | None = None


@dataclass(frozen=True)
class Page:
    """Some trials in the order of their numbers; `next_after` is where the next page begins, None on the last."""

    trials: tuple[TrialView, ...]
    next_after: int | None


class Shortfall(Enum):
    """Why fewer trials were handed out than asked for."""

    ALL_IN_PROGRESS = "all_in_progress"
    PAUSED = "paused"
    COMPLETED = "completed"
    SPACE_EXHAUSTED = "space_exhausted"


@dataclass(frozen=True)
class Handout:
    """Trials that were given to a worker."""

    trials: tuple[Trial, ...]
    shortfall: Shortfall | None = None
    retry_delay: timedelta | None = None


@dataclass(frozen=True)
class Heartbeat:
    """What a worker is told when it reports."""

    lease_valid: bool
    lease_expire_time: datetime | None = None
    lease_remaining: timedelta | None = None
    should_stop: bool = False
    stop_reason: str = ""


@dataclass(frozen=True)
class Done:
    """The answer of calls that return nothing."""


@dataclass(frozen=True)
class StudyChanges:
    """What changed in a study up to `revision`."""

    study: StudyView
    trials: tuple[TrialView, ...]
    deleted: tuple[int, ...]
    revision: int


def view_study(records: Records, study: Study, memory: Memory) -> StudyView:
    """As the transaction sees it; its trials are counted only where the server doesn't remember it."""
    found = memory.counts(study)
    counts = records.trials.counts(study.study_id) if found is None else found
    if sum(counts.get(state, 0) for state in FAILED) < LEAST_FAILED:
        return StudyView(study, counts)
    return StudyView(study, counts, recent_failures(records.trials.last_endings(study.study_id, RECENT)))


def view_trials(records: Records, study_id: str, trials: list[Trial], full: bool) -> tuple[TrialView, ...]:
    """The trials, with their learning curves when `full`."""
    if not full:
        return tuple(TrialView(t) for t in trials)
    curves = records.measurements.of(study_id, [t.number for t in trials])
    return tuple(TrialView(t, tuple(curves.get(t.number, ()))) for t in trials)
