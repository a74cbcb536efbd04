"""Random search draws uniformly, and grid search tries every combination once: through the optimizer alone."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from bo_service.domain.constraints import Configuration, LinearConstraint
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.grid import on_grid
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.domain.study import Algorithm, Goal, Metric, StudySpec, SuggestionSettings
from bo_service.domain.trial import Origin
from bo_service.optimizer.initial_design import is_exhausted, quasi_random
from bo_service.optimizer.inputs import Observation, OptimizerInput, Suggestion
from bo_service.optimizer.suggest import suggest

MIXED = SearchSpace(
    (
        Parameter("lr", FloatDomain(1e-4, 1e-1, Scale.LOG), default=0.003),
        Parameter("width", IntDomain(16, 512, Scale.LOG)),
        Parameter("depth", IntDomain(1, 3)),
        Parameter("kind", CategoricalDomain(("adam", "sgd"))),
        Parameter("momentum", FloatDomain(0.0, 1.0), activation=Activation("kind", ("sgd",))),
    )
)
SQUARE = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)), Parameter("y", FloatDomain(1e-3, 1e3, Scale.LOG))))


def inputs(space: SearchSpace, algorithm: Algorithm, past: list[Configuration], **settings: int) -> OptimizerInput:
    tried = tuple(Observation(i, configuration, 0.5 * i) for i, configuration in enumerate(past, 1))
    return OptimizerInput(space, SuggestionSettings(algorithm, **settings), 1, tried)


def search(space: SearchSpace, algorithm: Algorithm, at_once: int, limit: int, **settings: int) -> list[Suggestion]:
    """Return what is suggested until nothing is left, or for `limit` trials."""
    made: list[Suggestion] = []
    while len(made) < limit:
        more = suggest(inputs(space, algorithm, [s.configuration for s in made], **settings), at_once)
        if not more:
            break
        made += more
    return made


def test_a_grid_is_every_combination_once_and_then_it_is_exhausted() -> None:
    made = search(MIXED, Algorithm.GRID, 7, 1000, grid_points=4)
    given = [s.configuration for s in made]
    assert {s.origin for s in made} == {Origin.GRID}
    rates, widths, momenta = [1e-4, 1e-3, 1e-2, 1e-1], [16, 51, 161, 512], [0.0, 1 / 3, 2 / 3, 1.0]
    wanted = [*itertools.product(rates, widths, (1, 2, 3), ["adam"], [None])]
    wanted += itertools.product(rates, widths, (1, 2, 3), ["sgd"], momenta)
    assert len(given) == len(wanted)
    assert Counter(_rounded(c) for c in given) == Counter(_rounded(_named(*w)) for w in wanted)
    assert {c["lr"] for c in given} >= {1e-4, 1e-1}
    assert is_exhausted(inputs(MIXED, Algorithm.GRID, given, grid_points=4))
    assert not is_exhausted(inputs(MIXED, Algorithm.GRID, given[:-1], grid_points=4))


def _named(lr: float, width: int, depth: int, kind: str, momentum: float | None) -> Configuration:
    rest = {} if momentum is None else {"momentum": momentum}
    return {"lr": lr, "width": width, "depth": depth, "kind": kind, **rest}


def _rounded(configuration: Configuration) -> frozenset[tuple[str, object]]:
    return frozenset((k, float(f"{v:.9g}") if isinstance(v, float) else v) for k, v in configuration.items())


def test_the_first_points_of_a_grid_are_spread_over_it() -> None:
    made = search(SQUARE, Algorithm.GRID, 10, 10, grid_points=10)
    assert len({s.configuration["x"] for s in made}) >= 5
    assert len({s.configuration["y"] for s in made}) >= 5


def test_trials_beside_the_grid_are_no_obstacle() -> None:
    beside: list[Configuration] = [{"x": 0.123, "y": 4.56}, {"x": 0.0, "y": 1e-3}]
    made = quasi_random(inputs(SQUARE, Algorithm.GRID, beside, grid_points=3), 100)
    assert len(made) == 8, "the corner was tried, the other trial is none of the nine"


def test_a_grid_keeps_values_that_conditions_name_and_constraints() -> None:
    space = SearchSpace(
        (
            Parameter("layers", IntDomain(1, 100)),
            Parameter("units", IntDomain(1, 2), activation=Activation("layers", (7,))),
            Parameter("rest", DiscreteDomain((0.5, 1.0, 2.0))),
        ),
        (LinearConstraint({"layers": 1.0, "rest": 1.0}, 60.0),),
    )
    assert on_grid(space, 3).parameters[0].domain == DiscreteDomain((1, 7, 50, 100))
    made = [s.configuration for s in search(space, Algorithm.GRID, 5, 1000, grid_points=3)]
    assert sorted({c["layers"] for c in made}) == [1, 7, 50]
    assert len(made) == 3 + 3 * 2 + 3


@pytest.mark.parametrize(
    "domain", [FloatDomain(-1.7e308, 1.7e308), FloatDomain(0.0, 5e-324), FloatDomain(1.0, math.nextafter(1.0, 2.0))]
)
def test_grids_of_extreme_intervals_have_finite_increasing_values(domain: FloatDomain) -> None:
    (parameter,) = on_grid(SearchSpace((Parameter("x", domain),)), 5).parameters
    assert not list(parameter.faults())
    assert isinstance(parameter.domain, DiscreteDomain)
    assert (parameter.domain.values[0], parameter.domain.values[-1]) == (domain.low, domain.high)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"algorithm": Algorithm.GRID, "grid_points": 1}, "it must be from 2 to 1,000"),
        ({"algorithm": Algorithm.RANDOM, "grid_points": 5}, "choose ALGORITHM_GRID, or clear this field"),
        ({"algorithm": Algorithm.GRID, "grid_points": 65}, "more than 4,096 combinations"),
    ],
)
def test_what_gives_no_grid_is_refused(settings: dict, what: str) -> None:
    with pytest.raises(InvalidArgument, match=what) as refused:
        StudySpec(SQUARE, (Metric("loss", Goal.MINIMIZE),), SuggestionSettings(**settings))
    assert [v.field for v in refused.value.violations] == ["suggestion.grid_points"]


def test_random_draws_are_uniform_on_each_scale_and_depend_on_the_seed_alone() -> None:
    made = search(SQUARE, Algorithm.RANDOM, 250, 1000)
    assert {s.origin for s in made} == {Origin.RANDOM}
    x = np.array([s.configuration["x"] for s in made], dtype=float)
    y = np.log10([float(s.configuration["y"]) for s in made])
    assert stats.kstest(x, "uniform").pvalue > 1e-3
    assert stats.kstest((y + 3) / 6, "uniform").pvalue > 1e-3
    assert abs(stats.spearmanr(x, y).statistic) < 0.1
    one_by_one = search(SQUARE, Algorithm.RANDOM, 1, 20)
    assert [s.configuration for s in one_by_one] == [s.configuration for s in made[:20]]


def test_random_draws_are_uniform_where_constraints_hold() -> None:
    space = SearchSpace(
        (Parameter("x", FloatDomain(0.0, 1.0)), Parameter("y", FloatDomain(0.0, 1.0))),
        (LinearConstraint({"x": 1.0, "y": 1.0}, 1.0),),
    )
    made = quasi_random(inputs(space, Algorithm.RANDOM, []), 1000)
    sums = np.array([float(s.configuration["x"]) + float(s.configuration["y"]) for s in made])
    assert (sums <= 1.0).all()
    assert stats.kstest(sums**2, "uniform").pvalue > 1e-3, "the density of the sum grows in proportion to it"


def test_random_search_goes_through_a_finite_space_once() -> None:
    space = SearchSpace((Parameter("n", IntDomain(1, 30)), Parameter("kind", CategoricalDomain(("a", "b")))))
    made = [s.configuration for s in search(space, Algorithm.RANDOM, 8, 1000)]
    assert len(made) == len({_rounded(c) for c in made}) == 60
