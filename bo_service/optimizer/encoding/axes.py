"""Axes: one parameter's values as numbers z, and back.

m rows. z is a position in [0, 1] on a numeric axis, 0 at `low` and 1 at `high` by the parameter's scale, and the index
0, 1, 2 … of the value on a categorical one. u in [0, 1) is a uniform draw that `spread` turns into a valid z, so that
every level of a stepped axis is drawn equally often on its scale.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bo_service.domain.parameter_types import (
    CategoricalDomain,
    DiscreteDomain,
    Domain,
    FloatDomain,
    IntDomain,
    Scale,
    Value,
)
from bo_service.optimizer.numerics.array import Array

SAME = 1e-12
"""Positions closer than this are one value."""
GAP = 1e-8
"""Between neighboring levels, at least: larger than what counts as the same."""
SHARP = 2e-9
"""Positions of one value differ by less than this where floats are as fine as the axis is."""
SMOOTH_LEVELS = 50
"""A stepped axis with more levels than this is climbed by gradient and rounded afterwards."""


class Axis(Protocol):
    """What the numeric modules need to know of one parameter."""

    @property
    def levels(self) -> float:
        """How many distinct values there are; inf for a real number."""

    @property
    def tolerance(self) -> float:
        """By how much valid z of one value differ, at most."""

    @property
    def center(self) -> float:
        """The middle z, which also stands in for a parameter that is not active."""

    def from_uniform(self, u: Array) -> Array:
        """Map uniform draws (m,) to valid z (m,)."""

    def round_to_valid(self, z: Array) -> Array:
        """Round to the nearest valid z (m,)."""

    def beside(self, z: float, steps: int) -> Array:
        """Return z (2,) of the values `steps` levels below and above the one at a valid z.

        They are at least the first and at most the last; a real number has none.
        """

    def numbers(self, z: Array) -> Array:
        """Return values (m,) in the user's units; indices where the values are no numbers."""

    def value(self, z: float) -> Value:
        """Return the value at a valid z."""

    def positions(self, values: Sequence[Value]) -> Array:
        """Return z (m,) of values."""


