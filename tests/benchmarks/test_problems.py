"""That problems are what they say: the minimum is one, and is reached where it is said to be."""

import importlib.util

import numpy as np
import pytest

from benchmarks.peers.places import at
from benchmarks.problems.problem import Failure, Problem, Split
from benchmarks.problems.references import QUANTILE, measure, references
from benchmarks.problems.space import Category, Continuous, Integer, described, draw, settled
from benchmarks.problems.suite import suite

has_coco = importlib.util.find_spec("cocoex") is not None
each = pytest.mark.parametrize("name", list(suite()))


def problem_of(name: str) -> Problem:
    if name.startswith("bbob") and not has_coco:
        pytest.skip("needs coco-experiment")
    return suite()[name]


def test_the_splits_share_no_problem_and_are_large_enough() -> None:
    splits = [p.split for p in suite().values()]
    assert splits.count(Split.DEVELOPMENT) >= 16
    assert splits.count(Split.VALIDATION) >= 8
    assert set(references()) == set(suite())


@each
def test_the_minimum_is_reached_at_its_place(name: str) -> None:
    problem, reference = problem_of(name), references()[name]
    assert set(reference.optimizer) == {p.name for p in problem.space}
    assert problem.is_feasible(reference.optimizer)
    assert problem.true(reference.optimizer) == pytest.approx(reference.best, rel=1e-6, abs=1e-9)
    assert reference.best < reference.random


@each
def test_no_sampled_point_is_below_the_minimum(name: str) -> None:
    problem = problem_of(name)
    slow = "-digits" in name or "-diabetes" in name or "-cancer" in name
    rng = np.random.default_rng(5)
    values = [problem.true(draw(problem.space, rng)) for _ in range(4 if slow else 500)]
    assert min(values) >= references()[name].best
    assert np.isfinite(values).all()


@each
def test_the_neighborhood_of_a_known_minimum_is_not_below_it(name: str) -> None:
    problem, rng = problem_of(name), np.random.default_rng(6)
    if problem.optimizer is None:
        pytest.skip("known by search alone")
    best = problem.true(problem.optimizer)
    for p in problem.space:
        if isinstance(p, Continuous):
            for step in rng.normal(0, 1e-3 * (p.high - p.low), 5):
                moved = min(max(float(problem.optimizer[p.name]) + step, p.low), p.high)
                assert problem.true({**problem.optimizer, p.name: moved}) >= best - 1e-6


def test_draws_are_inside_and_reach_the_ends() -> None:
    rng = np.random.default_rng(0)
    space = (Continuous("a", 1e-3, 10.0, log=True), Integer("n", 1, 4, log=True), Category("c", ("x", "y")))
    drawn = [draw(space, rng) for _ in range(400)]
    assert all(1e-3 <= float(c["a"]) <= 10 for c in drawn)
    assert {c["n"] for c in drawn} == {1, 2, 3, 4}
    assert {c["c"] for c in drawn} == {"x", "y"}
    assert np.median([float(c["a"]) for c in drawn]) == pytest.approx(0.1, rel=0.5)
    assert [p["kind"] for p in described(space)] == ["continuous", "integer", "category"]


def test_a_config_is_put_into_the_order_of_the_space() -> None:
    """A function of a vector would otherwise take x10 for x2."""
    space = (Continuous("x2", 0.0, 9.0), Integer("x10", 0, 9), Category("c", ("a",)))
    config = settled(space, {"c": "a", "x10": 3.0, "x2": 1})
    assert list(config.items()) == [("x2", 1.0), ("x10", 3), ("c", "a")]
    assert [type(v) for v in config.values()] == [float, int, str]


def test_some_trials_fail_and_the_minimum_does_not() -> None:
    rng = np.random.default_rng(0)
    for name in ("branin-failing", "zakharov5-failing"):
        problem = suite()[name]
        configs = [draw(problem.space, rng) for _ in range(300)]
        failed = [c for c in configs if not problem.is_feasible(c)]
        assert 15 <= len(failed) <= 150
        with pytest.raises(Failure):
            problem.evaluate(failed[0], rng)


def test_noise_is_on_the_measured_value_alone() -> None:
    problem = suite()["hartmann6-noisy"]
    config = {f"x{i}": 0.5 for i in range(1, 7)}
    measured = [problem.evaluate(config, np.random.default_rng([0, n])) for n in range(2000)]
    assert np.mean(measured) == pytest.approx(problem.true(config), abs=0.01)
    assert np.std(measured) == pytest.approx(0.1, rel=0.1)


def test_the_random_reference_is_the_median_best_of_ten() -> None:
    problem, rng = suite()["branin"], np.random.default_rng(3)
    best = [min(problem.true(draw(problem.space, rng)) for _ in range(10)) for _ in range(1500)]
    assert measure(problem).random == pytest.approx(np.median(best), rel=0.1)
    assert pytest.approx(0.5) == 1 - (1 - QUANTILE) ** 10


@pytest.mark.parametrize("u", [0.0, 0.013, 0.37, 0.52, 0.81, 1.0])
def test_peers_place_values_as_problems_do(u: float) -> None:
    space = (
        Continuous("a", 1e-3, 10.0, log=True),
        Continuous("b", -2.0, 3.0),
        Integer("n", 1, 40, log=True),
        Integer("m", -3, 6),
        Category("c", ("x", "y", "z")),
    )
    for parameter, told in zip(space, described(space), strict=True):
        placed = at(told, u)
        assert type(placed) is type(parameter.at(u))
        assert placed == (pytest.approx(parameter.at(u)) if isinstance(placed, float) else parameter.at(u))
