"""Values of other tools, there and back."""

from typing import Any

import bo_client
import pytest
from bo_client.integrations import domains
from bo_client.integrations.domains import Domain, Translation
from bo_client.limits import NAME
from bo_client.parameters import admits
from hypothesis import given
from hypothesis import strategies as st

finite = st.floats(-1e6, 1e6)


def check(domain: Domain, value: Any) -> None:
    """The service admits it, and it comes back as it was."""
    wire = domain.to_service(value)
    assert admits(domain.parameter, wire)
    back = domain.from_service(wire)
    assert back == pytest.approx(value) if isinstance(value, float) else back == value
    assert type(back) is type(value)


@given(finite, st.floats(1e-3, 1e3), st.floats(0, 1), st.booleans())
def test_real_numbers(low: float, width: float, share: float, log: bool) -> None:
    low = abs(low) + 1e-3 if log else low
    check(domains.real("x", low, low + width, log=log), min(low + share * width, low + width))


@given(st.integers(-1000, 1000), st.integers(1, 50), st.integers(0, 5000), st.data())
def test_steps_of_whole_numbers(low: int, step: int, count: int, data: st.DataObject) -> None:
    domain = domains.stepped("n", low, low + step * count + step // 2, step)
    check(domain, low + step * data.draw(st.integers(0, count)))
    assert domain.parameter.name == ("n" if count < 1000 else "n.steps")


@given(finite, st.floats(1e-3, 10.0), st.integers(0, 3000), st.data())
def test_steps_of_real_numbers(low: float, step: float, count: int, data: st.DataObject) -> None:
    domain = domains.stepped("x", low, low + step * count, step)
    check(domain, low + data.draw(st.integers(0, count)) * step)


def test_a_listed_number_is_found_despite_rounding() -> None:
    assert domains.stepped("x", 0.0, 1.0, 0.1).to_service(0.3) == 0.1 * 3 != 0.3
    assert domains.numbers("n", [1, 2]).to_service(2) == 2


@given(st.floats(1e-4, 1.0), st.floats(1e-3, 1e3), st.floats(0, 1))
def test_mirrored_numbers_stay_within_their_bounds(low: float, width: float, share: float) -> None:
    high = low + width
    domain = domains.mirrored("m", low, high)
    for value in (low, high, min(low + share * width, high)):
        assert low <= domain.from_service(domain.to_service(value)) <= high
        assert domain.from_service(domain.to_service(value)) == pytest.approx(value)
    assert domain.from_service(low) == pytest.approx(high)


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False), st.tuples(st.integers())
)


@given(st.lists(anything, min_size=1, max_size=8, unique_by=lambda v: (type(v), v)), st.sampled_from([None, False]))
def test_choices_of_anything(values: list[Any], ordered: bool | None) -> None:
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values) and len(set(values)) < len(values):
        return  # 1 and 1.0
    if float("inf") in values or float("-inf") in values:
        return  # of nothing but numbers it would be refused
    domain = domains.chosen("c", values, ordered=ordered)
    assert all(
        domain.from_service(domain.to_service(value)) is value or domain.from_service(domain.to_service(value)) == value
        for value in values
    )


@given(st.text(min_size=1), st.sampled_from(["", "steps"]))
def test_every_name_has_one_that_the_service_takes(name: str, kind: str) -> None:
    assert NAME.fullmatch(domains.service_name(name, kind))
    assert domains.service_name(name) != domains.service_name(f"{name}?")


def test_objects_are_told_apart_by_identity_or_value() -> None:
    one, other = object(), object()
    domain = domains.chosen("step", [one, other, "passthrough"])
    assert domain.parameter.values == ("choice 0", "choice 1", "choice 2")
    assert domain.from_service(domain.to_service(other)) is other
    with pytest.raises(bo_client.InvalidRequest, match="step: is 7; it must be one of"):
        domain.to_service(7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: domains.real("lr", 0.0, 1.0, log=True), r"lr\.low: is 0\.0; a log scale needs low > 0"),
        (lambda: domains.real("x", 1.0, 1.0), r"x\.low: .* make it a constant"),
        (lambda: domains.whole("n", 3, 1), r"n\.low: is 3, above high = 1"),
        (
            lambda: domains.stepped("n", 0.0, 1.0, 0.0),
            "n: goes from 0.0 to 1.0 by 0.0; give low <= high and a step above 0",
        ),
        (lambda: domains.chosen("c", []), r"c\.values: has 0; give 1 to 1000 values"),
        (lambda: domains.chosen("c", ["a", "a"]), r"c\.values: .* each may occur once"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=message):
        make()


def test_a_translation_leaves_out_what_it_does_not_know() -> None:
    translation = Translation([domains.real("a b", 0.0, 1.0), domains.whole("n", 1, 3)])
    wire = translation.to_service({"a b": 0.5, "n": 2, "other": 1})
    assert sorted(wire.values()) == [0.5, 2]
    assert translation.from_service(wire) == {"a b": 0.5, "n": 2}
    assert translation.names == ("a b", "n")
