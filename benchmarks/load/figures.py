"""How long calls took, what went wrong, what the server needed. Imports the standard library alone: peers use it."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

LAST_S = 0.2
"""Before the end counting ends, as then all workers complete at once."""


@dataclass(frozen=True)
class Load:
    """What the workers do: each asks for a trial, lives for about `trial_s`, reports every `beat_s`, and ends it."""

    workers: int = 500
    seconds: float = 120.0
    trial_s: float = 20.0
    beat_s: float = 5.0
    warm_s: float = 15.0
    """Over which the workers begin, and which isn't counted."""
    lease_s: int = 20
    algorithm: str = "quasi_random"


@dataclass
class Figures:
    """Of one run."""

    system: str
    load: Load
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """How long each call took, by method."""
    errors: list[str] = field(default_factory=list)
    leases_lost: int = 0
    memory_mb: float = 0.0
    """The most that the server and its processes held, pages that they share counted once."""
    processor_s: float = 0.0
    """Which the server and its processes took."""
    counting: bool = False

    @contextmanager
    def timed(self, method: str) -> Iterator[None]:
        """Measures a call; what it raises is an error of the server."""
        began = perf_counter()
        try:
            yield
        except Exception as error:
            self.errors.append(f"{method}: {type(error).__name__}: {error}"[:300])
            raise
        if self.counting:
            self.seconds[method].append(perf_counter() - began)

    def to_json(self) -> str:
        seconds = {method: sorted(durations) for method, durations in self.seconds.items()}
        return json.dumps({**vars(self), "load": asdict(self.load), "seconds": seconds})

    @classmethod
    def from_json(cls, text: str) -> "Figures":
        given: dict[str, Any] = json.loads(text)
        return cls(**{**given, "load": Load(**given["load"])})

    def table(self) -> str:
        """Rows of Markdown: calls, calls per second, milliseconds."""
        lines = []
        for method, durations in sorted(self.seconds.items()):
            rate = len(durations) / self.load.seconds
            p50, p99, most = (1000 * quantile(durations, q) for q in (0.5, 0.99, 1.0))
            figures = f"{len(durations)} | {rate:.1f} | {p50:.1f} | {p99:.1f} | {most:.0f}"
            lines.append(f"| {self.system} | {method} | {figures} |")
        return "\n".join(lines)

    def summary(self) -> str:
        """One line beside the table."""
        errors = f"{len(self.errors)} errors" + (f" (the first: {self.errors[0]})" if self.errors else "")
        return (
            f"{self.system}: {self.load.workers} workers, {errors}, {self.leases_lost} leases lost, "
            f"server {self.memory_mb:.0f} MB at most, {self.processor_s:.0f} s of processor time"
        )


HEAD = "| server | call | calls | per second | p50 ms | p99 ms | most ms |\n|---|---|---|---|---|---|---|"


def quantile(values: list[float], q: float) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


class Usage:
    """What a process and its children need, read from /proc."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.most_mb = 0.0

    def look(self) -> None:
        """Now."""
        held = sum(_held(pid).get("Pss", 0.0) for pid in self.family())
        self.most_mb = max(self.most_mb, held / 1024)

    def processor_s(self) -> float:
        """So far."""
        return sum(_processor_s(pid) for pid in self.family())

    def family(self) -> list[int]:
        """The process and all below it."""
        pids = [self.pid]
        for pid in pids:
            for listing in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += [int(child) for child in _read(listing).split()]
        return pids


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _held(pid: int) -> Mapping[str, float]:
    rows = [line.split() for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()]
    return {row[0].rstrip(":"): float(row[1]) for row in rows if len(row) > 2 and row[2] == "kB"}


def _processor_s(pid: int) -> float:
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100 if fields else 0.0
