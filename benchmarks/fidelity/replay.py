"""One study, replayed by look-up: workers train trials epoch by epoch, on a clock of recorded seconds.

A method chooses freely in the space; what is run is the nearest configuration of the table that has not been run yet,
and that is what the method is told. A diverged trial fails at its first epoch that is not finite. A worker that is free
asks at once; a paused trial goes on where it was, without a cost.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from benchmarks.curves.table import Ended, Table
from bo_service.domain.constraints import Configuration

Snap = Callable[[Configuration], Configuration]
"""Give the recorded configuration that is run in place of any of the space. Raises Exhausted."""


class Exhausted(Exception):
    """Every configuration of the table has been run."""


class Answer(Enum):
    """What a method answers to the report of an epoch."""

    GO_ON = "go on"
    STOP = "stop"
    PAUSE = "pause"


class Ending(Enum):
    """Why a worker gives a trial back."""

    WHOLE = "whole"
    STOPPED = "stopped"
    PAUSED = "paused"
    FAILED = "failed"


class Part(NamedTuple):
    """A trial that a worker begins or, where the number was there before, goes on with."""

    number: int
    configuration: Configuration
    """One that is recorded."""


class Method(Protocol):
    """What chooses configurations, and stops or pauses trials. Losses: smaller is better."""

    def begin(self, snap: Snap) -> Part | None:
        """Choose a trial for a free worker; None where there is none until another one is given back."""

    def report(self, number: int, epoch: int, loss: float) -> Answer:
        """Learn of an epoch, counted from 1, of a trial that runs."""

    def end(self, number: int, ending: Ending) -> None:
        """Learn that a trial was given back."""


Make = Callable[[Table, int], Method]
"""From the table, of which only the space and the epochs may be used, and a seed."""


class Progress(NamedTuple):
    """What a study had reached at a moment."""

    epochs: int
    """Epochs trained so far, by all workers."""
    seconds: float
    """The clock."""
    best: float
    """The least validation loss of any epoch so far: that checkpoint would be kept. Infinite before the first."""
    final: float
    """The least last loss of the trials that were trained to their end; infinite before the first."""


@dataclass(frozen=True)
class Replayed:
    """What came of a study."""

    progress: tuple[Progress, ...]
    """Each moment at which a least loss fell, then the end."""
    trials: int
    """Configurations that were begun."""
    whole: int
    """Trials that were trained to their end."""


@dataclass
class _Trial:
    row: int
    done: int = 0
    """Epochs that it has had."""


def replay(make: Make, table: Table, seed: int, budget: int, workers: int = 1) -> Replayed:
    """Replay a study until its epochs are spent, or the table is.

    Args:
        make: Makes the method.
        table: The recorded curves.
        seed: Seed of the method; it also says which of the recorded runs of each configuration is used.
        budget: Epochs to spend, in whole trials.
        workers: Trials that are trained at the same time.
    """
    return _Study(make, table, seed, workers).run(budget * table.epochs)


class _Study:
    def __init__(self, make: Make, table: Table, seed: int, workers: int) -> None:
        self._table, self._recorded, self._workers = table, seed % table.seeds, workers
        self._is_free = table.ended[:, self._recorded] != Ended.MISSING
        self._method = make(table, seed)
        self._trials: dict[int, _Trial] = {}
        self._running: list[tuple[float, int, int]] = []
        """When the epoch that is being trained ends, an order among equals, and the trial's number."""
        self._reached = [Progress(0, 0.0, math.inf, math.inf)]
        self._whole = 0

    def run(self, epochs: int) -> Replayed:
        """Return what came of it."""
        now = self._reached[0]
        while now.epochs < epochs:
            self._hand_out(now.seconds, now.epochs)
            if not self._running:
                break  # the table is spent, or the method has nothing more
            now = self._train(now)
            last = self._reached[-1]
            if (now.best, now.final) != (last.best, last.final):
                self._reached.append(now)
        return Replayed((*self._reached[1:], now), len(self._trials), self._whole)

    def _hand_out(self, seconds: float, order: int) -> None:
        while len(self._running) < self._workers:
            try:
                part = self._method.begin(self._snap)
            except Exhausted:
                part = None
            if part is None:
                return
            if part.number not in self._trials:
                self._trials[part.number] = _Trial(self._table.index(part.configuration))
                self._is_free[self._trials[part.number].row] = False
            self._start_epoch(part.number, seconds, order + len(self._running))

    def _train(self, now: Progress) -> Progress:
        """End the epoch that is the first to end, and return what is reached then."""
        seconds, _, number = heapq.heappop(self._running)
        trial = self._trials[number]
        trial.done += 1
        loss = float(self._table.losses[trial.row, self._recorded, trial.done - 1])
        is_last = trial.done == self._table.epochs
        best, final, epochs = now.best, now.final, now.epochs + 1
        if not math.isfinite(loss):
            self._method.end(number, Ending.FAILED)
            return Progress(epochs, seconds, best, final)
        answer = self._method.report(number, trial.done, loss)
        if is_last:
            self._whole += 1
            final = min(final, loss)
            self._method.end(number, Ending.WHOLE)
        elif answer is Answer.GO_ON:
            self._start_epoch(number, seconds, epochs + self._workers)
        else:
            self._method.end(number, Ending.PAUSED if answer is Answer.PAUSE else Ending.STOPPED)
        return Progress(epochs, seconds, min(best, loss), final)

    def _start_epoch(self, number: int, seconds: float, order: int) -> None:
        trial = self._trials[number]
        recorded = float(self._table.seconds[trial.row, self._recorded, trial.done])
        heapq.heappush(self._running, (seconds + (recorded if math.isfinite(recorded) else 0.0), order, number))

    def _snap(self, configuration: Configuration) -> Configuration:
        if not self._is_free.any():
            raise Exhausted
        return self._table.configurations[self._table.nearest(configuration, self._is_free)]
