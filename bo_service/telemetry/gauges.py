"""Gauges collected at each scrape: studies, trials, and the pool."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bo_service.application.ports import Store
from bo_service.compute.pool import PoolLoad
from bo_service.domain.errors import StorageUnavailable
from bo_service.domain.trial import TrialState


class GaugeCollector(Collector):
    """A collector of gauges.

    It omits studies and trials while the database is unavailable; `bo_storage_errors_total` counts that.
    """

    def __init__(self, store: Store, load: Callable[[], PoolLoad]) -> None:
        self._store = store
        self._load = load

    def describe(self) -> Iterator[Metric]:
        """Return nothing, so that the registration does not query the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield the current gauges."""
        load = self._load()
        yield GaugeMetricFamily("bo_computing_waiting", "Tasks waiting for a compute process.", load.waiting)
        yield GaugeMetricFamily("bo_computing_running", "Tasks running in compute processes.", load.running)
        yield CounterMetricFamily("bo_computing_failures", "Computations of suggestions that failed.", load.failures)
        yield CounterMetricFamily("bo_computing_restarts", "Restarts of compute processes.", load.restarts)
        try:
            with self._store.read() as records:
                studies, states = records.count_studies(), records.count_trials()
        except StorageUnavailable:
            return
        yield GaugeMetricFamily("bo_studies", "Stored studies.", studies)
        trials = GaugeMetricFamily("bo_trials", "Stored trials, by state.", labels=["state"])
        for state in TrialState:
            trials.add_metric([state.value], states.get(state, 0))
        yield trials
