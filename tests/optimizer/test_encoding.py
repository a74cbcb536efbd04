"""Axes and encoding: round trips, and what the features mean."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale, Value
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.encoding.axes import SAME, all_positions, axis_of
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import OptimizerInput


def assert_same(found: Mapping[str, Value], given: Mapping[str, Value], space: SearchSpace) -> None:
    assert list(found) == [p.name for p in space.parameters if p.name in given]
    for name, value in given.items():
        assert type(found[name]) is type(value)
        if isinstance(value, float) and isinstance(space[name].domain, FloatDomain):
            assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9)
        else:
            assert found[name] == value


def is_told_apart(encoding: Encoding, parameter: Parameter, value: Value) -> bool:
    """Whether a value is one of those that the space names, or differs from them by more than a position can tell."""
    axis = encoding.axes[encoding.space.parameters.index(parameter)]
    named = encoding.space.named(parameter)
    at = axis.positions([value])
    return value in named or all(abs(axis.positions([other]) - at) >= SAME for other in named)


@given(data=st.data())
def test_decoding_undoes_encoding(data: st.DataObject, configured: Any) -> None:
    space, configuration = data.draw(configured)
    encoding = Encoding(space)
    assume(all(is_told_apart(encoding, p, configuration[p.name]) for p in space.parameters if p.name in configuration))
    assert_same(encoding.decode(encoding.encode([configuration])[0]), configuration, space)


@given(data=st.data())
def test_drawn_and_snapped_rows_are_valid_configurations(data: st.DataObject, spaces: Any) -> None:
    space = data.draw(spaces)
    encoding = Encoding(space)
    u = np.array([data.draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=5, max_size=5))])[:, : encoding.width]
    for row in (encoding.from_uniform(u), encoding.round_to_valid(u)):
        assert space.faults(encoding.decode(row[0])) == []
        np.testing.assert_allclose(encoding.round_to_valid(row), row, atol=1e-12)


def test_every_level_of_an_int_is_drawn_equally_often() -> None:
    axis = axis_of(IntDomain(3, 6))
    drawn = axis.numbers(axis.from_uniform((np.arange(4000) + 0.5) / 4000))
    assert np.bincount(drawn.astype(int)).tolist() == [0, 0, 0, 1000, 1000, 1000, 1000]


def test_a_log_axis_has_its_geometric_mean_in_the_middle() -> None:
    assert axis_of(FloatDomain(1e-4, 1.0, Scale.LOG)).value(0.5) == pytest.approx(1e-2)


@pytest.mark.parametrize(
    "domain",
    [
        FloatDomain(-1.7e308, 1.7e308),
        FloatDomain(5e-324, 1.7e308, Scale.LOG),
        FloatDomain(1.0, math.nextafter(1.0, 2.0)),
        FloatDomain(1.0, math.nextafter(1.0, 2.0), Scale.LOG),
        IntDomain(-(2**53), 2**53),
        IntDomain(1, 2**53, Scale.LOG),
        IntDomain(7, 7),
        IntDomain(1, 2, Scale.LOG),
        DiscreteDomain((2.5,)),
        CategoricalDomain(("only",)),
    ],
    ids=str,
)
def test_the_extremes_of_extreme_domains_are_reached(domain: Any) -> None:
    axis = axis_of(domain)
    for u in (0.0, 0.3, 0.5, 0.999999999):
        assert domain.admits(axis.value(float(axis.from_uniform(np.array([u]))[0])))
    ends = [domain.values[0], domain.values[-1]] if hasattr(domain, "values") else [domain.low, domain.high]
    for end, place in zip(ends, axis.positions(ends), strict=True):
        assert axis.value(float(place)) == end or domain.high == math.nextafter(1.0, 2.0)


def test_categories_are_all_equally_far_apart() -> None:
    encoding = Encoding(SearchSpace((Parameter("k", CategoricalDomain(("a", "b", "c"))),)))
    X = encoding.features(encoding.encode([{"k": v} for v in "abc"]))
    distances = ((X[:, None] - X) ** 2).sum(axis=2)
    np.testing.assert_allclose(distances, 1.0 - np.eye(3))


def test_an_inactive_parameter_has_no_influence(mixed_space: SearchSpace) -> None:
    encoding = Encoding(mixed_space)
    base = {"lr": 1e-3, "kind": "a", "layers": 2, "drop": 0.1, "batch": 32}
    off = encoding.encode([base | {"tune": False}, base | {"tune": False, "lr_backbone": 1e-7}])
    on = encoding.encode([base | {"tune": True, "lr_backbone": v} for v in (1e-7, 1e-2)])
    X_off, X_on = encoding.features(off), encoding.features(on)
    assert np.array_equal(X_off[0], X_off[1])
    assert ((X_on[0] - X_on[1]) ** 2).sum() == pytest.approx(1.0)
    of_backbone = encoding.feature_group == len(encoding.blocks) - 1
    apart = ((X_on - X_off[0]) ** 2)[:, of_backbone].sum(axis=1)
    np.testing.assert_allclose(apart, 0.5)  # an end of the axis: 1/2 from its center, and 1/2 for being active


def test_conditions_chain() -> None:
    space = SearchSpace(
        (
            Parameter("a", CategoricalDomain((False, True))),
            Parameter("b", IntDomain(1, 2), activation=Activation("a", (True,))),
            Parameter("c", FloatDomain(0.0, 1.0), activation=Activation("b", (2,))),
        )
    )
    encoding = Encoding(space)
    Z = encoding.round_to_valid(np.array([[0.0, 1.0, 0.3], [1.0, 0.0, 0.3], [1.0, 1.0, 0.3]]))
    assert [encoding.decode(z) for z in Z] == [{"a": False}, {"a": True, "b": 1}, {"a": True, "b": 2, "c": 0.3}]


def test_a_constant_parameter_has_no_feature() -> None:
    constants = (Parameter("i", IntDomain(3, 3)), Parameter("k", CategoricalDomain(("a",))))
    assert Encoding(SearchSpace((*constants, Parameter("x", FloatDomain(0.0, 1.0))))).feature_group.tolist() == [0]
    alone = Encoding(SearchSpace(constants))
    assert alone.features(alone.encode([{"i": 3, "k": "a"}])).tolist() == [[0.0]]


@settings(max_examples=30)
@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_whole_numbers_keep_every_digit(low: int, span: int) -> None:
    axis = axis_of(IntDomain(low, low + span))
    for value in (low, low + span // 3, low + span):
        assert axis.value(float(axis.positions([value])[0])) == value


def test_values_that_the_user_wrote_come_back_to_the_last_digit() -> None:
    written = 0.12345678901234567
    decider = Parameter("p", FloatDomain(1e-3, 1.0, Scale.LOG), default=written)
    space = SearchSpace((decider, Parameter("q", IntDomain(1, 2), activation=Activation("p", (written,)))))
    encoding = Encoding(space)
    assert encoding.decode(encoding.encode([{"p": written, "q": 2}])[0]) == {"p": written, "q": 2}
    assert encoding.decode(encoding.encode([{"p": 0.5}])[0]) == {"p": 0.5}


@given(st.integers(1, 40), st.integers(0, 60), st.sampled_from(Scale))
def test_every_value_of_a_whole_number_has_its_place(low: int, more: int, scale: Scale) -> None:
    axis = axis_of(IntDomain(low, low + more, scale))
    assert [axis.value(z) for z in all_positions(axis)] == list(range(low, low + more + 1))


@pytest.mark.parametrize("scale", Scale)
def test_a_small_space_of_whole_numbers_is_suggested_to_the_last(scale: Scale) -> None:
    space = SearchSpace((Parameter("n", IntDomain(1, 9, scale)),))
    found = quasi_random(OptimizerInput(space, SuggestionSettings(), 0, ()), 20)
    assert sorted(suggestion.configuration["n"] for suggestion in found) == list(range(1, 10))
