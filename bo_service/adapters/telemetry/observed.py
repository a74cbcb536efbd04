"""The ports with an instrument around them: neither the use cases nor the adapters know that they are watched."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, TypeVar

import grpc

from bo_service.adapters.grpc.surrounding import Surrounding
from bo_service.adapters.telemetry.instrument import Computation, Instrument
from bo_service.application.ports import Answers, Errand, Optimizer, Records, RequestKey, Store
from bo_service.core.constraints import Configuration
from bo_service.core.errors import DeadlinePassed, NotEnoughData
from bo_service.core.evidence import Evidence, Predictions, Suggested, Suggestion
from bo_service.core.insight.findings import Analysis, Slice, SliceRequest

T = TypeVar("T")


class ObservedCalls(Surrounding):
    """Watches calls."""

    def __init__(self, instrument: Instrument) -> None:
        super().__init__()
        self._instrument = instrument

    def around(self, method: str, context: grpc.ServicerContext) -> AbstractContextManager[None]:
        return self._instrument.call(method, context)


class ObservedOptimizer:
    """Watches what is computed, and how it ends."""

    def __init__(self, optimizer: Optimizer, instrument: Instrument) -> None:
        self._optimizer = optimizer
        self._instrument = instrument

    def suggest(self, evidence: Evidence, count: int, patience: float, errand: Errand) -> Suggested | None:
        with self._watch("suggest", evidence) as task:
            found = self._optimizer.suggest(evidence, count, patience, errand)
            if found is None:
                task.outcome = "stopped" if errand.is_stopped else "too_late"
            return found

    def suggest_blind(self, evidence: Evidence, count: int) -> list[Suggestion]:
        with self._watch("suggest", evidence, "quasi_random"):
            return self._optimizer.suggest_blind(evidence, count)

    def predict(self, evidence: Evidence, configurations: Sequence[Configuration], patience: float) -> Predictions:
        with self._watch("predict", evidence):
            return self._optimizer.predict(evidence, configurations, patience)

    def predict_slice(self, evidence: Evidence, request: SliceRequest, patience: float) -> Slice:
        with self._watch("predict_slice", evidence):
            return self._optimizer.predict_slice(evidence, request, patience)

    def analyze(self, evidence: Evidence, patience: float) -> Analysis:
        with self._watch("analyze", evidence):
            return self._optimizer.analyze(evidence, patience)

    @contextmanager
    def _watch(self, name: str, evidence: Evidence, outcome: str = "ready") -> Iterator[Computation]:
        task = Computation(name, len(evidence.past), outcome)
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
    """Watches transactions, and requests that are answered as before."""

    def __init__(self, store: Store, instrument: Instrument) -> None:
        self._store = store
        self._instrument = instrument

    @contextmanager
    def read(self) -> Iterator[Records]:
        with self._instrument.transaction("read"), self._store.read() as records:
            yield records

    @contextmanager
    def write(self, study_id: str | None = None) -> Iterator[Records]:
        with self._instrument.transaction("write"), self._store.write(study_id) as records:
            yield ObservedRecords(records, self._instrument)


class ObservedRecords:
    """The records of a write, with its answers watched."""

    def __init__(self, records: Records, instrument: Instrument) -> None:
        self._records = records
        self.answers: Answers = ObservedAnswers(records.answers, instrument)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)


class ObservedAnswers:
    """Tells when an answer is found: its effect is not made again."""

    def __init__(self, answers: Answers, instrument: Instrument) -> None:
        self._answers = answers
        self._instrument = instrument

    def find(self, key: RequestKey, kind: type[T]) -> T | None:
        found = self._answers.find(key, kind)
        if found is not None:
            self._instrument.replayed(key.method)
        return found

    def remember(self, key: RequestKey, answer: object, at: datetime) -> None:
        self._answers.remember(key, answer, at)

    def forget_before(self, at: datetime) -> bool:
        return self._answers.forget_before(at)
