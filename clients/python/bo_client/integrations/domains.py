"""Parameters of other tools as the service's, with conversions of their values in both directions.

A value that the service does not support is converted to a label, to a number of steps, or mirrored; the parameter's
name or description then says so.
"""

import hashlib
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bo_client.constraints import Constraint
from bo_client.errors import InvalidRequest
from bo_client.limits import MAX_NAME, MAX_VALUES, NAME
from bo_client.parameters import (
    Activation,
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scale,
    Value,
    coerce,
    format_values,
    parameter_faults,
)
from bo_client.space import SearchSpace

LABEL_LENGTH = 200
MAX_WHOLE = 2**53
"""Largest bound of an integer."""


@dataclass(frozen=True)
class Domain:
    """A parameter of a tool: its name there, and the service's parameter."""

    name: str
    parameter: Parameter

    def to_service(self, value: Any) -> Value:
        """Return the service's value of a tool's value.

        Raises:
            InvalidRequest: the value is invalid.
        """
        return coerce(self.parameter, value)

    def from_service(self, value: Value) -> Any:
        """Return the tool's value of a service's value."""
        return value

    def activated(self, activation: Activation | None) -> "Domain":
        """Return the domain with a condition."""
        return replace(self, parameter=replace(self.parameter, activation=activation))

    def with_default(self, value: Any) -> "Domain":
        """Return the domain with a default, which is tried first.

        Raises:
            InvalidRequest: the value is invalid.
        """
        return replace(self, parameter=replace(self.parameter, default=self.to_service(value)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Listed(Domain):
    """One of several numbers; 0.3 matches 0.30000000000000004 in the list."""

    def to_service(self, value: Any) -> Value:
        converted = super().to_service(value)
        if isinstance(converted, str | bool) or not isinstance(self.parameter, DiscreteParameter):
            return converted
        near = min((v for v in self.parameter.values if not isinstance(v, str)), key=lambda v: abs(v - converted))
        return near if math.isclose(near, converted, rel_tol=1e-9, abs_tol=1e-12) else converted


@dataclass(frozen=True)
class Steps(Domain):
    """Numbers at equal distances, too many for a list: the service has the number of steps from the lowest."""

    low: float = 0.0
    step: float = 1.0

    def to_service(self, value: Any) -> Value:
        return round((value - self.low) / self.step)

    def from_service(self, value: Value) -> Any:
        return self.low + int(value) * self.step


@dataclass(frozen=True)
class Mirrored(Domain):
    """Numbers on a scale that is dense toward the upper end: the service has `low + high - value`."""

    low: float = 0.0
    high: float = 1.0

    def to_service(self, value: Any) -> Value:
        return super().to_service(self._mirror(value))

    def from_service(self, value: Value) -> Any:
        return self._mirror(value)

    def _mirror(self, value: Any) -> Any:
        return min(max(self.low + self.high - value, self.low), self.high)


@dataclass(frozen=True)
class Labeled(Domain):
    """Values of any type: the service has a label for each."""

    labels: tuple[Value, ...] = ()
    values: tuple[Any, ...] = ()

    def to_service(self, value: Any) -> Value:
        for label, candidate in zip(self.labels, self.values, strict=True):
            if candidate is value or (type(candidate) is type(value) and equal(candidate, value)):
                return label
        raise InvalidRequest.of(self.name, f"is {value!r}; it must be one of {format_values(self.values)}")

    def from_service(self, value: Value) -> Any:
        return self.values[self.labels.index(value)]


def real(name: str, low: float, high: float, *, log: bool = False) -> Domain:
    """Return the domain of real numbers.

    Raises:
        InvalidRequest: the bounds are invalid.
    """
    return checked(Domain(name, FloatParameter(service_name(name), float(low), float(high), scale_of(log))))


def whole(name: str, low: int, high: int, *, log: bool = False) -> Domain:
    """Return the domain of integers.

    Raises:
        InvalidRequest: the bounds are invalid.
    """
    beyond = [bound for bound in (low, high) if abs(bound) > MAX_WHOLE]
    if beyond:
        raise InvalidRequest.of(name, f"goes to {beyond[-1]}; whole numbers are allowed from -2^53 to 2^53")
    return checked(Domain(name, IntParameter(service_name(name), int(low), int(high), scale_of(log))))


def stepped(name: str, low: float, high: float, step: float) -> Domain:
    """Return the domain of numbers from `low` to `high` in steps; integers if `low` and `step` are.

    Raises:
        InvalidRequest: the bounds or the step are invalid.
    """
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(step) and step > 0 and low <= high):
        raise InvalidRequest.of(name, f"goes from {low!r} to {high!r} by {step!r}; give low <= high and a step above 0")
    rounding = 4 * sys.float_info.epsilon * max(abs(low), abs(high)) / step
    count = math.floor((high - low) / step + max(rounding, 1e-8)) + 1
    if count <= MAX_VALUES:
        return numbers(name, [low + i * step for i in range(count)])
    what = f"steps of {step!r} from {low!r}"
    return checked(
        Steps(name, IntParameter(service_name(name, "steps"), 0, count - 1, description=what), low=low, step=step)
    )


def mirrored(name: str, low: float, high: float) -> Domain:
    """Return the domain of numbers on a scale that is logarithmic from the upper end; integers if `low` and `high` are.

    Raises:
        InvalidRequest: the bounds are invalid.
    """
    kind = IntParameter if isinstance(low, int) and isinstance(high, int) else FloatParameter
    called, what = service_name(name, "mirrored"), f"{low + high!r} less the value"
    return checked(Mirrored(name, kind(called, low, high, "log", description=what), low=low, high=high))  # type: ignore[arg-type]


def numbers(name: str, values: Sequence[float], *, log: bool = False) -> Domain:
    """Return the domain of several ordered numbers.

    Raises:
        InvalidRequest: the list is invalid.
    """
    return checked(Listed(name, DiscreteParameter(service_name(name), sorted(values), scale_of(log))))


def chosen(name: str, values: Sequence[Any], *, ordered: bool | None = None) -> Domain:
    """Return the domain of several values of any type.

    Args:
        name: name of the parameter.
        values: the values.
        ordered: whether they are ordered; by default only numbers are.

    Raises:
        InvalidRequest: the list is empty or too long, or a value occurs twice.
    """
    values = [_plain(value) for value in values]
    kinds = {type(value) for value in values}
    if kinds and kinds <= {int, float} and ordered is not False and all(map(math.isfinite, values)):
        if len(kinds) == 1:
            return numbers(name, values)
        floats = tuple(sorted(map(float, values)))
        parameter: Parameter = DiscreteParameter(service_name(name), floats)
        return checked(Labeled(name, parameter, labels=floats, values=tuple(sorted(values))))
    labels = tuple(values) if len(kinds) == 1 and kinds <= {str, bool} else _texts(values)
    if any(isinstance(label, str) and not 1 <= len(label) <= LABEL_LENGTH for label in labels):
        labels = _counted(values)
    kind = DiscreteParameter if ordered and all(isinstance(label, str) for label in labels) else CategoricalParameter
    return checked(Labeled(name, kind(service_name(name), labels), labels=labels, values=tuple(values)))


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as Python's type, such as those of list(np.logspace(-3, 3, 7))."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () else value


def _texts(values: Sequence[Any]) -> tuple[Value, ...]:
    """Return the representation of each value, if these are distinct and the same in every process."""
    texts = tuple(repr(value) for value in values)
    is_unambiguous = len(set(texts)) == len(texts) and not any(" at 0x" in text for text in texts)
    return texts if is_unambiguous else _counted(values)


def _counted(values: Sequence[Any]) -> tuple[Value, ...]:
    return tuple(f"choice {i}" for i in range(len(values)))


def equal(a: Any, b: Any) -> bool:
    """Return whether two values of any type are equal, as NaN is to NaN; False if they cannot be compared."""
    try:
        return bool(a == b) or bool(a != a and b != b)
    except Exception:  # of arrays, for one
        return False


def checked(domain: Domain) -> Domain:
    """Return the domain after validation.

    Raises:
        InvalidRequest: names the tool's parameter.
    """
    faults = [fault.inside(domain.name) for fault in parameter_faults(domain.parameter)]
    if faults:
        raise InvalidRequest.listing(faults)
    return domain


def scale_of(log: bool) -> Scale:
    """Return the name of the scale."""
    return "log" if log else "linear"


def service_name(name: str, kind: str = "") -> str:
    """Return a name that the service accepts, similar to the tool's; `kind` describes converted values."""
    full = f"{name}.{kind}" if kind else name
    if NAME.fullmatch(full):
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:8]
    similar = re.sub(r"[^A-Za-z0-9_./-]", "_", full)
    prefix = "" if re.match("[A-Za-z_]", similar) else "_"
    return f"{prefix}{similar}"[: MAX_NAME - len(digest) - 1] + f"_{digest}"


class Translation:
    """A whole search space of a tool."""

    def __init__(self, domains: Iterable[Domain], constraints: Sequence[Constraint] = ()) -> None:
        self.domains = tuple(domains)
        self.space = SearchSpace([domain.parameter for domain in self.domains], constraints)
        self._by_parameter = {domain.parameter.name: domain for domain in self.domains}

    @classmethod
    def of(cls, space: SearchSpace) -> "Translation":
        """Return the translation of a service's space, which changes nothing."""
        return cls([Domain(parameter.name, parameter) for parameter in space.parameters], space.constraints)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the tool."""
        return tuple(domain.name for domain in self.domains)

    def to_service(self, configuration: Mapping[str, Any]) -> dict[str, Value]:
        """Return the service's values of the tool's values; unknown ones are omitted.

        Raises:
            InvalidRequest: a value is invalid.
        """
        return {d.parameter.name: d.to_service(configuration[d.name]) for d in self.domains if d.name in configuration}

    def from_service(self, parameters: Mapping[str, Value]) -> dict[str, Any]:
        """Return the tool's values of the service's values."""
        pairs = ((self._by_parameter[name], value) for name, value in parameters.items())
        return {domain.name: domain.from_service(value) for domain, value in pairs}
