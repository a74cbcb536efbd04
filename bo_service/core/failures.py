"""Why trials fail, and whether most of them do."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

MOST_TOLD = 500
"""Characters of a failure's message where it is told beside others."""
HEAD = 150
"""Of these, how many are from the message's beginning."""
MARK = " … "

RECENT = 10
"""Trials that are looked at."""
LEAST_FAILED = 3
"""Fewer failures than these are no pattern."""


class FailureReason(Enum):
    """Why a trial didn't succeed."""

    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    INVALID_CONFIGURATION = "invalid_configuration"
    CRASHED = "crashed"
    PREEMPTED = "preempted"
    TIMEOUT = "timeout"

    @property
    def blames_parameters(self) -> bool:
        """Whether another attempt would fail again: the parameters are at fault, not the machine."""
        return self in (FailureReason.OUT_OF_MEMORY, FailureReason.DIVERGED, FailureReason.INVALID_CONFIGURATION)


@dataclass(frozen=True)
class Failure:
    """A failure, as reported."""

    reason: FailureReason
    message: str = ""


def shortened(message: str) -> str:
    """Return the message with its middle left out where it has more than MOST_TOLD characters.

    The beginning says what failed, and the end holds the cause.
    """
    if len(message) <= MOST_TOLD:
        return message
    tail = MOST_TOLD - HEAD - len(MARK)
    return f"{message[:HEAD]}{MARK}{message[-tail:]}"


@dataclass(frozen=True)
class Ending:
    """A trial that has ended, as far as failures go: `failure` is None unless it is FAILED or INFEASIBLE."""

    number: int
    failure: Failure | None


@dataclass(frozen=True)
class RecentFailures:
    """Most of the recent trials failed."""

    failed: int
    trials: int
    """That were looked at."""
    first: Ending
    """The first of those that failed, with a message of at most MOST_TOLD characters."""


def recent_failures(endings: Sequence[Ending]) -> RecentFailures | None:
    """Return what to say of the last RECENT trials, in any order; None unless more than half of them failed."""
    failed = sorted((e for e in endings if e.failure is not None), key=lambda e: e.number)
    if len(failed) < LEAST_FAILED or 2 * len(failed) <= len(endings):
        return None
    first = failed[0]
    assert first.failure is not None
    told = replace(first.failure, message=shortened(first.failure.message))
    return RecentFailures(len(failed), len(endings), replace(first, failure=told))
