"""Parameters: one tuned quantity each. Values are Python's own `float`, `int`, `str` and `bool`."""

import math
import numbers
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from bo_client.errors import InvalidRequest, Violation

Value = float | int | str | bool
Scale = Literal["linear", "log"]

MAX_VALUES = 1_000
MAX_INT = 2**53
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,127}")


@dataclass(frozen=True)
class Activation:
    """The parameter exists only while `parameter`, which comes earlier, has one of `values`."""

    parameter: str
    values: Sequence[Value]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))


@dataclass(frozen=True)
class FloatParameter:
    """A real number from `low` to `high`, both included."""

    name: str
    low: float
    high: float
    scale: Scale = "linear"
    default: float | None = None
    activation: Activation | None = None
    description: str = ""
    unit: str = ""


@dataclass(frozen=True)
class IntParameter:
    """A whole number from `low` to `high`, both included."""

    name: str
    low: int
    high: int
    scale: Scale = "linear"
    default: int | None = None
    activation: Activation | None = None
    description: str = ""
    unit: str = ""


@dataclass(frozen=True)
class CategoricalParameter:
    """One of several values without an order: all strings or all booleans."""

    name: str
    values: Sequence[Value]
    default: Value | None = None
    activation: Activation | None = None
    description: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))


@dataclass(frozen=True)
class DiscreteParameter:
    """One of several values in order: increasing numbers, or strings in the order given."""

    name: str
    values: Sequence[Value]
    scale: Scale = "linear"
    default: Value | None = None
    activation: Activation | None = None
    description: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))


Parameter = FloatParameter | IntParameter | CategoricalParameter | DiscreteParameter
Numeric = FloatParameter | IntParameter
Choice = CategoricalParameter | DiscreteParameter


def same(a: Value, b: Value) -> bool:
    """Equality that tells True from 1 and 1 from 1.0."""
    return type(a) is type(b) and a == b


def listed(values: Sequence[Value], most: int = 12) -> str:
    """The values for a message, the first `most` of them."""
    shown = ", ".join(repr(v) for v in values[:most])
    return shown + (f", … ({len(values)} in all)" if len(values) > most else "")


def is_numeric(parameter: Parameter) -> bool:
    """Whether a linear constraint may name it."""
    if isinstance(parameter, FloatParameter | IntParameter):
        return True
    return isinstance(parameter, DiscreteParameter) and not any(isinstance(v, str) for v in parameter.values)


def described(parameter: Parameter) -> str:
    """What the parameter admits, for a message."""
    match parameter:
        case FloatParameter():
            return f"a number from {parameter.low!r} to {parameter.high!r}"
        case IntParameter():
            return f"a whole number from {parameter.low} to {parameter.high}"
    return "one of " + listed(parameter.values)


def admits(parameter: Parameter, value: Value) -> bool:
    """Whether the value is one of the parameter's."""
    match parameter:
        case FloatParameter():
            return type(value) in (float, int) and parameter.low <= value <= parameter.high  # type: ignore[operator]
        case IntParameter():
            return type(value) is int and parameter.low <= value <= parameter.high
    return any(same(value, v) for v in parameter.values)


def plain(field: str, value: object) -> Value:
    """The value in Python's own types, also where it is numpy's. Raises InvalidRequest."""
    item = getattr(value, "item", None)
    raw = item() if callable(item) else value
    if isinstance(raw, bool | str):
        return raw
    if isinstance(raw, numbers.Integral):
        return int(raw)
    if isinstance(raw, numbers.Real):
        return float(raw)
    raise InvalidRequest.of(field, f"is {value!r} ({type(value).__name__}); give a number, a string or a boolean")


def conform(parameter: Parameter, value: object) -> Value:
    """The value in Python's own types; a whole number is a float where the parameter's are. Raises InvalidRequest."""
    given = plain(parameter.name, value)
    floats = isinstance(parameter, FloatParameter) or (
        isinstance(parameter, DiscreteParameter) and all(type(v) is float for v in parameter.values)
    )
    return float(given) if floats and type(given) is int else given


