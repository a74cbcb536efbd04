"""Exchanges step from each level to the next ones, whatever the scale."""

from typing import Any

import numpy as np
import pytest

from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.optimizer.acquisition.maximize import Search, _coordinate_search
from bo_service.optimizer.encoding.axes import all_positions, axis_of
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.encoding.feasible_region import FeasibleRegion
from bo_service.optimizer.numerics.array import Array

DOMAINS = [
    IntDomain(1, 50, Scale.LOG),
    IntDomain(-3, 40),
    IntDomain(1, 2),
    IntDomain(7, 7),
    IntDomain(1, 3000, Scale.LOG),
    DiscreteDomain((1, 2, 3, 1000, 1001, 10**6), Scale.LOG),
    DiscreteDomain(tuple(float(1.0 + k * 1e-6) for k in range(30)), Scale.LOG),
    DiscreteDomain(("s", "m", "l", "xl")),
    CategoricalDomain(tuple("abcdefghijklmnopq")),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_beside_each_level_are_the_next_ones(domain: Any) -> None:
    axis = axis_of(domain)
    values = [axis.value(float(z)) for z in all_positions(axis)]
    for i, z in enumerate(all_positions(axis)):
        for steps in (1, 2):
            expected = [values[max(i - steps, 0)], values[min(i + steps, len(values) - 1)]]
            assert [axis.value(float(near)) for near in axis.beside(float(z), steps)] == expected


@pytest.mark.parametrize("value", [2**40, 2**53 - 1, 3])
def test_beside_huge_whole_numbers_are_valid_ones(value: int) -> None:
    axis = axis_of(IntDomain(1, 2**53, Scale.LOG))
    (z,) = axis.positions([value])
    for near in axis.beside(float(z), 1):
        assert 1 <= axis.value(float(near)) <= 2**53


def test_a_real_number_has_no_levels_beside_it() -> None:
    assert len(axis_of(FloatDomain(0.0, 1.0)).beside(0.5, 1)) == 0


class Peak:
    """An appraisal that is highest at one level, and falls with the number of levels from it."""

    def __init__(self, encoding: Encoding, best: int) -> None:
        self.places, self.best = all_positions(encoding.axes[0]), best

    def value(self, X: Array) -> Array:
        level = np.abs(self.places[None] - X[:, :1]).argmin(axis=1) + 1
        return -np.abs(level - self.best).astype(float)

    def posterior_with_gradient(self, x: Array) -> tuple[float, Array]:
        return float(self.value(x[None])[0]), np.zeros_like(x)


@pytest.mark.parametrize("begin", [1, 2, 20, 49, 50])
def test_every_level_of_a_logarithm_is_reached_by_exchanges(begin: int) -> None:
    encoding = Encoding(SearchSpace((Parameter("n", IntDomain(1, 50, Scale.LOG)),)))
    for best in (1, 2, 17, 19, 21, 48, 50):
        search = Search(
            encoding,
            FeasibleRegion(encoding),
            Peak(encoding, best),
            np.empty((0, 1)),
            np.random.default_rng(0),
            starts=1,
        )
        z = encoding.axes[0].positions([begin])
        for _ in range(50):
            z = _coordinate_search(search, z)
        assert encoding.axes[0].value(float(z[0])) == best
