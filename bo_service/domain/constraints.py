"""Constraints between parameters, which every suggestion satisfies."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bo_service.domain.errors import Violation
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, Domain, Value, strict_equal

Configuration = Mapping[str, Value]
"""The values of exactly the active parameters, by name."""
TOLERANCE = 1e-9
"""Relative tolerance of a sum: a fraction of max(|bound|, sum(|coefficient * value|))."""


@dataclass(frozen=True)
class LinearConstraint:
    """The constraint sum(coefficient * value) <= upper_bound. It applies only while all its parameters are active."""

    coefficients: Mapping[str, float]
    upper_bound: float
    description: str = ""

    def holds(self, configuration: Configuration) -> bool:
        """Return whether the configuration satisfies the constraint."""
        if any(name not in configuration for name in self.coefficients):
            return True
        total, tolerance = _summed(self.coefficients, configuration, self.upper_bound)
        return total <= self.upper_bound + tolerance

    def __str__(self) -> str:
        return f"{_terms(self.coefficients)} <= {self.upper_bound:g}"


@dataclass(frozen=True)
class EqualityConstraint:
    """The constraint sum(coefficient * value) == value. It applies only while all its parameters are active."""

    coefficients: Mapping[str, float]
    value: float
    description: str = ""

    def holds(self, configuration: Configuration) -> bool:
        """Return whether the configuration satisfies the constraint."""
        if any(name not in configuration for name in self.coefficients):
            return True
        total, tolerance = _summed(self.coefficients, configuration, self.value)
        return abs(total - self.value) <= tolerance

    def __str__(self) -> str:
        return f"{_terms(self.coefficients)} == {self.value:g}"


@dataclass(frozen=True)
class ForbiddenCombination:
    """A combination of values that must not occur together."""

    parameters: Configuration
    description: str = ""

    def holds(self, configuration: Configuration) -> bool:
        """Return whether the configuration satisfies the constraint."""
        return not all(n in configuration and strict_equal(configuration[n], v) for n, v in self.parameters.items())

    def __str__(self) -> str:
        return "never " + ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())


Constraint = LinearConstraint | ForbiddenCombination | EqualityConstraint


def constraint_faults(constraint: Constraint, domains: Mapping[str, Domain]) -> Iterator[Violation]:
    """Yield the violations of a constraint definition.

    Args:
        constraint: the definition.
        domains: the domains of the space's parameters, by name.
    """
    if isinstance(constraint, ForbiddenCombination):
        field = "forbidden.parameters"
        yield from _name_faults(field, constraint.parameters, domains)
        for name, value in constraint.parameters.items():
            if name in domains and not domains[name].admits(value):
                yield Violation(field, f"holds {value!r} for {name!r}, which is {domains[name]}")
        return
    kind, bound_name, bound = (
        ("linear", "upper_bound", constraint.upper_bound)
        if isinstance(constraint, LinearConstraint)
        else ("equality", "value", constraint.value)
    )
    field = f"{kind}.coefficients"
    yield from _name_faults(field, constraint.coefficients, domains)
    for name, coefficient in constraint.coefficients.items():
        if name in domains and not _is_numeric(domains[name]):
            yield Violation(field, f"names {name!r}, which is not numeric")
        elif name in domains and not math.isfinite(coefficient):
            yield Violation(field, f"is {coefficient!r} for {name!r}; coefficients must be finite")
    if not math.isfinite(bound):
        yield Violation(f"{kind}.{bound_name}", f"is {bound!r}; it must be finite")


def _name_faults(field: str, named: Mapping[str, object], domains: Mapping[str, Domain]) -> Iterator[Violation]:
    if not named:
        yield Violation(field, "is empty; name at least one parameter")
    for name in named:
        if name not in domains:
            yield Violation(field, f"names {name!r}, which is not a parameter of the space")


def _is_numeric(domain: Domain) -> bool:
    if isinstance(domain, CategoricalDomain):
        return False
    return not (isinstance(domain, DiscreteDomain) and any(isinstance(v, str) for v in domain.values))


def _summed(coefficients: Mapping[str, float], configuration: Configuration, bound: float) -> tuple[float, float]:
    """Return sum(coefficient * value) and its absolute tolerance."""
    terms = [c * float(configuration[name]) for name, c in coefficients.items()]
    try:
        total = math.fsum(terms)
    except (OverflowError, ValueError):  # beyond the range of floats: inf, or nan, which fulfills nothing
        total = sum(terms)
    size = max(abs(bound), sum(map(abs, terms)))
    return total, TOLERANCE * size if math.isfinite(size) else 0.0


def _terms(coefficients: Mapping[str, float]) -> str:
    return " + ".join(f"{coefficient:g}*{name}" for name, coefficient in coefficients.items())
