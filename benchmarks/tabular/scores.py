"""Peers beside a base, on the runs that both have: the same table and the same seed.

A run's score is its regret, at least FLOOR: the optimum of a finite table can be hit exactly, and with a low floor the
mean would count such hits. Means are geometric, over the seeds of each table, then over tables. A ratio is base / peer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from benchmarks.tabular.results import TabularRun

FLOOR = 0.02
RESAMPLES = 10_000
ENOUGH_SEEDS = 10
"""A comparison with fewer paired seeds on any of its tables is preliminary."""

Runs = Mapping[tuple[str, int], TabularRun]
"""Runs of one peer by table and seed."""


class Score(Enum):
    """What is scored of a run."""

    TRIED = "best configuration tried"
    ENDED = "what the user ends with"


@dataclass(frozen=True)
class Comparison:
    """A peer beside the base on one score."""

    peer: str
    runs: int
    """Runs of the peer that the base has too."""
    seeds: int
    """Paired seeds of the table that has the fewest, of all that are compared; 0 if one has none."""
    half: float
    full: float
    base_half: float
    base_full: float
    low: float
    """95 % interval of the ratio at the full budget; nan with fewer than two tables."""
    high: float
    rank: float
    """Mean rank on the runs that all peers have; nan if there are none."""
    repeats: int
    """Trials of a configuration that its run had tried before."""
    seconds: float
    """Processor time of a trial."""

    @property
    def ratio(self) -> float:
        """The base's regret divided by the peer's: below 1 where the base is better."""
        return self.base_full / self.full


def regret(run: TabularRun, score: Score, at_half: bool = False) -> float:
    """Return a run's score."""
    values = run.tried if score is Score.TRIED else run.ended
    return max(values[0 if at_half else 1], FLOOR)


def compare(peers: Mapping[str, Runs], base: str, tables: Sequence[str], score: Score) -> list[Comparison]:
    """Return a comparison for each peer with a run that the base has too, the best peer first."""
    chosen = {peer: {k: r for k, r in runs.items() if k[0] in tables} for peer, runs in peers.items()}
    chosen = {peer: runs for peer, runs in chosen.items() if set(runs) & set(chosen.get(base, {}))}
    ranks = mean_ranks(chosen, score)
    lines = [_compare(peer, chosen, base, tables, score, ranks[peer]) for peer in chosen]
    return sorted(lines, key=lambda line: line.full)


def common(peers: Mapping[str, Runs]) -> list[tuple[str, int]]:
    """Return the tables and seeds that all peers have a run of."""
    return sorted(set.intersection(*(set(runs) for runs in peers.values()))) if peers else []


def mean_ranks(peers: Mapping[str, Runs], score: Score) -> dict[str, float]:
    """Return mean ranks at the full budget on the runs that all have; 1 is the best, and equals share their ranks."""
    shared = common(peers)
    if not shared:
        return dict.fromkeys(peers, math.nan)
    values = np.array([[regret(runs[key], score) for key in shared] for runs in peers.values()])
    below = (values[:, None] > values[None]).sum(axis=1)
    equal = (values[:, None] == values[None]).sum(axis=1)
    return dict(zip(peers, (below + (equal + 1) / 2).mean(axis=1).tolist(), strict=True))


def geometric(values: Mapping[str, Sequence[float]]) -> float:
    """Return the geometric mean over the seeds of each table, then over tables."""
    return math.exp(sum(sum(map(math.log, v)) / len(v) for v in values.values()) / len(values))


def interval(ratios: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the geometric-mean ratio.

    Tables are drawn with replacement, and within each that is drawn its seeds, so that the interval has both sources of
    variation. The random numbers are fixed.

    Args:
        ratios: Ratios of the paired runs of each table.
    """
    if len(ratios) < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(0)
    logs = [np.log(np.asarray(values)) for values in ratios.values()]
    drawn = rng.integers(len(logs), size=(RESAMPLES, len(logs)))
    means = np.empty(drawn.shape)
    for table, values in enumerate(logs):
        chosen = drawn == table
        means[chosen] = values[rng.integers(len(values), size=(int(chosen.sum()), len(values)))].mean(axis=1)
    low, high = np.exp(np.quantile(means.mean(axis=1), [0.025, 0.975]))
    return float(low), float(high)


def _compare(
    peer: str, peers: Mapping[str, Runs], base: str, tables: Sequence[str], score: Score, rank: float
) -> Comparison:
    own, other = peers[peer], peers[base]
    keys = [key for key in own if key in other]
    paired = {name: [key for key in keys if key[0] == name] for name in dict.fromkeys(name for name, _ in keys)}

    def mean(runs: Runs, at_half: bool) -> float:
        return geometric({name: [regret(runs[k], score, at_half) for k in of] for name, of in paired.items()})

    ratios = {name: [regret(other[k], score) / regret(own[k], score) for k in of] for name, of in paired.items()}
    low, high = interval(ratios)
    trials = sum(len(own[key].trials) for key in keys)
    return Comparison(
        peer, len(keys), min(len(paired.get(name, ())) for name in tables), mean(own, True), mean(own, False),
        mean(other, True), mean(other, False), low, high, rank,
        trials - sum(len(set(own[key].trials)) for key in keys), sum(own[key].seconds for key in keys) / trials,
    )  # fmt: skip
