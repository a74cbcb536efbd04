"""What is said of a run.

n trials; regret_n = (best true value of the first n − f*) / (median best of ten random trials − f*), at least FLOOR;
1 or more is no better than ten random trials; infinity until a trial has succeeded, told as WORST.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.problems.references import Reference
from benchmarks.results import Row

FLOOR = 1e-3
WORST = 100.0
STOPS = 20
"""A curve has so many points, at equal parts of the budget."""


@dataclass(frozen=True)
class Run:
    """A run in short."""

    problem: str
    seed: int
    half: float
    """Regret at half the budget."""
    full: float
    """Regret at the end."""
    curve: tuple[float, ...]
    """Regret at each twentieth of the budget."""
    seconds: float
    """A trial's, on average."""
    duplicates: int
    """Trials of a config that the run had tried before."""


def regret(best: float, reference: Reference) -> float:
    """The regret of a best value."""
    raw = (best - reference.best) / (reference.random - reference.best)
    return min(max(raw, FLOOR), WORST)


def regrets(rows: Sequence[Row], reference: Reference) -> list[float]:
    """The regret after each trial."""
    values, best = [], math.inf
    for row in rows:
        best = min(best, math.inf if row.true is None else row.true)
        values.append(regret(best, reference))
    return values


def duplicates(rows: Sequence[Row]) -> int:
    """How many trials repeat an earlier one."""
    return len(rows) - len({repr(sorted(row.config.items())) for row in rows})


def shorten(problem: str, seed: int, rows: Sequence[Row], reference: Reference) -> Run:
    """What is said of one run."""
    shortened = [float(f"{r:.4g}") for r in regrets(rows, reference)]
    n = len(shortened)
    curve = tuple(shortened[max(n * stop // STOPS, 1) - 1] for stop in range(1, STOPS + 1))
    seconds = sum(row.seconds for row in rows) / n
    return Run(problem, seed, shortened[n // 2 - 1], shortened[-1], curve, float(f"{seconds:.3g}"), duplicates(rows))


def geometric(values: Sequence[float]) -> float:
    """Geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan
