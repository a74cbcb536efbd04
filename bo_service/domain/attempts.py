"""Attempts: the assignments of a trial to workers, with their times and outcomes."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from bo_service.domain.failures import Failure


class AttemptOutcome(Enum):
    """Outcome of an attempt."""

    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    """The trial ended by a late result of an earlier attempt."""
    PAUSED = "paused"
    """The trial waits at its checkpoint."""


@dataclass(frozen=True)
class Attempt:
    """One assignment of a trial to a worker. Times and outcome are None if an older server did not record them."""

    number: int
    worker_id: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    outcome: AttemptOutcome | None = None
    failure: Failure | None = None
    """The message has at most `failures.MAX_MESSAGE_SHOWN` characters."""
