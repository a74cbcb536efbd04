"""An analysis never fails, whatever the space and the values; and says the same in every process."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bo_service.domain.errors import NotEnoughData
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.gp import fitting
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.insight import ensemble
from bo_service.optimizer.insight.analysis import analyze
from bo_service.optimizer.insight.results import Analysis

VALUES = st.none() | st.sampled_from([0.0, 1.0, -1.0]) | st.floats(-1e300, 1e300)


def assert_sound(found: Analysis, space: SearchSpace) -> None:
    for region in found.importance:
        assert {p.parameter for p in region.parameters} == {p.name for p in space.parameters}
        assert math.isfinite(region.std)
        for parameter in region.parameters:
            for estimate in (parameter.first, parameter.total):
                assert 0.0 <= estimate.value <= 1.0
                assert 0.0 <= estimate.error <= 1.0
    for contender in found.best.contenders:
        assert 0.0 <= contender.probability <= 1.0
        assert np.isfinite([contender.mean, contender.std, contender.expected_regret, contender.value]).all()
        assert contender.expected_regret >= 0.0
    assert found.best.observed_best in {c.trial for c in found.best.contenders}
    assert found.best.contenders[0].probability == max(c.probability for c in found.best.contenders)
    assert math.isfinite(found.best.noise_std)
    assert 0.0 <= found.calibration.coverage_50 <= found.calibration.coverage_90 <= 1.0
    assert found.calibration.explained <= 1.0


def test_any_study(spaces, studied) -> None:
    @settings(max_examples=10)
    @given(spaces, st.lists(VALUES, min_size=3, max_size=12))
    def check(space: SearchSpace, values: list[float | None]) -> None:
        given_values = iter(values)
        inputs = studied(space, lambda c: next(given_values), len(values))
        if sum(t.value is not None for t in inputs.observations) < 3:
            with pytest.raises(NotEnoughData, match="at least 3"):
                analyze(inputs)
        else:
            assert_sound(analyze(inputs), space)

    check()


def test_a_space_of_one_configuration() -> None:
    space = SearchSpace((Parameter("only", CategoricalDomain(("a",))),))
    past = tuple(Observation(i, {"only": "a"}, float(i)) for i in range(5))
    found = analyze(OptimizerInput(space, SuggestionSettings(), 0, past))
    assert_sound(found, space)
    assert [(c.trial, c.observations, c.probability) for c in found.best.contenders] == [(4, 5, 1.0)]
    assert found.best.summary == "Trial 4 is the best of all trials with a probability of 100%."


@pytest.mark.parametrize(
    ("width", "count"), [(20, 12), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((50, 20), (256, 4)))]
)
def test_many_parameters(studied, cube, width, count) -> None:
    space = cube(width)
    assert_sound(analyze(studied(space, lambda c: c["x0"] + 0.1 * c["x1"], count)), space)


def test_more_observations_than_the_surrogate_keeps(studied, cube, monkeypatch) -> None:
    monkeypatch.setattr(fitting, "MAX_CONDITIONED", 30)
    monkeypatch.setattr(ensemble, "MOST", 20)
    space = cube(2)
    found = analyze(studied(space, lambda c: c["x0"] if c["x1"] < 0.9 else None, 60))
    assert_sound(found, space)
    assert found.calibration.count < 30 < found.observation_count


def test_the_same_in_another_process(studied) -> None:
    space = SearchSpace((Parameter("a", FloatDomain(0.0, 1.0)), Parameter("k", CategoricalDomain(("x", "y")))))
    code = """
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain
from bo_service.optimizer.inputs import OptimizerInput, Observation
from bo_service.optimizer.insight.analysis import analyze
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
space = SearchSpace((Parameter("a", FloatDomain(0.0, 1.0)), Parameter("k", CategoricalDomain(("x", "y")))))
past = tuple(Observation(i, {"a": i / 8, "k": "xy"[i % 2]}, (i * 5 % 7) / 3) for i in range(8))
print(analyze(OptimizerInput(space, SuggestionSettings(), 3, past)))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=280).stdout
    past = tuple(Observation(i, {"a": i / 8, "k": "xy"[i % 2]}, (i * 5 % 7) / 3) for i in reversed(range(8)))
    assert told == f"{analyze(OptimizerInput(space, SuggestionSettings(), 3, past))}\n"
