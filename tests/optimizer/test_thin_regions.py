"""Equalities, narrow bands, many forbidden combinations: suggestions are feasible and spread, and an end is proven."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bo_service.domain.constraints import (
    Configuration,
    Constraint,
    EqualityConstraint,
    ForbiddenCombination,
    LinearConstraint,
)
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.encoding.axes import all_positions, axis_of
from bo_service.optimizer.encoding.contradictions import contradictions
from bo_service.optimizer.initial_design import is_exhausted, quasi_random
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.suggest import suggest


def floats(*names: str, low: float = 0.0, high: float = 1.0, scale: Scale = Scale.LINEAR) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, FloatDomain(low, high, scale)) for name in names)


def ints(*names: str, high: int) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, IntDomain(0, high)) for name in names)


def equals(value: float, **coefficients: float) -> EqualityConstraint:
    return EqualityConstraint(coefficients, value)


def at_most(bound: float, **coefficients: float) -> LinearConstraint:
    return LinearConstraint(coefficients, bound)


def band(low: float, high: float, **coefficients: float) -> tuple[LinearConstraint, LinearConstraint]:
    return at_most(high, **coefficients), at_most(-low, **{name: -c for name, c in coefficients.items()})


def holds_exactly(constraint: Constraint, configuration: Configuration) -> bool:
    """As documented, in rational arithmetic."""
    if isinstance(constraint, ForbiddenCombination):
        return any(configuration.get(name) != value for name, value in constraint.parameters.items())
    if any(name not in configuration for name in constraint.coefficients):
        return True
    terms = [Fraction(c) * Fraction(configuration[name]) for name, c in constraint.coefficients.items()]  # type: ignore
    bound = Fraction(constraint.upper_bound if isinstance(constraint, LinearConstraint) else constraint.value)
    tolerance = Fraction(1, 10**9) * max(abs(bound), sum(map(abs, terms)))
    missing = sum(terms) - bound
    return missing <= tolerance if isinstance(constraint, LinearConstraint) else abs(missing) <= tolerance


def check(space: SearchSpace, configurations: list[Configuration]) -> None:
    for configuration in configurations:
        assert not space.faults(configuration)
        assert space.is_feasible(configuration)
        assert all(holds_exactly(constraint, configuration) for constraint in space.constraints), configuration
    assert len({tuple(c.items()) for c in configurations}) == len(configurations)


def blind(space: SearchSpace, count: int, seed: int = 0) -> list[Configuration]:
    found = [s.configuration for s in quasi_random(OptimizerInput(space, SuggestionSettings(), seed), count)]
    check(space, found)
    return found


def listed(space: SearchSpace) -> list[Configuration]:
    """All feasible configurations of a finite space, by trying each."""
    axes = [axis_of(p.domain) for p in space.parameters]
    values = [[axis.value(float(z)) for z in all_positions(axis)] for axis in axes]
    names = [p.name for p in space.parameters]
    found = [space.restrict(dict(zip(names, chosen, strict=True))) for chosen in itertools.product(*values)]
    unique = {tuple(c.items()): c for c in found}
    return [c for c in unique.values() if all(holds_exactly(constraint, c) for constraint in space.constraints)]


NAMES = tuple(f"x{i}" for i in range(10))
ONES = dict.fromkeys(NAMES, 1.0)
SIMPLEX = floats("x", "y", "z")
SUM = {"x": 1.0, "y": 1.0, "z": 1.0}
SPACES = {
    "two inequalities that make an equality": SearchSpace(SIMPLEX, band(1.0, 1.0, **SUM)),
    "an equality": SearchSpace(SIMPLEX, (equals(1.0, **SUM),)),
    "x == y": SearchSpace(floats("x", "y"), band(0.0, 0.0, x=1.0, y=-1.0)),
    "10 floats, sum 1 within 1e-6": SearchSpace(floats(*NAMES), band(1.0 - 1e-6, 1.0 + 1e-6, **ONES)),
    "10 floats, from 1 to 1 + 1e-9": SearchSpace(floats(*NAMES), band(1.0, 1.0 + 1e-9, **ONES)),
    "equalities that repeat each other": SearchSpace(
        SIMPLEX, (equals(1.0, **SUM), equals(2.0, x=2.0, y=2.0, z=2.0), at_most(1.0, **SUM))
    ),
    "two equalities": SearchSpace(floats("x", "y", "z", "w"), (equals(1.0, x=1, y=1), equals(0.2, z=1, w=-1, x=0.3))),
    "an equality and an inequality": SearchSpace(SIMPLEX, (equals(1.0, **SUM), at_most(0.1, x=1, y=-1))),
    "an equality by three inequalities": SearchSpace(
        SIMPLEX, (at_most(1.0, x=1, y=1), at_most(0.5, z=1), at_most(-1.5, x=-1, y=-1, z=-1))
    ),
    "logarithms": SearchSpace(floats("a", "b", "c", low=1e-6, scale=Scale.LOG), (equals(1e-3, a=1, b=1, c=1),)),
    "a logarithm and a line": SearchSpace(
        (*floats("a", low=1e-9, scale=Scale.LOG), *floats("b", low=-5.0, high=5.0)), (equals(0.25, a=1, b=0.1),)
    ),
    "a narrow corner of logarithms": SearchSpace(
        floats("a", "b", low=1e-12, scale=Scale.LOG), (at_most(1e-10, a=1, b=1),)
    ),
    "whole numbers": SearchSpace(ints("a", "b", "c", high=1000), (equals(1000, a=1, b=1, c=1),)),
    "whole numbers with coefficients": SearchSpace(ints("a", "b", "c", high=1000), (equals(1031, a=3, b=5, c=7),)),
    "kinds mixed": SearchSpace(
        (*floats("x", "y"), *ints("n", high=10), Parameter("d", DiscreteDomain((0.1, 0.25, 0.5)))),
        (equals(3.0, x=1, y=1, n=0.5, d=1),),
    ),
    "discrete numbers": SearchSpace(
        tuple(Parameter(n, DiscreteDomain(tuple(0.05 * i for i in range(1, 20)))) for n in ("p", "q", "r")),
        (equals(1.0, p=1, q=1, r=1),),
    ),
    "long lists": SearchSpace(
        tuple(Parameter(f"d{i}", DiscreteDomain(tuple(0.5 * v for v in range(1000)))) for i in range(10)),
        (EqualityConstraint({f"d{i}": 1.0 for i in range(10)}, 2000.5),),
    ),
    "a condition": SearchSpace(
        (
            Parameter("k", CategoricalDomain(("u", "v"))),
            *(Parameter(n, FloatDomain(0.0, 1.0), activation=Activation("k", ("u",))) for n in "ab"),
            *floats("c"),
        ),
        (equals(1.0, a=1, b=1), at_most(0.3, c=1, a=-1)),
    ),
    "an equality and forbidden combinations": SearchSpace(
        (*SIMPLEX, *(Parameter(n, CategoricalDomain(("a", "b", "c"))) for n in "kl")),
        (
            equals(1.0, **SUM),
            *(ForbiddenCombination({"k": v, "l": w}) for v in "abc" for w in "abc" if v != w),
        ),
    ),
    "8 categories of 4, 3 forbidden each": SearchSpace(
        (*floats("x"), *(Parameter(f"k{i}", CategoricalDomain(tuple("abcd"))) for i in range(8))),
        tuple(ForbiddenCombination({f"k{i}": v}) for i in range(8) for v in "abd"),
    ),
    "a default and a center outside": SearchSpace(
        (Parameter("x", FloatDomain(0.0, 1.0), default=0.9), *floats("y")), (equals(1.2, x=1, y=1), at_most(0.5, x=1))
    ),
    "bounds of a million around a small sum": SearchSpace(
        floats("x", "y", "z", low=-1e6, high=1e6), (equals(1.0, **SUM),)
    ),
}


@pytest.mark.parametrize("name", SPACES)
def test_what_is_suggested_is_feasible_and_new(name: str) -> None:
    assert not contradictions(SPACES[name])
    assert len(blind(SPACES[name], 25)) == 25
    assert blind(SPACES[name], 25, seed=9) == blind(SPACES[name], 25, seed=9)


@pytest.mark.parametrize("name", SPACES)
def test_the_surrogate_keeps_to_them(name: str) -> None:
    space = SPACES[name]
    num_started = blind(space, 6)
    past = tuple(Observation(i + 1, c, math.sin(3.0 * i)) for i, c in enumerate(num_started))
    inputs = OptimizerInput(space, replace(SuggestionSettings(), initial_trials=3), 1, past)
    found = [s.configuration for s in suggest(inputs, 3)]
    assert len(found) == 3
    check(space, [*num_started, *found])


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("an equality", "kinds mixed", "a condition") else pytest.param(name, marks=pytest.mark.slow)
        for name in SPACES
    ],
)
def test_the_order_of_trials_makes_no_difference(name: str) -> None:
    past = tuple(Observation(i + 1, c, math.sin(3.0 * i)) for i, c in enumerate(blind(SPACES[name], 6)))
    inputs = OptimizerInput(SPACES[name], replace(SuggestionSettings(), initial_trials=3), 1, past)
    shuffled = replace(inputs, observations=past[::-1])
    found, again = ([s.configuration for s in suggest(order, 3)] for order in (inputs, shuffled))
    assert found == again


@pytest.mark.parametrize("name", ["two inequalities that make an equality", "an equality"])
def test_a_simplex_is_covered_evenly(name: str) -> None:
    found = np.array([list(c.values()) for c in blind(SPACES[name], 200, seed=3)], dtype=float)
    expected = (np.eye(3) - 1.0 / 3.0) / 12.0  # the covariance of Dirichlet(1, 1, 1)
    assert found.mean(axis=0) == pytest.approx(1.0 / 3.0, abs=0.08)
    assert np.cov(found.T) == pytest.approx(expected, abs=0.35 * expected.max())
    corners = (found > 0.6).any(axis=1).mean()
    assert 0.3 < corners < 0.65  # of a uniform draw 3 * 0.4^2


def test_a_high_simplex_is_covered() -> None:
    space = SearchSpace(floats(*NAMES), (equals(1.0, **ONES),))
    found = np.array([list(c.values()) for c in blind(space, 200, seed=3)], dtype=float)
    std = math.sqrt(9.0 / (100.0 * 11.0))  # of each number of Dirichlet(1, ..., 1)
    assert found.std(axis=0) == pytest.approx(std, rel=0.5)
    assert found.std(axis=0).mean() == pytest.approx(std, rel=0.2)


def test_each_number_on_a_logarithm_takes_all_its_sizes() -> None:
    found = np.array([list(c.values()) for c in blind(SPACES["logarithms"], 100)], dtype=float)
    decades = np.floor(np.log10(found * (1.0 + 1e-9))).astype(int)
    assert all({-6, -5, -4} <= set(column) for column in decades.T)


def test_all_categories_and_conditions_occur() -> None:
    kinds = [c["k"] for c in blind(SPACES["a condition"], 60)]
    assert min(kinds.count("u"), kinds.count("v")) >= 10
    pairs = [(c["k"], c["l"]) for c in blind(SPACES["an equality and forbidden combinations"], 60)]
    assert set(pairs) == {("a", "a"), ("b", "b"), ("c", "c")}


def test_an_optimum_in_the_middle_of_a_line_is_found() -> None:
    space = SPACES["x == y"]
    best = min(_searched(space, 15, lambda c: (c["x"] - 0.37) ** 2 + (c["y"] - 0.37) ** 2))
    assert best < 1e-5


def test_an_optimum_on_a_simplex_is_found() -> None:
    space = SPACES["two inequalities that make an equality"]
    assert min(_searched(space, 25, lambda c: (c["x"] - 0.2) ** 2 + (c["y"] - 0.5) ** 2 + (c["z"] - 0.3) ** 2)) < 1e-3


@pytest.mark.slow
def test_an_optimum_among_whole_numbers_is_found() -> None:
    space = SPACES["whole numbers"]
    best = min(_searched(space, 25, lambda c: ((c["a"] - 200) / 1000) ** 2 + ((c["b"] - 500) / 1000) ** 2))
    assert best < 1e-3


def _searched(space, trials, objective):  # type: ignore[no-untyped-def]
    past: list[Observation] = []
    for i in range(trials):
        (found,) = suggest(OptimizerInput(space, SuggestionSettings(), 4, tuple(past)), 1)
        check(space, [found.configuration])
        past.append(Observation(i + 1, found.configuration, -objective(found.configuration)))
    return [-trial.value for trial in past if trial.value is not None]


POINTS = {
    "one point": SearchSpace(floats("x", "y"), (at_most(0.0, x=1, y=1),)),
    "as many equalities as numbers": SearchSpace(floats("x", "y"), (equals(1.0, x=1, y=1), equals(0.5, x=1, y=-1))),
    "a number that follows a whole one": SearchSpace(
        (*floats("x", high=5.0), *ints("n", high=5)), (equals(0.0, x=1, n=-1),)
    ),
    "8 categories of 4, 3 forbidden each": SearchSpace(
        tuple(Parameter(f"k{i}", CategoricalDomain(tuple("abcd"))) for i in range(8)),
        tuple(ForbiddenCombination({f"k{i}": v}) for i in range(8) for v in "abd"),
    ),
    "few sums of large whole numbers": SearchSpace(ints("a", "b", "c", high=10**6), (equals(5, a=1, b=1, c=1),)),
}


@pytest.mark.parametrize(("name", "count"), list(zip(POINTS, [1, 1, 6, 1, 21], strict=True)))
def test_an_end_is_proven_where_real_numbers_leave_none(name: str, count: int) -> None:
    found = blind(POINTS[name], 30)
    assert len(found) == count
    before = OptimizerInput(POINTS[name], SuggestionSettings(), 0, pending=tuple(found[:-1]))
    assert not is_exhausted(before)
    assert is_exhausted(replace(before, pending=tuple(found)))


CONTRADICTIONS = {
    "too small a bound": SearchSpace(floats("x"), (at_most(-1.0, x=1),)),
    "an equality out of reach": SearchSpace(floats("x", "y"), (equals(3.0, x=1, y=1),)),
    "two equalities": SearchSpace(floats("x", "y"), (equals(1.0, x=1, y=1), equals(1.2, x=1, y=1))),
    "three inequalities": SearchSpace(
        floats("x", "y", "z"), (at_most(0.0, x=1, y=-1), at_most(0.0, y=1, z=-1), at_most(-0.1, z=1, x=-1))
    ),
    "parity": SearchSpace(ints("a", "b", high=10**6), (equals(7, a=2, b=4),)),
    "all forbidden": SearchSpace(
        (*floats("x"), Parameter("k", CategoricalDomain((True, False)))),
        (ForbiddenCombination({"k": True}), ForbiddenCombination({"k": False})),
    ),
    "an equality with a list": SearchSpace(
        (*floats("x"), Parameter("d", DiscreteDomain((2.0, 3.0)))), (equals(1.0, x=1, d=1),)
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_proven_and_named(name: str) -> None:
    space = SearchSpace(
        (*CONTRADICTIONS[name].parameters, *floats("free")),
        (at_most(0.9, free=1), *CONTRADICTIONS[name].constraints),
    )
    named = [violation.field for violation in contradictions(space)]
    assert named == [f"constraints[{i + 1}]" for i in range(len(space.constraints) - 1)]
    assert blind(space, 2) == []
    assert is_exhausted(OptimizerInput(space, SuggestionSettings(), 0))


@st.composite
def spaces(draw: st.DrawFn, finite: bool = False) -> SearchSpace:
    """Random parameters, and constraints around a random configuration, which fulfills them."""
    kinds = st.sampled_from(["int", "discrete", "category"] + ["float", "log"] * (not finite))
    parameters: list[Parameter] = []
    for i in range(draw(st.integers(2, 4 if finite else 7))):
        kind = draw(kinds)
        low = draw(st.integers(-3, 3))
        domain = {
            "float": lambda low=low: FloatDomain(float(low), low + draw(st.sampled_from([0.5, 1.0, 40.0]))),
            "log": lambda: FloatDomain(10.0 ** -draw(st.integers(1, 8)), 1.0, Scale.LOG),
            "int": lambda low=low: IntDomain(low, low + draw(st.integers(0, 5 if finite else 60))),
            "discrete": lambda low=low: DiscreteDomain((low, low + 2, low + 3)),
            "category": lambda: CategoricalDomain(("a", "b", "c")),
        }[kind]()
        deciders = [p for p in parameters if isinstance(p.domain, CategoricalDomain)]
        rule = Activation(deciders[0].name, ("a", "b")) if deciders and draw(st.integers(0, 3)) == 0 else None
        parameters.append(Parameter(f"p{i}", domain, activation=rule))
    axes = [axis_of(p.domain) for p in parameters]
    point = {}
    for parameter, axis in zip(parameters, axes, strict=True):
        share = draw(st.floats(0.01, 0.99, allow_nan=False))
        point[parameter.name] = axis.value(float(axis.from_uniform(np.array([share]))[0]))
    numeric = [p.name for p in parameters if not isinstance(p.domain, CategoricalDomain)]
    constraints: list[Constraint] = []
    for _ in range(draw(st.integers(1, 3))):
        if not numeric or draw(st.integers(0, 4)) == 0:
            names = draw(st.lists(st.sampled_from([p.name for p in parameters]), min_size=1, max_size=2, unique=True))
            others = {p.name: axis_of(p.domain) for p in parameters if p.name in names}
            values = {
                n: axis.value(float(axis.from_uniform(np.array([draw(st.floats(0, 0.99))]))[0]))
                for n, axis in others.items()
            }
            if any(values[n] != point[n] for n in names):
                constraints.append(ForbiddenCombination(values))
            continue
        names = draw(st.lists(st.sampled_from(numeric), min_size=1, max_size=4, unique=True))
        terms = {n: float(draw(st.sampled_from([-2, -1, 1, 1, 3]))) for n in names}
        total = math.fsum(c * float(point[n]) for n, c in terms.items())
        kind = draw(st.sampled_from(["equality", "at most", "band"]))
        if kind == "equality":
            constraints.append(EqualityConstraint(terms, total))
        elif kind == "at most":
            constraints.append(LinearConstraint(terms, total))
        else:
            constraints.extend(band(total - 1e-7 * abs(total), total + 1e-7 * abs(total), **terms))
    space = SearchSpace(tuple(parameters), tuple(constraints))
    assert space.is_feasible(space.restrict(point))
    return space


THOROUGH = settings(derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@THOROUGH
@given(spaces())
def test_any_space_with_a_feasible_configuration_gives_some(space: SearchSpace) -> None:
    assert not contradictions(space)
    found = blind(space, 5)
    assert found
    if len(found) < 5:
        assert is_exhausted(OptimizerInput(space, SuggestionSettings(), 0, pending=tuple(found)))


@THOROUGH
@given(spaces(finite=True))
def test_a_finite_space_ends_after_its_last_configuration(space: SearchSpace) -> None:
    expected = listed(space)
    found = blind(space, len(expected) + 3)
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    inputs = OptimizerInput(space, SuggestionSettings(), 0, pending=tuple(found))
    assert is_exhausted(inputs)
    assert not is_exhausted(replace(inputs, pending=tuple(found[1:])))


def test_numbers_that_are_nearly_fixed_contradict_nothing() -> None:
    """The first equation leaves the second a range near 0 for p0, by which the solver's rows are scaled."""
    p0, p1 = Parameter("p0", FloatDomain(0.0, 0.5)), Parameter("p1", IntDomain(0, 8))
    both = (EqualityConstraint({"p0": -2.0, "p1": -2.0}, -2.5), EqualityConstraint({"p0": -2.0}, -0.5))
    assert contradictions(SearchSpace((p0, p1), both)) == []


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_two_equations_that_fix_a_number_agree_in_all_but_rounding(size: float) -> None:
    """What the first leaves between the bounds of p0 is rounding alone, and no range to scale the second by."""
    p0, p1 = Parameter("p0", FloatDomain(0.0, 0.5 * size)), Parameter("p1", IntDomain(0, 2))
    total, part = -2.533131504084 * size, -0.533131504084 * size
    both = (EqualityConstraint({"p0": -2.0, "p1": -2.0 * size}, total), EqualityConstraint({"p0": -2.0}, part))
    space = SearchSpace((p0, p1), both)
    found = blind(space, 2)
    assert found == [{"p0": pytest.approx(-part / 2.0), "p1": 1}]
    assert is_exhausted(OptimizerInput(space, SuggestionSettings(), 0, pending=tuple(found)))