def parse(parameter: Parameter, text: str) -> Value:
    """The value that a person means by `text`, such as 1e-3, true or adam. Raises InvalidRequest."""
    if isinstance(parameter, FloatParameter | IntParameter):
        try:
            return float(text) if isinstance(parameter, FloatParameter) else int(text)
        except ValueError:
            raise _misread(parameter, text) from None
    for value in parameter.values:
        if text == (str(value).lower() if isinstance(value, bool) else str(value)) or _equals(text, value):
            return value
    raise _misread(parameter, text)


def _equals(text: str, value: Value) -> bool:
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    try:
        return not isinstance(value, str) and float(text) == value
    except ValueError:
        return False


def _misread(parameter: Parameter, text: str) -> InvalidRequest:
    return InvalidRequest.of(parameter.name, f"is {text!r}; it must be {described(parameter)}")


def parameter_faults(parameter: Parameter) -> Iterator[Violation]:
    """What is wrong with the parameter taken alone, with fields such as `low`."""
    if not NAME.fullmatch(parameter.name):
        allowed = "give a letter or '_', then letters, digits, '_', '.', '-' or '/', at most 128"
        yield Violation("name", f"is {parameter.name[:140]!r}; {allowed}")
    faults = list(_range_faults(parameter) if isinstance(parameter, Numeric) else _list_faults(parameter))
    yield from faults
    if not faults and parameter.default is not None and not admits(parameter, parameter.default):
        yield Violation("default_value", f"is {parameter.default!r}; it must be {described(parameter)}")


def _range_faults(parameter: Numeric) -> Iterator[Violation]:
    kind, named = (float, "finite number") if isinstance(parameter, FloatParameter) else (int, "whole number")
    for field, bound in (("low", parameter.low), ("high", parameter.high)):
        if type(bound) not in (kind, int) or not math.isfinite(bound):
            yield Violation(field, f"is {bound!r}; it must be a {named}")
            return
        if kind is int and abs(bound) > MAX_INT:
            yield Violation(field, f"is {bound}; whole numbers are allowed from -2^53 to 2^53")
    if parameter.low > parameter.high:
        yield Violation("low", f"is {parameter.low!r}, above high = {parameter.high!r}; swap them")
    elif kind is float and parameter.low == parameter.high:
        yield Violation("low", f"is {parameter.low!r}, as is high; make it a constant in the objective instead")
    if parameter.scale == "log" and parameter.low <= 0:
        yield Violation("low", f"is {parameter.low!r}; a log scale needs low > 0: raise it, or use scale linear")


def _list_faults(parameter: Choice) -> Iterator[Violation]:
    values = tuple(parameter.values)
    ordered = isinstance(parameter, DiscreteParameter)
    kinds, named = ((float, int, str), "floats, all ints or all strings") if ordered else ((str, bool), _UNORDERED)
    if not 1 <= len(values) <= MAX_VALUES:
        yield Violation("values", f"has {len(values)}; give 1 to {MAX_VALUES} values")
    elif len({type(v) for v in values}) != 1 or type(values[0]) not in kinds:
        yield Violation("values", f"are {listed(values)}; they must be all {named}")
    elif len(set(values)) != len(values):
        yield Violation("values", f"are {listed(values)}; each may occur once: remove the repetition")
    elif isinstance(parameter, DiscreteParameter) and not isinstance(values[0], str):
        yield from _number_faults([float(v) for v in values], parameter.scale)


_UNORDERED = "strings or all booleans; for numbers use a discrete parameter"


def _number_faults(values: Sequence[float], scale: Scale) -> Iterator[Violation]:
    if not all(math.isfinite(v) for v in values):
        yield Violation("values", f"are {listed(values)}; they must be finite numbers")
    elif any(b <= a for a, b in pairwise(values)):
        yield Violation("values", f"are {listed(values)}; numbers must be strictly increasing: sort them")
    elif scale == "log" and values[0] <= 0:
        yield Violation("values", f"begin at {values[0]!r}; a log scale needs values above 0")
