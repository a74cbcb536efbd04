"""Constraints between parameters, which every suggestion satisfies."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bo_client.errors import Violation
from bo_client.limits import TOLERANCE
from bo_client.parameters import Parameter, Value, admits, described, is_numeric, strict_equal

Configuration = Mapping[str, Value]
"""The values of exactly the active parameters, by name."""


@dataclass(frozen=True)
class _SumConstraint:
    """A constraint on sum(coefficient * value). It applies only while all its parameters are active."""

    coefficients: Mapping[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constraint's parameters."""
        return tuple(self.coefficients)

    def _sum(self, configuration: Configuration, bound: float) -> tuple[float | None, float]:
        """Return the sum and its absolute tolerance; the sum is None if a parameter is inactive."""
        if any(name not in configuration for name in self.coefficients):
            return None, 0.0
        terms = [c * float(configuration[name]) for name, c in self.coefficients.items()]
        try:
            total = math.fsum(terms)
        except (OverflowError, ValueError):  # beyond the range of floats: inf, or nan, which fulfills nothing
            total = sum(terms)
        size = max(abs(bound), sum(map(abs, terms)))
        return total, TOLERANCE * size if math.isfinite(size) else 0.0

    def _faults(
        self, kind: str, bounds: Mapping[str, float], parameters: Mapping[str, Parameter]
    ) -> Iterator[Violation]:
        field = f"{kind}.coefficients"
        yield from _name_faults(field, self.names, parameters)
        for name, coefficient in self.coefficients.items():
            if name in parameters and not is_numeric(parameters[name]):
                yield Violation(field, f"names {name!r}, which is not numeric")
            elif not math.isfinite(coefficient):
                yield Violation(field, f"is {coefficient!r} for {name!r}; coefficients must be finite")
        for bound, value in bounds.items():
            if not math.isfinite(value):
                yield Violation(f"{kind}.{bound}", f"is {value!r}; it must be finite")


@dataclass(frozen=True)
class LinearConstraint(_SumConstraint):
    """The constraint sum(coefficient * value) <= upper_bound. It applies only while all its parameters are active."""

    upper_bound: float
    description: str = ""

    def holds(self, configuration: Configuration) -> bool:
        """Return whether the configuration satisfies the constraint."""
        total, tolerance = self._sum(configuration, self.upper_bound)
        return total is None or total <= self.upper_bound + tolerance

    def faults(self, parameters: Mapping[str, Parameter]) -> Iterator[Violation]:
        """Yield the violations of the definition, for a space with some parameters."""
        return self._faults("linear", {"upper_bound": self.upper_bound}, parameters)


@dataclass(frozen=True)
class EqualityConstraint(_SumConstraint):
    """The constraint sum(coefficient * value) == value. It applies only while all its parameters are active."""

    value: float
    description: str = ""

    def holds(self, configuration: Configuration) -> bool:
        """Return whether the configuration satisfies the constraint."""
        total, tolerance = self._sum(configuration, self.value)
        return total is None or abs(total - self.value) <= tolerance

    def faults(self, parameters: Mapping[str, Parameter]) -> Iterator[Violation]:
        """Yield the violations of the definition, for a space with some parameters."""
        return self._faults("equality", {"value": self.value}, parameters)


@dataclass(frozen=True)
class ForbiddenCombination:
    """A combination of values that must not occur together."""

    parameters: Configuration
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constraint's parameters."""
        return tuple(self.parameters)

    def holds(self, configuration: Configuration) -> bool:
        """Return whether the configuration avoids the combination."""
        return not all(n in configuration and strict_equal(configuration[n], v) for n, v in self.parameters.items())

    def faults(self, parameters: Mapping[str, Parameter]) -> Iterator[Violation]:
        """Yield the violations of the definition, for a space with some parameters."""
        field = "forbidden.parameters"
        yield from _name_faults(field, self.names, parameters)
        for name, value in self.parameters.items():
            if name in parameters and not admits(parameters[name], value):
                yield Violation(field, f"holds {value!r} for {name!r}, which is {described(parameters[name])}")


Constraint = LinearConstraint | EqualityConstraint | ForbiddenCombination


def _name_faults(field: str, names: tuple[str, ...], parameters: Mapping[str, Parameter]) -> Iterator[Violation]:
    if not names:
        yield Violation(field, "is empty; name at least one parameter")
    for name in names:
        if name not in parameters:
            yield Violation(field, f"names {name!r}, which is not a parameter of the space")
