"""Use cases over a real store, with a clock that tests turn and an optimizer in this process."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bo_service.adapters.storage.opening import open_store
from bo_service.application import studies
from bo_service.application.ports import Errand, Store
from bo_service.application.services import Services
from bo_service.core import suggest as core
from bo_service.core.blind import quasi_random
from bo_service.core.domains import CategoricalDomain, FloatDomain, Scale
from bo_service.core.errors import DeadlinePassed
from bo_service.core.evidence import Evidence, Predictions, Suggested, Suggestion
from bo_service.core.insight.analysis import analyze
from bo_service.core.insight.findings import Analysis, Slice, SliceRequest
from bo_service.core.insight.slices import predict_slice
from bo_service.core.numerics.lookups import Factors
from bo_service.core.space import Parameter, SearchSpace
from bo_service.core.stopping.settings import StoppingSettings
from bo_service.core.study import ExecutionSettings, Goal, Metric, StudySpec

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
        self.asked: list[Evidence] = []

    def suggest(self, evidence: Evidence, count: int, patience: float, errand: Errand) -> Suggested | None:
        self.asked.append(evidence)
        return None if self.too_slow else core.suggest_with(evidence, count, Factors())

    def suggest_blind(self, evidence: Evidence, count: int) -> list[Suggestion]:
        return quasi_random(evidence, count)

    def predict(self, evidence: Evidence, configurations: Sequence[object], patience: float) -> Predictions:
        if self.too_slow:
            raise DeadlinePassed("too slow")
        return core.predict(evidence, configurations)  # type: ignore[arg-type]

    def predict_slice(self, evidence: Evidence, request: SliceRequest, patience: float) -> Slice:
        return predict_slice(evidence, request)

    def analyze(self, evidence: Evidence, patience: float) -> Analysis:
        return analyze(evidence)


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
        return f"sqlite:///{tmp_path}/bo.db"
    make_database: Callable[[], str] = request.getfixturevalue("make_database")
    return make_database()


@pytest.fixture
def make_services(clock: TurnedClock, optimizer: LocalOptimizer) -> Callable[[Store], Services]:
    """Makes a server's services over a store."""
    return lambda store: Services(store, clock, optimizer)


@pytest.fixture
def services(address: str, clock: TurnedClock, optimizer: LocalOptimizer) -> Iterator[Services]:
    store = open_store(address)
    yield Services(store, clock, optimizer)
    store.close()


@pytest.fixture
def make_study(services: Services) -> Callable[..., str]:
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
        studies.create_study(services, studies.NewStudy(study_id, spec, "", {}), None)
        return study_id

    return make
