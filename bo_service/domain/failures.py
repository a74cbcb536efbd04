"""Failures of trials, and the detection of studies whose trials mostly fail."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

MAX_MESSAGE_SHOWN = 500
"""Maximum characters of a failure's message in an attempt or a summary."""
HEAD_LENGTH = 150
"""Characters kept from the beginning of a shortened message."""
ELLIPSIS = " … "

NUM_RECENT = 10
"""Number of recent trials that are inspected."""
MIN_FAILED = 3
"""Number of failures below which nothing is reported."""


class FailureReason(Enum):
    """Reason of a failure."""

    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    INVALID_CONFIGURATION = "invalid_configuration"
    CRASHED = "crashed"
    PREEMPTED = "preempted"
    TIMEOUT = "timeout"

    @property
    def blames_parameters(self) -> bool:
        """Whether the parameters caused the failure, so that another attempt would fail again."""
        return self in (FailureReason.OUT_OF_MEMORY, FailureReason.DIVERGED, FailureReason.INVALID_CONFIGURATION)


@dataclass(frozen=True)
class Failure:
    """A failure, as reported."""

    reason: FailureReason
    message: str = ""


def shortened(message: str) -> str:
    """Return the message with its middle omitted if it has more than MAX_MESSAGE_SHOWN characters.

    The beginning names the failure, and the end contains its cause.
    """
    if len(message) <= MAX_MESSAGE_SHOWN:
        return message
    tail = MAX_MESSAGE_SHOWN - HEAD_LENGTH - len(ELLIPSIS)
    return f"{message[:HEAD_LENGTH]}{ELLIPSIS}{message[-tail:]}"


@dataclass(frozen=True)
class EndedTrial:
    """An ended trial; `failure` is None unless the trial is FAILED or INFEASIBLE."""

    number: int
    failure: Failure | None


@dataclass(frozen=True)
class RecentFailures:
    """A summary of a study in which most recent trials failed."""

    failed: int
    trials: int
    """Number of trials inspected."""
    first: EndedTrial
    """The first failed trial, with its message shortened to MAX_MESSAGE_SHOWN characters."""


def recent_failures(ended_trials: Sequence[EndedTrial]) -> RecentFailures | None:
    """Return a summary of the failures if more than half of the trials failed, else None.

    Args:
        ended_trials: the last NUM_NUM_RECENT ended trials, in any order.
    """
    failed = sorted((e for e in ended_trials if e.failure is not None), key=lambda e: e.number)
    if len(failed) < MIN_FAILED or 2 * len(failed) <= len(ended_trials):
        return None
    first = failed[0]
    assert first.failure is not None
    shortened_failure = replace(first.failure, message=shortened(first.failure.message))
    return RecentFailures(len(failed), len(ended_trials), replace(first, failure=shortened_failure))
