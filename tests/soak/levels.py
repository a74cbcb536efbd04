"""What a server takes while it is attacked, and whether that levels off."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.processes import children_of, memory_of

MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """The servers and all of their processes at one moment."""

    at: float
    memory: int
    """Bytes."""
    descriptors: int
    threads: int
    wal: int
    """Bytes of the write-ahead log."""
    lines: int
    """Of the logs, since the start."""


class Latency(NamedTuple):
    """One call of a healthy worker."""

    kind: str
    at: float
    """When it was sent."""
    seconds: float
    """How long it took."""


BOUNDS: dict[str, tuple[float, float]] = {
    "memory": (0.10, 30 * MIB),
    "descriptors": (0.10, 100),
    "threads": (0.10, 20),
    "wal": (0.25, 8 * MIB),
    "lines a minute": (0.5, 300),
    "heartbeat p50": (1.0, 0.1),
    "heartbeat p99": (2.0, 1.0),
}
"""By how much the last third may exceed the middle one: a share of it, and a number beyond."""


LATEST_S = 20.0
"""A third of a lease: a worker whose heartbeats take longer can't count on keeping its trial."""


def sample(servers: Sequence[int], database: Path, logs: Sequence[Path]) -> Sample:
    pids = [pid for server in servers for pid in family(server)]
    wal = database.with_name(database.name + "-wal")
    return Sample(
        time.monotonic(),
        sum(_of(pid, memory_of) for pid in pids),
        sum(_of(pid, lambda p: len(list(Path(f"/proc/{p}/fd").iterdir()))) for pid in pids),
        sum(_of(pid, lambda p: len(list(Path(f"/proc/{p}/task").iterdir()))) for pid in pids),
        wal.stat().st_size if wal.exists() else 0,
        sum(log.read_bytes().count(b"\n") for log in logs),
    )


def family(pid: int) -> list[int]:
    """A process, and those that it has started, and theirs."""
    with suppress(OSError):
        return [pid, *(each for child in children_of(pid) for each in family(child))]
    return [pid]


def _of(pid: int, measure: Callable[[int], int]) -> int:
    with suppress(OSError, StopIteration):  # it has ended
        return measure(pid)
    return 0


def thirds(samples: Sequence[Sample], latencies: Sequence[Latency]) -> dict[str, tuple[float, float]]:
    """Of each level its middle and its last third: medians, rates for lines, quantiles for heartbeats."""
    n = len(samples) // 3
    parts = samples[n : 2 * n], samples[2 * n :]
    found = {
        name: (float(median(getattr(s, name) for s in parts[0])), float(median(getattr(s, name) for s in parts[1])))
        for name in ("memory", "descriptors", "threads", "wal")
    }
    rates, halves, tails = [], [], []
    for part in parts:
        begin, end = part[0], part[-1]
        rates.append((end.lines - begin.lines) / max(end.at - begin.at, 1e-9) * 60)
        beats = [one for one in latencies if one.kind == "heartbeat" and begin.at <= one.at <= end.at]
        lag = lags(beats).get("heartbeat", NEVER)
        halves.append(lag.p50)
        tails.append(lag.p99)
    found["lines a minute"] = rates[0], rates[1]
    found["heartbeat p50"] = halves[0], halves[1]
    found["heartbeat p99"] = tails[0], tails[1]
    return found


class Lag(NamedTuple):
    """How many seconds the calls of one kind took."""

    count: int
    p50: float
    p99: float
    longest: float


NEVER = Lag(0, float("inf"), float("inf"), float("inf"))


def lags(latencies: Sequence[Latency]) -> dict[str, Lag]:
    """Of each kind of call how long it took."""
    found = {}
    for kind in sorted({one.kind for one in latencies}):
        took = sorted(one.seconds for one in latencies if one.kind == kind)
        found[kind] = Lag(len(took), took[len(took) // 2], took[min(int(0.99 * len(took)), len(took) - 1)], took[-1])
    return found


def rising(levels: dict[str, tuple[float, float]]) -> list[str]:
    """The levels that don't level off, and heartbeats that are too slow however level."""
    found = []
    for name, (middle, last) in levels.items():
        share, beyond = BOUNDS[name]
        if last > middle * (1.0 + share) + beyond:
            found.append(f"{name} goes from {middle:,.3f} to {last:,.3f}")
    if max(levels["heartbeat p99"]) > LATEST_S:
        found.append(f"99 % of heartbeats take {max(levels['heartbeat p99']):.1f} s; the bound is {LATEST_S:.0f}")
    return found
