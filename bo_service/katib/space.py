"""Conversion of Katib's parameters, whose numbers are texts, to a search space, and of values to and from texts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import partial

from katib_api.v1beta1 import api_pb2 as pb

from bo_service.domain.constraints import Configuration
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.limits import MAX_PARAMETERS, MAX_TEXT, MAX_VALUES
from bo_service.domain.parameter_types import (
    CategoricalDomain,
    DiscreteDomain,
    Domain,
    FloatDomain,
    IntDomain,
    Scale,
    Value,
)
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.rpc.codec import fields
from bo_service.rpc.codec.fields import each

SCALES: dict[pb.Distribution, Scale] = {
    pb.DISTRIBUTION_UNSPECIFIED: Scale.LINEAR,
    pb.UNIFORM: Scale.LINEAR,
    pb.LOG_UNIFORM: Scale.LOG,
}
MAX_NUMBER = 40
"""Characters of a number."""


@dataclass(frozen=True)
class KatibSpace:
    """A search space, and how Katib writes the values that a list gives as text."""

    space: SearchSpace
    texts: dict[str, dict[Value, str]] = field(default_factory=dict)
    """Texts of the values of DISCRETE parameters, by the parameter's name."""

    @property
    def size(self) -> int | None:
        """Return the number of configurations; None if there are infinitely many."""
        sizes = [_size(parameter.domain) for parameter in self.space.parameters]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)

    def assignments(self, configuration: Configuration) -> list[pb.ParameterAssignment]:
        """Return the configuration as Katib writes it, in the order of the parameters."""
        return [
            pb.ParameterAssignment(name=name, value=self.texts.get(name, {}).get(value) or _text(value))
            for name, value in configuration.items()
        ]

    def configuration(self, assignments: Sequence[pb.ParameterAssignment], path: str) -> dict[str, Value]:
        """Return the configuration that Katib wrote. Names that the space lacks are kept, for its own check.

        Raises:
            InvalidArgument: a value is not one of its parameter.
        """
        domains = {parameter.name: parameter.domain for parameter in self.space.parameters}
        given = {a.name: _value(domains.get(a.name), a.value, f"{path}[{i}].value") for i, a in enumerate(assignments)}
        order = {name: i for i, name in enumerate(domains)}
        return dict(sorted(given.items(), key=lambda item: order.get(item[0], len(order))))


def space_from_wire(message: pb.ExperimentSpec.ParameterSpecs, path: str) -> KatibSpace:
    """Return the search space of an experiment.

    Raises:
        InvalidArgument: contains the path of every invalid field.
    """
    if len(message.parameters) > MAX_PARAMETERS:
        raise InvalidArgument.of(path, f"has {len(message.parameters)}; at most {MAX_PARAMETERS} parameters")
    domains = each(message.parameters, f"{path}.parameters", _domain)
    parameters = tuple(Parameter(p.name, domain) for p, domain in zip(message.parameters, domains, strict=True))
    try:
        space = SearchSpace(parameters)
    except InvalidArgument as error:
        raise error.inside(path) from error
    texts: dict[str, dict[Value, str]] = {
        p.name: {float(_number(text, path)): text for text in p.feasible_space.list}
        for p in message.parameters
        if p.parameter_type == pb.DISCRETE
    }
    wide = [violation.inside(path) for violation in space.width_faults()]
    if wide:
        raise InvalidArgument(wide)
    return KatibSpace(space, texts)


def _domain(parameter: pb.ParameterSpec, path: str) -> Domain:
    """Return the domain of a parameter. Raises InvalidArgument."""
    kinds: dict[pb.ParameterType, Callable[[pb.FeasibleSpace, Scale, str], Domain]] = {
        pb.DOUBLE: _double,
        pb.INT: _int,
        pb.DISCRETE: _discrete,
        pb.CATEGORICAL: lambda space, _, at: CategoricalDomain(each(space.list, f"{at}.list", _category)),
    }
    kind, given = parameter.parameter_type, parameter.feasible_space
    if kind not in kinds:
        raise InvalidArgument.of(f"{path}.parameter_type", "is unknown; give double, int, discrete or categorical")
    if given.distribution not in SCALES:
        name = pb.Distribution.Name(given.distribution) if given.distribution in pb.Distribution.values() else "unknown"
        what = f"is {name}; uniform and logUniform are supported: give bounds beyond which values are useless"
        raise InvalidArgument.of(f"{path}.feasible_space.distribution", what)
    return kinds[kind](given, SCALES[given.distribution], f"{path}.feasible_space")


