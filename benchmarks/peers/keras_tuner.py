"""KerasTuner's oracle of Bayesian optimization. It ignores failed trials, and is told the worst value instead."""

import tempfile
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle

from benchmarks.peers.protocol import Config, Peer, Space, WorstForFailures, name_of


class KerasTuner:
    """One oracle, asked by one tuner."""

    def __init__(self, space: Space, seed: int, budget: int) -> None:
        hyperparameters = keras_tuner.HyperParameters()
        for p in space:
            declare(hyperparameters, p)
        self._oracle = BayesianOptimizationOracle(
            keras_tuner.Objective("loss", "min"), max_trials=budget + 1, hyperparameters=hyperparameters, seed=seed,
            max_retries_per_trial=0, max_consecutive_failed_trials=10_000,
        )  # fmt: skip
        self._oracle._set_project_dir(tempfile.mkdtemp(), "study")
        self._oracle.verbose = 0
        self._asked = 0
        self._names = [p["name"] for p in space]
        self._open: dict[str, Any] = {}
        self._withdrawn: list[Any] = []

    def ask(self) -> Config:
        """Return the next trial."""
        self._asked += 1
        # A tuner that still has a trial gets the same again: each trial has a tuner of its own.
        trial = self._oracle.create_trial(f"tuner{self._asked}")
        config = {name: trial.hyperparameters.values[name] for name in self._names}
        self._open[name_of(config)] = trial
        return config

    def withdraw(self, config: Config) -> None:
        """Keep its trial for what is run in its place."""
        self._withdrawn.append(self._open.pop(name_of(config)))

    def tell(self, config: Config, value: float | None) -> None:
        """End its trial."""
        trial = self._open.pop(name_of(config), None) or self._elsewhere(config)
        self._oracle.update_trial(trial.trial_id, {"loss": value})
        trial.status = TrialStatus.COMPLETED
        self._oracle.end_trial(trial)

    def _elsewhere(self, config: Config) -> Any:
        """A trial of its own for what was tried elsewhere, or one that was withdrawn."""
        if self._withdrawn:
            trial = self._withdrawn.pop()
            trial.hyperparameters.values = dict(config)
            return trial
        self._asked += 1
        usual, self._oracle.num_initial_points = self._oracle.num_initial_points, 10**9  # at random: it isn't wanted
        trial = self._oracle.create_trial(f"tuner{self._asked}")
        self._oracle.num_initial_points = usual
        trial.hyperparameters.values = dict(config)
        return trial


def declare(hyperparameters: Any, p: Any) -> None:
    """Return a parameter in its words."""
    if p["kind"] == "category":
        hyperparameters.Choice(p["name"], p["values"])
        return
    declared = hyperparameters.Int if p["kind"] == "integer" else hyperparameters.Float
    declared(p["name"], p["low"], p["high"], sampling="log" if p["log"] else "linear")


def make(space: Space, seed: int, budget: int) -> Peer:
    """KerasTuner."""
    return WorstForFailures(KerasTuner(space, seed, budget))
