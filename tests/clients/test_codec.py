"""What the client sends comes back the same, and what the wire can't carry is refused by name."""

import math

import bo_client
import pytest
from bo_client import codec, codec_space
from hypothesis import given
from hypothesis import strategies as st

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,20}", fullmatch=True)
words = st.text(max_size=10)
numbers = st.floats(allow_nan=False, allow_infinity=False)
wholes = st.integers(-(2**63), 2**63 - 1)
scales = st.sampled_from(["linear", "log"])


@st.composite
def parameters(draw, name, earlier):
    rule = draw(st.none() | st.sampled_from(earlier)) if earlier else None
    activation = bo_client.Activation(rule.name, draw(st.lists(words, min_size=1, max_size=3))) if rule else None
    rest = {"activation": activation, "description": draw(words), "unit": draw(words)}
    match draw(st.sampled_from(["float", "int", "categorical", "discrete"])):
        case "float":
            default = draw(st.none() | numbers)
            return bo_client.FloatParameter(name, draw(numbers), draw(numbers), draw(scales), default, **rest)
        case "int":
            return bo_client.IntParameter(
                name, draw(wholes), draw(wholes), draw(scales), draw(st.none() | wholes), **rest
            )
        case "categorical":
            values = draw(st.lists(words | st.booleans(), max_size=4))
            return bo_client.CategoricalParameter(name, values, draw(st.none() | words), **rest)
        case _:
            values = draw(st.lists(numbers, max_size=4) | st.lists(wholes, max_size=4) | st.lists(words, max_size=4))
            return bo_client.DiscreteParameter(name, values, draw(scales), **rest)


@st.composite
def spaces(draw):
    """Also such as a server would refuse: saying so is the server's part."""
    made: list[bo_client.Parameter] = []
    for name in draw(st.lists(names, max_size=4, unique=True)):
        made.append(draw(parameters(name, list(made))))
    constraints = draw(
        st.lists(
            st.builds(bo_client.LinearConstraint, st.dictionaries(names, numbers, max_size=3), numbers, words)
            | st.builds(
                bo_client.ForbiddenCombination,
                st.dictionaries(names, numbers | wholes | words | st.booleans(), max_size=3),
                words,
            ),
            max_size=2,
        )
    )
    return bo_client.SearchSpace(made, constraints)


@given(spaces())
def test_spaces(space) -> None:
    assert codec_space.space_from_wire(codec_space.space_to_wire(space)) == space


settings = st.fixed_dictionaries(
    {},
    optional={
        "max_trials": st.integers(-5, 2**40),
        "lease_duration": st.floats(0, 1e6),
        "max_attempts": st.integers(-5, 200),
        "seed": wholes,
        "algorithm": st.sampled_from(["gaussian_process", "quasi_random"]),
        "acquisition": st.sampled_from(["log_ei", "ucb"]),
        "initial_trials": st.integers(-5, 2000),
        "beta": numbers,
        "xi": numbers,
    },
)


@given(settings)
def test_settings(given_settings) -> None:
    spec = codec.spec_to_wire(bo_client.SearchSpace([]), [], given_settings)
    found = codec.settings_from_wire(spec)
    assert found.pop("lease_duration", 0.0) == pytest.approx(given_settings.pop("lease_duration", 0.0), abs=1e-6)
    assert found == given_settings


@given(st.dictionaries(names, st.floats(), max_size=4), st.integers(0, 2**53), st.none() | st.floats(0, 1e6))
def test_measurements(metrics, step, elapsed) -> None:
    found = codec.measurement_from_wire(codec.measurement_to_wire(metrics, step, elapsed))
    assert found.step == step
    assert found.metrics.keys() == metrics.keys()
    assert all(found.metrics[k] == v or math.isnan(v) for k, v in metrics.items())
    assert found.elapsed == (None if elapsed is None else pytest.approx(elapsed, abs=1e-6))


@pytest.mark.parametrize("reason", bo_client.FailureReason)
def test_failures(reason) -> None:
    assert codec.failure_from_wire(codec.failure_to_wire(reason, "why")) == bo_client.Failure(reason, "why")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: codec_space.value_to_wire(None, "lr"), "lr"),
        (lambda: codec_space.value_to_wire(2**70, "n"), "n"),
        (lambda: codec_space.value_to_wire([1], "list"), "list"),
        (lambda: codec.failure_to_wire("BORED", ""), "reason"),
        (lambda: codec.spec_to_wire(bo_client.SearchSpace([]), [], {"speed": 3}), "speed"),
        (lambda: codec.spec_to_wire(bo_client.SearchSpace([]), [], {"max_trials": "many"}), "max_trials"),
        (
            lambda: codec_space.space_to_wire(bo_client.SearchSpace([bo_client.FloatParameter("x", "low", 1)])),
            "space.parameters[0]",
        ),
    ],
)
def test_what_the_wire_cannot_carry(make, field) -> None:
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        make()
    assert any(field in violation.field for violation in refusal.value.violations)


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    assert codec_space.value_to_wire(numpy.float32(0.5)).float_value == 0.5
    assert codec_space.value_to_wire(numpy.int64(3)).int_value == 3
    assert codec_space.value_to_wire(numpy.bool_(True)).bool_value is True
