"""Peers against each other, on the runs that both have: the same problem, the same seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.measures import Run, geometric

LEAST = 0.4
"""Slow peers have been run on some of the problems alone; ranks would be over next to none if they took part."""

Runs = Mapping[tuple[str, int], Run]


@dataclass(frozen=True)
class Line:
    """A peer beside the one that all are compared with, on the runs that both have."""

    peer: str
    runs: int
    half: float
    full: float
    base_half: float
    base_full: float
    low: float
    """95 % interval of the ratio base_full / full, over problems."""
    high: float
    rank: float
    """Mean rank at the full budget among the `broad` peers, on the runs that all of those have; else nan."""
    duplicates: int
    seconds: float

    @property
    def ratio(self) -> float:
        """Below 1 where the base is better."""
        return self.base_full / self.full


def compare(peers: Mapping[str, Sequence[Run]], base: str, problems: Sequence[str]) -> list[Line]:
    """A line for each peer, the best first."""
    tables = tabled(peers, problems)
    ranks = mean_ranks(broad(tables, len(problems)))
    lines = [_line(peer, table, tables.get(base, {}), ranks.get(peer, math.nan)) for peer, table in tables.items()]
    return sorted(lines, key=lambda line: line.full)


def tabled(peers: Mapping[str, Sequence[Run]], problems: Sequence[str]) -> dict[str, Runs]:
    """Runs of some problems by peer and by problem and seed, of those peers that have any."""
    tables = {peer: {(r.problem, r.seed): r for r in runs if r.problem in problems} for peer, runs in peers.items()}
    return {peer: table for peer, table in tables.items() if table}


def broad(tables: Mapping[str, Runs], problems: int) -> dict[str, Runs]:
    """The peers that have enough of the problems to be ranked and drawn: `LEAST` of them."""
    return {peer: table for peer, table in tables.items() if len({name for name, _ in table}) >= LEAST * problems}


def common(tables: Mapping[str, Runs]) -> list[tuple[str, int]]:
    """The runs that all have."""
    return sorted(set.intersection(*(set(table) for table in tables.values()))) if tables else []


def mean_ranks(tables: Mapping[str, Runs]) -> dict[str, float]:
    """By full regret; equals share their ranks."""
    shared = common(tables)
    if not shared:
        return dict.fromkeys(tables, math.nan)
    values = np.array([[table[key].full for key in shared] for table in tables.values()])
    below = (values[:, None] > values[None]).sum(axis=1)
    equal = (values[:, None] == values[None]).sum(axis=1)
    return dict(zip(tables, (below + (equal + 1) / 2).mean(axis=1).tolist(), strict=True))


def _line(peer: str, table: Runs, base: Runs, rank: float) -> Line:
    keys = [key for key in table if key in base] or list(table)
    own = [table[key] for key in keys]
    theirs = [base.get(key) for key in keys]
    pairs = [(r, b) for r, b in zip(own, theirs, strict=True) if b is not None]
    low, high = _interval(pairs)
    return Line(
        peer, len(own), geometric([r.half for r in own]), geometric([r.full for r in own]),
        geometric([b.half for _, b in pairs]), geometric([b.full for _, b in pairs]), low, high, rank,
        sum(r.duplicates for r in own), sum(r.seconds for r in own) / len(own),
    )  # fmt: skip


def _interval(pairs: Sequence[tuple[Run, Run]]) -> tuple[float, float]:
    """Of the geometric-mean ratio, each problem's seeds being averaged first."""
    logs: dict[str, list[float]] = {}
    for run, base in pairs:
        logs.setdefault(run.problem, []).append(math.log(base.full / run.full))
    means = [sum(v) / len(v) for v in logs.values()]
    if len(means) < 2:
        return math.nan, math.nan
    center, error = float(np.mean(means)), float(np.std(means, ddof=1)) / math.sqrt(len(means))
    return math.exp(center - 1.96 * error), math.exp(center + 1.96 * error)
