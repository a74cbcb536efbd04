"""Constraints between parameters: conditions that every suggestion fulfills."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bo_client.errors import Violation
from bo_client.parameters import Parameter, Value, admits, described, is_numeric, same

Configuration = Mapping[str, Value]
"""The value of each active parameter, and of no other, by name."""


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
        total = math.fsum(c * float(configuration[name]) for name, c in self.coefficients.items())
        return total <= self.upper_bound + 1e-9 * max(1.0, abs(self.upper_bound))

    def faults(self, known: Mapping[str, Parameter]) -> Iterator[Violation]:
        """What is wrong with it in a space of these parameters."""
        field = "linear.coefficients"
        yield from _name_faults(field, self.names, known)
        for name, coefficient in self.coefficients.items():
            if name in known and not is_numeric(known[name]):
                yield Violation(field, f"names {name!r}, which is not numeric")
            elif not math.isfinite(coefficient):
                yield Violation(field, f"is {coefficient!r} for {name!r}; coefficients must be finite")
        if not math.isfinite(self.upper_bound):
            yield Violation("linear.upper_bound", f"is {self.upper_bound!r}; it must be finite")


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


Constraint = LinearConstraint | ForbiddenCombination


def _name_faults(field: str, names: tuple[str, ...], known: Mapping[str, Parameter]) -> Iterator[Violation]:
    if not names:
        yield Violation(field, "is empty; name at least one parameter")
    for name in names:
        if name not in known:
            yield Violation(field, f"names {name!r}, which is not a parameter of the space")
