"""Parameters of other tools as the service's, and their values there and back.

A value that the service has no kind for travels as a label, as a number of steps, or mirrored; its parameter's name or
description then says so.
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
from bo_client.parameters import (
    MAX_VALUES,
    NAME,
    Activation,
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scale,
    Value,
    conform,
    listed,
    parameter_faults,
)
from bo_client.space import SearchSpace

LABEL_LENGTH = 200


@dataclass(frozen=True)
class Domain:
    """One parameter of a tool: its name there, and what it is to the service."""

    name: str
    parameter: Parameter

    def outward(self, value: Any) -> Value:
        """A value of the tool's, as the service has it. Raises InvalidRequest."""
        return conform(self.parameter, value)

    def inward(self, value: Value) -> Any:
        """A value of the service's, as the tool has it."""
        return value

    def activated(self, activation: Activation | None) -> "Domain":
        """The same, existing only under a condition."""
        return replace(self, parameter=replace(self.parameter, activation=activation))

    def with_default(self, value: Any) -> "Domain":
        """The same, tried first at this value of the tool's. Raises InvalidRequest."""
        return replace(self, parameter=replace(self.parameter, default=self.outward(value)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Listed(Domain):
    """One of several numbers; 0.3 is meant where the list has 0.30000000000000004."""

    def outward(self, value: Any) -> Value:
        given = super().outward(value)
        if isinstance(given, str | bool) or not isinstance(self.parameter, DiscreteParameter):
            return given
        near = min((v for v in self.parameter.values if not isinstance(v, str)), key=lambda v: abs(v - given))
        return near if math.isclose(near, given, rel_tol=1e-9, abs_tol=1e-12) else given


@dataclass(frozen=True)
class Steps(Domain):
    """Numbers at equal distances, more than a list may hold: the service has the number of steps from the lowest."""

    low: float = 0.0
    step: float = 1.0

    def outward(self, value: Any) -> Value:
        return round((value - self.low) / self.step)

    def inward(self, value: Value) -> Any:
        return self.low + int(value) * self.step


@dataclass(frozen=True)
class Mirrored(Domain):
    """Numbers that are dense toward the upper end: the service has `low + high` less the value."""

    low: float = 0.0
    high: float = 1.0

    def outward(self, value: Any) -> Value:
        return super().outward(self._mirror(value))

    def inward(self, value: Value) -> Any:
        return self._mirror(value)

    def _mirror(self, value: Any) -> Any:
        return min(max(self.low + self.high - value, self.low), self.high)


@dataclass(frozen=True)
class Labeled(Domain):
    """Values of any kind: the service has a label for each."""

    labels: tuple[Value, ...] = ()
    values: tuple[Any, ...] = ()

    def outward(self, value: Any) -> Value:
        for label, known in zip(self.labels, self.values, strict=True):
            if known is value or (type(known) is type(value) and equal(known, value)):
                return label
        raise InvalidRequest.of(self.name, f"is {value!r}; it must be one of {listed(self.values)}")

    def inward(self, value: Value) -> Any:
        return self.values[self.labels.index(value)]


def real(name: str, low: float, high: float, *, log: bool = False) -> Domain:
    """Real numbers. Raises InvalidRequest, as the others do."""
    return checked(Domain(name, FloatParameter(service_name(name), float(low), float(high), scale_of(log))))


def whole(name: str, low: int, high: int, *, log: bool = False) -> Domain:
    """Whole numbers."""
    return checked(Domain(name, IntParameter(service_name(name), int(low), int(high), scale_of(log))))


def stepped(name: str, low: float, high: float, step: float) -> Domain:
    """Numbers from `low` on, `step` apart, up to `high`; ints where `low` and `step` are."""
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
    """Real or whole numbers, as `low` and `high` are, on a scale that is logarithmic from the upper end."""
    kind = IntParameter if isinstance(low, int) and isinstance(high, int) else FloatParameter
    called, what = service_name(name, "mirrored"), f"{low + high!r} less the value"
    return checked(Mirrored(name, kind(called, low, high, "log", description=what), low=low, high=high))  # type: ignore[arg-type]


def numbers(name: str, values: Sequence[float], *, log: bool = False) -> Domain:
    """One of several numbers in order."""
    return checked(Listed(name, DiscreteParameter(service_name(name), sorted(values), scale_of(log))))


def chosen(name: str, values: Sequence[Any], *, ordered: bool | None = None) -> Domain:
    """One of several values of any kind. Where `ordered` isn't said, numbers are in order, and nothing else is.

    Raises:
        InvalidRequest: there are none, or more than the service takes, or one is there twice.
    """
    values = [_plain(value) for value in values]
    kinds = {type(value) for value in values}
    if kinds and kinds <= {int, float} and ordered is not False:
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
    """A scalar of numpy's as Python's, so that list(np.logspace(-3, 3, 7)) are numbers; anything else as it is."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () else value


def _texts(values: Sequence[Any]) -> tuple[Value, ...]:
    """What each is printed as, where that tells them apart and is the same in every process."""
    texts = tuple(repr(value) for value in values)
    tells = len(set(texts)) == len(texts) and not any(" at 0x" in text for text in texts)
    return texts if tells else _counted(values)


def _counted(values: Sequence[Any]) -> tuple[Value, ...]:
    return tuple(f"choice {i}" for i in range(len(values)))


def equal(a: Any, b: Any) -> bool:
    """Whether two values of any kind are equal; False where they can't be compared as wholes."""
    try:
        return bool(a == b)
    except Exception:  # of arrays, for one
        return False


def checked(domain: Domain) -> Domain:
    """The same domain. Raises InvalidRequest, naming the tool's parameter."""
    faults = [fault.inside(domain.name) for fault in parameter_faults(domain.parameter)]
    if faults:
        raise InvalidRequest.listing(faults)
    return domain


def scale_of(log: bool) -> Scale:
    """The scale's name."""
    return "log" if log else "linear"


def service_name(name: str, kind: str = "") -> str:
    """The name if the service takes it, else one like it; with what its values are, where they aren't the tool's."""
    full = f"{name}.{kind}" if kind else name
    if NAME.fullmatch(full):
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:8]
    similar = re.sub(r"[^A-Za-z0-9_./-]", "_", full)
    prefix = "" if re.match("[A-Za-z_]", similar) else "_"
    return f"{prefix}{similar}"[:118] + f"_{digest}"


class Translation:
    """A whole search space of a tool's."""

    def __init__(self, domains: Iterable[Domain], constraints: Sequence[Constraint] = ()) -> None:
        self.domains = tuple(domains)
        self.space = SearchSpace([domain.parameter for domain in self.domains], constraints)
        self._by_parameter = {domain.parameter.name: domain for domain in self.domains}

    @classmethod
    def of(cls, space: SearchSpace) -> "Translation":
        """Of a space of our own: nothing changes."""
        return cls([Domain(parameter.name, parameter) for parameter in space.parameters], space.constraints)

    @property
    def names(self) -> tuple[str, ...]:
        """In the tool."""
        return tuple(domain.name for domain in self.domains)

    def outward(self, configuration: Mapping[str, Any]) -> dict[str, Value]:
        """The tool's values of these parameters, as the service has them, and no others. Raises InvalidRequest."""
        return {d.parameter.name: d.outward(configuration[d.name]) for d in self.domains if d.name in configuration}

    def inward(self, parameters: Mapping[str, Value]) -> dict[str, Any]:
        """The service's values, as the tool has them."""
        known = ((self._by_parameter[name], value) for name, value in parameters.items())
        return {domain.name: domain.inward(value) for domain, value in known}