def _double(given: pb.FeasibleSpace, scale: Scale, path: str) -> Domain:
    low, high = _bounds(given, scale, path, _number)
    if given.step:
        return DiscreteDomain(tuple(map(float, _stepped(low, high, given.step, path, _number))), scale)
    return DiscreteDomain((float(low),)) if low == high else FloatDomain(float(low), float(high), scale)


def _int(given: pb.FeasibleSpace, scale: Scale, path: str) -> Domain:
    low, high = _bounds(given, scale, path, _whole)
    if given.step and _whole(given.step, f"{path}.step") != 1:
        return DiscreteDomain(tuple(map(int, _stepped(low, high, given.step, path, _whole))), scale)
    return IntDomain(int(low), int(high), scale)


def _discrete(given: pb.FeasibleSpace, scale: Scale, path: str) -> Domain:
    numbers = [float(_number(text, f"{path}.list[{i}]")) for i, text in enumerate(given.list[: MAX_VALUES + 1])]
    return DiscreteDomain(tuple(sorted(numbers)), scale)


def _category(value: str, path: str) -> str:
    return fields.text(value, path, MAX_TEXT)


def _bounds(
    given: pb.FeasibleSpace, scale: Scale, path: str, read: Callable[[str, str], Decimal]
) -> tuple[Decimal, Decimal]:
    low, high = read(given.min, f"{path}.min"), read(given.max, f"{path}.max")
    if low > high:
        raise InvalidArgument.of(f"{path}.min", f"is {given.min}, above max = {given.max}; swap them")
    if scale is Scale.LOG and low <= 0:
        raise InvalidArgument.of(f"{path}.min", f"is {given.min}; logUniform needs min above 0")
    return low, high


def _stepped(low: Decimal, high: Decimal, text: str, path: str, read: Callable[[str, str], Decimal]) -> list[Decimal]:
    """Return low, low + step, … up to high. Decimal arithmetic keeps 0.1 + 2 · 0.1 at 0.3."""
    step = read(text, f"{path}.step")
    if step <= 0:
        raise InvalidArgument.of(f"{path}.step", f"is {text}; it must be above 0")
    if (high - low) / step >= MAX_VALUES:
        what = f"is {text}, which gives more than {MAX_VALUES:,} values; enlarge it, or leave it out"
        raise InvalidArgument.of(f"{path}.step", what)
    return [low + i * step for i in range(int((high - low) / step) + 1)]


def _number(text: str, path: str) -> Decimal:
    """Return a finite number. Raises InvalidArgument."""
    try:
        number = Decimal(text) if len(text) <= MAX_NUMBER else Decimal("nan")
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or not math.isfinite(float(number)):
        raise InvalidArgument.of(path, f"is {text[:MAX_NUMBER]!r}; give a finite number")
    return number


def _whole(text: str, path: str) -> Decimal:
    """Return a whole number. Raises InvalidArgument."""
    number = _number(text, path)
    if abs(number) > 2**53 or number != number.to_integral_value():
        raise InvalidArgument.of(path, f"is {text!r}; give a whole number from -2^53 to 2^53")
    return number


def _size(domain: Domain) -> int | None:
    match domain:
        case FloatDomain():
            return None
        case IntDomain(low, high):
            return high - low + 1
    return len(domain.values)


def _text(value: Value) -> str:
    return value if isinstance(value, str) else repr(value)


def _value(domain: Domain | None, text: str, path: str) -> Value:
    """Return the value that a text is for a domain. Raises InvalidArgument."""
    if domain is None or isinstance(domain, CategoricalDomain):
        return text[: MAX_TEXT + 1]
    is_whole = isinstance(domain, IntDomain) or not domain.is_float
    read = partial(_whole if is_whole else _number, text, path)
    return int(read()) if is_whole else float(read())
