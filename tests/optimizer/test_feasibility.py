"""Failures that the parameters are to blame for: where they happen is learned, and none is repeated."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.acquisition.feasibility import feasibility
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.suggest import suggest

NETWORK = SearchSpace(
    (
        Parameter("lr", FloatDomain(1e-5, 1.0, Scale.LOG)),
        Parameter("batch", IntDomain(8, 512, Scale.LOG)),
        Parameter("width", IntDomain(16, 1024, Scale.LOG)),
        Parameter("optimizer", CategoricalDomain(("sgd", "adam"))),
    )
)


def runs(c: Mapping[str, Any]) -> bool:
    """It fits into memory, and the rate doesn't make it diverge."""
    return bool(c["batch"] * c["width"] <= 2**15 and c["lr"] < (0.1 if c["optimizer"] == "sgd" else 0.01))


def value(c: Mapping[str, Any]) -> float | None:
    """Best at the edge of memory, at a rate of 0.003."""
    return np.log2(c["batch"] * c["width"]) - (np.log10(c["lr"]) + 2.5) ** 2 if runs(c) else None


def study(count: int, objective: Callable[[Mapping[str, Any]], float | None]) -> OptimizerInput:
    inputs = OptimizerInput(NETWORK, SuggestionSettings(), 5)
    for number in range(1, count + 1):
        (made,) = suggest(inputs, 1)
        trial = Observation(number, made.configuration, objective(made.configuration))
        inputs = replace(inputs, observations=(*inputs.observations, trial))
    return inputs


def test_what_runs_is_told_from_what_fails() -> None:
    drawn = [s.configuration for s in quasi_random(OptimizerInput(NETWORK, SuggestionSettings(), 1), 160)]
    past = tuple(Observation(i, c, value(c)) for i, c in enumerate(drawn[:80]))
    encoded = EncodedData(OptimizerInput(NETWORK, SuggestionSettings(), 0, past))
    found = feasibility(encoded, encoded.encoding.features(encoded.past_rows))
    assert found is not None
    chance = np.exp(found.value(encoded.encoding.features(encoded.encoding.encode(drawn[80:]))))
    truth = np.array([runs(c) for c in drawn[80:]])
    assert 0.3 < truth.mean() < 0.7
    assert ((chance > 0.5) == truth).mean() > 0.8
    assert 0.0 < chance.min() < chance.max() < 1.0


def test_the_edge_of_memory_is_found_with_few_failures() -> None:
    inputs = study(30, value)
    assert max(t.value for t in inputs.observations if t.value is not None) > 14.5  # 15 at the edge
    late = inputs.observations[15:]
    assert sum(t.value is None for t in late) <= 8
    assert len({frozenset(t.configuration.items()) for t in inputs.observations}) == 30


def test_where_all_run_or_all_fail_nothing_is_learned() -> None:
    past = study(8, value).observations
    values = tuple(t for t in past if t.value is not None)
    failures = tuple(t for t in past if t.value is None)
    assert values
    assert failures
    for some in (values, failures):
        encoded = EncodedData(OptimizerInput(NETWORK, SuggestionSettings(), 0, some))
        assert feasibility(encoded, encoded.encoding.features(encoded.past_rows)) is None


def test_a_risk_is_told() -> None:
    told = []
    inputs = study(12, value)
    for number in range(13, 25):
        (made,) = suggest(inputs, 1)
        told.append(("It may fail, as configurations like it did." in made.summary, runs(made.configuration)))
        trial = Observation(number, made.configuration, value(made.configuration))
        inputs = replace(inputs, observations=(*inputs.observations, trial))
    failed = [warned for warned, ran in told if not ran]
    fine = [warned for warned, ran in told if ran]
    assert sum(failed) / max(len(failed), 1) >= sum(fine) / len(fine)
    assert not all(fine)


RATES = SearchSpace((Parameter("lr", FloatDomain(1e-5, 1.0, Scale.LOG)), Parameter("x", FloatDomain(0.0, 1.0))))


def loss(c: Mapping[str, Any], best: float = -3.0) -> float:
    return float((np.log10(c["lr"]) - best) ** 2 / 4.0 + (c["x"] - 0.3) ** 2)


def crashing(count: int, seed: int, crashes: Callable[[Mapping[str, Any]], bool], best: float = -3.0) -> OptimizerInput:
    """A study whose trials crash at every attempt where `crashes` says so, and nobody blames their parameters."""
    inputs = OptimizerInput(RATES, SuggestionSettings(), seed)
    for number in range(1, count + 1):
        (made,) = suggest(inputs, 1)
        assert made.configuration not in inputs.failed
        if crashes(made.configuration):
            inputs = replace(inputs, failed=(*inputs.failed, made.configuration))
        else:
            trial = Observation(number, made.configuration, -loss(made.configuration, best))
            inputs = replace(inputs, observations=(*inputs.observations, trial))
    return inputs


def test_a_half_where_everything_crashes_is_left() -> None:
    """Though the trend of what ran leads into it, as where the best rate lies beyond its edge."""
    for best, most in ((-3.0, 10), (-1.0, 18)):
        inputs = crashing(30, 0, lambda c: c["lr"] > 0.01, best)
        assert len(inputs.failed) <= most
        reached = min(-(t.value or 0.0) for t in inputs.observations)
        assert reached < (0.01 if best == -3.0 else 0.3)  # 0.25 at the edge


@pytest.mark.slow
def test_a_machine_that_crashes_at_random_costs_little() -> None:
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        inputs = crashing(30, seed, lambda _, rng=rng: rng.random() < 0.3)
        assert len(inputs.failed) > 4
        assert min(-(t.value or 0.0) for t in inputs.observations) < 1e-4


def test_a_crash_counts_less_than_a_failure_that_the_parameters_are_blamed_for() -> None:
    drawn = [s.configuration for s in quasi_random(OptimizerInput(RATES, SuggestionSettings(), 1), 12)]
    past = tuple(Observation(i, c, -loss(c)) for i, c in enumerate(drawn) if c["lr"] < 0.05)
    places = tuple({"lr": lr, "x": x} for lr in (0.3, 0.6) for x in (0.3, 0.7))
    chances = []
    infeasible = tuple(Observation(100 + i, c, None) for i, c in enumerate(places))
    for kind in ({"failed": places}, {"observations": (*past, *infeasible)}):
        encoded = EncodedData(OptimizerInput(RATES, SuggestionSettings(), 0, **{"observations": past, **kind}))
        found = feasibility(encoded, encoded.encoding.features(encoded.past_rows))
        assert found is not None
        chances.append(float(np.exp(found.value(encoded.encoding.features(encoded.encoding.encode(places[:1])))[0])))
    crashed, blamed = chances
    assert blamed < crashed < 0.7  # 0.84 where all ran
