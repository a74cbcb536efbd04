"""Grid search: every category, every whole number of few and three values of the others, in a random order."""

import math
import random
from typing import Any

from benchmarks.peers.places import at
from benchmarks.peers.protocol import Config, Peer, Space

LEVELS = 3
MAX_VALUES = 5
"""Whole numbers of a range that has more get LEVELS values."""


class Grid:
    """Learns nothing; it begins again after the last point."""

    def __init__(self, space: Space, seed: int) -> None:
        self._levels = {p["name"]: levels(p) for p in space}
        self._size = math.prod(len(values) for values in self._levels.values())
        self._rng = random.Random(seed)
        self._left: list[int] = []

    def ask(self) -> Config:
        """Return the next point."""
        if not self._left:
            self._left = self._rng.sample(range(self._size), self._size)
        point, config = self._left.pop(), {}
        for name, values in self._levels.items():
            point, index = divmod(point, len(values))
            config[name] = values[index]
        return config

    def tell(self, config: Config, value: float | None) -> None:
        """Ignore the result."""


def levels(parameter: Any) -> list[Any]:
    """Return the values of a parameter in the grid, evenly spaced in its own scale."""
    if parameter["kind"] == "category":
        return list(parameter["values"])
    if parameter["kind"] == "integer" and parameter["high"] - parameter["low"] < MAX_VALUES:
        return list(range(parameter["low"], parameter["high"] + 1))
    return [at(parameter, (i + 0.5) / LEVELS) for i in range(LEVELS)]


def make(space: Space, seed: int, budget: int) -> Peer:  # noqa: ARG001
    """The grid in the order of a seed."""
    return Grid(space, seed)
