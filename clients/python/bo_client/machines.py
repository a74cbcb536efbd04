"""Attempts by machine and in time, which show the machine on which trials fail."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bo_client.formatting import attempt_line
from bo_client.models import Attempt, AttemptOutcome, FailureReason, Trial

WORKER = re.compile(r"(?P<machine>.+?)(?::\d+)?(?:/\d+)?", re.DOTALL)
"""A worker's default name: host, process and slot, as `node-a:4711/2`."""
ANYWHERE = (FailureReason.DIVERGED, FailureReason.INVALID_CONFIGURATION)
"""Reasons that are the same on every machine. A lack of memory is not: another machine may have more."""
MIN_FAILURES = 3
"""Failures from which a machine can be suspected."""
MAX_CHANCE = 0.01
"""Greatest probability at which a machine is suspected of failing more often than the others."""
CELLS = 24
"""Length of a timeline in characters."""
NONE, WELL, FAILED = "·", "o", "x"
"""Cells of a timeline: no attempt ended, none of those that ended failed, or some failed."""


@dataclass(frozen=True)
class MachineAttempts:
    """The attempts that one machine made."""

    machine: str
    workers: tuple[str, ...]
    attempts: tuple[tuple[Trial, Attempt], ...]
    """With their trials, by the time at which they began."""

    @property
    def failed(self) -> tuple[tuple[Trial, Attempt], ...]:
        """Attempts whose worker was lost, or that failed for another reason than their parameters."""
        return tuple((trial, attempt) for trial, attempt in self.attempts if has_failed(attempt))

    @property
    def ended(self) -> int:
        """Return the number of attempts that have ended."""
        return sum(attempt.outcome is not None for _, attempt in self.attempts)

    @property
    def running(self) -> int:
        """Return the number of attempts that are running."""
        return sum(is_running(attempt) for _, attempt in self.attempts)

    @property
    def reasons(self) -> dict[str, int]:
        """Return how often each reason occurred, the most frequent first."""
        counts = Counter(reason(attempt) for _, attempt in self.failed)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def last_failure(self) -> tuple[Trial, Attempt] | None:
        """Return the failure that was last; None without any."""
        return max(self.failed, key=lambda item: (_moment(item[1].end_time), item[0].number), default=None)


def machine_of(worker_id: str) -> str:
    """Return the machine of a worker: its name without process and slot, as the default name has them."""
    match = WORKER.fullmatch(worker_id)
    return match["machine"] if match else worker_id


def has_failed(attempt: Attempt) -> bool:
    """Return whether the attempt failed, unless by its parameters alone, or its worker was lost."""
    if attempt.outcome is AttemptOutcome.FAILED:
        return attempt.failure is None or attempt.failure.reason not in ANYWHERE
    return attempt.outcome is AttemptOutcome.EXPIRED


def is_running(attempt: Attempt) -> bool:
    """Return whether the attempt is running."""
    return attempt.outcome is None and attempt.end_time is None and attempt.start_time is not None


def reason(attempt: Attempt) -> str:
    """Return why an attempt failed; LEASE_EXPIRED where its worker was lost."""
    if attempt.outcome is AttemptOutcome.EXPIRED:
        return "LEASE_EXPIRED"
    return attempt.failure.reason.value if attempt.failure else "UNKNOWN"


def by_machine(trials: Sequence[Trial]) -> list[MachineAttempts]:
    """Return the attempts of each machine, the one with the most failures first."""
    attempts: dict[str, list[tuple[Trial, Attempt]]] = {}
    for trial in trials:
        for attempt in trial.attempts:
            attempts.setdefault(machine_of(attempt.worker_id), []).append((trial, attempt))
    machines = [
        MachineAttempts(
            machine,
            tuple(sorted({attempt.worker_id for _, attempt in made})),
            tuple(sorted(made, key=lambda item: (_moment(item[1].start_time), item[0].number))),
        )
        for machine, made in attempts.items()
    ]
    return sorted(machines, key=lambda m: (-len(m.failed), m.machine))


def suspects(machines: Sequence[MachineAttempts]) -> Iterator[str]:
    """Yield a sentence for each machine that fails clearly more often than all others together.

    The probability of so many failures among its attempts, if all machines fail alike, is that of drawing them from an
    urn without replacement (Fisher's exact test, one-sided).
    """
    ended, failed = sum(m.ended for m in machines), sum(len(m.failed) for m in machines)
    for machine in machines:
        here, of = len(machine.failed), machine.ended
        if here < MIN_FAILURES or ended == of or _tail(here, of, failed, ended) > MAX_CHANCE:
            continue
        why = ", ".join(f"{name} {count}" for name, count in machine.reasons.items())
        yield (
            f"{machine.machine} fails more often than the others: {here} of its {of} attempts failed ({why}), and "
            f"{failed - here} of {ended - of} elsewhere"
        )


def _tail(here: int, drawn: int, failed: int, ended: int) -> float:
    """Return the probability of at least `here` failures among `drawn` of `ended` attempts, of which `failed` did."""
    ways = sum(math.comb(failed, k) * math.comb(ended - failed, drawn - k) for k in range(here, min(drawn, failed) + 1))
    return ways / math.comb(ended, drawn)


def span(machines: Sequence[MachineAttempts]) -> tuple[datetime, datetime] | None:
    """Return when the first attempt began and when the last one began or ended; None if no time is known."""
    times = [
        moment for m in machines for _, a in m.attempts for moment in (a.start_time, a.end_time) if moment is not None
    ]
    return (min(times), max(times)) if times else None


def timeline(machine: MachineAttempts, within: tuple[datetime, datetime], cells: int = CELLS) -> str:
    """Return what ended when, as a character for each of equal parts of the time."""
    begin, end = within
    seconds = (end - begin).total_seconds()
    drawn = [NONE] * cells
    for _, attempt in machine.attempts:
        if attempt.end_time is None or attempt.outcome is None:
            continue
        at = (attempt.end_time - begin).total_seconds() / seconds if seconds else 0.0
        cell = min(cells - 1, int(at * cells))
        drawn[cell] = FAILED if has_failed(attempt) or drawn[cell] == FAILED else WELL
    return "".join(drawn)


def machine_columns(within: tuple[datetime, datetime] | None) -> tuple[str, ...]:
    """Return the headings of a table of machines."""
    when = f"{within[0]:%Y-%m-%d %H:%M:%S} to {within[1]:%Y-%m-%d %H:%M:%S} UTC" if within else "time unknown"
    return ("machine", "workers", "attempts", "failed", "running", "reasons", when, "last failure")


def machine_row(machine: MachineAttempts, within: tuple[datetime, datetime] | None) -> tuple[str, ...]:
    """Return the cells of a machine in a table of machines."""
    last = machine.last_failure
    return (
        machine.machine,
        str(len(machine.workers)),
        str(len(machine.attempts)),
        str(len(machine.failed)),
        str(machine.running),
        ", ".join(f"{name} {count}" for name, count in machine.reasons.items()),
        timeline(machine, within) if within else "",
        "" if last is None else f"trial {last[0].number}, {attempt_line(last[1])}",
    )


def _moment(time: datetime | None) -> float:
    return time.timestamp() if time is not None else -math.inf
