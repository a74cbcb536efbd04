"""The nearest of many points: what looking at every one of them, one after the other, comes to."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bo_service.domain.search_space import SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.numerics import nearest as module
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.nearest import nearest

SCALE = 3.0
HAIR = 1e-9
PLACES = st.one_of(
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.sampled_from([0.5 + HAIR, 0.5 - HAIR, 0.5 + 2.0**-53, 0.25 + HAIR]),
    st.floats(0.0, 1.0, allow_subnormal=False),
)


def one_by_one(P: Array, X: Array) -> tuple[list[int], list[float]]:
    distances = [np.sqrt(((P - x) ** 2).sum(axis=1) / SCALE) for x in X]
    return [int(np.argmin(d)) for d in distances], [float(d.min()) for d in distances]


def assert_nearest(P: Array, X: Array) -> None:
    places, distances = nearest(P, X, SCALE)
    assert (places.tolist(), distances.tolist()) == one_by_one(P, X)


@pytest.fixture(params=[(1 << 18, 1 << 18), (16, 40), (1, 1)], ids=["at once", "in parts", "one by one"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is looked at together."""
    monkeypatch.setattr(module, "AT_ONCE", request.param[0])
    monkeypatch.setattr(module, "SMALL", request.param[1])


@pytest.mark.usefixtures("parts")
class TestHoweverMuchIsLookedAtTogether:
    def test_of_points_anywhere(self) -> None:
        rng = np.random.default_rng(1)
        for n, m, f in [(1, 1, 1), (1, 7, 3), (2, 3, 1), (57, 23, 8), (130, 5, 2), (40, 40, 30)]:
            assert_nearest(rng.random((n, f)), rng.random((m, f)))

    def test_of_points_of_a_grid_the_first_of_many_that_are_as_near(self) -> None:
        rng = np.random.default_rng(2)
        for f in (1, 3, 8):
            assert_nearest(rng.integers(0, 4, (90, f)) / 4.0, rng.integers(0, 9, (31, f)) / 8.0)

    def test_of_points_closer_together_than_a_product_can_tell(self) -> None:
        rng = np.random.default_rng(3)
        for size in (1e-6, 1e-9, 1e-12, 1e-15):
            P = 0.7 + size * rng.random((60, 5))
            assert_nearest(P, np.vstack([P[::7], P[::9] + size / 3.0, rng.random((5, 5))]))

    def test_of_points_far_from_the_origin(self) -> None:
        rng = np.random.default_rng(4)
        assert_nearest(1e6 + rng.random((50, 4)), 1e6 + rng.random((20, 4)))

    def test_of_points_that_are_all_the_same(self) -> None:
        assert_nearest(np.full((20, 3), 0.1), np.full((9, 3), 0.1))
        assert_nearest(np.zeros((20, 1)), np.zeros((9, 1)))

    def test_for_no_points(self) -> None:
        assert [len(found) for found in nearest(np.ones((3, 2)), np.ones((0, 2)), SCALE)] == [0, 0]


@given(
    st.integers(1, 5).flatmap(
        lambda f: st.lists(st.lists(PLACES, min_size=f, max_size=f), min_size=2, max_size=40).map(np.array)
    ),
    st.integers(1, 39),
)
def test_of_points_that_are_the_same_or_nearly(listed: Array, count: int) -> None:
    split = min(count, len(listed) - 1)
    assert_nearest(listed[split:], listed[:split])
    assert_nearest(listed, listed[::-1])


@given(data=st.data())
def test_a_workbench_says_of_several_rows_what_it_says_of_each(data: st.DataObject, spaces: Any) -> None:
    """Of trials that are repeated, and of rows that differ from them by a hair."""
    space = data.draw(spaces)
    encoding = EncodedData(OptimizerInput(space, SuggestionSettings(), 0)).encoding
    draws = st.lists(PLACES.filter(lambda u: u < 1.0), min_size=5, max_size=5)
    U = np.array(data.draw(st.lists(draws, min_size=2, max_size=24)))[:, : len(space.parameters)]
    rows = encoding.from_uniform(U)
    told = [*rows[::2], *rows[: len(rows) // 2 : 2]]
    past = [Observation(number, encoding.decode(row), 0.0) for number, row in enumerate(told, 1)]
    encoded = EncodedData(OptimizerInput(space, SuggestionSettings(), 0, tuple(reversed(past))))
    asked = encoding.round_to_valid(np.vstack([rows, np.clip(rows + HAIR, 0.0, None)]))
    assert encoded.nearest_to_each(asked) == [encoded.nearest(row) for row in asked]


def test_a_workbench_without_trials_knows_none(mixed_space: SearchSpace) -> None:
    encoded = EncodedData(OptimizerInput(mixed_space, SuggestionSettings(), 0))
    assert encoded.nearest_to_each(np.tile(encoded.encoding.centers, (2, 1))) == [(None, None)] * 2
