"""What is asked at the moment of a scrape: trials, studies, and the pool."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bo_service.adapters.compute.pool import PoolLoad
from bo_service.application.ports import Store
from bo_service.core.errors import StorageUnavailable
from bo_service.core.trial import TrialState


class Levels(Collector):
    """Left out are studies and trials while the database doesn't answer, which `bo_storage_errors_total` tells."""

    def __init__(self, store: Store, load: Callable[[], PoolLoad]) -> None:
        self._store = store
        self._load = load

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering asks nothing of the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        load = self._load()
        yield GaugeMetricFamily("bo_computing_waiting", "Tasks that wait for a process.", load.waiting)
        yield GaugeMetricFamily("bo_computing_running", "Tasks in processes.", load.running)
        yield CounterMetricFamily("bo_computing_failures", "Suggestions the surrogate failed to make.", load.failures)
        yield CounterMetricFamily("bo_computing_restarts", "Restarts after a process was killed.", load.restarts)
        try:
            with self._store.read() as records:
                studies, states = records.studies.total(), records.trials.totals()
        except StorageUnavailable:
            return
        yield GaugeMetricFamily("bo_studies", "Studies kept.", studies)
        trials = GaugeMetricFamily("bo_trials", "Trials kept, by state.", labels=["state"])
        for state in TrialState:
            trials.add_metric([state.value], states.get(state, 0))
        yield trials
