"""Results of runs: a file of JSON lines, one for each finished run. Appending is atomic, whatever ends the process."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

FOLDER = Path(__file__).parents[1] / "results"


class ResultsInUse(Exception):
    """Another process appends to the file."""


@dataclass(frozen=True)
class TabularRun:
    """One finished run. Regrets are relative to ten random trials, without a floor, at half the budget and its end."""

    problem: str
    peer: str
    seed: int
    version: str
    """Version of the peer's library, or digest of our own code."""
    trials: tuple[str, ...]
    """Configurations in the order in which they were tried, as digits."""
    tried: tuple[float, float]
    """Regret of the best configuration that was tried."""
    told: tuple[float, float]
    """Regret of the configuration with the best measured value."""
    recommended: tuple[float, float] | None
    """Regret of the configuration that the peer recommends; None if it recommends none."""
    seconds: float
    """Processor time of the peer."""

    @property
    def ended(self) -> tuple[float, float]:
        """Regret of what the user ends with: the recommendation, or else the best measured value."""
        return self.told if self.recommended is None else self.recommended

    @property
    def key(self) -> tuple[str, str, int, str, int]:
        """What identifies the run: problem, peer, seed, version and budget."""
        return self.problem, self.peer, self.seed, self.version, len(self.trials)


def default_file(is_validation: bool) -> Path:
    """Return the file in which results are kept."""
    return FOLDER / f"tabular-{'validation' if is_validation else 'development'}.jsonl"


def read(path: Path) -> list[TabularRun]:
    """Return the finished runs of a file; a last line that was cut off is left out, a missing file is empty."""
    return [_run(given) for given in whole_lines(path)]


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """Return the values of a file of JSON lines; a last line that was cut off is left out, a missing file is empty."""
    content = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


@contextmanager
def appending(path: Path) -> Iterator[None]:
    """Keep other processes from appending to the file, and remove a last line that was cut off.

    Raises:
        ResultsInUse: another process appends to it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(path.name + ".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ResultsInUse(f"another process appends to {path}") from None
    try:
        if path.exists():
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
        yield
    finally:
        lock.release()


def append(path: Path, run: TabularRun) -> None:
    """Append one run; it is on the disk when this returns."""
    append_line(path, asdict(run))


def append_line(path: Path, value: Mapping[str, Any]) -> None:
    """Append one JSON line; it is on the disk when this returns."""
    with path.open("ab") as file:
        file.write(json.dumps(value).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _run(given: dict[str, Any]) -> TabularRun:
    recommended = given.pop("recommended")
    given |= {name: tuple(given[name]) for name in ("trials", "tried", "told")}
    return TabularRun(**given, recommended=None if recommended is None else tuple(recommended))
