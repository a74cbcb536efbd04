"""Each hand-out of a trial to a worker: who ran it, from when to when, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from bo_service.core.failures import Failure, shortened


class AttemptOutcome(Enum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    """The trial ended by what the worker of an earlier attempt delivered late."""


@dataclass(frozen=True)
class Attempt:
    """One hand-out. The times, and how it ended, are None where a server of an older version didn't record them."""

    number: int
    worker_id: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    outcome: AttemptOutcome | None = None
    failure: Failure | None = None
    """With a message of at most `failures.MOST_TOLD` characters."""


def ended(
    attempts: Sequence[Attempt], number: int, outcome: AttemptOutcome, at: datetime, failure: Failure | None = None
) -> tuple[Attempt, ...]:
    """Return the attempts with one of them ended. It may have ended before, where it delivers late."""
    told = None if failure is None else replace(failure, message=shortened(failure.message))
    return tuple(replace(a, outcome=outcome, end_time=at, failure=told) if a.number == number else a for a in attempts)
