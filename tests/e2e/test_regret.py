"""Suggestions through the real server find the minima of two classical functions."""

import math
import statistics
from collections.abc import Mapping

import bo_client
import numpy as np
import pytest
from bo_objectives.functions import branin, hartmann6


@pytest.mark.parametrize(
    ("make", "trials"),
    [
        pytest.param(branin, 30, id="branin-30", marks=pytest.mark.slow),
        pytest.param(hartmann6, 60, id="hartmann6-60", marks=pytest.mark.slow),
    ],
)
def test_the_median_best_of_five_seeds_is_within_a_twentieth_of_the_minimum(make, trials: int, server: str) -> None:
    objective = make()
    definition = objective.define()

    def value(parameters: Mapping[str, bo_client.Value]) -> float:
        return objective.value(parameters)

    found = []
    with bo_client.connect(server) as client:
        for seed in range(5):
            study = client.create_study(
                f"regret-{seed}", definition.space, definition.metrics, seed=seed, max_trials=trials
            )
            best = study.optimize(value)
            assert best is not None
            assert best.final_measurement is not None
            found.append(best.final_measurement.metrics[definition.metrics[0].name])
            assert study.info().counts[bo_client.TrialState.SUCCEEDED] == trials
    assert all(math.isfinite(v) and v >= objective.minimum - 1e-9 for v in found)
    assert statistics.median(found) <= objective.minimum + 0.05, found


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_a_quarter_of_diverging_losses_leaves_the_good_region_to_be_found(goal: str, server: str) -> None:
    """Every fourth of 40 trials diverges, wherever it is; the next suggestions are near the optimum all the same."""
    names, target = ("x", "y", "z"), np.array([0.3, 0.6, 0.4])
    sign = 1.0 if goal == "minimize" else -1.0
    rng = np.random.default_rng(5)
    space = bo_client.SearchSpace([bo_client.FloatParameter(name, 0.0, 1.0) for name in names])
    with bo_client.connect(server) as client:
        study = client.create_study(f"diverging-{goal}", space, "loss", goal=goal, seed=1)
        for number, u in enumerate(rng.random((40, 3))):
            loss = (
                20.0 * math.exp(abs(rng.normal())) if number % 4 == 0 else 0.3 + 2.0 * float(((u - target) ** 2).sum())
            )
            study.add(dict(zip(names, map(float, u), strict=True)), {"loss": sign * loss})
        made = [trial.parameters for trial in study.suggest(count=4)]
    distances = [float(np.abs(np.array([p[name] for name in names]) - target).max()) for p in made]
    assert min(distances) < 0.1, distances
    assert statistics.median(distances) < 0.25, distances
