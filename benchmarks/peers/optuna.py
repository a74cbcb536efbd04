"""Optuna's samplers: a Gaussian process, and the tree-structured Parzen estimator.

They ignore failed trials and suggest them again, so that they are told the worst value instead.
"""

from typing import Any

import optuna

from benchmarks.peers.protocol import Config, Peer, Space, WorstForFailures, name_of


class Optuna:
    """An in-memory study."""

    def __init__(self, space: Space, sampler: Any) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(sampler=sampler)
        self._space = {p["name"]: distribution(p) for p in space}
        self._open: dict[str, Any] = {}

    def ask(self) -> Config:
        """Return the sampler's next trial."""
        trial = self._study.ask(self._space)
        self._open[name_of(trial.params)] = trial
        return dict(trial.params)

    def withdraw(self, config: Config) -> None:
        """Fail its trial: the samplers ignore failed ones, and the Gaussian process not those that run."""
        self._study.tell(self._open.pop(name_of(config)), state=optuna.trial.TrialState.FAIL)

    def tell(self, config: Config, value: float | None) -> None:
        """End its trial; a config that it didn't ask for is one more past trial."""
        trial = self._open.pop(name_of(config), None)
        if trial is None:
            self._study.add_trial(optuna.trial.create_trial(params=config, distributions=self._space, value=value))
        else:
            self._study.tell(trial, value)


def distribution(p: Any) -> Any:
    """Return a parameter in Optuna's words."""
    if p["kind"] == "category":
        return optuna.distributions.CategoricalDistribution(p["values"])
    kinds = optuna.distributions
    kind = kinds.IntDistribution if p["kind"] == "integer" else kinds.FloatDistribution
    return kind(p["low"], p["high"], log=p["log"])


def make(space: Space, seed: int, budget: int, variant: str) -> Peer:  # noqa: ARG001
    """GPSampler, or TPESampler with its multivariate option off, as by default."""
    if variant == "gp":
        import torch

        torch.set_num_threads(1)
        return WorstForFailures(Optuna(space, optuna.samplers.GPSampler(seed=seed)))
    return WorstForFailures(Optuna(space, optuna.samplers.TPESampler(seed=seed)))
