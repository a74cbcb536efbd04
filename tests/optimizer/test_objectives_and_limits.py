"""Several objectives, constraints on what comes out, and cost: whole studies, played through the public face."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain, IntDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.domain.trial import Intent, Origin
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.numerics.pareto import hypervolume, pareto_mask
from bo_service.optimizer.suggest import predict, suggest

SQUARE = SearchSpace((Parameter("a", FloatDomain(0.0, 1.0)), Parameter("b", FloatDomain(0.0, 1.0))))
MIXED = SearchSpace(
    (
        Parameter("a", FloatDomain(0.0, 1.0)),
        Parameter("n", IntDomain(1, 9)),
        Parameter("k", CategoricalDomain(("x", "y", "z"))),
    )
)

Result = tuple[tuple[float, ...] | None, tuple[float, ...], float | None]
"""Objectives, larger being better, or None where it failed; margins of constraints; seconds."""
Play = Callable[[Mapping[str, Any]], Result]


def study(play: Play, count: int, space: SearchSpace = SQUARE, batch: int = 1, **options: Any) -> OptimizerInput:
    inputs = OptimizerInput(space, SuggestionSettings(**options), 7)
    while len(inputs.observations) < count:
        for made in suggest(inputs, batch):
            values, margins, seconds = play(made.configuration)
            trial = Observation(
                number=len(inputs.observations) + 1,
                configuration=made.configuration,
                value=None if values is None else values[0],
                secondary_values=() if values is None else values[1:],
                margins=() if values is None else margins,
                seconds=seconds,
            )
            inputs = replace(inputs, observations=(*inputs.observations, trial))
    return inputs


def values_of(inputs: OptimizerInput) -> np.ndarray[Any, Any]:
    return np.array([(t.value, *t.secondary_values) for t in inputs.observations if t.value is not None])


def two_valleys(c: Mapping[str, Any]) -> Result:
    """Two distances that can't both be small: the front is the line from (0.2, 0.3) to (0.8, 0.6)."""
    return (-math.hypot(c["a"] - 0.2, c["b"] - 0.3), -math.hypot(c["a"] - 0.8, c["b"] - 0.6)), (), None


def test_the_front_of_two_objectives_is_found_and_covered() -> None:
    found = values_of(study(two_valleys, 30))
    length = math.hypot(0.6, 0.3)
    every = np.array([(-length * t, -length * (1 - t)) for t in np.linspace(0, 1, 200)])
    volume_of_all = hypervolume(every, np.array([-1.0, -1.0]))
    assert hypervolume(found, np.array([-1.0, -1.0])) > 0.93 * volume_of_all
    on_front = found[pareto_mask(found)]
    assert len(on_front) >= 10
    assert (-on_front.sum(axis=1) < length + 0.05).mean() > 0.8  # both distances sum to the line's length on it
    places = np.sort(-on_front[:, 0]) / length
    assert np.diff(places).max() < 0.35


def test_three_objectives_in_four_parameters() -> None:
    """A quarter of a sphere, where the last two parameters are at 0.6 (Deb et al. 2002, DTLZ2)."""
    space = SearchSpace(tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in "abcd"))

    def sphere(c: Mapping[str, Any]) -> Result:
        radius = 1.0 + (c["c"] - 0.6) ** 2 + (c["d"] - 0.6) ** 2
        u, v = c["a"] * math.pi / 2, c["b"] * math.pi / 2
        parts = math.cos(u) * math.cos(v), math.cos(u) * math.sin(v), math.sin(u)
        return tuple(-radius * part for part in parts), (), None

    def volume(values: np.ndarray[Any, Any]) -> float:
        return hypervolume(values, np.array([-1.1, -1.1, -1.1]))

    drawn = quasi_random(OptimizerInput(space, SuggestionSettings(), 3), 30)
    blind = np.array([sphere(s.configuration)[0] for s in drawn])
    assert volume(values_of(study(sphere, 30, space))) > 1.2 * volume(blind)


def test_explanations_speak_of_every_objective_and_constraint() -> None:
    def play(c: Mapping[str, Any]) -> Result:
        return two_valleys(c)[0], (0.7 - c["a"],), None

    (made,) = suggest(study(play, 10), 1)
    assert (made.origin, made.acquisition, len(made.expected)) == (Origin.SURROGATE, "log_ehvi", 3)
    assert made.intent in Intent
    assert "Pareto set" in made.summary
    assert "fulfills the constraints on metrics with a probability of" in made.summary
    truth = (*(play(made.configuration)[0] or ()), 0.7 - made.configuration["a"])
    for expected, true in zip(made.expected, truth, strict=True):
        assert abs(expected.mean - true) < max(4 * expected.std, 0.1)


def edge(c: Mapping[str, Any]) -> Result:
    """The best is at a = 1, but only a + b <= 0.8 is allowed; the best of that is at a = 0.8, b = 0."""
    return (c["a"] - 0.2 * c["b"],), (0.8 - c["a"] - c["b"],), None


def test_constraints_on_outcomes_are_kept() -> None:
    inputs = study(edge, 25)
    allowed = [t for t in inputs.observations if t.fulfills]
    assert max(t.value for t in allowed if t.value is not None) > 0.75
    late = inputs.observations[8:]
    assert sum(t.margins[0] > -0.05 for t in late) > 0.8 * len(late)


