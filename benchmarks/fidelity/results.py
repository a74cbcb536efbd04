"""Results of replayed studies: a file of JSON lines, one for each finished study."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.fidelity.replay import Progress, Replayed
from benchmarks.tabular import results as lines

DIGITS = 6
"""Significant digits that are kept."""


class Key(NamedTuple):
    """What identifies a study."""

    table: str
    method: str
    version: str
    seed: int
    workers: int
    budget: int
    """Epochs, in whole trials."""


@dataclass(frozen=True)
class Study:
    """One finished study."""

    key: Key
    replayed: Replayed
    cpu_seconds: float
    """Processor time of the method and of the look-ups."""

    def at(self, is_reached: Callable[[Progress], bool]) -> Progress:
        """Return the last progress that holds a condition; a study that ended before has what it had at its end."""
        latest_progress = Progress(0, 0.0, math.inf, math.inf)
        for progress in self.replayed.progress:
            if not is_reached(progress):
                break
            latest_progress = progress
        return latest_progress


def default_file(half: str) -> Path:
    """Return the file in which the results of one half are kept."""
    return lines.FOLDER / f"fidelity-{half}.jsonl"


def append(path: Path, study: Study) -> None:
    """Append one study; it is on the disk when this returns."""
    given = asdict(study.replayed) | {"progress": [_written(progress) for progress in study.replayed.progress]}
    lines.append_line(path, study.key._asdict() | given | {"cpu_seconds": round(study.cpu_seconds, 3)})


def read(path: Path) -> list[Study]:
    """Return the finished studies of a file; a last line that was cut off is left out, a missing file is empty."""
    return [_study(given) for given in lines.whole_lines(path)]


def _study(given: dict[str, Any]) -> Study:
    progress = tuple(
        Progress(epochs, seconds, *(math.inf if value is None else value for value in least))
        for epochs, seconds, *least in given["progress"]
    )
    replayed = Replayed(progress, given["trials"], given["whole"])
    return Study(Key(*(given[name] for name in Key._fields)), replayed, given["cpu_seconds"])


def _written(progress: Progress) -> list[float | None]:
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in progress]
