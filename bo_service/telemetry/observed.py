"""Decorators of the ports that pass each operation to an instrument."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from bo_service.application.ports import ComputationHandle, Optimizer, RequestKey, Store, UnitOfWork
from bo_service.domain.constraints import Configuration
from bo_service.domain.errors import DeadlinePassed, NotEnoughData
from bo_service.optimizer.inputs import OptimizerInput, Predictions, Suggestion, SuggestionBatch
from bo_service.optimizer.insight.results import Analysis, Slice, SliceRequest
from bo_service.telemetry.instrument import Computation, Instrument

T = TypeVar("T")


class ObservedOptimizer:
    """An optimizer that observes computations and their outcomes."""

    def __init__(self, optimizer: Optimizer, instrument: Instrument) -> None:
        self._optimizer = optimizer
        self._instrument = instrument

    def suggest(
        self, inputs: OptimizerInput, count: int, timeout: float, handle: ComputationHandle
    ) -> SuggestionBatch | None:
        with self._watch("suggest", inputs) as task:
            batch = self._optimizer.suggest(inputs, count, timeout, handle)
            if batch is None:
                task.outcome = "stopped" if handle.is_cancelled else "too_late"
            return batch

    def suggest_quasi_random(self, inputs: OptimizerInput, count: int) -> list[Suggestion]:
        with self._watch("suggest", inputs, "quasi_random"):
            return self._optimizer.suggest_quasi_random(inputs, count)

    def predict(self, inputs: OptimizerInput, configurations: Sequence[Configuration], timeout: float) -> Predictions:
        with self._watch("predict", inputs):
            return self._optimizer.predict(inputs, configurations, timeout)

    def predict_slice(self, inputs: OptimizerInput, request: SliceRequest, timeout: float) -> Slice:
        with self._watch("predict_slice", inputs):
            return self._optimizer.predict_slice(inputs, request, timeout)

    def analyze(self, inputs: OptimizerInput, timeout: float) -> Analysis:
        with self._watch("analyze", inputs):
            return self._optimizer.analyze(inputs, timeout)

    @contextmanager
    def _watch(self, name: str, inputs: OptimizerInput, outcome: str = "ready") -> Iterator[Computation]:
        task = Computation(name, len(inputs.observations), outcome)
        with self._instrument.computation(task):
            try:
                yield task
            except DeadlinePassed:
                task.outcome = "too_late"
                raise
            except NotEnoughData:
                task.outcome = "not_enough_data"
                raise
            except Exception:
                task.outcome = "failed"
                raise


class ObservedStore:
    """A store that observes transactions and repeated requests."""

    def __init__(self, store: Store, instrument: Instrument) -> None:
        self._store = store
        self._instrument = instrument

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        with self._instrument.transaction("read"), self._store.read() as records:
            yield records

    @contextmanager
    def write(self, study_id: str | None = None) -> Iterator[UnitOfWork]:
        with self._instrument.transaction("write"), self._store.write(study_id) as records:
            yield ObservedUnitOfWork(records, self._instrument)


class ObservedUnitOfWork:
    """The unit of work of a write transaction; it records each repeated request."""

    def __init__(self, work: UnitOfWork, instrument: Instrument) -> None:
        self._work = work
        self._instrument = instrument

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)

    def find_answer(self, key: RequestKey, kind: type[T]) -> T | None:
        answer = self._work.find_answer(key, kind)
        if answer is not None:
            self._instrument.replayed(key.method)
        return answer
