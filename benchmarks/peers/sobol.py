"""A scrambled Sobol sequence."""

from scipy.stats import qmc

from benchmarks.peers.places import at
from benchmarks.peers.protocol import Config, Peer, Space


class Sobol:
    """Learns nothing, but fills the space evenly."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._sequence = space, qmc.Sobol(len(space), scramble=True, rng=seed)

    def ask(self) -> Config:
        """Return the next point."""
        return {p["name"]: at(p, float(u)) for p, u in zip(self._space, self._sequence.random(1)[0], strict=True)}

    def tell(self, config: Config, value: float | None) -> None:
        """Ignore the result."""


def make(space: Space, seed: int, budget: int) -> Peer:  # noqa: ARG001
    """The sequence of a seed."""
    return Sobol(space, seed)
