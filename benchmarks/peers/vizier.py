"""Vizier's default Gaussian-process bandit, GP-UCB-PE (arXiv 2408.11527)."""

from typing import Any

import jax
from vizier import algorithms as vza
from vizier import pyvizier as vz
from vizier._src.algorithms.designers.gp_ucb_pe import VizierGPUCBPEBandit

from benchmarks.peers.protocol import Config, Peer, Space


class Vizier:
    """A designer: suggest and update."""

    def __init__(self, space: Space, seed: int) -> None:
        problem = vz.ProblemStatement()
        for p in space:
            declare(problem.search_space.root, p)
        problem.metric_information.append(vz.MetricInformation("loss", goal=vz.ObjectiveMetricGoal.MINIMIZE))
        self._designer = VizierGPUCBPEBandit(problem, rng=jax.random.PRNGKey(seed))
        self._asked = 0
        self._trial: Any = None
        self._names = [p["name"] for p in space]

    def ask(self) -> Config:
        """Return the next suggestion."""
        self._asked += 1
        (suggestion,) = self._designer.suggest(1)
        self._trial = suggestion.to_trial(self._asked)
        return self._config(self._trial)

    def _config(self, trial: Any) -> Config:
        return {name: trial.parameters[name].value for name in self._names}

    def tell(self, config: Config, value: float | None) -> None:
        """End that trial."""
        if self._trial is None or config != self._config(self._trial):  # it was tried elsewhere
            self._asked += 1
            self._trial = vz.Trial(id=self._asked, parameters=dict(config))
        if value is None:
            self._trial.complete(vz.Measurement(), infeasibility_reason="failed")
        else:
            self._trial.complete(vz.Measurement({"loss": value}))
        self._designer.update(vza.CompletedTrials([self._trial]), vza.ActiveTrials())


def declare(root: Any, p: Any) -> None:
    """Return a parameter in its words."""
    if p["kind"] == "category":
        root.add_categorical_param(p["name"], p["values"])
        return
    scale = vz.ScaleType.LOG if p["log"] else vz.ScaleType.LINEAR
    add = root.add_int_param if p["kind"] == "integer" else root.add_float_param
    add(p["name"], p["low"], p["high"], scale_type=scale)


def make(space: Space, seed: int, budget: int) -> Peer:  # noqa: ARG001
    """Vizier."""
    jax.config.update("jax_enable_x64", True)
    return Vizier(space, seed)
