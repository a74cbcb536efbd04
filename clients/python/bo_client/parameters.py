"""Parameters of a search space. Values are Python's own `float`, `int`, `str` and `bool`."""

import math
import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass
from itertools import pairwise
from typing import Literal

from bo_client.errors import InvalidRequest, Violation
from bo_client.limits import MAX_NAME, MAX_VALUES, NAME

Value = float | int | str | bool
Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Activation:
    """A condition: the parameter is active only while `parameter`, which precedes it, has one of `values`."""

    parameter: str
    values: Sequence[Value]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))


@dataclass(frozen=True)
class FloatParameter:
    """A real number from `low` to `high`, both included; `log=True` is another way to write `scale="log"`."""

    name: str
    low: float
    high: float
    scale: Scale = "linear"
    default: float | None = None
    activation: Activation | None = None
    description: str = ""
    unit: str = ""
    log: InitVar[bool | None] = None
    step: InitVar[float | None] = None

    def __post_init__(self, log: bool | None, step: float | None) -> None:
        _set_scale(self, log)
        if step is not None:
            raise InvalidRequest.of(
                self.name, f"has step={step!r}, and a FloatParameter has none; list the values in a DiscreteParameter"
            )


@dataclass(frozen=True)
class IntParameter:
    """An integer from `low` to `high`, both included; `log=True` is another way to write `scale="log"`."""

    name: str
    low: int
    high: int
    scale: Scale = "linear"
    default: int | None = None
    activation: Activation | None = None
    description: str = ""
    unit: str = ""
    log: InitVar[bool | None] = None
    step: InitVar[int | None] = None

    def __post_init__(self, log: bool | None, step: int | None) -> None:
        _set_scale(self, log)
        if step not in (None, 1):
            values = f"range({self.low}, {self.high} + 1, {step})"
            raise InvalidRequest.of(
                self.name,
                f"has step={step!r}, and an IntParameter has none; write DiscreteParameter({self.name!r}, {values})",
            )


@dataclass(frozen=True)
class CategoricalParameter:
    """One of several unordered values, all strings or all booleans."""

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
    """One of several ordered values: increasing numbers, or strings in the order given."""

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


def _set_scale(parameter: Numeric, log: bool | None) -> None:
    if log is not None:
        object.__setattr__(parameter, "scale", "log" if log else "linear")


def strict_equal(a: Value, b: Value) -> bool:
    """Return whether two values are equal and of one type, which distinguishes True from 1 and 1 from 1.0."""
    return type(a) is type(b) and a == b


def format_values(values: Sequence[Value], most: int = 12) -> str:
    """Return the values as text, of which at most `most` are listed."""
    shown = ", ".join(repr(v) for v in values[:most])
    return shown + (f", … ({len(values)} in all)" if len(values) > most else "")


def value_of(parameters: Mapping[str, Value], name: str) -> Value:
    """Return the value of a trial's parameter.

    Raises:
        KeyError: the trial has no such parameter; the message lists those it has.
    """
    if name not in parameters:
        raise KeyError(f"{name!r} is not a parameter of this trial; it has {format_values(sorted(parameters))}")
    return parameters[name]


def is_numeric(parameter: Parameter) -> bool:
    """Return whether a linear constraint may contain the parameter."""
    if isinstance(parameter, FloatParameter | IntParameter):
        return True
    return isinstance(parameter, DiscreteParameter) and not any(isinstance(v, str) for v in parameter.values)


def described(parameter: Parameter) -> str:
    """Return the allowed values as text."""
    match parameter:
        case FloatParameter():
            return f"a number from {parameter.low!r} to {parameter.high!r}"
        case IntParameter():
            return f"a whole number from {parameter.low} to {parameter.high}"
    return "one of " + format_values(parameter.values)


def admits(parameter: Parameter, value: Value) -> bool:
    """Return whether the value is allowed."""
    match parameter:
        case FloatParameter():
            return type(value) in (float, int) and parameter.low <= value <= parameter.high  # type: ignore[operator]
        case IntParameter():
            return type(value) is int and parameter.low <= value <= parameter.high
    return any(strict_equal(value, v) for v in parameter.values)