@dataclass(frozen=True)
class ScaleTransform:
    """Maps [low, high] to [0, 1] by a scale, without overflow anywhere in the range of floats."""

    low: float
    high: float
    scale: Scale

    @cached_property
    def ends(self) -> tuple[float, float]:
        if self.scale is Scale.LOG:
            return math.log(self.low), math.log(self.high)
        halved = 0.5 if math.isinf(self.high - self.low) else 1.0
        return self.low * halved, self.high * halved

    def to_unit(self, values: Array) -> Array:
        a, b = self.ends
        if not b > a:
            return np.zeros_like(values)
        if self.scale is Scale.LOG:
            values = np.log(values)
        elif math.isinf(self.high - self.low):
            values = values * 0.5
        return np.clip((values - a) / (b - a), 0.0, 1.0)

    def from_unit(self, z: Array) -> Array:
        a, b = self.ends
        if self.scale is Scale.LOG:
            with np.errstate(over="ignore"):
                values = np.exp(a * (1.0 - z) + b * z)
        else:
            values = self.low * (1.0 - z) + self.high * z
        values = np.where(z <= 0.0, self.low, np.where(z >= 1.0, self.high, values))
        return np.clip(values, self.low, self.high)

    def slope(self, value: float) -> float:
        """Return the derivative of a value's place on the axis."""
        a, b = self.ends
        if not b > a:
            return 0.0
        if self.scale is Scale.LOG:
            return 1.0 / (value * (b - a))
        return (0.5 if math.isinf(self.high - self.low) else 1.0) / (b - a)

    def read_one(self, z: float) -> float:
        """Return what `read` does, to the last bit, for one place."""
        if z <= 0.0 or z >= 1.0:
            return self.low if z <= 0.0 else self.high
        if self.scale is Scale.LOG:
            a, b = self.ends
            with np.errstate(over="ignore"):
                value = float(np.exp(a * (1.0 - z) + b * z))
        else:
            value = self.low * (1.0 - z) + self.high * z
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class FloatAxis:
    """A real number. `named` are values that the user wrote, which are given back to the last digit.

    Each of them, and each bound, has a place of its own: a row has such a value exactly where z equals this place.
    """

    ruler: ScaleTransform
    named: tuple[float, ...] = ()

    levels = math.inf
    center = 0.5

    @cached_property
    def tolerance(self) -> float:
        low, high = self.ruler.low, self.ruler.high
        second, last_but_one = self.ruler.to_unit(np.array([math.nextafter(low, high), math.nextafter(high, low)]))
        return SHARP + 2.0 * max(float(second), 1.0 - float(last_but_one))

    def from_uniform(self, u: Array) -> Array:
        return self.round_to_valid(u)

    def round_to_valid(self, z: Array) -> Array:
        z = np.clip(z, 0.0, 1.0)
        places = np.array(list(self._written))
        distances = np.abs(z[:, None] - places)
        is_written = distances.min(axis=1) < SAME
        for begin, end in self._empty:
            is_written |= (begin < z) & (z < end)
        return np.where(is_written, places[distances.argmin(axis=1)], z)

    def beside(self, z: float, steps: int) -> Array:  # noqa: ARG002 - as of every axis
        return np.empty(0)

    def numbers(self, z: Array) -> Array:
        return self.ruler.from_unit(z)

    def value(self, z: float) -> float:
        """Return the value with twelve digits, so that people don't read 0.0010000000000000002."""
        if z in self._written:
            return self._written[z]
        exact, low, high = self.ruler.read_one(z), self.ruler.low, self.ruler.high
        for place, value in self._written.items():
            if exact == value:
                exact = math.nextafter(exact, high if z > place else low)
        shown = float(f"{exact:.12g}")
        is_near = abs(shown - exact) <= 1e-9 * abs(high - low) and shown not in self._written.values()
        return shown if is_near and low <= shown <= high else exact

    def positions(self, values: Sequence[Value]) -> Array:
        given = np.array(values, dtype=np.float64)
        z = self.ruler.to_unit(given)
        for place, value in self._written.items():
            beside = (z == place) & (given != value)
            z = np.where(beside, np.nextafter(place, np.where(given > value, 1.0, 0.0)), z)
        for place, value in self._written.items():
            z = np.where(given == value, place, z)
        return z

    @cached_property
    def _written(self) -> dict[float, float]:
        """The values that are given back to the last digit, by their places, which all differ."""
        values = sorted({self.ruler.low, self.ruler.high, *self.named})
        places = [float(place) for place in self.ruler.to_unit(np.array(values))]
        for i in range(1, len(places)):
            places[i] = max(places[i], math.nextafter(places[i - 1], math.inf))
        places[-1] = min(places[-1], 1.0)
        for i in range(len(places) - 2, -1, -1):
            places[i] = min(places[i], math.nextafter(places[i + 1], -math.inf))
        return dict(zip(places, values, strict=True))

    @cached_property
    def _empty(self) -> list[tuple[float, float]]:
        """Places of written values between which there is no other float."""
        found = pairwise(self._written.items())
        return [(begin, end) for (begin, low), (end, high) in found if math.nextafter(low, high) >= high]


@dataclass(frozen=True)
class IntAxis:
    """A whole number."""

    ruler: ScaleTransform

    tolerance = SHARP

    @property
    def levels(self) -> float:
        return self.ruler.high - self.ruler.low + 1.0

    @cached_property
    def center(self) -> float:
        return float(self.round_to_valid(np.array([0.5]))[0])

    @cached_property
    def _widened(self) -> ScaleTransform:
        """Half a step more at each end, so that rounding favors no level."""
        low, high = self.ruler.low, self.ruler.high
        return ScaleTransform(low - 0.5, high + 0.5, self.ruler.scale)

    def from_uniform(self, u: Array) -> Array:
        return self.ruler.to_unit(self._whole(self._widened.from_unit(u)))

    def round_to_valid(self, z: Array) -> Array:
        return self.ruler.to_unit(self.numbers(z))

    def beside(self, z: float, steps: int) -> Array:
        value = self.value(z)
        low, high = int(self.ruler.low), int(self.ruler.high)
        return self.positions([max(value - steps, low), min(value + steps, high)])

    def numbers(self, z: Array) -> Array:
        return self._whole(self.ruler.from_unit(z))

    def value(self, z: float) -> int:
        return int(min(max(round(self.ruler.read_one(z)), self.ruler.low), self.ruler.high))

    def positions(self, values: Sequence[Value]) -> Array:
        return self.ruler.to_unit(np.array(values, dtype=np.float64))

    def _whole(self, values: Array) -> Array:
        return np.clip(np.round(values), self.ruler.low, self.ruler.high)


