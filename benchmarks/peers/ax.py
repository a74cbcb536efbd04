"""Ax with its default method, which runs BoTorch."""

import logging
from typing import Any

import torch
from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

from benchmarks.peers.protocol import Config, Peer, Space


class Ax:
    """One experiment."""

    def __init__(self, space: Space, seed: int) -> None:
        torch.set_num_threads(1)
        logging.disable(logging.WARNING)
        self._client = Client(random_seed=seed)
        self._client.configure_experiment(parameters=[parameter(p) for p in space])
        self._client.configure_optimization(objective="-loss")
        self._index = -1
        self._asked: Config = {}

    def ask(self) -> Config:
        """Return the next trial of the experiment."""
        ((self._index, config),) = self._client.get_next_trials(max_trials=1).items()
        self._asked = dict(config)
        return self._asked

    def tell(self, config: Config, value: float | None) -> None:
        """End that trial. Ax may suggest a failed one again, but not one that is abandoned."""
        if config != self._asked:  # it was tried elsewhere
            self._index = self._client.attach_trial(parameters=dict(config))
        if value is None:
            self._client.mark_trial_abandoned(self._index)
        else:
            self._client.complete_trial(self._index, raw_data={"loss": value})


def parameter(p: Any) -> Any:
    """Return a parameter in Ax's words."""
    if p["kind"] == "category":
        return ChoiceParameterConfig(p["name"], list(p["values"]), "str", is_ordered=False)
    scaling: Any = "log" if p["log"] else "linear"
    kind: Any = "int" if p["kind"] == "integer" else "float"
    return RangeParameterConfig(p["name"], (p["low"], p["high"]), kind, scaling=scaling)


def make(space: Space, seed: int, budget: int) -> Peer:  # noqa: ARG001
    """Ax."""
    return Ax(space, seed)
