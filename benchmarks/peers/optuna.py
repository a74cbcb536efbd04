"""Optuna's samplers: a Gaussian process, and the tree-structured Parzen estimator."""

from typing import Any

import optuna

from benchmarks.peers.protocol import Config, Peer, Space


class Optuna:
    """An in-memory study."""

    def __init__(self, space: Space, sampler: Any) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(sampler=sampler)
        self._space = {p["name"]: distribution(p) for p in space}
        self._trial: Any = None

    def ask(self) -> Config:
        """The sampler's next trial."""
        self._trial = self._study.ask(self._space)
        return dict(self._trial.params)

    def tell(self, config: Config, value: float | None) -> None:
        """Ends that trial; a config that it didn't ask for is one more past trial."""
        if self._trial is None:
            self._study.add_trial(optuna.trial.create_trial(params=config, distributions=self._space, value=value))
        elif value is None:
            self._study.tell(self._trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(self._trial, value)


def distribution(p: Any) -> Any:
    """A parameter in Optuna's words."""
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
        return Optuna(space, optuna.samplers.GPSampler(seed=seed))
    return Optuna(space, optuna.samplers.TPESampler(seed=seed))
