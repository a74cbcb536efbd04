"""Ray Tune's asynchronous successive halving over random configurations, at its defaults. It stops for good."""

from types import SimpleNamespace

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from benchmarks.curves.table import Table
from benchmarks.fidelity.random_search import Random
from benchmarks.fidelity.replay import Answer, Part, Snap


class RayAsha(Random):
    """Ray's scheduler, called without its controller: of that and of a trial it uses the trial's id alone."""

    def __init__(self, table: Table, seed: int) -> None:
        super().__init__(table, seed)
        self._scheduler = AsyncHyperBandScheduler(metric="loss", mode="min", max_t=table.epochs)
        self._added: dict[int, SimpleNamespace] = {}

    def begin(self, snap: Snap) -> Part:
        """Draw a configuration, the same as random search does."""
        part = super().begin(snap)
        self._added[part.number] = SimpleNamespace(trial_id=str(part.number))
        self._scheduler.on_trial_add(None, self._added[part.number])
        return part

    def report(self, number: int, epoch: int, loss: float) -> Answer:
        """Ask the scheduler."""
        result = {"training_iteration": epoch, "loss": loss}
        decision = self._scheduler.on_trial_result(None, self._added[number], result)
        return Answer.STOP if decision == TrialScheduler.STOP else Answer.GO_ON
