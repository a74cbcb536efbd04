"""What anybody may rely on in suggestions: valid, feasible, distinct, reproducible, and explained."""

import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bo_service.domain.constraints import LinearConstraint
from bo_service.domain.errors import NotEnoughData
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale, Value
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Acquisition, Algorithm, SuggestionSettings
from bo_service.domain.trial import Intent, Origin
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import Observation, OptimizerInput, Suggestion
from bo_service.optimizer.suggest import predict, suggest

Objective = Callable[[Mapping[str, Any]], float | None]

PLANE = SearchSpace((Parameter("a", FloatDomain(0.0, 1.0)), Parameter("b", FloatDomain(-3.0, 3.0))))


def hill(c: Mapping[str, Any]) -> float:
    return -((c["a"] - 0.3) ** 2) - 0.1 * (c["b"] - 1.0) ** 2


def score(configuration: Mapping[str, Value]) -> float:
    """Some number that depends on every value."""
    return math.fsum(
        math.sin(len(repr(v)) + (float(v) if isinstance(v, float | int) else 1)) for v in configuration.values()
    )


def study(space: SearchSpace, objective: Objective, n: int, seed: int = 0, **options: Any) -> OptimizerInput:
    """The evidence after n trials, suggested one at a time."""
    inputs = OptimizerInput(space, SuggestionSettings(**options), seed)
    for number in range(1, n + 1):
        for suggestion in suggest(inputs, 1):
            trial = Observation(number, suggestion.configuration, objective(suggestion.configuration))
            inputs = replace(inputs, observations=(*inputs.observations, trial))
    return inputs


def keys(suggestions: list[Suggestion]) -> set[frozenset[tuple[str, Value]]]:
    return {frozenset(s.configuration.items()) for s in suggestions}


def assert_sound(inputs: OptimizerInput, suggestions: list[Suggestion]) -> None:
    known = {frozenset(c.items()) for c in (*inputs.pending, *(t.configuration for t in inputs.observations))}
    assert len(keys(suggestions)) == len(suggestions)
    assert not keys(suggestions) & known
    for suggestion in suggestions:
        assert inputs.space.faults(suggestion.configuration) == []
        assert inputs.space.is_feasible(suggestion.configuration)
        assert suggestion.summary.endswith(".")
        modeled = suggestion.origin is Origin.SURROGATE
        assert bool(suggestion.expected) == modeled
        assert (suggestion.acquisition_value is not None) == modeled
        numbers = [suggestion.acquisition_value or 0.0, *(n for e in suggestion.expected for n in (e.mean, e.std))]
        assert all(map(math.isfinite, numbers))
        assert (suggestion.intent is not None) == modeled
        assert suggestion.nearest_distance is None or 0.0 <= suggestion.nearest_distance <= 1.0


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_in_any_space_suggestions_are_valid_feasible_and_new(data: st.DataObject, spaces: Any) -> None:
    space = data.draw(spaces)
    seed = data.draw(st.integers(-(2**63), 2**63))
    inputs = OptimizerInput(space, SuggestionSettings(initial_trials=3), seed)
    for number, batch in enumerate((2, 2, 1, 3)):
        found = suggest(inputs, batch)
        assert_sound(inputs, found)
        trials = [Observation(10 * number + i, s.configuration, score(s.configuration)) for i, s in enumerate(found)]
        inputs = replace(inputs, observations=(*inputs.observations, *trials[:-1]))
        inputs = replace(inputs, pending=(*inputs.pending, *(t.configuration for t in trials[-1:])))
    assert_sound(inputs, quasi_random(inputs, 3))


def test_the_defaults_come_first_then_sobol_then_the_surrogate(mixed_space: SearchSpace) -> None:
    inputs = OptimizerInput(mixed_space, SuggestionSettings(), 1)
    (first,) = suggest(inputs, 1)
    assert first.origin is Origin.DEFAULT
    assert first.configuration["drop"] == 0.2
    assert first.configuration["lr"] == pytest.approx(1e-3)
    origins = [s.origin for s in suggest(inputs, 9)]
    assert origins == [Origin.DEFAULT] + [Origin.QUASI_RANDOM] * 8
    past = study(mixed_space, score, 7).observations
    assert [s.origin for s in suggest(replace(inputs, observations=past), 2)] == [Origin.SURROGATE] * 2


