"""Starting from earlier studies: good ones help, bad ones do no harm, and what they say can be checked by hand."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bo_service.domain.constraints import LinearConstraint
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain, IntDomain
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.domain.trial import Origin
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import Observation, OptimizerInput, Source
from bo_service.optimizer.suggest import predict, suggest
from bo_service.optimizer.transfer.conversion import convert_configuration
from bo_service.optimizer.transfer.residual_gp import ResidualGP, SourcePriorMean, rank_weight
from tests.optimizer.processes import fitted

CUBE = SearchSpace(tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in "abcd"))
AT = {"a": 0.8, "b": 0.2, "c": 0.7, "d": 0.1}

Objective = Callable[[Mapping[str, Any]], float | None]


def hill(c: Mapping[str, Any]) -> float:
    return -sum((c[name] - at) ** 2 for name, at in AT.items())


def moved(c: Mapping[str, Any]) -> float:
    """Nearly the same hill, in other units."""
    return 40.0 + 7.0 * hill({name: value - 0.05 for name, value in c.items()})


def source(objective: Objective, count: int = 40, name: str = "earlier", space: SearchSpace = CUBE) -> Source:
    drawn = quasi_random(OptimizerInput(space, SuggestionSettings(), 99), count)
    trials = (Observation(i + 1, s.configuration, objective(s.configuration)) for i, s in enumerate(drawn))
    return Source(name, 0, tuple(trials))


def study(count: int, *sources: Source, seed: int = 0, objective: Objective = hill, **options: Any) -> OptimizerInput:
    inputs = OptimizerInput(CUBE, SuggestionSettings(**options), seed, sources=sources)
    for number in range(1, count + 1):
        (made,) = suggest(inputs, 1)
        trial = Observation(number, made.configuration, objective(made.configuration))
        inputs = replace(inputs, observations=(*inputs.observations, trial))
    return inputs


def best(inputs: OptimizerInput) -> float:
    return max(t.value for t in inputs.observations if t.value is not None)


def test_a_good_source_saves_trials() -> None:
    with_source = [best(study(8, source(moved), seed=seed)) for seed in range(4)]
    without = [best(study(8, seed=seed)) for seed in range(4)]
    assert np.mean(with_source) > 0.5 * np.mean(without)
    assert np.mean(with_source) > -0.02


def test_a_source_that_contradicts_changes_nothing_once_it_is_known() -> None:
    past = study(12).observations
    alone = OptimizerInput(CUBE, SuggestionSettings(), 0, past)
    misled = replace(alone, sources=(source(lambda c: -hill(c)),))
    assert [s.configuration for s in suggest(misled, 2)] == [s.configuration for s in suggest(alone, 2)]
    assert "earlier 0%" in suggest(misled, 1)[0].summary


def test_a_source_counts_as_far_as_it_ranks() -> None:
    past = study(12).observations
    told = suggest(OptimizerInput(CUBE, SuggestionSettings(), 0, past, sources=(source(moved),)), 1)[0]
    assert told.origin is Origin.SURROGATE
    percent = int(told.summary.split("earlier ")[1].split("%")[0])
    assert 60 <= percent <= 100


def test_trust() -> None:
    y = np.arange(8.0)
    assert rank_weight(np.exp(y), y) == pytest.approx(1.0, abs=1e-3)
    assert rank_weight(-y, y) == 0.0
    assert rank_weight(np.zeros(8), y) == 0.0
    assert rank_weight(y, np.zeros(8)) == 0.0
    assert rank_weight(y[:2], y[:2]) == 0.0  # two are ranked rightly by chance too often
    assert rank_weight(y[:4], y[:4]) < rank_weight(y[:5], y[:5]) < 1.0
    # One of the 10 pairs of 5 is the wrong way round: τ = 0.8. So many or fewer are in 5 of 120 orders: p = 2 · 5/120.
    assert rank_weight(np.array([0, 1, 2, 4, 3.0]), y[:5]) == pytest.approx(math.sin(0.4 * math.pi) * (1 - 10 / 120))


def test_trust_in_chance_is_little() -> None:
    rng = np.random.default_rng(0)
    for count, most in ((4, 0.3), (20, 0.16)):
        assert np.mean([rank_weight(rng.random(count), rng.random(count)) for _ in range(300)]) < most


def test_several_sources_share_the_weight() -> None:
    rng = np.random.default_rng(0)
    feature_group = np.arange(2)
    X, Y = rng.random((20, 2)), rng.random((30, 2))
    processes = [fitted(Y, y, feature_group) for y in (Y[:, 0] - 0.5, Y[:, 0] - 0.5, 0.5 - Y[:, 0])]
    values = (X[:, 0] - X[:, 0].mean()) / X[:, 0].std()
    trend = SourcePriorMean.of(processes, X, values)
    assert trend.weights == pytest.approx([0.5, 0.5, 0.0], abs=0.02)
    assert trend.at(X) == pytest.approx(values, abs=0.2)
    assert SourcePriorMean.of([], X, values).is_empty


def test_gradients_by_finite_differences() -> None:
    rng = np.random.default_rng(1)
    X, Y, feature_group = rng.random((12, 3)), rng.random((25, 3)), np.arange(3)
    y = np.sin(4 * X[:, 0]) + X[:, 1]
    y = (y - y.mean()) / y.std()
    sources = [fitted(Y, np.sin(4 * Y[:, 0]), feature_group), fitted(Y, Y[:, 1] - 0.5, feature_group)]
    trend = SourcePriorMean.of(sources, X, y)
    trended = ResidualGP(trend, 0.3, fitted(X, (y - trend.at(X)) / 0.3, feature_group)).condition_on_mean(
        rng.random((2, 3))
    )
    assert not trend.is_empty
    for x in rng.random((5, 3)):
        slope = trended.posterior_with_gradient(x)
        near = trended.posterior(x + 1e-6 * np.vstack([np.eye(3), -np.eye(3), np.zeros(3)]))
        assert (slope.mean, slope.std) == (pytest.approx(near.mean[6]), pytest.approx(near.std[6]))
        assert slope.d_mean == pytest.approx((near.mean[:3] - near.mean[3:6]) / 2e-6, rel=1e-4, abs=1e-5)
        assert slope.d_std == pytest.approx((near.std[:3] - near.std[3:6]) / 2e-6, rel=1e-4, abs=1e-5)
    assert trended.means == pytest.approx(trended.posterior(trended.residual.X).mean)


def test_the_opening_takes_turns_with_the_best_of_the_sources() -> None:
    inputs = OptimizerInput(CUBE, SuggestionSettings(initial_trials=7), 3, sources=(source(moved),))
    at_once = suggest(inputs, 7)
    origins = [s.origin for s in at_once]
    assert origins.count(Origin.WARM_START) == 3
    assert (origins[0], origins.count(Origin.QUASI_RANDOM)) == (Origin.DEFAULT, 3)
    values = [moved(s.configuration) for s in at_once if s.origin is Origin.WARM_START]
    assert values == sorted(values, reverse=True)
    assert values[0] == max(t.value for t in inputs.sources[0].observations)
    assert "earlier studies" in at_once[origins.index(Origin.WARM_START)].summary
    one_by_one = study(7, source(moved), seed=3, initial_trials=7).observations
    assert [t.configuration for t in one_by_one] == [s.configuration for s in at_once]
    rows = np.array([list(s.configuration.values()) for s in at_once if s.origin is Origin.WARM_START])
    gaps = np.abs(rows[:, None] - rows[None]).max(axis=2)[np.triu_indices(3, 1)]
    assert (gaps > 0.1).all()


def test_openings_fulfill_the_constraints() -> None:
    limited = replace(CUBE, constraints=(LinearConstraint({"a": 1.0}, 0.3),))
    inputs = OptimizerInput(limited, SuggestionSettings(initial_trials=8), 3, sources=(source(moved),))
    found = suggest(inputs, 8)
    assert sum(s.origin is Origin.WARM_START for s in found) == 4
    assert all(s.configuration["a"] <= 0.3 for s in found)


def test_sources_in_any_order_say_the_same() -> None:
    sources = (source(moved, name="x"), source(lambda c: -hill(c), name="y"), source(lambda c: c["a"], 9, name="z"))
    past = study(10).observations
    forth = suggest(OptimizerInput(CUBE, SuggestionSettings(), 0, past, sources=sources), 2)
    back = suggest(OptimizerInput(CUBE, SuggestionSettings(), 0, past, sources=sources[::-1]), 2)
    assert [s.configuration for s in forth] == [s.configuration for s in back]


@pytest.mark.parametrize(
    "objective",
    [lambda c: 3.0, lambda c: None, lambda c: 1e300 * hill(c), lambda c: math.inf, lambda c: 1e-310 * c["a"]],
    ids=["constant", "all infeasible", "huge", "infinite", "subnormal"],
)
@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_no_source_breaks_it(objective, count) -> None:
    past = study(6).observations
    inputs = OptimizerInput(CUBE, SuggestionSettings(), 0, past, sources=(source(objective, count),))
    assert len(suggest(inputs, 2)) == 2
    assert len(suggest(replace(inputs, observations=()), 6)) == 6
    assert math.isfinite(predict(inputs, [AT]).points[0].expected[0].mean)


def test_predictions_learn_from_sources() -> None:
    past = study(6, initial_trials=6).observations
    far = {"a": 0.05, "b": 0.95, "c": 0.05, "d": 0.95}
    plain = predict(OptimizerInput(CUBE, SuggestionSettings(), 0, past), [far]).points[0].expected[0]
    told = (
        predict(OptimizerInput(CUBE, SuggestionSettings(), 0, past, sources=(source(moved),)), [far])
        .points[0]
        .expected[0]
    )
    assert abs(told.mean - hill(far)) < abs(plain.mean - hill(far))


def test_configurations_are_translated() -> None:
    space = SearchSpace(
        (
            Parameter("lr", FloatDomain(0.0, 1.0), default=0.25),
            Parameter("depth", IntDomain(1, 9)),
            Parameter("norm", CategoricalDomain(("batch", "group"))),
            Parameter("groups", IntDomain(1, 4), default=2, activation=Activation("norm", ("group",))),
        )
    )
    assert convert_configuration({"lr": 1, "momentum": 0.9}, space) == {"lr": 1.0, "depth": 5, "norm": "batch"}
    assert convert_configuration({"norm": "group"}, space) == {"lr": 0.25, "depth": 5, "norm": "group", "groups": 2}
    assert convert_configuration({"norm": "batch", "groups": 3}, space) == {"lr": 0.25, "depth": 5, "norm": "batch"}
    assert convert_configuration({"norm": "layer"}, space) is None
    assert convert_configuration({"lr": 1.5}, space) is None
    assert convert_configuration({}, space) == {"lr": 0.25, "depth": 5, "norm": "batch"}
