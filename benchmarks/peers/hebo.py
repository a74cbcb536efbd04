"""HEBO, the winner of the NeurIPS 2020 challenge."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO

from benchmarks.peers.protocol import Config, Peer, Space, WorstForFailures


class Hebo:
    """Suggest and observe."""

    def __init__(self, space: Space, seed: int) -> None:
        torch.set_num_threads(1)
        np.random.seed(seed)  # noqa: NPY002 - HEBO draws from the global generators
        torch.manual_seed(seed)
        self._optimizer = HEBO(DesignSpace().parse([parameter(p) for p in space]), scramble_seed=seed)

    def ask(self) -> Config:
        """Return the next config."""
        return dict(self._optimizer.suggest(1).iloc[0])

    def tell(self, config: Config, value: float | None) -> None:
        """Add one more."""
        self._optimizer.observe(pd.DataFrame([config]), np.array([[value]], dtype=float))


def parameter(p: Any) -> dict[str, Any]:
    """Return a parameter in HEBO's words; it has no whole numbers on a log scale but by this name."""
    if p["kind"] == "category":
        return {"name": p["name"], "type": "cat", "categories": list(p["values"])}
    kinds = {("continuous", False): "num", ("continuous", True): "pow", ("integer", False): "int"}
    kind = kinds.get((p["kind"], p["log"]), "pow_int")
    return {"name": p["name"], "type": kind, "lb": p["low"], "ub": p["high"]}


def make(space: Space, seed: int, budget: int) -> Peer:  # noqa: ARG001
    """HEBO."""
    return WorstForFailures(Hebo(space, seed))