@dataclass(frozen=True)
class FiniteAxis:
    """One of several listed values: in order (`places` in [0, 1]) or not (`places` are indices)."""

    values: tuple[Value, ...]
    places: tuple[float, ...]
    numeric: tuple[float, ...]

    tolerance = SHARP

    @property
    def levels(self) -> float:
        return float(len(self.values))

    @cached_property
    def center(self) -> float:
        return 0.0 if self.places[-1] > 1.0 else float(self.round_to_valid(np.array([0.5]))[0])

    @cached_property
    def _places(self) -> Array:
        return np.array(self.places)

    def from_uniform(self, u: Array) -> Array:
        count = len(self.values)
        return self._places[np.minimum((u * count).astype(np.intp), count - 1)]

    def round_to_valid(self, z: Array) -> Array:
        return self._places[self._index(z)]

    def beside(self, z: float, steps: int) -> Array:
        index = bisect_left(self._middles, z)
        return self._places[[max(index - steps, 0), min(index + steps, len(self.values) - 1)]]

    def numbers(self, z: Array) -> Array:
        return np.array(self.numeric)[self._index(z)]

    def value(self, z: float) -> Value:
        return self.values[bisect_left(self._middles, z)]

    def positions(self, values: Sequence[Value]) -> Array:
        return self._places[[self._rank[v] for v in values]]

    @cached_property
    def _middles(self) -> list[float]:
        found: list[float] = ((self._places[1:] + self._places[:-1]) / 2.0).tolist()
        return found

    @cached_property
    def _rank(self) -> dict[Value, int]:
        return {v: i for i, v in enumerate(self.values)}

    def _index(self, z: Array) -> NDArray[np.intp]:
        return np.searchsorted(self._middles, z, side="left")


def all_positions(axis: Axis) -> Array:
    """Return z (levels,) of all values of a stepped axis, in order."""
    if isinstance(axis, IntAxis):  # on a logarithm equal steps miss some
        return axis.positions(range(int(axis.ruler.low), int(axis.ruler.high) + 1))
    count = int(axis.levels)
    return axis.from_uniform((np.arange(count, dtype=np.float64) + 0.5) / count)


def axis_of(domain: Domain, named: Sequence[Value] = ()) -> Axis:
    """Make the axis of a domain, of which the space names some values."""
    match domain:
        case FloatDomain(low, high, scale):
            return FloatAxis(ScaleTransform(float(low), float(high), scale), tuple(float(v) for v in named))
        case IntDomain(low, high, scale):
            return IntAxis(ScaleTransform(float(low), float(high), scale))
        case CategoricalDomain(values):
            indices = tuple(float(i) for i in range(len(values)))
            return FiniteAxis(values, indices, indices)
        case DiscreteDomain(values, scale):
            return _ordered(values, scale)


def _ordered(values: tuple[Value, ...], scale: Scale) -> FiniteAxis:
    if isinstance(values[0], str):
        numeric = tuple(float(i) for i in range(len(values)))
        scale = Scale.LINEAR
    else:
        numeric = tuple(float(v) for v in values)
    places = ScaleTransform(numeric[0], numeric[-1], scale).to_unit(np.array(numeric))
    return FiniteAxis(values, _separate([float(p) for p in places]), numeric)


def _separate(places: list[float]) -> tuple[float, ...]:
    """Return increasing places in [0, 1] with a gap between neighbors, so that the smallest difference is kept."""
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + GAP)
    return tuple(min(place, 1.0 - (len(places) - 1 - i) * GAP) for i, place in enumerate(places))
