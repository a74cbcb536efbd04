"""Random search, which trains every trial to its end."""

import numpy as np

from benchmarks.curves import points
from benchmarks.curves.table import Table
from benchmarks.fidelity.replay import Answer, Ending, Part, Snap


class Random:
    """Uniform in each parameter's scale; nothing is stopped."""

    def __init__(self, table: Table, seed: int) -> None:
        self._space, self._rng, self._trials = table.space, np.random.default_rng([seed, 20]), 0

    def begin(self, snap: Snap) -> Part:
        """Draw a configuration."""
        self._trials += 1
        drawn = points.configuration_at(self._space, self._rng.random(len(self._space.parameters)))
        return Part(self._trials, snap(drawn))

    def report(self, number: int, epoch: int, loss: float) -> Answer:  # noqa: ARG002
        """Go on."""
        return Answer.GO_ON

    def end(self, number: int, ending: Ending) -> None:
        """Learn nothing."""
