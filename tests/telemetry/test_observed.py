"""Ports that are watched behave as before, and what watches is told how each thing ended."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bo_service.application.ports import ComputationHandle, RequestKey
from bo_service.application.views import Empty
from bo_service.domain.errors import DeadlinePassed, NotEnoughData, StorageUnavailable
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.inputs import OptimizerInput
from bo_service.storage.sqlite import SqliteStore
from bo_service.telemetry.instrument import Instruments
from bo_service.telemetry.metrics import Metrics
from bo_service.telemetry.observed import ObservedOptimizer, ObservedStore

EVIDENCE = OptimizerInput(SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)), SuggestionSettings(), 0, (), ())


class Told:
    """An instrument that remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []

    @contextmanager
    def call(self, method, context):
        yield

    @contextmanager
    def transaction(self, kind):
        self.heard.append(("begin", kind))
        try:
            yield
        finally:
            self.heard.append(("end", kind))

    @contextmanager
    def computation(self, computation):
        try:
            yield
        finally:
            self.heard.append((computation.task, computation.outcome))

    def replayed(self, method):
        self.heard.append(("replayed", method))

    def suggestions_found(self, finding):
        self.heard.append(("suggestions", finding.value))

    def leases_expired(self, count):
        self.heard.append(("expired", str(count)))


class Optimizer:
    """Ends each task as it is told to."""

    def __init__(self, end) -> None:
        self.end = end

    def _do(self, *_):
        if isinstance(self.end, Exception):
            raise self.end
        return self.end

    suggest = suggest_quasi_random = predict = predict_slice = analyze = _do


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ([], "ready"),
        (None, "too_late"),
        (DeadlinePassed("late"), "too_late"),
        (NotEnoughData("few"), "not_enough_data"),
        (KeyError("bug"), "failed"),
    ],
)
def test_how_a_suggestion_ended_is_told(end, outcome: str) -> None:
    told = Told()
    observed = ObservedOptimizer(Optimizer(end), told)
    if isinstance(end, Exception):
        with pytest.raises(type(end)):
            observed.suggest(EVIDENCE, 1, 1.0, ComputationHandle(is_urgent=True))
    else:
        assert observed.suggest(EVIDENCE, 1, 1.0, ComputationHandle(is_urgent=True)) == end
    assert told.heard == [("suggest", outcome)]


def test_each_task_has_its_name() -> None:
    told = Told()
    observed = ObservedOptimizer(Optimizer([]), told)
    observed.suggest_quasi_random(EVIDENCE, 1)
    observed.predict(EVIDENCE, [], 1.0)
    observed.predict_slice(EVIDENCE, None, 1.0)
    observed.analyze(EVIDENCE, 1.0)
    names = ["suggest", "predict", "predict_slice", "analyze"]
    assert told.heard == [(name, "quasi_random" if name == "suggest" else "ready") for name in names]


def test_a_replay_is_told_once_and_only_where_it_has_its_effect(tmp_path) -> None:
    told, now = Told(), datetime(2026, 1, 1, tzinfo=UTC)
    raw = SqliteStore(tmp_path / "bo.db")
    store = ObservedStore(raw, told)
    key = RequestKey("once", "StopTrial", "digest")
    with store.write() as records:
        assert records.find_answer(key, Empty) is None
        records.save_answer(key, Empty(), now)
    with store.read() as records:
        assert records.find_answer(key, Empty) == Empty()
    with store.write() as records:
        assert records.find_answer(key, Empty) == Empty()
        records.delete_answers(now + timedelta(seconds=1))
        assert records.find_answer(key, Empty) is None
        assert records.count_studies() == 0  # the rest is as it was
    raw.close()
    assert [heard for heard in told.heard if heard[0] == "replayed"] == [("replayed", "StopTrial")]


def test_a_database_that_fails_is_counted_and_a_refusal_is_not(tmp_path) -> None:
    metrics = Metrics()
    raw = SqliteStore(tmp_path / "bo.db")
    store = ObservedStore(raw, Instruments([metrics]))
    with pytest.raises(KeyError), store.write():
        raise KeyError("a refusal")
    with pytest.raises(StorageUnavailable), store.write() as records:
        records.connection.exec_driver_sql("SELECT * FROM nowhere")
    raw.close()
    assert metrics.registry.get_sample_value("bo_storage_errors_total", {"kind": "write"}) == 1.0
    transactions = metrics.registry.get_sample_value("bo_storage_transaction_duration_seconds_count", {"kind": "write"})
    assert transactions == 2.0


def test_several_instruments_nest_the_first_outermost(tmp_path) -> None:
    one, heard = Told(), []
    other = Told()
    one.heard = other.heard = heard
    with Instruments([one, other]).transaction("read"):
        heard.append(("inside",))
    assert heard == [("begin", "read"), ("begin", "read"), ("inside",), ("end", "read"), ("end", "read")]
