"""SMAC: its facade for hyperparameters, on random forests, and that for black boxes, on a Gaussian process."""

import tempfile
from typing import Any

from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from smac import BlackBoxFacade, HyperparameterOptimizationFacade, Scenario
from smac.runhistory import StatusType, TrialValue

from benchmarks.peers.protocol import Config, Peer, Space


class Smac:
    """Ask and tell; each config is run once."""

    def __init__(self, space: Space, seed: int, budget: int, facade: Any) -> None:
        configs = ConfigurationSpace(seed=seed)
        configs.add([parameter(p) for p in space])
        # SMAC itself keeps one seed a config; what a config gives is decided by the problem.
        scenario = Scenario(
            configs, deterministic=True, n_trials=budget, seed=seed, output_directory=tempfile.mkdtemp()
        )
        initial = facade.get_initial_design(scenario)
        self._smac = facade(scenario, target_function=unused, initial_design=initial, overwrite=True, logging_level=40)
        self._info: Any = None

    def ask(self) -> Config:
        """Return the next trial."""
        self._info = self._smac.ask()
        return dict(self._info.config)

    def tell(self, config: Config, value: float | None) -> None:  # noqa: ARG002
        """End that trial."""
        ended = TrialValue(value) if value is not None else TrialValue(1e9, status=StatusType.CRASHED)
        self._smac.tell(self._info, ended)


def unused(config: Any, seed: int = 0) -> float:  # noqa: ARG001
    """SMAC wants a function even where it is asked and told."""
    raise AssertionError


def parameter(p: Any) -> Any:
    """Return a parameter in ConfigSpace's words."""
    if p["kind"] == "category":
        return Categorical(p["name"], list(p["values"]))
    kind = Integer if p["kind"] == "integer" else Float
    return kind(p["name"], (p["low"], p["high"]), log=p["log"])


def make(space: Space, seed: int, budget: int, variant: str) -> Peer:
    """SMAC with forests, or with a Gaussian process."""
    return Smac(space, seed, budget, BlackBoxFacade if variant == "gp" else HyperparameterOptimizationFacade)
