"""What runs leave behind: one file of JSON lines for each peer, problem and seed; a line is a trial."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.problems.space import Config


@dataclass(frozen=True)
class Row:
    """One trial. `value` is as measured, `true` without noise; both None where the trial failed."""

    config: Config
    value: float | None
    true: float | None
    seconds: float
    """Processor time that the peer took: to learn of the trial before, and to choose this one."""


@dataclass(frozen=True, order=True)
class Key:
    """Which run."""

    peer: str
    problem: str
    seed: int

    def file(self, folder: Path) -> Path:
        """Where its trials are."""
        return folder / self.peer / self.problem / f"{self.seed}.jsonl"


def write(path: Path, rows: Iterable[Row]) -> None:
    """Writes trials as they come; the file gets its name when all have come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w") as file:
        for row in rows:
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()
    os.replace(part, path)


def read(path: Path) -> list[Row]:
    """The trials of a finished run."""
    with path.open() as file:
        return [Row(**json.loads(line)) for line in file]


def is_finished(path: Path, budget: int) -> bool:
    """Whether the run is there with as many trials as the problem has now."""
    return path.exists() and len(path.read_text().splitlines()) == budget


def finished(folder: Path) -> list[Key]:
    """All finished runs in a folder."""
    files = folder.glob("*/*/*.jsonl")
    return sorted(Key(f.parent.parent.name, f.parent.name, int(f.stem)) for f in files)
