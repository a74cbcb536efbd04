"""The tests that Optuna's own samplers pass, on ours beside a real server."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from bo_client.integrations.optuna import BoSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

IDS = count(1)


@pytest.fixture
def sampler(address: str) -> Iterator[Callable[[], BoSampler]]:
    """Makes samplers, each with a study of its own."""
    made: list[BoSampler] = []

    def make() -> BoSampler:
        made.append(BoSampler(address, study_id=f"contract-{next(IDS)}"))
        return made[-1]

    yield make
    for one in made:
        for held in one._runs.values():
            held.release()


class TestBasics(BasicSamplerTestCase):
    """Independent and relative values, failures, fixed parameters, conditions, ranges that change."""

    @pytest.fixture
    def sampler(self, sampler: Callable[[], BoSampler]) -> Callable[[], BoSampler]:  # type: ignore[override]
        return sampler


class TestRelative(RelativeSamplerTestCase):
    """What the service suggests is of the distributions' types, and within them."""

    @pytest.fixture
    def sampler(self, sampler: Callable[[], BoSampler]) -> Callable[[], BoSampler]:  # type: ignore[override]
        return sampler


class TestSeveralObjectives(MultiObjectiveSamplerTestCase):
    """Independent values where there are two objectives."""

    @pytest.fixture
    def sampler(self, sampler: Callable[[], BoSampler]) -> Callable[[], BoSampler]:  # type: ignore[override]
        return sampler
