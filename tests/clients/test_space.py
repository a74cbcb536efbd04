"""Search spaces on the client's side: what they admit, how they are narrowed, how text becomes values."""

import math

import bo_client
import pytest
from bo_client.space import is_active
from hypothesis import given
from hypothesis import strategies as st

SPACE = bo_client.SearchSpace(
    [
        bo_client.FloatParameter("lr", 1e-4, 1.0, scale="log", default=0.01),
        bo_client.CategoricalParameter("norm", ["batch", "group", "none"]),
        bo_client.IntParameter("groups", 1, 4, activation=bo_client.Activation("norm", ["group"])),
        bo_client.IntParameter("channels", 1, 9, activation=bo_client.Activation("groups", [2, 3])),
        bo_client.DiscreteParameter("batch", [16, 32, 64]),
        bo_client.CategoricalParameter("bias", [True, False]),
    ],
    [
        bo_client.LinearConstraint({"groups": 1, "channels": 1}, 10),
        bo_client.ForbiddenCombination({"norm": "none", "batch": 16}),
    ],
)


@st.composite
def configurations(draw, space: bo_client.SearchSpace) -> dict[str, bo_client.Value]:
    """One of the space, whatever its constraints say."""
    drawn: dict[str, bo_client.Value] = {}
    for parameter in space.parameters:
        if is_active(parameter, drawn):
            if isinstance(parameter, bo_client.FloatParameter):
                values = st.floats(parameter.low, parameter.high)
            elif isinstance(parameter, bo_client.IntParameter):
                values = st.integers(parameter.low, parameter.high)
            else:
                values = st.sampled_from(parameter.values)
            drawn[parameter.name] = draw(values)
    return drawn


CONFIGURATIONS = configurations(SPACE)
GOOD = {"lr": 0.1, "norm": "batch", "batch": 16, "bias": True}


@given(CONFIGURATIONS)
def test_what_is_drawn_is_a_configuration(configuration) -> None:
    assert SPACE.configuration_faults(configuration) == []
    assert ("groups" in configuration) == (configuration["norm"] == "group")
    assert ("channels" in configuration) == (configuration.get("groups") in (2, 3))


@given(CONFIGURATIONS, st.sets(st.sampled_from(SPACE.names)), st.data())
def test_in_a_pinned_space_the_pinned_values_are_the_only_ones(configuration, names, data) -> None:
    pins = {name: value for name, value in configuration.items() if name in names}
    pinned = SPACE.pin(pins)
    assert pinned.faults() == []
    assert pinned.configuration_faults(configuration) == []
    drawn = data.draw(configurations(pinned))
    assert {name: drawn[name] for name in pins if name in drawn} == {n: v for n, v in pins.items() if n in drawn}
    assert SPACE.configuration_faults(drawn) == []


def test_pinning_leaves_out_what_can_never_be() -> None:
    pinned = SPACE.pin({"norm": "batch"})
    assert pinned.names == ("lr", "norm", "batch", "bias")
    assert pinned.constraints == ()
    assert SPACE.pin({"norm": "none"}).constraints == (SPACE.constraints[1],)


@pytest.mark.parametrize(
    ("pins", "name"), [({"depth": 1}, "depth"), ({"lr": 7.0}, "lr"), ({"norm": "layer"}, "norm"), ({"bias": 1}, "bias")]
)
def test_pinning_what_is_not_admitted_is_refused(pins, name) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=name):
        SPACE.pin(pins)


def test_replacing() -> None:
    narrowed = SPACE.replace(bo_client.FloatParameter("lr", 0.1, 0.2))
    assert (narrowed["lr"].low, narrowed.names) == (0.1, SPACE.names)
    assert SPACE["lr"].low == 1e-4
    with pytest.raises(bo_client.InvalidRequest, match="depth"):
        SPACE.replace(bo_client.IntParameter("depth", 1, 2))
    with pytest.raises(KeyError):
        SPACE["depth"]


@given(CONFIGURATIONS)
def test_values_come_back_from_their_text(configuration) -> None:
    assert SPACE.parse({name: str(value) for name, value in configuration.items()}) == configuration


@pytest.mark.parametrize(
    ("texts", "value"),
    [({"lr": "1e-3"}, 0.001), ({"bias": "false"}, False), ({"batch": "32"}, 32), ({"batch": "32.0"}, 32)],
)
def test_text_is_read_by_the_kind_of_the_parameter(texts, value) -> None:
    (found,) = SPACE.parse(texts).values()
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("texts", [{"lr": "fast"}, {"groups": "1.5"}, {"batch": "17"}, {"bias": "maybe"}, {"x": "1"}])
def test_text_that_is_no_value_is_refused_by_name(texts) -> None:
    (name,) = texts
    with pytest.raises(bo_client.InvalidRequest, match=name):
        SPACE.parse(texts)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"lr": 2.0}, "lr"),
        ({"lr": None}, "lr"),
        ({"groups": 2}, "groups"),
        ({"norm": "group"}, "groups"),
        ({"bias": 1}, "bias"),
        ({"batch": 16.0}, "batch"),
        ({"depth": 1}, "depth"),
    ],
)
def test_what_is_no_configuration_is_told_by_name(change, name) -> None:
    given_ = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    assert name in {fault.field for fault in SPACE.configuration_faults(given_)}


def test_constraints() -> None:
    assert SPACE.is_feasible({**GOOD, "norm": "group", "groups": 2, "channels": 8})
    assert not SPACE.is_feasible({**GOOD, "norm": "group", "groups": 2, "channels": 9})
    assert not SPACE.is_feasible({**GOOD, "norm": "none"})
    assert SPACE.is_feasible({**GOOD, "norm": "none", "batch": 32})


def test_sums_may_miss_their_bounds_by_rounding_alone() -> None:
    small = bo_client.LinearConstraint({"a": 1.0, "b": 1.0}, 1e-10)
    assert small.holds({"a": 0.5e-10, "b": 0.5e-10 * (1.0 + 1e-10)})
    assert not small.holds({"a": 0.5e-10, "b": 0.51e-10})
    same = bo_client.EqualityConstraint({"a": 1.0, "b": -1.0}, 0.0)
    assert same.holds({"a": 0.3, "b": 0.1 + 0.2})
    assert not same.holds({"a": 0.3, "b": 0.3 + 1e-8})
    assert same.holds({"a": 0.3})  # says nothing where one of them doesn't exist
    assert not same.holds({"a": math.inf, "b": math.inf})


def test_an_equality_names_what_is_wrong_with_it() -> None:
    space = bo_client.SearchSpace(
        [bo_client.FloatParameter("x", 0.0, 1.0), bo_client.CategoricalParameter("k", ["a", "b"])],
        [
            bo_client.EqualityConstraint({"k": 1.0, "y": 1.0, "x": math.nan}, math.inf),
            bo_client.EqualityConstraint({}, 0.0),
        ],
    )
    assert [fault.field for fault in space.faults()] == [
        "constraints[0].equality.coefficients",
        "constraints[0].equality.coefficients",
        "constraints[0].equality.coefficients",
        "constraints[0].equality.value",
        "constraints[1].equality.coefficients",
    ]
