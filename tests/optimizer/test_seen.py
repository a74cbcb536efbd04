"""What has been tried, and what is nearest to it: the quick ways come to what looking at every row comes to."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.encoding.axes import ScaleTransform, axis_of
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.encoding.evaluated_set import EvaluatedSet
from bo_service.optimizer.encoding.row_index import RowIndex
from bo_service.optimizer.inputs import Observation, OptimizerInput

CLOSE = 1e-3
PLACES = st.one_of(st.floats(0, 1), st.integers(0, 3).map(float), st.sampled_from([0.5, 0.5 + 0.9e-3, 0.5 - 0.9e-3]))


@given(st.integers(1, 4).flatmap(lambda p: st.lists(st.lists(PLACES, min_size=p, max_size=p), min_size=1, max_size=40)))
def test_the_rows_beside_another_are_found(listed: list[list[float]]) -> None:
    drawn = np.array(listed)
    asked, known = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    rows = RowIndex(known[: len(known) // 2])
    for z in known[len(known) // 2 :]:
        rows.add(z)
    assert np.array_equal(rows.Z, known)
    for z in [*asked, *known]:
        expected = np.flatnonzero((np.abs(known - z) < CLOSE).all(axis=1)).tolist()
        assert sorted(rows.within(z, np.full(len(z), CLOSE))) == expected


@given(data=st.data())
def test_what_was_tried_is_known_by_its_configuration(data: st.DataObject, spaces: Any) -> None:
    space: SearchSpace = data.draw(spaces)
    encoding = Encoding(space)
    draws = st.lists(st.floats(0, 1, exclude_max=True), min_size=5, max_size=5)
    U = np.array(data.draw(st.lists(draws, min_size=4, max_size=16)))[:, : len(space.parameters)]
    rows = encoding.from_uniform(U)
    told = [encoding.decode(row) for row in rows]
    evaluated = EvaluatedSet(encoding, told[0:4:3], told[1:2], told[2:3])
    for row in rows[4:]:
        if not evaluated.has(row):
            evaluated.add(row)
        assert evaluated.has(row)
    for row in rows:
        assert evaluated.has(row)
        assert evaluated.has(encoding.encode([encoding.decode(row)])[0])
    other = encoding.from_uniform(np.array([data.draw(draws)])[:, : len(space.parameters)])[0]
    known = [*told[:4], *(encoding.decode(z) for z in evaluated.Z)]
    is_there = encoding.decode(other) in known or bool(
        (np.abs(encoding.encode(known) - other) < 1e-9).all(axis=1).any()
    )
    assert evaluated.has(other) == is_there


@pytest.mark.parametrize("z", [0.0, 0.5, 0.99999, 5e-324, 4.5e-161, 0.5 - 1e-13, 0.5 + 3e-12, 1.0 - 1e-12])
@pytest.mark.parametrize("named", [4.5e-161, -4.5e-161, 0.0, 1e-13, 0.3])
@pytest.mark.parametrize("domain", [FloatDomain(-1.0, 1.0), FloatDomain(-1.0, 1e-12), FloatDomain(0.0, 1.0)], ids=str)
def test_a_condition_on_a_float_is_met_by_the_value_alone(domain: FloatDomain, named: float, z: float) -> None:
    """Rows and configurations agree on it, for values too near to have different positions."""
    if not domain.low <= named <= domain.high:
        return
    child = Parameter("child", IntDomain(1, 9), activation=Activation("p", (named,)))
    encoding = Encoding(SearchSpace((Parameter("p", domain, default=0.0), child)))
    met, unmet = {"p": named, "child": 7}, {"p": 0.25 * domain.low + 0.1 * domain.high}
    for row in (encoding.from_uniform(np.array([[z, 0.9]]))[0], *encoding.encode([met, unmet])):
        told = encoding.decode(row)
        assert ("child" in told) == (told["p"] == named) == bool(encoding.active(row[None])[0, 1])
        assert encoding.decode(encoding.encode([told])[0]).keys() == told.keys()
        assert EvaluatedSet(encoding, [told]).has(row)
    assert encoding.decode(encoding.encode([met])[0]) == met


@given(data=st.data())
def test_the_nearest_to_each_is_the_nearest_to_it(data: st.DataObject, spaces: Any) -> None:
    space: SearchSpace = data.draw(spaces)
    draws = st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.77, 0.99]), min_size=5, max_size=5)
    U = np.array(data.draw(st.lists(draws, min_size=2, max_size=24)))[:, : len(space.parameters)]
    encoding = EncodedData(OptimizerInput(space, SuggestionSettings(), 0)).encoding
    rows = encoding.from_uniform(U)
    past = [Observation(number, encoding.decode(row), 0.0) for number, row in enumerate(rows[::2], 1)]
    encoded = EncodedData(OptimizerInput(space, SuggestionSettings(), 0, tuple(reversed(past))))
    assert encoded.nearest_to_each(rows[1::2]) == [encoded.nearest(row) for row in rows[1::2]]


def test_trials_that_share_a_number_are_in_one_order_whatever_came_first() -> None:
    space = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),))
    past = [Observation(7, {"x": x}, value) for x, value in ((0.2, 1.0), (0.1, 2.0), (0.1, 1.0))]
    orders = [
        EncodedData(OptimizerInput(space, SuggestionSettings(), 0, tuple(p))).observations
        for p in (past, reversed(past))
    ]
    assert orders[0] == orders[1]


@pytest.mark.parametrize(
    "ruler",
    [
        ScaleTransform(-3.0, 8.5, Scale.LINEAR),
        ScaleTransform(1e-7, 1.7e308, Scale.LOG),
        ScaleTransform(-1.7e308, 1.7e308, Scale.LINEAR),
    ],
)
def test_one_place_is_read_as_many_are(ruler: ScaleTransform) -> None:
    z = np.append(np.random.default_rng(0).random(500), [0.0, 1.0, 1e-300, 1.0 - 1e-16])
    assert [ruler.read_one(float(place)) for place in z] == ruler.from_unit(z).tolist()


@pytest.mark.parametrize("domain", [IntDomain(1, 900, Scale.LOG), IntDomain(-3, 4), CategoricalDomain(("a", "b", "c"))])
def test_values_are_those_of_the_nearest_valid_place(domain: Any) -> None:
    axis = axis_of(domain)
    span = 2.0 if isinstance(domain, CategoricalDomain) else 1.0
    for z in np.random.default_rng(0).random(300) * span:
        assert axis.value(float(z)) == axis.value(float(axis.round_to_valid(np.array([z]))[0]))


@pytest.mark.parametrize(
    "domain",
    [
        FloatDomain(1.0, math.nextafter(1.0, 2.0)),
        FloatDomain(1.0, 1.0 + 1e-14),
        FloatDomain(1e8, 1e8 + 1e-6),
        FloatDomain(-1.0, 1e-300),
        FloatDomain(-1.7e308, 1.7e308),
        FloatDomain(5e-324, 1e-300, Scale.LOG),
        FloatDomain(1e-320, 1e-310),
        FloatDomain(1e-7, 10.0, Scale.LOG),
        FloatDomain(1.0, 1.0 + 1e-13, Scale.LOG),
        IntDomain(1, 2**53, Scale.LOG),
    ],
    ids=str,
)
def test_places_of_one_value_are_no_further_apart_than_the_blur(domain: Any) -> None:
    axis = axis_of(domain)
    z = axis.from_uniform(np.random.default_rng(0).random(400) ** 3)
    again = axis.positions([axis.value(float(place)) for place in z])
    assert np.abs(again - z).max() < axis.tolerance
