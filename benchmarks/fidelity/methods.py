"""The methods: random, ours, and Optuna's samplers with its pruners. Each is loaded when it is asked for."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.curves import points
from benchmarks.curves.table import Table
from benchmarks.fidelity.replay import Make, Method
from bo_service.domain.constraints import Configuration
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, IntDomain, Scale, Value
from bo_service.domain.search_space import SearchSpace

Snap = Callable[[Configuration], Configuration]


class Random:
    """Uniform in each parameter's scale; nothing is stopped."""

    def __init__(self, table: Table, seed: int) -> None:
        self._space, self._rng = table.space, np.random.default_rng([seed, 20])

    def begin(self, snap: Snap) -> Configuration:
        return snap(points.configuration_at(self._space, self._rng.random(len(self._space.parameters))))

    def report(self, epoch: int, loss: float) -> bool:  # noqa: ARG002
        return False

    def end(self, is_failed: bool) -> None: ...


class Optuna:
    """An in-memory study. What is run is enqueued; the trial that chose it is told to have failed, which is ignored."""

    def __init__(self, sampler: str, pruner: str, table: Table, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        samplers: dict[str, Any] = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}
        pruners: dict[str, Callable[[], Any]] = {
            "": optuna.pruners.NopPruner,
            "halving": optuna.pruners.SuccessiveHalvingPruner,
            "hyperband": lambda: optuna.pruners.HyperbandPruner(max_resource=table.epochs),
        }
        self._states = optuna.trial.TrialState
        self._space = table.space
        self._study = optuna.create_study(
            sampler=samplers[sampler](seed=seed), pruner=pruners[pruner](), study_name=f"replay-{seed}"
        )
        self._trial: Any = None
        self._loss, self._is_stopped = 0.0, False

    def begin(self, snap: Snap) -> Configuration:
        asked = self._study.ask()
        chosen = snap(suggested(asked, self._space))
        self._study.tell(asked, state=self._states.FAIL)
        self._study.enqueue_trial(dict(chosen))
        self._trial, self._is_stopped = self._study.ask(), False
        suggested(self._trial, self._space)
        return chosen

    def report(self, epoch: int, loss: float) -> bool:
        self._loss = loss
        self._trial.report(loss, epoch)
        self._is_stopped = bool(self._trial.should_prune())
        return self._is_stopped

    def end(self, is_failed: bool) -> None:
        if is_failed:
            self._study.tell(self._trial, state=self._states.FAIL)
        elif self._is_stopped:
            self._study.tell(self._trial, state=self._states.PRUNED)
        else:
            self._study.tell(self._trial, self._loss)


def suggested(trial: Any, space: SearchSpace) -> dict[str, Value]:
    """Return what Optuna's trial suggests of the parameters that are active."""
    found: dict[str, Value] = {}
    for parameter in space.parameters:
        if not parameter.is_active(found):
            continue
        name, domain = parameter.name, parameter.domain
        if isinstance(domain, CategoricalDomain | DiscreteDomain):
            found[name] = trial.suggest_categorical(name, domain.values)
        elif isinstance(domain, IntDomain):
            found[name] = trial.suggest_int(name, domain.low, domain.high, log=domain.scale is Scale.LOG)
        else:
            found[name] = trial.suggest_float(name, domain.low, domain.high, log=domain.scale is Scale.LOG)
    return found


def _ours(rule: str, table: Table, seed: int) -> Method:
    from benchmarks.fidelity.ours import Ours

    return Ours(rule, table, seed)


METHODS: dict[str, Make] = {
    "random": Random,
    "ours": partial(_ours, "none"),
    "ours-halving": partial(_ours, "halving"),
    "ours-median": partial(_ours, "median"),
    "ours-curve": partial(_ours, "curve"),
    "optuna-tpe": partial(Optuna, "tpe", ""),
    "optuna-tpe-halving": partial(Optuna, "tpe", "halving"),
    "optuna-tpe-hyperband": partial(Optuna, "tpe", "hyperband"),
    "optuna-gp": partial(Optuna, "gp", ""),
    "optuna-gp-halving": partial(Optuna, "gp", "halving"),
    "optuna-gp-hyperband": partial(Optuna, "gp", "hyperband"),
}
