"""Attempts: the assignments of a trial to workers, with their times and outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from bo_service.domain.budget import Spent
from bo_service.domain.failures import Failure, shortened
from bo_service.domain.measurement import Measurement


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
    begin_step: int | None = None
    """The step that it resumed from; None if an older server did not record it."""
    steps: int = 0
    """Steps that it trained, from `begin_step` to the largest that it reported."""
    checkpoint_step: int | None = None
    """The largest step that it had reported when it reported its last checkpoint; None without one."""
    time: timedelta = timedelta()
    """Training time up to `count_time`: as its worker reported it, else as measured here."""
    count_time: datetime | None = None
    """The time up to which `time` counts; None: `start_time`."""
    elapsed_before: timedelta = timedelta()
    """The time of earlier attempts in what its worker reports as elapsed."""

    @property
    def last_step(self) -> int:
        """The largest step that it has trained."""
        return (self.begin_step or 0) + self.steps

    def count(self, at: datetime, measured: Sequence[Measurement] = ()) -> "Attempt":
        """Return the attempt with what was spent until now.

        A worker that reports a step before `begin_step` did not resume there. One that reports less elapsed time than
        the attempts before took counts from the beginning of its own.

        Args:
            at: the time of its worker's last sign of life.
            measured: what the worker has reported.
        """
        begin, before, elapsed = self.begin_step, self.elapsed_before, None
        last = self.last_step if self.steps else None
        for m in measured:
            begin = m.step if begin is None else begin if m.step >= begin else max(0, m.step - 1)
            last = m.step if last is None else max(last, m.step)
            elapsed = m.elapsed if elapsed is None or (m.elapsed is not None and m.elapsed > elapsed) else elapsed
        counted = self.count_time or self.start_time or at
        time = self.time + max(timedelta(), at - counted)
        if elapsed is not None:
            before = timedelta() if elapsed < before else before
            time = max(self.time, elapsed - before)
        steps = 0 if begin is None or last is None else last - begin
        counted = max(at, self.count_time or at)
        return replace(self, begin_step=begin, steps=steps, time=time, count_time=counted, elapsed_before=before)


def resume_step(attempts: Sequence[Attempt]) -> int:
    """Return the step of the last checkpoint that an attempt has reported; 0 without one."""
    return next((a.checkpoint_step for a in reversed(attempts) if a.checkpoint_step is not None), 0)


def spent_on(attempts: Sequence[Attempt]) -> Spent:
    """Return what was spent on attempts, as far as it was counted."""
    steps, time = 0, timedelta()
    for attempt in attempts:
        steps, time = steps + attempt.steps, time + attempt.time
    return Spent(steps, time)


def reported(
    attempts: Sequence[Attempt], number: int, measured: Sequence[Measurement], has_checkpoint: bool
) -> tuple[Attempt, ...]:
    """Return the attempts after a report of one of them.

    Args:
        attempts: all attempts of the trial.
        number: the attempt that reports.
        measured: its measurements, with the times of their receipt.
        has_checkpoint: whether it has written a checkpoint.
    """

    def after(attempt: Attempt) -> Attempt:
        at = max((m.receive_time for m in measured if m.receive_time), default=attempt.count_time)
        counted = attempt.count(at, measured) if at else attempt
        return replace(counted, checkpoint_step=counted.last_step) if has_checkpoint else counted

    return tuple(after(attempt) if attempt.number == number else attempt for attempt in attempts)


def ended(
    attempts: Sequence[Attempt],
    number: int,
    outcome: AttemptOutcome,
    at: datetime,
    failure: Failure | None = None,
    measured: Sequence[Measurement] = (),
    alive_until: datetime | None = None,
) -> tuple[Attempt, ...]:
    """Return the attempts with one of them ended.

    Args:
        attempts: all attempts of the trial.
        number: the attempt that ends; it may have ended before, if its result comes late.
        outcome: how it ended.
        at: when it ended.
        failure: the failure, unless it completed.
        measured: its final measurement, if it has one.
        alive_until: its worker's last sign of life; None: now.
    """
    shortened_failure = None if failure is None else replace(failure, message=shortened(failure.message))
    return tuple(
        replace(a.count(alive_until or at, measured), outcome=outcome, end_time=at, failure=shortened_failure)
        if a.number == number
        else a
        for a in attempts
    )
