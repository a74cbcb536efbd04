"""What is scored of a replayed study, and methods beside a base on the studies that both have.

Means are geometric, over the seeds of each table, then over tables. A ratio is method / base: below 1 where the method
is better. `benchmarks/fidelity/plan.md` says why.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property

import numpy as np

from benchmarks.curves.table import Ended, Table
from benchmarks.fidelity.results import Study
from benchmarks.problems.references import QUANTILE
from benchmarks.tabular.scores import FLOOR, geometric, interval

MOMENTS = (8, 12, 16, 20)
"""Whole trials whose epochs are spent."""
FIRST, LAST = MOMENTS[0], MOMENTS[-1]

Studies = Mapping[tuple[str, int], Study]
"""Studies of one method by table and seed."""


class Score(Enum):
    """What is scored of a study."""

    CHECKPOINT = "best checkpoint of any epoch"
    FINAL = "best trial trained to its end"


class Spent(Enum):
    """What a moment is counted in: epochs, or recorded seconds."""

    EPOCHS = "epochs"
    SECONDS = "seconds"


@dataclass(frozen=True)
class Reference:
    """What the losses of a recorded run are compared with."""

    best: float
    random: float
    """The median best of ten random configurations."""
    median: float
    """That of one random configuration."""

    def regret(self, loss: float) -> float:
        """Return (loss - best) / (random - best), from FLOOR to what one random configuration has in the median."""
        scale = self.random - self.best
        return min(max((loss - self.best) / scale, FLOOR), max((self.median - self.best) / scale, 1.0))


class Scale:
    """The references of a table, and the seconds of a whole trial."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.reference = cache(self._reference)
        """The reference of a recorded run, from 0, and a score."""

    def _reference(self, recorded: int, score: Score) -> Reference:
        losses = self.table.losses[:, recorded][self.table.ended[:, recorded] != Ended.MISSING].astype(np.float64)
        least = np.where(np.isfinite(losses), losses, np.inf)
        values = least.min(axis=1) if score is Score.CHECKPOINT else least[:, -1]
        best, random, median = np.quantile(values, [0.0, QUANTILE, 0.5], method="lower")
        return Reference(float(best), float(random), float(median))

    @cached_property
    def seconds(self) -> float:
        """Mean seconds of the trials that were recorded to their end."""
        return float(self.table.seconds[self.table.ended == Ended.WHOLE].sum(axis=1, dtype=np.float64).mean())

    def regret(self, study: Study, moment: int, score: Score, spent: Spent = Spent.EPOCHS) -> float:
        """Return a study's regret at a moment, in whole trials of one worker."""
        epochs, seconds = moment * self.table.epochs, moment * self.seconds / study.key.workers
        if spent is Spent.EPOCHS:
            reached = study.at(lambda progress: progress.epochs <= epochs)
        else:
            reached = study.at(lambda progress: progress.seconds <= seconds)
        loss = reached.best if score is Score.CHECKPOINT else reached.final
        return self.reference(study.key.seed % self.table.seeds, score).regret(loss)


@dataclass(frozen=True)
class Ratio:
    """A method's regret divided by the base's."""

    mean: float
    low: float
    """95 % interval, a bootstrap over tables and their seeds; nan with fewer than two tables."""
    high: float


@dataclass(frozen=True)
class Comparison:
    """A method beside the base on one score."""

    method: str
    studies: int
    """Studies of the method that the base has too."""
    tables: int
    """Tables of these."""
    seeds: int
    """Paired seeds of the table that has the fewest, of all that are compared; 0 if one has none."""
    regrets: tuple[float, ...]
    """At each of MOMENTS."""
    by_seconds: tuple[float, float]
    """At the first and the last moment, counted in seconds."""
    first: Ratio
    last: Ratio
    rank: float
    """Mean rank at the last moment on the studies that all methods have; nan if there are none."""
    trials: float
    """Mean number of configurations that were begun."""


class Comparer:
    """Compares methods with a base on some tables."""

    def __init__(self, methods: Mapping[str, Studies], base: str, scales: Mapping[str, Scale], score: Score) -> None:
        chosen = {m: {k: s for k, s in studies.items() if k[0] in scales} for m, studies in methods.items()}
        self._methods = {m: studies for m, studies in chosen.items() if set(studies) & set(chosen.get(base, {}))}
        self._base, self._scales, self._score = base, scales, score

    @property
    def has_base(self) -> bool:
        """Whether there is a study of the base; without one nothing is compared."""
        return self._base in self._methods

    def compare(self) -> list[Comparison]:
        """Return a comparison for each method with a study that the base has too, the best at the last moment first."""
        ranks = self._mean_ranks()
        lines = [self._comparison(method, ranks[method]) for method in self._methods]
        return sorted(lines, key=lambda line: line.regrets[-1])

    def common(self) -> list[tuple[str, int]]:
        """Return the tables and seeds that all methods have a study of."""
        return sorted(set.intersection(*map(set, self._methods.values()))) if self._methods else []

    def _comparison(self, method: str, rank: float) -> Comparison:
        own = self._methods[method]
        keys = [key for key in own if key in self._methods[self._base]]
        paired = {table: [key for key in keys if key[0] == table] for table in dict.fromkeys(key[0] for key in keys)}
        return Comparison(
            method, len(keys), len(paired), min(len(paired.get(table, ())) for table in self._scales),
            tuple(self._mean(own, paired, moment, Spent.EPOCHS) for moment in MOMENTS),
            (self._mean(own, paired, FIRST, Spent.SECONDS), self._mean(own, paired, LAST, Spent.SECONDS)),
            self._ratio(own, paired, FIRST), self._ratio(own, paired, LAST), rank,
            sum(own[key].replayed.trials for key in keys) / len(keys),
        )  # fmt: skip

    def _mean(
        self, studies: Studies, keys: Mapping[str, Sequence[tuple[str, int]]], moment: int, spent: Spent
    ) -> float:
        return geometric({t: [self._regret(studies[key], moment, spent) for key in of] for t, of in keys.items()})

    def _ratio(self, own: Studies, keys: Mapping[str, Sequence[tuple[str, int]]], moment: int) -> Ratio:
        base = self._methods[self._base]
        ratios = {
            table: [self._regret(own[key], moment) / self._regret(base[key], moment) for key in of]
            for table, of in keys.items()
        }
        return Ratio(geometric(ratios), *interval(ratios))

    def _mean_ranks(self) -> dict[str, float]:
        """Return mean ranks; 1 is the best, and equals share their ranks."""
        shared = self.common()
        if not shared:
            return dict.fromkeys(self._methods, math.nan)
        values = np.array([[self._regret(of[key], LAST) for key in shared] for of in self._methods.values()])
        below = (values[:, None] > values[None]).sum(axis=1)
        equal = (values[:, None] == values[None]).sum(axis=1)
        return dict(zip(self._methods, (below + (equal + 1) / 2).mean(axis=1).tolist(), strict=True))

    def _regret(self, study: Study, moment: int, spent: Spent = Spent.EPOCHS) -> float:
        return self._scales[study.key.table].regret(study, moment, self._score, spent)
