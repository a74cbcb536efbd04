"""Attempts: the assignments of a trial to workers, with their times and outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from bo_service.domain.failures import Failure, shortened


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


def ended(
    attempts: Sequence[Attempt], number: int, outcome: AttemptOutcome, at: datetime, failure: Failure | None = None
) -> tuple[Attempt, ...]:
    """Return the attempts with one of them ended.

    Args:
        attempts: all attempts of the trial.
        number: the attempt that ends; it may have ended before, if its result comes late.
        outcome: how it ended.
        at: when it ended.
        failure: the failure, unless it completed.
    """
    shortened_failure = None if failure is None else replace(failure, message=shortened(failure.message))
    return tuple(
        replace(a, outcome=outcome, end_time=at, failure=shortened_failure) if a.number == number else a
        for a in attempts
    )