def test_whole_numbers_that_leave_no_real_number_free_are_exhausted_however_many_levels_they_have() -> None:
    p0, p1, p2 = Parameter("p0", FloatDomain(0.0, 0.5)), *(Parameter(n, IntDomain(0, 1000)) for n in ("p1", "p2"))
    small = Parameter("p3", IntDomain(0, 3))
    rules = (EqualityConstraint({"p0": 2.0, "p1": 2.0}, 16.5), EqualityConstraint({"p1": 1.0, "p2": 1.0}, 10.0))
    space = SearchSpace((p0, p1, p2, small), rules)
    found = blind(space, 5)
    assert sorted((c["p0"], c["p1"], c["p2"], c["p3"]) for c in found) == [(0.25, 8, 2, i) for i in range(4)]
    assert is_exhausted(OptimizerInput(space, SuggestionSettings(), 0, pending=tuple(found)))


def test_a_band_of_a_real_and_a_whole_number_is_used_over_its_width() -> None:
    space = SearchSpace(
        (Parameter("p0", FloatDomain(0.0, 0.5)), Parameter("p1", IntDomain(0, 1))),
        tuple(band(0.25 - 2.5e-8, 0.25 + 2.5e-8, p0=1.0, p1=1.0)),
    )
    assert len({c["p0"] for c in blind(space, 8)}) == 8