def to_python(field: str, value: object) -> Value:
    """Return the value as a Python type, also if it is NumPy's.

    Raises:
        InvalidRequest: it is neither number, string nor boolean, or the string is no text.
    """
    raw = _scalar(value)
    if isinstance(raw, str) and not _is_text(raw):
        raise InvalidRequest.of(field, f"is {raw!r}, with characters that UTF-8 can't hold; leave them out")
    if isinstance(raw, bool | str):
        return raw
    if isinstance(raw, numbers.Integral):
        return int(raw)
    if isinstance(raw, numbers.Real):
        return float(raw)
    raise InvalidRequest.of(field, f"is {value!r} ({type(value).__name__}); give a number, a string or a boolean")


def _scalar(value: object) -> object:
    """Return the Python value of a scalar or an array of one element of NumPy, pandas or PyTorch.

    Raises:
        RuntimeError: the value could not be read, as where the memory of a GPU is exhausted.
    """
    item = getattr(value, "item", None)
    try:
        return item() if callable(item) else value
    except (TypeError, ValueError):  # of several elements
        return value
    except RuntimeError:  # PyTorch's, of several elements
        if math.prod(getattr(value, "shape", ())) == 1:
            raise
        return value


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def metric_values(metrics: Mapping[str, object]) -> dict[str, float]:
    """Return the values as floats, whatever library's numbers they are.

    Raises:
        InvalidRequest: a value is not a number.
    """
    return {str(name): _number(f"metrics[{name!r}]", value) for name, value in metrics.items()}


def _number(field: str, value: object) -> float:
    """Return a metric as a float; an integer beyond the floats is infinite."""
    raw = _scalar(value)
    is_number = isinstance(raw, numbers.Real) or (hasattr(raw, "__float__") and not isinstance(raw, numbers.Complex))
    try:
        if is_number:
            return float(raw)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf if raw > 0 else -math.inf  # type: ignore[operator]
    except (TypeError, ValueError):
        pass  # such as a tensor of several elements
    raise InvalidRequest.of(field, f"is {value!r} ({type(value).__name__}); it must be a number")


def coerce(parameter: Parameter, value: object) -> Value:
    """Return the value as a Python type; an integer becomes a float if the parameter holds floats.

    Raises:
        InvalidRequest: it is neither number, string nor boolean, or too large.
    """
    converted = to_python(parameter.name, value)
    if type(converted) is not int:
        return converted
    try:
        number = float(converted)
    except OverflowError:
        raise _misread(parameter, f"{str(converted)[:20]}…") from None
    if isinstance(parameter, DiscreteParameter) and all(type(v) is float for v in parameter.values):
        return number if number == converted else converted  # a rounded one is another value
    return number if isinstance(parameter, FloatParameter) else converted


def parse(parameter: Parameter, text: str) -> Value:
    """Return the value of a text such as 1e-3, true or adam.

    Raises:
        InvalidRequest: the text is no value of the parameter.
    """
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
    """Yield the violations of the definition, with fields such as `low`."""
    if not NAME.fullmatch(parameter.name):
        allowed = f"give a letter or '_', then letters, digits, or any of '_.-/', at most {MAX_NAME}"
        yield Violation("name", f"is {parameter.name[: MAX_NAME + 12]!r}; {allowed}")
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
        yield Violation("values", f"are {format_values(values)}; they must be all {named}")
    elif len(set(values)) != len(values):
        yield Violation("values", f"are {format_values(values)}; each may occur once: remove the repetition")
    elif isinstance(parameter, DiscreteParameter) and not isinstance(values[0], str):
        yield from _number_faults([float(v) for v in values], parameter.scale)


_UNORDERED = "strings or all booleans; for numbers use a discrete parameter"


def _number_faults(values: Sequence[float], scale: Scale) -> Iterator[Violation]:
    if not all(math.isfinite(v) for v in values):
        yield Violation("values", f"are {format_values(values)}; they must be finite numbers")
    elif any(b <= a for a, b in pairwise(values)):
        yield Violation("values", f"are {format_values(values)}; numbers must be strictly increasing: sort them")
    elif scale == "log" and values[0] <= 0:
        yield Violation("values", f"begin at {values[0]!r}; a log scale needs values above 0")
