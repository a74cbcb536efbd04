"""Domains: the values that a parameter may take, in the user's units.

Values are Python's own `float`, `int`, `str` and `bool`. True is distinct from 1, and 1 from 1.0.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import ClassVar

from bo_service.domain.errors import Violation
from bo_service.domain.limits import MAX_INT, MAX_TEXT, MAX_VALUES

Value = float | int | str | bool


class Scale(Enum):
    """Scale on which distances along a numeric parameter are measured."""

    LINEAR = "linear"
    LOG = "log"


@dataclass(frozen=True)
class FloatDomain:
    """A real number in [low, high]."""

    low: float
    high: float
    scale: Scale = Scale.LINEAR
    is_float: ClassVar[bool] = True

    def faults(self) -> Iterator[Violation]:
        """Yield the violations of the bounds."""
        for field, bound in (("low", self.low), ("high", self.high)):
            if not math.isfinite(bound):
                yield Violation(field, f"is {bound!r}; bounds must be finite numbers")
        if not self.low < self.high:
            yield Violation(
                "low", f"is {self.low!r}, not below high = {self.high!r}; swap them, or use one value as a constant"
            )
        if self.scale is Scale.LOG and not self.low > 0:
            yield Violation("low", f"is {self.low!r}; a log scale needs low > 0: raise it, or use scale LINEAR")

    def admits(self, value: Value) -> bool:
        """Return whether the value is a number between the bounds."""
        return type(value) in (float, int) and self.low <= value <= self.high  # type: ignore[operator]

    def __str__(self) -> str:
        return f"a number from {self.low!r} to {self.high!r}"


@dataclass(frozen=True)
class IntDomain:
    """An integer in [low, high]."""

    low: int
    high: int
    scale: Scale = Scale.LINEAR
    is_float: ClassVar[bool] = False

    def faults(self) -> Iterator[Violation]:
        """Yield the violations of the bounds."""
        for field, bound in (("low", self.low), ("high", self.high)):
            if abs(bound) > MAX_INT:
                yield Violation(field, f"is {bound}; whole numbers are allowed from -2^53 to 2^53")
        if self.low > self.high:
            yield Violation("low", f"is {self.low}, above high = {self.high}; swap them")
        if self.scale is Scale.LOG and self.low <= 0:
            yield Violation("low", f"is {self.low}; a log scale needs low > 0: raise it, or use scale LINEAR")

    def admits(self, value: Value) -> bool:
        """Return whether the value is an integer between the bounds."""
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class CategoricalDomain:
    """One of several unordered values, all strings or all booleans."""

    values: tuple[Value, ...]
    is_float: ClassVar[bool] = False

    def faults(self) -> Iterator[Violation]:
        """Yield the violations of the list of values."""
        yield from _list_faults(self.values, kinds=(str, bool), named="strings or all booleans")

    def admits(self, value: Value) -> bool:
        """Return whether the value is in the list."""
        return any(strict_equal(value, v) for v in self.values)

    def __str__(self) -> str:
        return "one of " + format_values(self.values)


@dataclass(frozen=True)
class DiscreteDomain:
    """One of several ordered values: increasing numbers, or strings in the order given."""

    values: tuple[Value, ...]
    scale: Scale = Scale.LINEAR

    @property
    def is_float(self) -> bool:
        return bool(self.values) and isinstance(self.values[0], float)

    def faults(self) -> Iterator[Violation]:
        """Yield the violations of the list of values."""
        violations = list(_list_faults(self.values, kinds=(float, int, str), named="floats, all ints or all strings"))
        yield from violations
        if violations or isinstance(self.values[0], str):
            return
        numbers = [float(v) for v in self.values]
        if not all(math.isfinite(n) for n in numbers):
            yield Violation("values", "must be finite numbers")
        elif any(b <= a for a, b in pairwise(numbers)):
            yield Violation(
                "values", f"are {format_values(self.values)}; numbers must be strictly increasing: sort them"
            )
        elif self.scale is Scale.LOG and numbers[0] <= 0:
            yield Violation("values", f"begin at {self.values[0]!r}; a log scale needs values above 0")

    def admits(self, value: Value) -> bool:
        """Return whether the value is in the list."""
        return any(strict_equal(value, v) for v in self.values)

    def __str__(self) -> str:
        return "one of " + format_values(self.values)


Domain = FloatDomain | IntDomain | CategoricalDomain | DiscreteDomain


def _list_faults(values: Sequence[Value], kinds: tuple[type, ...], named: str) -> Iterator[Violation]:
    if not 1 <= len(values) <= MAX_VALUES:
        yield Violation("values", f"has {len(values)}; give 1 to {MAX_VALUES} values")
        return
    if len({type(v) for v in values}) != 1 or type(values[0]) not in kinds:
        yield Violation("values", f"are {format_values(values)}; they must be all {named}")
    elif len(set(values)) != len(values):
        yield Violation("values", f"are {format_values(values)}; each may occur once: remove the repetition")
    elif any(isinstance(v, str) and len(v) > MAX_TEXT for v in values):
        yield Violation("values", f"hold a string of more than {MAX_TEXT} characters; shorten it")


def strict_equal(a: Value, b: Value) -> bool:
    """Return whether two values are equal and of one type, which distinguishes True from 1 and 1 from 1.0."""
    return type(a) is type(b) and a == b


def format_values(values: Sequence[Value], most: int = 12) -> str:
    """Return the values as text, of which at most `most` are listed."""
    shown = ", ".join(repr(v) for v in values[:most])
    return shown + (f", … ({len(values)} in all)" if len(values) > most else "")