def test_several_constraints_with_a_small_allowed_place() -> None:
    def play(c: Mapping[str, Any]) -> Result:
        return (-c["a"],), (c["a"] - 0.6, 0.2 - abs(c["b"] - 0.5)), None

    inputs = study(play, 25)
    allowed = [t.value for t in inputs.observations if t.fulfills and t.value is not None]
    assert max(allowed) == pytest.approx(-0.6, abs=0.03)


def test_a_small_allowed_place_in_five_parameters_is_found_and_searched() -> None:
    """One random configuration in 150 is allowed; the best has 0.43 for every parameter."""
    space = SearchSpace(tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in "abcde"))

    def play(c: Mapping[str, Any]) -> Result:
        x = np.array(list(c.values()))
        return (-float(x.sum()),), (0.25 - float(np.abs(x - 0.68).max()), 0.9 - abs(3 * x[0] - 2 * x[1] + x[2])), None

    inputs = study(play, 30, space)
    allowed = [t for t in inputs.observations if t.fulfills]
    assert allowed[0].number <= 15
    assert max(t.value for t in allowed if t.value is not None) > -5 * 0.43 - 0.15


def test_improvement_per_cost_goes_for_the_cheap_first() -> None:
    def play(c: Mapping[str, Any]) -> Result:
        value = math.exp(-((c["a"] - 0.2) ** 2) / 0.02) + 1.05 * math.exp(-((c["a"] - 0.8) ** 2) / 0.02)
        return (value,), (), 1.0 if c["a"] < 0.5 else 100.0

    spent = {
        per_cost: sum(t.seconds or 0.0 for t in study(play, 20, per_cost=per_cost).observations) for per_cost in (0, 1)
    }
    assert spent[1] < 0.6 * spent[0]


@pytest.mark.parametrize("seconds", [None, 3.0])
def test_costs_that_are_all_the_same_or_unknown_change_nothing(seconds: float | None) -> None:
    def play(c: Mapping[str, Any]) -> Result:
        return edge(c)[0], (), seconds

    made = [[t.configuration for t in study(play, 9, per_cost=per_cost).observations] for per_cost in (False, True)]
    assert made[0] == made[1]


def test_order_and_repetition_don_t_matter() -> None:
    def play(c: Mapping[str, Any]) -> Result:
        return two_valleys(c)[0], (0.7 - c["a"],), 1.0 + c["b"]

    inputs = study(play, 9, per_cost=True)
    back = replace(inputs, observations=inputs.observations[::-1])
    assert [s.configuration for s in suggest(inputs, 3)] == [s.configuration for s in suggest(back, 3)]


def test_batches_of_several_objectives_spread() -> None:
    inputs = study(two_valleys, 12)
    found = suggest(inputs, 5)
    rows = np.array([list(s.configuration.values()) for s in found])
    gaps = np.abs(rows[:, None] - rows[None]).max(axis=2)[np.triu_indices(5, 1)]
    assert gaps.min() > 0.02


def test_a_mixed_space() -> None:
    def play(c: Mapping[str, Any]) -> Result:
        size = {"x": 1.0, "y": 2.0, "z": 3.0}[c["k"]] * c["n"]
        return (-abs(c["a"] - 0.3) - 2.0 / size, -size), (20.0 - size,), size

    inputs = study(play, 24, MIXED, batch=2)
    assert len({frozenset(t.configuration.items()) for t in inputs.observations}) == 24
    found = values_of(inputs)
    assert pareto_mask(found).sum() >= 6


WILD: dict[str, Play] = {
    "constant": lambda c: ((1.0, 2.0), (0.0,), 1.0),
    "one constant": lambda c: ((1.0, c["a"]), (1.0,), 0.0),
    "all infeasible": lambda c: (None, (), 1.0),
    "half infeasible": lambda c: (None if c["a"] > 0.5 else (c["a"], c["b"]), (c["a"],), 1e-300),
    "none allowed": lambda c: ((c["a"], c["b"]), (-1e300,), 1e300),
    "huge": lambda c: ((1e300 * c["a"], -1e300 * c["b"]), (1e300 * (c["a"] - 0.5),), c["a"] + 1e-9),
    "tiny": lambda c: ((1e-300 * c["a"], 5e-324 * round(c["b"])), (1e-310 * (c["a"] - 0.5),), None),
    "the same twice": lambda c: ((c["a"], c["a"]), (c["a"] - 0.5, c["a"] - 0.5), None),
    "three": lambda c: ((c["a"], c["b"], -c["a"] * c["b"]), (), None),
    "one with a limit": lambda c: ((c["a"],), (0.5 - c["a"],), 2.0),
}


@pytest.mark.parametrize("name", WILD)
def test_no_values_break_it(name: str) -> None:
    inputs = study(WILD[name], 9, per_cost=True)
    found = suggest(inputs, 3)
    assert len({frozenset(s.configuration.items()) for s in found}) == 3
    for made in found:
        assert SQUARE.faults(made.configuration) == []
        assert all(math.isfinite(n) for e in made.expected for n in (e.mean, e.std))
        assert made.acquisition_value is None or math.isfinite(made.acquisition_value)
    if len(values_of(inputs)) >= 2:
        points = predict(inputs, [{"a": 0.1, "b": 0.9}]).points
        assert all(math.isfinite(n) for e in points[0].expected for n in (e.mean, e.std))
