"""Suggestions through the real server find the minima of two classical functions."""

import math
import statistics
from collections.abc import Mapping

import bo_client
import pytest
from bo_objectives.functions import branin, hartmann6


@pytest.mark.parametrize(("make", "trials"), [(branin, 30), (hartmann6, 60)], ids=["branin-30", "hartmann6-60"])
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
