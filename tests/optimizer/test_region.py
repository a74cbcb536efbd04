"""Feasible regions: found however thin, and entered without leaving the space."""

import numpy as np
import pytest

from bo_service.domain.constraints import ForbiddenCombination, LinearConstraint
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.encoding.feasible_region import FeasibleRegion


def unit(*names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in names)


def at_most(bound: float, **coefficients: float) -> LinearConstraint:
    return LinearConstraint(coefficients, bound)


THIN = {
    "a corner in 2 dimensions": SearchSpace(unit("a", "b"), (at_most(0.2, a=1, b=1),)),
    "a corner in 5 dimensions": SearchSpace(unit(*"abcde"), (at_most(0.2, a=1, b=1, c=1, d=1, e=1),)),
    "a corner in 20 dimensions": SearchSpace(
        unit(*(f"x{i}" for i in range(20))), (at_most(0.2, **{f"x{i}": 1 for i in range(20)}),)
    ),
    "a band": SearchSpace(unit("a", "b"), (at_most(1.0001, a=1, b=1), at_most(-1.0, a=-1, b=-1))),
    "a plane of whole numbers": SearchSpace(
        (*unit("a"), Parameter("i", IntDomain(0, 1000)), Parameter("j", IntDomain(0, 1000))),
        (at_most(700, i=1, j=1), at_most(-700, i=-1, j=-1)),
    ),
    "on log scales": SearchSpace(
        (Parameter("a", FloatDomain(1e-6, 1.0, Scale.LOG)), Parameter("b", FloatDomain(1e-6, 1.0, Scale.LOG))),
        (at_most(0.0, a=1, b=-1), at_most(1e-5, a=1, b=1)),
    ),
    "with a list and a condition": SearchSpace(
        (
            Parameter("k", CategoricalDomain(("u", "v"))),
            Parameter("n", DiscreteDomain((0.0, 0.1, 5.0))),
            Parameter("x", FloatDomain(0.0, 100.0), activation=Activation("k", ("u",))),
        ),
        (at_most(0.11, x=1, n=1), ForbiddenCombination({"k": "v"})),
    ),
}


@pytest.mark.parametrize("name", THIN)
def test_thin_regions_are_filled(name: str) -> None:
    space = THIN[name]
    encoding, rng = Encoding(space), np.random.default_rng(0)
    region = FeasibleRegion(encoding)
    anchors = region.feasible_seeds(np.empty((0, encoding.width)), rng)
    assert len(anchors) > 0
    rows = region.project(encoding.from_uniform(rng.random((300, encoding.width))), anchors, rng, inward=True)
    configurations = [encoding.decode(z) for z in rows]
    assert len(configurations) == 300
    assert all(space.is_feasible(c) and not space.faults(c) for c in configurations)
    assert len({tuple(c.items()) for c in configurations}) > 100


def test_rows_inside_stay_where_they_are() -> None:
    encoding = Encoding(THIN["a corner in 2 dimensions"])
    region, rng = FeasibleRegion(encoding), np.random.default_rng(0)
    Z = np.array([[0.05, 0.1], [0.9, 0.8]])
    assert region.holds(Z).tolist() == [True, False]
    pulled = region.project(Z, Z[:1], rng)
    assert pulled[0].tolist() == [0.05, 0.1]
    assert pulled[1].sum() == pytest.approx(0.2, abs=1e-4)


def test_a_constraint_on_a_parameter_that_does_not_exist_says_nothing() -> None:
    space = THIN["with a list and a condition"]
    linear = SearchSpace(space.parameters, space.constraints[:1])
    encoding = Encoding(linear)
    Z = encoding.encode([{"k": "v", "n": 5.0}, {"k": "u", "n": 5.0, "x": 0.0}])
    assert FeasibleRegion(encoding).holds(Z).tolist() == [True, False]


def test_forbidden_combinations() -> None:
    encoding = Encoding(THIN["with a list and a condition"])
    assert FeasibleRegion(encoding).holds(encoding.encode([{"k": "v", "n": 0.0}])).tolist() == [False]


def test_a_contradiction_has_no_anchors() -> None:
    encoding = Encoding(SearchSpace(unit("a"), (at_most(-1.0, a=1),)))
    region, rng = FeasibleRegion(encoding), np.random.default_rng(0)
    anchors = region.feasible_seeds(np.empty((0, 1)), rng)
    assert len(anchors) == 0
    assert len(region.project(np.array([[0.5]]), anchors, rng)) == 0


@pytest.mark.parametrize("low", [100.37101360843718, 1e-3 / 3, 12345.6789012345])
def test_what_is_just_inside_is_inside_as_it_is_written(low: float) -> None:
    space = SearchSpace(
        (Parameter("x", FloatDomain(low, low + 1.0)), *unit("y")), (at_most(0.5 * low, x=0.5), at_most(1.0, x=0, y=1))
    )
    encoding = Encoding(space)
    rows = np.column_stack([np.linspace(0.0, 4e-9 * low, 2000), np.linspace(0.0, 1.0, 2000)])
    held = rows[FeasibleRegion(encoding).holds(rows)]
    assert 1 < len(held) < len(rows)
    assert all(space.is_feasible(encoding.decode(z)) for z in held)
