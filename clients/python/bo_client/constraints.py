"""Constraints between parameters: conditions that every suggestion fulfills."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bo_client.errors import Violation
from bo_client.parameters import Parameter, Value, admits, described, is_numeric, same

Configuration = Mapping[str, Value]
"""The value of each active parameter, and of no other, by name."""
TOLERANCE = 1e-9
"""By how much a sum may miss its bound, relative to the larger of |bound| and sum(|coefficient * value|)."""


@dataclass(frozen=True)
class LinearConstraint:
    """sum(coefficient * value) <= upper_bound; it holds only where all of its parameters are active."""

    coefficients: Mapping[str, float]
    upper_bound: float
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that it is about."""
        return tuple(self.coefficients)

    def holds(self, configuration: Configuration) -> bool:
        """Whether the configuration fulfills it."""
        if any(name not in configuration for name in self.coefficients):
            return True
        total, tolerance = _summed(self.coefficients, configuration, self.upper_bound)
        return total <= self.upper_bound + tolerance

    def faults(self, known: Mapping[str, Parameter]) -> Iterator[Violation]:
        """What is wrong with it in a space of these parameters."""
        yield from _sum_faults("linear", self.coefficients, known)
        if not math.isfinite(self.upper_bound):
            yield Violation("linear.upper_bound", f"is {self.upper_bound!r}; it must be finite")


@dataclass(frozen=True)
class EqualityConstraint:
    """sum(coefficient * value) == value; it holds only where all of its parameters are active."""

    coefficients: Mapping[str, float]
    value: float
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that it is about."""
        return tuple(self.coefficients)

    def holds(self, configuration: Configuration) -> bool:
        """Return whether the configuration fulfills it."""
        if any(name not in configuration for name in self.coefficients):
            return True
        total, tolerance = _summed(self.coefficients, configuration, self.value)
        return abs(total - self.value) <= tolerance

    def faults(self, known: Mapping[str, Parameter]) -> Iterator[Violation]:
        """Yield what is wrong with it in a space of these parameters."""
        yield from _sum_faults("equality", self.coefficients, known)
        if not math.isfinite(self.value):
            yield Violation("equality.value", f"is {self.value!r}; it must be finite")


@dataclass(frozen=True)
class ForbiddenCombination:
    """These values must not occur together."""

    parameters: Configuration
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that it is about."""
        return tuple(self.parameters)

    def holds(self, configuration: Configuration) -> bool:
        """Whether the configuration avoids the combination."""
        return not all(n in configuration and same(configuration[n], v) for n, v in self.parameters.items())

    def faults(self, known: Mapping[str, Parameter]) -> Iterator[Violation]:
        """What is wrong with it in a space of these parameters."""
        field = "forbidden.parameters"
        yield from _name_faults(field, self.names, known)
        for name, value in self.parameters.items():
            if name in known and not admits(known[name], value):
                yield Violation(field, f"holds {value!r} for {name!r}, which is {described(known[name])}")


Constraint = LinearConstraint | EqualityConstraint | ForbiddenCombination


def _name_faults(field: str, names: tuple[str, ...], known: Mapping[str, Parameter]) -> Iterator[Violation]:
    if not names:
        yield Violation(field, "is empty; name at least one parameter")
    for name in names:
        if name not in known:
            yield Violation(field, f"names {name!r}, which is not a parameter of the space")


def _sum_faults(kind: str, coefficients: Mapping[str, float], known: Mapping[str, Parameter]) -> Iterator[Violation]:
    field = f"{kind}.coefficients"
    yield from _name_faults(field, tuple(coefficients), known)
    for name, coefficient in coefficients.items():
        if name in known and not is_numeric(known[name]):
            yield Violation(field, f"names {name!r}, which is not numeric")
        elif not math.isfinite(coefficient):
            yield Violation(field, f"is {coefficient!r} for {name!r}; coefficients must be finite")


def _summed(coefficients: Mapping[str, float], configuration: Configuration, bound: float) -> tuple[float, float]:
    """Return sum(coefficient * value), and by how much it may miss the bound."""
    terms = [c * float(configuration[name]) for name, c in coefficients.items()]
    try:
        total = math.fsum(terms)
    except (OverflowError, ValueError):  # beyond the range of floats: inf, or nan, which fulfills nothing
        total = sum(terms)
    size = max(abs(bound), sum(map(abs, terms)))
    return total, TOLERANCE * size if math.isfinite(size) else 0.0