def test_initial_trials_count_what_is_pending() -> None:
    inputs = study(PLANE, hill, 3, initial_trials=5)
    origins = [s.origin for s in suggest(inputs, 4)]
    assert origins == [Origin.QUASI_RANDOM] * 2 + [Origin.SURROGATE] * 2
    pending = tuple(s.configuration for s in suggest(inputs, 2))
    assert suggest(replace(inputs, pending=pending), 1)[0].origin is Origin.SURROGATE


def test_the_algorithm_can_be_quasi_random() -> None:
    inputs = study(PLANE, hill, 12, algorithm=Algorithm.QUASI_RANDOM)
    assert {s.origin for s in suggest(inputs, 3)} == {Origin.QUASI_RANDOM}


def test_the_default_is_given_once() -> None:
    inputs = OptimizerInput(PLANE, SuggestionSettings(), 0)
    default = suggest(inputs, 1)[0].configuration
    assert default == {"a": 0.5, "b": 0.0}
    assert suggest(replace(inputs, pending=(default,)), 1)[0].origin is Origin.QUASI_RANDOM


def test_requests_with_and_without_a_model_share_the_sequence() -> None:
    inputs = OptimizerInput(PLANE, SuggestionSettings(initial_trials=8), 5)
    at_once = [s.configuration for s in suggest(inputs, 6)]
    one_by_one = [t.configuration for t in study(PLANE, hill, 6, seed=5, initial_trials=8).observations]
    assert at_once == one_by_one
    assert [s.configuration for s in quasi_random(inputs, 6)] == at_once


def test_the_order_of_reports_never_matters(mixed_space: SearchSpace) -> None:
    inputs = study(mixed_space, score, 12)
    moved, pending = inputs.observations[:9], tuple(t.configuration for t in inputs.observations[9:])
    given_order = replace(inputs, observations=moved, pending=pending)
    other_order = replace(inputs, observations=moved[::-1], pending=pending[::-1])
    assert suggest(given_order, 2) == suggest(other_order, 2)


def test_the_seed_always_matters() -> None:
    sequences = [
        [s.configuration for s in suggest(OptimizerInput(PLANE, SuggestionSettings(), seed), 3)] for seed in (1, 2)
    ]
    assert sequences[0][1:] != sequences[1][1:]


def test_another_process_says_the_same() -> None:
    inputs = study(PLANE, hill, 8)
    program = (
        "import pickle, sys; from bo_service.optimizer.suggest import suggest;"
        "sys.stdout.buffer.write(pickle.dumps(suggest(pickle.load(sys.stdin.buffer), 2)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(inputs), capture_output=True, check=True
    )
    assert pickle.loads(answer.stdout) == suggest(inputs, 2)


def test_eight_workers_get_eight_different_useful_points() -> None:
    inputs = study(PLANE, hill, 12)
    pending: tuple[Mapping[str, Value], ...] = ()
    for _ in range(8):
        (suggestion,) = suggest(replace(inputs, pending=pending), 1)
        pending = (*pending, suggestion.configuration)
    at_once = tuple(s.configuration for s in suggest(inputs, 8))
    for batch in (pending, at_once):
        points = np.array([[c["a"], (float(c["b"]) + 3) / 6] for c in batch])
        apart = np.linalg.norm(points[:, None] - points, axis=2)[np.triu_indices(8, 1)]
        assert apart.min() > 0.003
        assert np.median(apart) > 0.05
        assert sum(hill(c) > -0.5 for c in batch) >= 4  # a random point has a chance of a half; the worst is -2.1


def test_finite_spaces_are_exhausted_once_the_best_was_repeated() -> None:
    space = SearchSpace((Parameter("i", IntDomain(1, 3)), Parameter("k", CategoricalDomain(("u", "v")))))
    inputs = study(space, lambda c: float(c["i"]), 20)
    assert len(inputs.observations) == 7
    assert inputs.observations[6].configuration["i"] == 3
    assert len({tuple(t.configuration.items()) for t in inputs.observations}) == 6
    assert suggest(inputs, 3) == []
    assert quasi_random(inputs, 3) == []
    assert len(suggest(OptimizerInput(space, SuggestionSettings(), 0), 10)) == 6


def test_what_is_spent_is_not_suggested_again() -> None:
    space = SearchSpace((Parameter("i", IntDomain(1, 3)),))
    spent = OptimizerInput(space, SuggestionSettings(), 0, discarded=({"i": 2},))
    assert sorted(s.configuration["i"] for s in suggest(spent, 3)) == [1, 3]
    assert sorted(s.configuration["i"] for s in quasi_random(spent, 3)) == [1, 3]


