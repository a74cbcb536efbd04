"""KerasTuner's oracle of Bayesian optimization."""

import tempfile
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle

from benchmarks.peers.protocol import Config, Peer, Space


class KerasTuner:
    """One oracle, asked by one tuner."""

    def __init__(self, space: Space, seed: int, budget: int) -> None:
        known = keras_tuner.HyperParameters()
        for p in space:
            declare(known, p)
        self._oracle = BayesianOptimizationOracle(
            keras_tuner.Objective("loss", "min"), max_trials=budget + 1, hyperparameters=known, seed=seed,
            max_retries_per_trial=0, max_consecutive_failed_trials=10_000,
        )  # fmt: skip
        self._oracle._set_project_dir(tempfile.mkdtemp(), "study")
        self._oracle.verbose = 0
        self._names = [p["name"] for p in space]
        self._trial: Any = None

    def ask(self) -> Config:
        """The next trial."""
        self._trial = self._oracle.create_trial("tuner")
        return {name: self._trial.hyperparameters.values[name] for name in self._names}

    def tell(self, config: Config, value: float | None) -> None:  # noqa: ARG002
        """Ends that trial."""
        if value is None:
            self._trial.status = TrialStatus.FAILED
        else:
            self._oracle.update_trial(self._trial.trial_id, {"loss": value})
            self._trial.status = TrialStatus.COMPLETED
        self._oracle.end_trial(self._trial)


def declare(known: Any, p: Any) -> None:
    """A parameter in its words."""
    if p["kind"] == "category":
        known.Choice(p["name"], p["values"])
        return
    declared = known.Int if p["kind"] == "integer" else known.Float
    declared(p["name"], p["low"], p["high"], sampling="log" if p["log"] else "linear")


def make(space: Space, seed: int, budget: int) -> Peer:
    """KerasTuner."""
    return KerasTuner(space, seed, budget)
