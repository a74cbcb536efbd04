"""A small finite space goes on where its values are noisy, and is exhausted where they are not."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bo_service.domain.constraints import ForbiddenCombination
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, IntDomain
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.domain.study import Algorithm, SuggestionSettings
from bo_service.optimizer.initial_design import is_exhausted, quasi_random
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.suggest import suggest

SPACE = SearchSpace((Parameter("a", CategoricalDomain(("x", "y", "z"))), Parameter("b", DiscreteDomain((1, 2)))))


def value(c: Mapping[str, object], rng: np.random.Generator, noise: float) -> float:
    return float("xyz".index(str(c["a"])) + 0.3 * float(str(c.get("b", 0))) + noise * rng.normal())


def key(c: Mapping[str, object]) -> tuple[object, ...]:
    return tuple(sorted(c.items()))


def run(count: int, noise: float, seed: int, space: SearchSpace = SPACE, **settings: object) -> OptimizerInput:
    rng = np.random.default_rng(seed)
    inputs = OptimizerInput(space, SuggestionSettings(**settings), seed)
    for number in range(1, count + 1):
        made = suggest(inputs, 1)
        if not made:
            break
        c = dict(made[0].configuration)
        inputs = replace(inputs, observations=(*inputs.observations, Observation(number, c, value(c, rng, noise))))
    return inputs


def tried(space: SearchSpace = SPACE, result: Callable[[float], float | None] = lambda v: v) -> OptimizerInput:
    """A study in which each configuration has been tried once, without noise; the best is of trial 1."""
    rng = np.random.default_rng(0)
    every = [{"a": a, "b": b} for a in "zyx" for b in (2, 1)]
    past = tuple(Observation(i, c, result(value(c, rng, 0.0))) for i, c in enumerate(every, 1))
    return OptimizerInput(space, SuggestionSettings(), 0, past)


def after(inputs: OptimizerInput, c: Mapping[str, object], value: float | None, **fields: Any) -> OptimizerInput:
    trial = Observation(len(inputs.observations) + 1, c, value, **fields)
    return replace(inputs, observations=(*inputs.observations, trial))


@pytest.mark.parametrize("seed", [0, 1])
def test_with_noise_it_goes_on_and_without_it_is_exhausted(seed: int) -> None:
    still = run(20, 0.0, seed)
    assert len(still.observations) == 7
    assert is_exhausted(still)
    noisy = run(20, 0.5, seed)
    assert len(noisy.observations) == 20
    assert not is_exhausted(noisy)
    assert len({key(t.configuration) for t in noisy.observations[:6]}) == 6
    assert sum(t.configuration["a"] == "z" for t in noisy.observations) > 6  # the best are repeated most


@pytest.mark.parametrize(
    "space",
    [
        SearchSpace((Parameter("a", CategoricalDomain(("x", "z"))), Parameter("b", DiscreteDomain((1,))))),
        SearchSpace(SPACE.parameters, (ForbiddenCombination({"a": "x", "b": 1}),)),
        SearchSpace(
            (
                Parameter("a", CategoricalDomain(("x", "z"))),
                Parameter("b", IntDomain(1, 2), activation=Activation("a", ("z",))),
            )
        ),
    ],
    ids=["fewer than the initial trials", "constrained", "conditional"],
)
def test_every_finite_space_goes_on_with_noise_and_ends_without(space: SearchSpace) -> None:
    size = len(run(20, 0.0, 3, space).observations) - 1
    every = {key(t.configuration) for t in run(20, 0.0, 3, space).observations}
    assert len(every) == size
    noisy = run(14, 0.5, 3, space)
    assert len(noisy.observations) == 14
    assert {key(t.configuration) for t in noisy.observations} == every


def test_the_best_is_repeated_once_and_it_says_why() -> None:
    for made in (suggest(tried(), 3), quasi_random(tried(), 3)):
        (one,) = made
        assert one.configuration == {"a": "z", "b": 2}
        assert one.summary.startswith("Every configuration has been tried once: the best is repeated")
    assert one.nearest_trial == 1
    again = after(tried(), one.configuration, 2.6)
    assert not suggest(again, 3)
    assert is_exhausted(again)
    differing = after(tried(), one.configuration, 2.5)
    made = suggest(differing, 8)
    assert len({key(s.configuration) for s in made}) == len(made) == 6
    assert all("results of the same one differ" in s.summary for s in made)


def test_what_is_open_is_awaited_before_the_repeat() -> None:
    inputs = tried()
    for one in inputs.observations:
        others = tuple(t for t in inputs.observations if t is not one)
        waiting = replace(inputs, observations=others, pending=(one.configuration,))
        assert not suggest(waiting, 2)
        assert not quasi_random(waiting, 2)
    assert not suggest(replace(inputs, pending=({"a": "z", "b": 2},)), 2)


def test_what_failed_is_not_repeated() -> None:
    """Each repeat that ends without a value leaves the next best, and there is an end."""
    inputs, repeated = tried(), []
    for k in range(6):
        (one,) = suggest(inputs, 1)
        repeated.append(key(one.configuration))
        if k == 0:
            inputs = replace(inputs, failed=(one.configuration,))
        elif k == 1:
            inputs = replace(inputs, discarded=(one.configuration,))
        else:
            inputs = after(inputs, one.configuration, None)
    assert len(set(repeated)) == 6
    assert repeated[0] == key({"a": "z", "b": 2})
    assert not suggest(inputs, 1)
    assert is_exhausted(inputs)
    noisy = after(tried(), {"a": "y", "b": 1}, 9.0)
    crashed = replace(noisy, failed=({"a": "z", "b": 2},))
    assert {"a": "z", "b": 2} in [s.configuration for s in suggest(noisy, 6)]
    assert {"a": "z", "b": 2} not in [s.configuration for s in suggest(crashed, 6)]


def test_infeasible_and_forbidden_configurations_are_not_repeated() -> None:
    infeasible = tried(result=lambda v: None if v > 2.0 else v)
    (one,) = suggest(infeasible, 2)
    assert one.configuration == {"a": "y", "b": 2}
    forbidden = replace(tried(), space=SearchSpace(SPACE.parameters, (ForbiddenCombination({"a": "z", "b": 2}),)))
    (one,) = suggest(forbidden, 2)
    assert one.configuration == {"a": "z", "b": 1}


def test_what_a_rule_stopped_early_says_nothing_of_noise() -> None:
    short = after(tried(), {"a": "x", "b": 1}, 0.1, std=0.2, is_short=True)
    (one,) = suggest(short, 2)
    assert one.configuration == {"a": "z", "b": 2}


def test_bounds_on_outcomes_come_before_the_value() -> None:
    inputs = tried()
    past = tuple(replace(t, margins=(1.0 if t.configuration["a"] == "y" else -1.0,)) for t in inputs.observations)
    (one,) = suggest(replace(inputs, observations=past), 2)
    assert one.configuration == {"a": "y", "b": 2}


def test_several_objectives_are_noisy_where_one_is() -> None:
    inputs = tried()
    past = tuple(replace(t, secondary_values=(-float(t.value or 0.0),)) for t in inputs.observations)
    inputs = replace(inputs, observations=past)
    (one,) = suggest(inputs, 2)
    (first,) = [t for t in past if t.configuration == one.configuration]
    assert not suggest(after(inputs, one.configuration, first.value, secondary_values=first.secondary_values), 2)
    noisy = after(inputs, one.configuration, first.value, secondary_values=(first.secondary_values[0] + 0.1,))
    assert len({key(s.configuration) for s in suggest(noisy, 8)}) == 6


def test_without_a_surrogate_or_with_equal_values_nothing_is_repeated() -> None:
    blind = replace(tried(), settings=SuggestionSettings(algorithm=Algorithm.QUASI_RANDOM))
    assert not suggest(blind, 1)
    assert is_exhausted(blind)
    assert not suggest(tried(result=lambda _: 1.0), 1)


def test_what_is_pending_is_not_repeated() -> None:
    inputs = run(20, 0.5, 0)
    handed = []
    for _ in range(6):
        (made,) = suggest(inputs, 1)
        handed.append(key(made.configuration))
        inputs = replace(inputs, pending=(*inputs.pending, made.configuration))
    assert len(set(handed)) == 6
    assert not suggest(inputs, 1)


def test_a_late_surrogate_leaves_repeats_of_what_was_tried_least() -> None:
    inputs = run(13, 0.5, 0)
    tries = Counter(key(t.configuration) for t in inputs.observations)
    made = quasi_random(inputs, 20)
    assert [tries[key(s.configuration)] for s in made] == sorted(tries.values())
    assert len({key(s.configuration) for s in made}) == 6
