"""Search spaces as JSON, and short makers of parameters."""

from collections.abc import Sequence
from typing import Any

from bo_service.domain.parameter_types import (
    CategoricalDomain,
    DiscreteDomain,
    Domain,
    FloatDomain,
    IntDomain,
    Scale,
    Value,
)
from bo_service.domain.search_space import Activation, Parameter, SearchSpace

KINDS: dict[str, type[Any]] = {
    "float": FloatDomain, "int": IntDomain, "categorical": CategoricalDomain, "discrete": DiscreteDomain,
}  # fmt: skip
When = tuple[str, tuple[Value, ...]] | None


def real(name: str, low: float, high: float, log: bool = False, when: When = None) -> Parameter:
    """A real number."""
    return Parameter(name, FloatDomain(low, high, _scale(log)), activation=_rule(when))


def whole(name: str, low: int, high: int, log: bool = False, when: When = None) -> Parameter:
    """A whole number."""
    return Parameter(name, IntDomain(low, high, _scale(log)), activation=_rule(when))


def one_of(name: str, *values: str, when: When = None) -> Parameter:
    """One of unordered values."""
    return Parameter(name, CategoricalDomain(values), activation=_rule(when))


def step(name: str, *values: int, when: When = None) -> Parameter:
    """One of ordered whole numbers, on a log scale."""
    return Parameter(name, DiscreteDomain(values, Scale.LOG), activation=_rule(when))


def _scale(log: bool) -> Scale:
    return Scale.LOG if log else Scale.LINEAR


def _rule(when: When) -> Activation | None:
    return None if when is None else Activation(*when)


def written_space(space: SearchSpace) -> list[dict[str, Any]]:
    """Return the parameters as JSON."""
    return [_written(p) for p in space.parameters]


def read_space(parameters: Sequence[dict[str, Any]]) -> SearchSpace:
    """Return what `written_space` wrote."""
    return SearchSpace(tuple(_read(p) for p in parameters))


def _written(parameter: Parameter) -> dict[str, Any]:
    domain, rule = parameter.domain, parameter.activation
    kind = next(kind for kind, made in KINDS.items() if isinstance(domain, made))
    content: dict[str, Any] = {"name": parameter.name, "kind": kind}
    if isinstance(domain, CategoricalDomain | DiscreteDomain):
        content["values"] = list(domain.values)
    else:
        content |= {"low": domain.low, "high": domain.high}
    if not isinstance(domain, CategoricalDomain):
        content["scale"] = domain.scale.value
    return content | ({"when": [rule.parameter, list(rule.values)]} if rule else {})


def _read(given: dict[str, Any]) -> Parameter:
    fields: dict[str, Any] = {name: tuple(v) if name == "values" else v for name, v in given.items()}
    name, kind, when = fields.pop("name"), fields.pop("kind"), fields.pop("when", None)
    if "scale" in fields:
        fields["scale"] = Scale(fields["scale"])
    domain: Domain = KINDS[kind](**fields)
    return Parameter(name, domain, activation=Activation(when[0], tuple(when[1])) if when else None)
