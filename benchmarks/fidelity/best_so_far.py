"""A worker that keeps the best checkpoint of a trial, and reports its loss instead of the last one."""

from benchmarks.curves.table import Table
from benchmarks.fidelity.replay import Answer, Ending, Make, Part, Snap


class BestSoFar:
    """A method that is given the least loss of a trial so far as its loss at each epoch.

    Args:
        make: Makes the method.
        table: The recorded curves.
        seed: Seed of the method.
    """

    def __init__(self, make: Make, table: Table, seed: int) -> None:
        self._method = make(table, seed)
        self._least: dict[int, float] = {}

    def begin(self, snap: Snap) -> Part | None:
        """Ask the method for a trial."""
        return self._method.begin(snap)

    def report(self, number: int, epoch: int, loss: float) -> Answer:
        """Report the least loss so far."""
        self._least[number] = min(loss, self._least.get(number, loss))
        return self._method.report(number, epoch, self._least[number])

    def end(self, number: int, ending: Ending) -> None:
        """Give the trial back."""
        self._method.end(number, ending)
