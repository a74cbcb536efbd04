"""scikit-optimize's Optimizer with its Gaussian process."""

from typing import Any

import skopt
from skopt.space import Categorical, Integer, Real

from benchmarks.peers.protocol import Config, Peer, Space, WorstForFailures


class Skopt:
    """Ask and tell."""

    def __init__(self, space: Space, seed: int) -> None:
        self._names = [p["name"] for p in space]
        self._optimizer = skopt.Optimizer([dimension(p) for p in space], "GP", random_state=seed, n_jobs=1)

    def ask(self) -> Config:
        """Return the next point."""
        return dict(zip(self._names, self._optimizer.ask(), strict=True))

    def tell(self, config: Config, value: float | None) -> None:
        """Add one more point."""
        self._optimizer.tell([config[name] for name in self._names], value)


def dimension(p: Any) -> Any:
    """Return a parameter in scikit-optimize's words."""
    if p["kind"] == "category":
        return Categorical(p["values"], name=p["name"])
    kind = Integer if p["kind"] == "integer" else Real
    return kind(p["low"], p["high"], prior="log-uniform" if p["log"] else "uniform", name=p["name"])


def make(space: Space, seed: int, budget: int) -> Peer:  # noqa: ARG001
    """scikit-optimize."""
    return WorstForFailures(Skopt(space, seed))
