"""The package bayesian-optimization, which knows no log scales: those parameters are given as logarithms."""

import math
from typing import Any

from bayes_opt import BayesianOptimization

from benchmarks.peers.protocol import Config, Peer, Space, WorstForFailures


class BayesOpt:
    """Suggest and register. It maximizes."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        bounds = {p["name"]: bound(p) for p in space}
        self._optimizer = BayesianOptimization(None, bounds, random_state=seed, verbose=0, allow_duplicate_points=True)
        self._asked = 0

    def ask(self) -> Config:
        """Five random configs, as its own loop has, then what it suggests."""
        self._asked += 1
        random = self._asked <= 5
        given = self._optimizer.random_sample(1)[0] if random else self._optimizer.suggest()
        return {p["name"]: outward(p, given[p["name"]]) for p in self._space}

    def tell(self, config: Config, value: float | None) -> None:
        """Add one more point."""
        assert value is not None
        self._optimizer.register({p["name"]: inward(p, config[p["name"]]) for p in self._space}, -value)


def bound(p: Any) -> Any:
    """Return a parameter in its words; whole numbers on a log scale are rounded after."""
    if p["kind"] == "category":
        return tuple(p["values"])
    if p["log"]:
        return (math.log(p["low"]), math.log(p["high"]))
    return (p["low"], p["high"], int) if p["kind"] == "integer" else (p["low"], p["high"])


def outward(p: Any, value: Any) -> Any:
    """Its value as the problem has it."""
    if p["kind"] == "category":
        return str(value)
    number = min(max(math.exp(value), p["low"]), p["high"]) if p["log"] else float(value)
    return round(number) if p["kind"] == "integer" else number


def inward(p: Any, value: Any) -> Any:
    """And back."""
    return math.log(value) if p["kind"] != "category" and p["log"] else value


def make(space: Space, seed: int, budget: int) -> Peer:  # noqa: ARG001
    """bayesian-optimization."""
    return WorstForFailures(BayesOpt(space, seed))
