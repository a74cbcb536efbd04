"""Constraints between parameters: conditions that every suggestion fulfills."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bo_service.core.domains import CategoricalDomain, DiscreteDomain, Domain, Value, same
from bo_service.core.errors import Violation

Configuration = Mapping[str, Value]
"""The value of each active parameter, and of no other, by name."""
TOLERANCE = 1e-9
"""Of the size of a linear constraint's bound, by which a sum may exceed it."""


@dataclass(frozen=True)
class LinearConstraint:
    """sum(coefficient * value) <= upper_bound, where all of its parameters are active."""

    coefficients: Mapping[str, float]
    upper_bound: float
    description: str = ""

    def holds(self, configuration: Configuration) -> bool:
        if any(name not in configuration for name in self.coefficients):
            return True
        terms = [c * float(configuration[name]) for name, c in self.coefficients.items()]
        try:
            total = math.fsum(terms)
        except (OverflowError, ValueError):  # beyond the range of floats: inf, or nan, which fulfills nothing
            total = sum(terms)
        return total <= self.upper_bound + TOLERANCE * max(1.0, abs(self.upper_bound))


@dataclass(frozen=True)
class ForbiddenCombination:
    """These values must not occur together."""

    parameters: Configuration
    description: str = ""

    def holds(self, configuration: Configuration) -> bool:
        return not all(n in configuration and same(configuration[n], v) for n, v in self.parameters.items())


Constraint = LinearConstraint | ForbiddenCombination


def constraint_faults(constraint: Constraint, known: Mapping[str, Domain]) -> Iterator[Violation]:
    linear = isinstance(constraint, LinearConstraint)
    field = "linear.coefficients" if linear else "forbidden.parameters"
    named: Mapping[str, object] = (
        constraint.coefficients if isinstance(constraint, LinearConstraint) else constraint.parameters
    )
    if not named:
        yield Violation(field, "is empty; name at least one parameter")
    for name, given in named.items():
        if name not in known:
            yield Violation(field, f"names {name!r}, which is not a parameter of the space")
            continue
        domain = known[name]
        if isinstance(constraint, ForbiddenCombination):
            if not domain.admits(constraint.parameters[name]):
                yield Violation(field, f"holds {given!r} for {name!r}, which is {domain}")
        elif isinstance(domain, CategoricalDomain) or (
            isinstance(domain, DiscreteDomain) and any(isinstance(v, str) for v in domain.values)
        ):
            yield Violation(field, f"names {name!r}, which is not numeric")
        elif not math.isfinite(constraint.coefficients[name]):
            yield Violation(field, f"is {given!r} for {name!r}; coefficients must be finite")
    if isinstance(constraint, LinearConstraint) and not math.isfinite(constraint.upper_bound):
        yield Violation("linear.upper_bound", f"is {constraint.upper_bound!r}; it must be finite")