def test_the_best_of_a_finite_space_is_found_early() -> None:
    space = SearchSpace((Parameter("i", IntDomain(0, 30)), Parameter("d", DiscreteDomain((1, 2, 4, 8, 16), Scale.LOG))))
    inputs = study(space, lambda c: -((c["i"] - 21) ** 2) - abs(math.log2(c["d"]) - 3), 25)
    assert max(t.value for t in inputs.observations if t.value is not None) == 0.0


def test_an_optimum_on_the_border_of_a_thin_region_is_found() -> None:
    space = SearchSpace(
        tuple(Parameter(n, FloatDomain(0.0, 1.0)) for n in "abcd"),
        (LinearConstraint(dict.fromkeys("abcd", 1.0), 0.2),),
    )
    inputs = study(space, lambda c: c["a"] * 2 + c["b"] - c["c"], 25)
    assert max(t.value for t in inputs.observations if t.value is not None) > 0.36  # the best is 0.4, at a = 0.2


def test_infeasible_neighborhoods_are_avoided() -> None:
    inputs = study(PLANE, lambda c: None if c["a"] > 0.5 else hill(c) + c["a"], 24)
    late = list(inputs.observations[12:])
    assert sum(t.value is None for t in late) <= 5
    assert max(t.value for t in late if t.value is not None) > 0.3


WILD: dict[str, Objective] = {
    "constant": lambda c: 5.0,
    "zero": lambda c: 0.0,
    "huge": lambda c: 1e300 * c["a"],
    "at both ends of the floats": lambda c: -1.7e308 if c["a"] > 0.5 else 1.7e308,
    "tiny": lambda c: 1e-300 * c["a"],
    "denormal": lambda c: 5e-324 if c["a"] > 0.5 else 0.0,
    "huge and tiny": lambda c: -1e300 if c["a"] > 0.5 else c["b"] * 1e-300,
    "two values": lambda c: float(c["a"] > 0.5),
    "all infeasible": lambda c: None,
    "half infeasible": lambda c: None if c["a"] > 0.5 else c["b"],
    "nan": lambda c: math.nan if c["a"] > 0.5 else c["b"],
    "infinite": lambda c: -math.inf if c["a"] > 0.5 else c["b"],
}


@pytest.mark.parametrize(
    ("name", "acquisition"),
    [
        pytest.param(name, acquisition, marks=[pytest.mark.slow] * (i % len(Acquisition) != j))
        for i, name in enumerate(WILD)
        for j, acquisition in enumerate(Acquisition)
    ],
)
def test_no_values_break_it(name: str, acquisition: Acquisition) -> None:
    inputs = study(PLANE, WILD[name], 7, acquisition=acquisition)
    assert len(inputs.observations) == 7
    assert_sound(inputs, suggest(inputs, 2))


