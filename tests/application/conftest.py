"""Use cases over a real store, with a clock that tests turn and an optimizer in this process."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bo_service.application import studies
from bo_service.application.context import AppContext
from bo_service.application.ports import ComputationHandle, Store
from bo_service.domain.early_stopping import StoppingSettings
from bo_service.domain.errors import DeadlinePassed
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain, Scale
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import ExecutionSettings, Goal, Metric, StudySpec
from bo_service.optimizer import suggest as core
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import OptimizerInput, Predictions, Suggestion, SuggestionBatch
from bo_service.optimizer.insight.analysis import analyze
from bo_service.optimizer.insight.results import Analysis, Slice, SliceRequest
from bo_service.optimizer.insight.slices import predict_slice
from bo_service.optimizer.numerics.computation_cache import CholeskyCache
from bo_service.storage.factory import open_store
from tests.conftest import make_sqlite

NEVER = StoppingSettings()


class TurnedClock:
    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def turn(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class LocalOptimizer:
    """The core, called here; `too_slow` makes the surrogate miss every deadline."""

    def __init__(self) -> None:
        self.too_slow = False
        self.asked: list[OptimizerInput] = []
        self.quasi_random_calls = 0

    def suggest(
        self, inputs: OptimizerInput, count: int, timeout: float, handle: ComputationHandle
    ) -> SuggestionBatch | None:
        self.asked.append(inputs)
        return None if self.too_slow else core.suggest_with(inputs, count, CholeskyCache())

    def suggest_quasi_random(self, inputs: OptimizerInput, count: int) -> list[Suggestion]:
        self.quasi_random_calls += 1
        return quasi_random(inputs, count)

    def predict(self, inputs: OptimizerInput, configurations: Sequence[object], timeout: float) -> Predictions:
        if self.too_slow:
            raise DeadlinePassed("too slow")
        return core.predict(inputs, configurations)  # type: ignore[arg-type]

    def predict_slice(self, inputs: OptimizerInput, request: SliceRequest, timeout: float) -> Slice:
        return predict_slice(inputs, request)

    def analyze(self, inputs: OptimizerInput, timeout: float) -> Analysis:
        return analyze(inputs)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def optimizer() -> LocalOptimizer:
    return LocalOptimizer()


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database: SQLite's, unless the test asks for both."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return make_sqlite(tmp_path / "bo.db")
    make_database: Callable[[], str] = request.getfixturevalue("make_database")
    return make_database()


@pytest.fixture
def make_services(clock: TurnedClock, optimizer: LocalOptimizer) -> Callable[[Store], AppContext]:
    """Makes a server's services over a store."""
    return lambda store: AppContext.of(store, clock, optimizer)


@pytest.fixture
def app(address: str, clock: TurnedClock, optimizer: LocalOptimizer) -> Iterator[AppContext]:
    store = open_store(address)
    yield AppContext.of(store, clock, optimizer)
    store.close()


@pytest.fixture
def make_study(app: AppContext) -> Callable[..., str]:
    """Creates a study over lr and norm; takes a goal, a space, settings of stopping and of execution."""

    def make(
        study_id: str = "s",
        goal: Goal = Goal.MINIMIZE,
        space: SearchSpace | None = None,
        stopping: StoppingSettings = NEVER,
        **execution,
    ) -> str:
        space = space or SearchSpace(
            (
                Parameter("lr", FloatDomain(1e-4, 1.0, Scale.LOG)),
                Parameter("norm", CategoricalDomain(("batch", "layer"))),
            )
        )
        metrics = (Metric("loss", goal),)
        spec = StudySpec(space, metrics, execution=ExecutionSettings(**execution), stopping=stopping)
        studies.create_study(app, studies.NewStudy(study_id, spec, "", {}), None)
        return study_id

    return make
