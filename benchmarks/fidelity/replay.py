"""One study, replayed by look-up: trials run one after the other, and every epoch counts.

A method chooses freely in the space; what is run is the nearest configuration of the table that has not been run yet,
and that is what the method is told. A diverged trial fails at its first epoch that is not finite.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.curves.table import Ended, Table
from bo_service.domain.constraints import Configuration


class Method(Protocol):
    """What chooses configurations and stops trials. Losses: smaller is better."""

    def begin(self, snap: Callable[[Configuration], Configuration]) -> Configuration:
        """Choose the next configuration; `snap` gives the recorded one that is run instead."""

    def report(self, epoch: int, loss: float) -> bool:
        """Learn of an epoch, counted from 1, of the trial that runs; return whether it stops there."""

    def end(self, is_failed: bool) -> None:
        """Learn that the trial has ended: stopped, with all its epochs, or failed."""


Make = Callable[[Table, int], Method]
"""From the table, of which only the space and the epochs may be used, and a seed."""


@dataclass(frozen=True)
class Replayed:
    """What came of it, after as many epochs as 1, 2, … whole trials have."""

    best: list[float]
    """The least validation loss of any epoch so far: that checkpoint would be kept."""
    final: list[float]
    """The least last loss of the trials that were trained to their end; infinite before the first."""
    seconds: list[float]
    """The recorded seconds so far."""
    trials: int


def replay(make: Make, table: Table, seed: int, budget: int) -> Replayed:
    """Replay with the epochs of so many whole trials, on the table's run of this seed."""
    run = seed % table.seeds
    is_free = table.ended[:, run] != Ended.MISSING
    method = make(table, seed)
    best = final = math.inf
    told: list[tuple[float, float, float]] = []
    spent, seconds, trials = 0, 0.0, 0

    def snap(configuration: Configuration) -> Configuration:
        return table.configurations[table.nearest(configuration, is_free)]

    while len(told) < budget and is_free.any():
        row = table.index(method.begin(snap))
        is_free[row] = False
        trials += 1
        is_failed = False
        for epoch in range(1, table.epochs + 1):
            loss, spent = float(table.losses[row, run, epoch - 1]), spent + 1
            seconds += float(np.nan_to_num(table.seconds[row, run, epoch - 1]))
            best = min(best, loss if math.isfinite(loss) else math.inf)
            if epoch == table.epochs and math.isfinite(loss):
                final = min(final, loss)
            if spent % table.epochs == 0:
                told.append((best, final, seconds))
            is_failed = not math.isfinite(loss)
            if is_failed or method.report(epoch, loss):
                break
        method.end(is_failed)
    columns = [list(column) for column in zip(*told[:budget], strict=True)]
    return Replayed(columns[0], columns[1], columns[2], trials)
