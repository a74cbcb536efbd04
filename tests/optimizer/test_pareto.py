"""Pareto fronts by brute force; volumes by inclusion and exclusion; boxes that cover the free room exactly once."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.pareto import hypervolume, non_dominated_boxes, pareto_mask, reference_point

TIES = st.integers(-2, 6).map(lambda v: v / 4.0)
ANY = st.one_of(TIES, st.floats(-0.5, 1.5))
HUGE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def value_rows(draw: st.DrawFn, elements: st.SearchStrategy[float] = ANY, least: int = 0, most: int = 9) -> Array:
    """(n, k) with ties, duplicates and rows below the reference 0."""
    shape = draw(st.integers(least, most)), draw(st.integers(1, 3))
    return draw(arrays(np.float64, shape, elements=elements))


def dominates(u: Array, v: Array) -> bool:
    return bool((u >= v).all() and (u > v).any())


def included_and_excluded(values: Array) -> float:
    """The volume above 0 of a union of boxes, by the volumes of all their intersections."""
    corners = np.maximum(values, 0.0)
    return sum(
        (-1.0) ** (size + 1) * float(np.prod(corners[list(chosen)].min(axis=0)))
        for size in range(1, len(corners) + 1)
        for chosen in combinations(range(len(corners)), size)
    )


def spiral(n: int, k: int) -> Array:
    """n rows on the unit sphere, none of which dominates another."""
    rows = np.abs(np.random.default_rng(n).normal(size=(n, k)))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@given(value_rows())
def test_the_front_is_what_nothing_dominates(values: Array) -> None:
    rows = list(values)
    expected = [
        not any(dominates(u, v) for u in rows) and not any((u == v).all() for u in rows[:i]) for i, v in enumerate(rows)
    ]
    assert pareto_mask(values).tolist() == expected


@given(value_rows())
def test_hypervolume_by_inclusion_and_exclusion(values: Array) -> None:
    reference = np.zeros(values.shape[1])
    assert hypervolume(values, reference) == pytest.approx(included_and_excluded(values), abs=1e-12)


@given(value_rows(least=1))
def test_hypervolume_grows_with_every_row_in_any_order(values: Array) -> None:
    reference = np.zeros(values.shape[1])
    volumes = [hypervolume(values[:n], reference) for n in range(len(values) + 1)]
    assert volumes[0] == 0.0
    assert all(b >= a - 1e-12 for a, b in pairwise(volumes))
    assert hypervolume(values[::-1], reference) == pytest.approx(volumes[-1], rel=1e-12)


@given(value_rows())
def test_a_point_is_in_one_box_or_dominated(values: Array) -> None:
    k = values.shape[1]
    low, high = non_dominated_boxes(values, np.zeros(k))
    # Uniform draws, and all corners: the places where a box could be open at the wrong end.
    drawn = np.random.default_rng(0).uniform(0.0, 1.7, (300, k))
    sides = [np.unique(np.append(column[column > 0.0], [0.25, 2.0])) for column in values.T]
    corners = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, k)
    for y in np.vstack([drawn, corners]):
        is_dominated = bool((values >= y).all(axis=1).any())
        assert ((low < y) & (y <= high)).all(axis=1).sum() == (0 if is_dominated else 1)


@given(value_rows())
def test_boxes_and_dominated_volume_fill_the_whole(values: Array) -> None:
    k = values.shape[1]
    low, high = non_dominated_boxes(values, np.zeros(k))
    assert (low < high).all()
    free = np.prod(np.minimum(high, 2.0) - low, axis=1).sum()
    assert free + hypervolume(values, np.zeros(k)) == pytest.approx(2.0**k)


@given(value_rows())
def test_there_are_few_boxes(values: Array) -> None:
    n, k = int(pareto_mask(values).sum()), values.shape[1]
    assert len(non_dominated_boxes(values, np.zeros(k))[0]) <= {1: 1, 2: n + 1, 3: 2 * n + 1}[k]


@pytest.mark.parametrize(("k", "count"), [(2, 101), (3, 201)])
def test_a_large_front(k: int, count: int) -> None:
    values, reference = spiral(100, k), np.zeros(k)
    assert pareto_mask(values).all()
    assert len(non_dominated_boxes(values, reference)[0]) == count
    drawn = np.random.default_rng(0).random((20_000, k))
    share = np.mean([(values >= y).all(axis=1).any() for y in drawn])
    assert hypervolume(values, reference) == pytest.approx(share, abs=0.01)


def test_known_volumes() -> None:
    assert hypervolume(np.array([[1.0, 3.0], [3.0, 1.0], [2.0, 2.0]]), np.zeros(2)) == 6.0
    assert hypervolume(np.array([[1.0, 1.0, 2.0], [2.0, 2.0, 1.0]]), np.zeros(3)) == 5.0
    assert hypervolume(np.array([[3.0], [5.0]]), np.array([1.0])) == 4.0
    assert hypervolume(np.array([[1e300, 1e300]]), np.zeros(2)) == np.inf
    assert hypervolume(np.empty((0, 2)), np.zeros(2)) == 0.0


def test_four_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match="4 objectives"):
        non_dominated_boxes(np.ones((2, 4)), np.zeros(4))


@given(value_rows(HUGE.filter(lambda v: v > -1e308), least=1))
def test_the_reference_lies_below_everything(values: Array) -> None:
    reference = reference_point(values)
    assert np.isfinite(reference).all()
    assert (reference < values).all()


@given(value_rows(st.integers(-9, 9).map(float), least=1))
def test_the_reference_lies_a_tenth_of_its_extents_below_the_front(values: Array) -> None:
    best = values[pareto_mask(values)]
    assert (reference_point(values) <= best.min(axis=0) - 0.1 * np.ptp(best, axis=0)).all()


def test_known_references() -> None:
    two = np.array([[0.0, 30.0], [1.0, 10.0], [0.5, 9.0]])
    np.testing.assert_allclose(reference_point(two), [-0.1, 8.0])
    with_worse = np.vstack([two, [-5.0, -5.0]])
    np.testing.assert_allclose(reference_point(with_worse), [-5.0, -5.0])
    one_best = np.array([[4.0, 4.0], [3.9, 4.0], [3.8, 3.7]])
    np.testing.assert_allclose(reference_point(one_best), [4.0 - 0.2, 4.0 - 0.3])
    np.testing.assert_allclose(reference_point(np.array([[50.0, -2.0, 0.0]])), [45.0, -2.2, -0.1])
