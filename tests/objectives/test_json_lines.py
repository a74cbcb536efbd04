"""Lines and templates as properties: no output breaks the worker, and what is meant arrives unchanged."""

import json
import math
from contextlib import suppress

import pytest
from bo_client.limits import MAX_METRIC_VALUES
from bo_objectives.base import TrialFailed
from bo_objectives.command import json_lines, templates
from hypothesis import given
from hypothesis import strategies as st

DECLARED = ("loss", "accuracy")

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
key = st.sampled_from([*json_lines.RESERVED, *DECLARED, "seconds"]) | st.text(max_size=8)


@given(st.text() | st.dictionaries(key, anything, max_size=6).map(json.dumps))
def test_a_line_is_understood_or_refused_or_none_of_ours(line: str) -> None:
    with suppress(TrialFailed):
        said = json_lines.parse_line(line, DECLARED)
        assert said is None or said.failure or said.is_final or said.metrics or said.checkpoint_uri


@given(st.integers(0, 10_000), st.floats(allow_nan=False), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_arrive_to_the_last_digit(step: int, loss: float, seconds: float) -> None:
    """A metric that isn't declared comes along with one that is."""
    said = json_lines.parse_line(json.dumps({"step": step, "loss": loss, "seconds": seconds, "note": "x"}), DECLARED)
    assert said == json_lines.ParsedLine({"loss": loss, "seconds": seconds}, step)
    assert json_lines.parse_line(json.dumps({"step": step, "seconds": seconds}), DECLARED) is None


def test_what_is_not_declared_and_no_measurement_is_left_out() -> None:
    line = '{"loss": 1, "gap": NaN, "ok": true, "top-1 %": 3, "huge": 1' + "0" * 400 + "}"
    assert json_lines.parse_line(line, DECLARED) == json_lines.ParsedLine({"loss": 1.0})
    many = json.dumps({**{f"m{i}": i for i in range(100)}, "loss": 1})
    said = json_lines.parse_line(many, DECLARED)
    assert said is not None
    assert len(said.metrics) == MAX_METRIC_VALUES
    assert "loss" in said.metrics


def test_a_number_beyond_floats_is_infinite() -> None:
    said = json_lines.parse_line('{"loss": -1' + "0" * 400 + "}", DECLARED)
    assert said is not None
    assert said.metrics["loss"] == -math.inf


@given(st.text())
def test_escaped_text_arrives_unchanged(text: str) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    templates.check([escaped], ["lr"])
    assert templates.fill([escaped], {"lr": 1}) == [text]


@given(st.text())
def test_values_are_put_in_once_and_nothing_in_them_is_replaced(value: str) -> None:
    assert templates.fill(["<{a}{b}>"], {"a": value, "b": "{a}"}) == [f"<{value}{{a}}>"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (3, "3"), (1e-05, "1e-05"), (0.1 + 0.2, "0.30000000000000004")],
)
def test_values_as_text(value, text: str) -> None:
    assert templates.text(value) == text
