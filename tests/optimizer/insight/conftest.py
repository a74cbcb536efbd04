"""Studies of known functions that the tests of insight share."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import Observation, OptimizerInput

Study = Callable[..., OptimizerInput]


@pytest.fixture(scope="session")
def studied() -> Study:
    """Evidence of `count` space-filling trials of a function, with noise; None as a value means infeasible."""

    def study(
        space: SearchSpace,
        f: Callable[[Mapping[str, object]], float | None],
        count: int,
        noise: float = 0.0,
        seed: int = 0,
    ) -> OptimizerInput:
        rng = np.random.default_rng(seed)
        blank = OptimizerInput(space, SuggestionSettings(), seed)
        tried = [s.configuration for s in quasi_random(blank, count)]
        values = [(f(c), noise * float(rng.standard_normal())) for c in tried]
        past = tuple(
            Observation(i, c, None if v is None else v + e)
            for i, (c, (v, e)) in enumerate(zip(tried, values, strict=True), 1)
        )
        return OptimizerInput(space, SuggestionSettings(), seed, past)

    return study


@pytest.fixture(scope="session")
def cube() -> Callable[..., SearchSpace]:
    """A space of so many parameters x0, x1 … between two bounds."""

    def of(count: int, low: float = 0.0, high: float = 1.0) -> SearchSpace:
        return SearchSpace(tuple(Parameter(f"x{i}", FloatDomain(low, high)) for i in range(count)))

    return of