ODD = {
    "50 parameters": SearchSpace(tuple(Parameter(f"x{i}", FloatDomain(0.0, 1.0)) for i in range(50))),
    "one category and a number": SearchSpace(
        (
            Parameter("k", CategoricalDomain(("a",))),
            Parameter("x", FloatDomain(0.0, 1.0)),
            Parameter("i", IntDomain(3, 3)),
        )
    ),
    "all the integers there are": SearchSpace(
        (Parameter("i", IntDomain(-(2**53), 2**53)), Parameter("j", IntDomain(1, 2**53, Scale.LOG)))
    ),
    "all the floats there are": SearchSpace(
        (Parameter("x", FloatDomain(-1.7e308, 1.7e308)), Parameter("y", FloatDomain(5e-324, 1.7e308, Scale.LOG)))
    ),
    "a thousand categories": SearchSpace(
        tuple(Parameter(n, CategoricalDomain(tuple(f"{n}{i}" for i in range(1000)))) for n in "uv")
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_no_space_breaks_it(name: str) -> None:
    inputs = study(ODD[name], score, 6, initial_trials=3)
    assert len(inputs.observations) == 6
    assert_sound(inputs, suggest(inputs, 3))


def test_a_single_configuration() -> None:
    space = SearchSpace((Parameter("i", IntDomain(3, 3)), Parameter("d", DiscreteDomain((2.5,)))))
    inputs = study(space, lambda c: 1.0, 3)
    assert [t.configuration for t in inputs.observations] == [{"i": 3, "d": 2.5}]


def test_a_float_that_has_two_values() -> None:
    space = SearchSpace((Parameter("x", FloatDomain(1.0, math.nextafter(1.0, 2.0))),))
    assert len(study(space, lambda c: c["x"], 4).observations) == 2


def test_contradictory_constraints_leave_nothing_to_suggest() -> None:
    space = SearchSpace(PLANE.parameters, (LinearConstraint({"a": 1.0}, -1.0),))
    assert suggest(OptimizerInput(space, SuggestionSettings(), 0), 2) == []


def test_repeated_observations_are_no_trouble() -> None:
    rng = np.random.default_rng(0)
    past = tuple(Observation(i, {"a": 0.25 * (i % 4), "b": 0.0}, float(rng.normal())) for i in range(30))
    inputs = OptimizerInput(PLANE, SuggestionSettings(), 0, past)
    assert_sound(inputs, suggest(inputs, 2))


def test_predictions_are_in_the_users_units() -> None:
    inputs = study(PLANE, lambda c: 1000.0 * hill(c) + 7.0, 25)
    asked = [{"a": 0.3, "b": 1.0}, {"a": 0.9, "b": -2.0}]
    found = predict(inputs, asked)
    assert (found.observation_count, found.acquisition) == (25, "log_ei")
    for point, configuration in zip(found.points, asked, strict=True):
        truth = 1000.0 * hill(configuration) + 7.0
        (expected,) = point.expected
        assert abs(expected.mean - truth) < max(3.0 * expected.std, 30.0)
    observed = predict(inputs, [t.configuration for t in inputs.observations[:5]])
    for point, trial in zip(observed.points, inputs.observations, strict=False):
        assert point.expected[0].mean == pytest.approx(trial.value, abs=20.0)
    assert predict(inputs, []).points == ()


def test_predictions_need_two_observations() -> None:
    inputs = study(PLANE, hill, 1)
    with pytest.raises(NotEnoughData, match=r"1 finished trials.*at least 2"):
        predict(inputs, [{"a": 0.5, "b": 0.0}])
    assert len(predict(study(PLANE, lambda c: 3.0, 2), [{"a": 0.5, "b": 0.0}]).points) == 1


def test_explanations_tell_exploring_from_exploiting() -> None:
    whole = study(PLANE, hill, 30)
    made = [suggest(replace(whole, observations=whole.observations[:n]), 1)[0] for n in range(5, 30)]
    expected = {i: [s.expected[0].mean for s in made if s.intent is i] for i in Intent}
    assert np.mean(expected[Intent.EXPLOIT]) > np.mean(expected[Intent.EXPLORE])
    inputs, late = replace(whole, observations=whole.observations[:29]), made[-1]
    assert "chance" in late.summary
    assert late.nearest_trial in {t.number for t in inputs.observations}
    by_number = {t.number: t.configuration for t in inputs.observations}
    nearest = by_number[late.nearest_trial]
    gap = np.hypot(nearest["a"] - late.configuration["a"], (nearest["b"] - late.configuration["b"]) / 6.0)
    assert late.nearest_distance == pytest.approx(gap / math.sqrt(2.0))
    bold = suggest(replace(inputs, settings=SuggestionSettings(acquisition=Acquisition.UCB, beta=100.0)), 1)[0]
    assert (bold.intent, bold.acquisition) == (Intent.EXPLORE, "ucb")


def test_asking_for_improvement_explores_more() -> None:
    inputs = study(PLANE, hill, 20)
    modest = suggest(inputs, 1)[0]
    greedy = suggest(replace(inputs, settings=SuggestionSettings(xi=2.0)), 1)[0]
    assert greedy.expected[0].std > modest.expected[0].std


def test_values_come_without_the_numeric_libraries() -> None:
    program = "import sys, bo_service.optimizer.inputs; assert not {'numpy', 'scipy', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_noise_is_met_with_noisy_improvement() -> None:
    rng = np.random.default_rng(0)
    noisy = study(PLANE, lambda c: hill(c) + 0.3 * rng.standard_normal(), 20)
    assert suggest(noisy, 1)[0].acquisition == "log_nei"
    assert suggest(study(PLANE, hill, 12), 1)[0].acquisition == "log_ei"
    chosen = replace(noisy, settings=SuggestionSettings(acquisition=Acquisition.LOG_EI))
    assert suggest(chosen, 1)[0].acquisition == "log_ei"
