"""Whether the surrogate is to be trusted."""

import numpy as np
import pytest

from bo_service.optimizer.insight.calibration import calibrate
from bo_service.optimizer.insight.results import Calibration
from bo_service.optimizer.insight.surrogate_view import SurrogateView


def calibrated(inputs) -> Calibration:
    return calibrate(SurrogateView.of(inputs))


def test_a_smooth_function_is_predicted(studied, cube) -> None:
    found = calibrated(studied(cube(2), lambda c: c["x0"] ** 2 + c["x1"], 40, noise=0.05))
    assert found.count == 40
    assert found.explained > 0.9
    assert found.coverage_90 > 0.8
    assert found.summary.startswith("The surrogate predicts held-out results well")


def test_chance_is_not_predicted(studied, cube) -> None:
    found = calibrated(studied(cube(2), lambda c: 0.0, 40, noise=1.0))
    assert found.explained < 0.2
    assert "do not rely on the tables above" in found.summary


def test_coverage_over_many_studies(studied, cube) -> None:
    """Half of the observations lie in the half-intervals, about: the hyperparameters have seen them."""
    found = [
        calibrated(studied(cube(2), lambda c: np.sin(5 * c["x0"]) + c["x1"], 30, noise=0.2, seed=s)) for s in range(12)
    ]
    assert np.mean([c.coverage_50 for c in found]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([c.coverage_90 for c in found]) == pytest.approx(0.9, abs=0.06)


def test_what_stands_in_for_infeasible_trials_is_no_observation(studied, cube) -> None:
    inputs = studied(cube(2), lambda c: None if c["x0"] > 0.7 else c["x1"], 30)
    assert calibrated(inputs).count == sum(t.value is not None for t in inputs.observations) < 30
