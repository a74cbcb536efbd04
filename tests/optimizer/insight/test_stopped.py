"""What a rule cut short was expected, not observed: it is no contender, no observation, and is counted apart."""

from dataclasses import replace

import pytest

from bo_service.domain.errors import NotEnoughData
from bo_service.optimizer.inputs import OptimizerInput
from bo_service.optimizer.insight.analysis import analyze
from bo_service.optimizer.insight.results import SliceRequest
from bo_service.optimizer.insight.slices import predict_slice
from bo_service.optimizer.suggest import predict


def bump(c) -> float:
    return -((c["x0"] - 0.4) ** 2) - (c["x1"] - 0.6) ** 2


def with_stopped(inputs: OptimizerInput, count: int) -> OptimizerInput:
    """The first so many are forecasts, as good as the best that was observed: no forecast counts for more."""
    most = max(t.value for t in inputs.observations[count:] if t.value is not None)
    forecasts = (replace(t, value=most, std=0.1, is_short=True) for t in inputs.observations[:count])
    return replace(inputs, observations=(*forecasts, *inputs.observations[count:]))


def test_contenders_were_observed(studied, cube) -> None:
    inputs = with_stopped(studied(cube(2), bump, 15), 6)
    found = analyze(inputs)
    observed = {t.number: t.value for t in inputs.observations if not t.is_short}
    assert found.best.contenders
    for contender in found.best.contenders:
        assert contender.value == pytest.approx(observed[contender.trial])
        assert contender.observations == 1
    assert found.best.observed_best == max(observed, key=lambda number: observed[number])
    assert (found.best.stopped, found.stopped_count) == (6, 6)
    assert (found.observation_count, found.calibration.count) == (9, 9)


def test_a_forecast_is_no_value_of_a_configuration_that_was_also_observed(studied, cube) -> None:
    inputs = studied(cube(2), bump, 8)
    best = max(inputs.observations, key=lambda t: t.value or 0.0)
    again = replace(best, number=99, value=(best.value or 0.0) + 1.0, std=0.5, is_short=True)
    contenders = analyze(replace(inputs, observations=(*inputs.observations, again))).best.contenders
    (found,) = (c for c in contenders if c.trial in (best.number, 99))
    assert (found.trial, found.observations, found.value) == (best.number, 1, pytest.approx(best.value))


def test_a_slice_goes_through_the_best_that_was_observed(studied, cube) -> None:
    inputs = with_stopped(studied(cube(2), bump, 12), 5)
    best = max((t for t in inputs.observations if not t.is_short), key=lambda t: t.value or -9.0)
    assert predict_slice(inputs, SliceRequest(("x0",), 5)).base_trial == best.number


def test_predictions_count_what_was_observed(studied, cube) -> None:
    inputs = with_stopped(studied(cube(2), bump, 12), 5)
    assert predict_slice(inputs, SliceRequest(("x0",), 5)).observation_count == 7
    assert predict(inputs, [{"x0": 0.5, "x1": 0.5}]).observation_count == 7


def test_where_all_were_stopped_nothing_is_judged(studied, cube) -> None:
    inputs = studied(cube(2), bump, 5)
    stopped = replace(inputs, observations=tuple(replace(t, std=0.1, is_short=True) for t in inputs.observations))
    with pytest.raises(NotEnoughData, match="stopped early"):
        analyze(stopped)
