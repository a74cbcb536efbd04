"""Constraints between parameters: conditions that every suggestion fulfills."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bo_service.core.domains import CategoricalDomain, DiscreteDomain, Domain, Value, same
from bo_service.core.errors import Violation

Configuration = Mapping[str, Value]
"""The value of each active parameter, and of no other, by name."""
TOLERANCE = 1e-9
"""By how much a sum may miss its bound, relative to the larger of |bound| and sum(|coefficient * value|)."""


@dataclass(frozen=True)
class LinearConstraint:
    """sum(coefficient * value) <= upper_bound, where all of its parameters are active."""

    coefficients: Mapping[str, float]
    upper_bound: float
    description: str = ""

    def holds(self, configuration: Configuration) -> bool:
        if any(name not in configuration for name in self.coefficients):
            return True
        total, tolerance = _summed(self.coefficients, configuration, self.upper_bound)
        return total <= self.upper_bound + tolerance

    def __str__(self) -> str:
        return f"{_terms(self.coefficients)} <= {self.upper_bound:g}"


@dataclass(frozen=True)
class EqualityConstraint:
    """sum(coefficient * value) == value, where all of its parameters are active."""

    coefficients: Mapping[str, float]
    value: float
    description: str = ""

    def holds(self, configuration: Configuration) -> bool:
        if any(name not in configuration for name in self.coefficients):
            return True
        total, tolerance = _summed(self.coefficients, configuration, self.value)
        return abs(total - self.value) <= tolerance

    def __str__(self) -> str:
        return f"{_terms(self.coefficients)} == {self.value:g}"


@dataclass(frozen=True)
class ForbiddenCombination:
    """These values must not occur together."""

    parameters: Configuration
    description: str = ""

    def holds(self, configuration: Configuration) -> bool:
        return not all(n in configuration and same(configuration[n], v) for n, v in self.parameters.items())

    def __str__(self) -> str:
        return "never " + ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())


Constraint = LinearConstraint | ForbiddenCombination | EqualityConstraint


def constraint_faults(constraint: Constraint, known: Mapping[str, Domain]) -> Iterator[Violation]:
    """Yield what is wrong with a constraint in a space of these domains."""
    if isinstance(constraint, ForbiddenCombination):
        field = "forbidden.parameters"
        yield from _name_faults(field, constraint.parameters, known)
        for name, given in constraint.parameters.items():
            if name in known and not known[name].admits(given):
                yield Violation(field, f"holds {given!r} for {name!r}, which is {known[name]}")
        return
    kind, bound_name, bound = (
        ("linear", "upper_bound", constraint.upper_bound)
        if isinstance(constraint, LinearConstraint)
        else ("equality", "value", constraint.value)
    )
    field = f"{kind}.coefficients"
    yield from _name_faults(field, constraint.coefficients, known)
    for name, coefficient in constraint.coefficients.items():
        if name in known and not _is_numeric(known[name]):
            yield Violation(field, f"names {name!r}, which is not numeric")
        elif name in known and not math.isfinite(coefficient):
            yield Violation(field, f"is {coefficient!r} for {name!r}; coefficients must be finite")
    if not math.isfinite(bound):
        yield Violation(f"{kind}.{bound_name}", f"is {bound!r}; it must be finite")


def _name_faults(field: str, named: Mapping[str, object], known: Mapping[str, Domain]) -> Iterator[Violation]:
    if not named:
        yield Violation(field, "is empty; name at least one parameter")
    for name in named:
        if name not in known:
            yield Violation(field, f"names {name!r}, which is not a parameter of the space")


def _is_numeric(domain: Domain) -> bool:
    if isinstance(domain, CategoricalDomain):
        return False
    return not (isinstance(domain, DiscreteDomain) and any(isinstance(v, str) for v in domain.values))


def _summed(coefficients: Mapping[str, float], configuration: Configuration, bound: float) -> tuple[float, float]:
    """Return sum(coefficient * value), and by how much it may miss the bound."""
    terms = [c * float(configuration[name]) for name, c in coefficients.items()]
    try:
        total = math.fsum(terms)
    except (OverflowError, ValueError):  # beyond the range of floats: inf, or nan, which fulfills nothing
        total = sum(terms)
    size = max(abs(bound), sum(map(abs, terms)))
    return total, TOLERANCE * size if math.isfinite(size) else 0.0


def _terms(coefficients: Mapping[str, float]) -> str:
    return " + ".join(f"{coefficient:g}*{name}" for name, coefficient in coefficients.items())
