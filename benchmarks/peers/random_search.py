"""Random configs, uniform in each parameter's own scale."""

import random

from benchmarks.peers.places import at
from benchmarks.peers.protocol import Config, Peer, Space


class RandomSearch:
    """Learns nothing."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._rng = space, random.Random(seed)

    def ask(self) -> Config:
        """Return a draw."""
        return {p["name"]: at(p, self._rng.random()) for p in self._space}

    def tell(self, config: Config, value: float | None) -> None:
        """Ignore the result."""


def make(space: Space, seed: int, budget: int) -> Peer:  # noqa: ARG001
    """Random search."""
    return RandomSearch(space, seed)
