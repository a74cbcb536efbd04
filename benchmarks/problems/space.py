"""A search space that every optimizer can be told: numbers, whole numbers and categories, and nothing conditional."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

Value = float | int | str
Config = Mapping[str, Value]


@dataclass(frozen=True)
class Continuous:
    """A real number in [low, high]; `log` where ratios count."""

    name: str
    low: float
    high: float
    log: bool = False
    kind: ClassVar[str] = "continuous"

    def at(self, u: float) -> float:
        """The value at u in [0, 1]."""
        if self.log:
            return min(max(math.exp(_between(math.log(self.low), math.log(self.high), u)), self.low), self.high)
        return _between(self.low, self.high, u)


@dataclass(frozen=True)
class Integer:
    """A whole number in [low, high]."""

    name: str
    low: int
    high: int
    log: bool = False
    kind: ClassVar[str] = "integer"

    def at(self, u: float) -> int:
        """The value at u in [0, 1]."""
        low, high = self.low - 0.5, self.high + 0.5
        value = math.exp(_between(math.log(low), math.log(high), u)) if self.log else _between(low, high, u)
        return min(max(round(value), self.low), self.high)


@dataclass(frozen=True)
class Category:
    """One of several unordered values."""

    name: str
    values: tuple[str, ...]
    kind: ClassVar[str] = "category"

    def at(self, u: float) -> str:
        """The value at u in [0, 1]."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]


Parameter = Continuous | Integer | Category
Space = tuple[Parameter, ...]


def box(bounds: Sequence[tuple[float, float]]) -> Space:
    """Real numbers x1 … xd."""
    return tuple(Continuous(f"x{i}", low, high) for i, (low, high) in enumerate(bounds, start=1))


def vector(config: Config) -> np.ndarray:
    """The values of a config of numbers alone, in the space's order."""
    return np.array([float(value) for value in config.values()])


def settled(space: Space, config: Mapping[str, Any]) -> dict[str, Value]:
    """The config in the space's order, each value of its parameter's own type: peers answer in orders of their own."""
    types = {"continuous": float, "integer": int, "category": str}
    return {p.name: types[p.kind](config[p.name]) for p in space}


def draw(space: Space, rng: np.random.Generator) -> dict[str, Value]:
    """A random config, uniform in each parameter's own scale."""
    return {p.name: p.at(u) for p, u in zip(space, rng.random(len(space)), strict=True)}


def described(space: Space) -> list[dict[str, Any]]:
    """The space as JSON has it."""
    return [asdict(p) | {"kind": p.kind} for p in space]


def _between(low: float, high: float, u: float) -> float:
    return min(max(low + (high - low) * u, low), high)
