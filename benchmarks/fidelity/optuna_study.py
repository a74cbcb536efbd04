"""Optuna's samplers with its pruners, at their defaults."""

from collections.abc import Callable
from typing import Any

import optuna

from benchmarks.curves.table import Table
from benchmarks.fidelity.replay import Answer, Ending, Part, Snap
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, IntDomain, Scale, Value
from bo_service.domain.search_space import SearchSpace


class Optuna:
    """An in-memory study. What is run is enqueued; the trial that chose it is told to have failed, which is ignored.

    Args:
        table: The recorded curves.
        seed: Seed of the sampler.
        sampler: tpe or gp; the latter needs torch.
        pruner: none, halving or hyperband.
    """

    def __init__(self, table: Table, seed: int, sampler: str, pruner: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        samplers: dict[str, Any] = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}
        pruners: dict[str, Callable[[], Any]] = {
            "none": optuna.pruners.NopPruner,
            "halving": optuna.pruners.SuccessiveHalvingPruner,
            "hyperband": lambda: optuna.pruners.HyperbandPruner(max_resource=table.epochs),
        }
        self._space = table.space
        self._study = optuna.create_study(
            sampler=samplers[sampler](seed=seed), pruner=pruners[pruner](), study_name=f"replay-{seed}"
        )
        self._held: dict[int, Any] = {}
        self._last: dict[int, float] = {}

    def begin(self, snap: Snap) -> Part:
        """Ask for a trial, and enqueue the recorded configuration in its place."""
        asked = self._study.ask()
        chosen = snap(suggested(asked, self._space))
        self._study.tell(asked, state=optuna.trial.TrialState.FAIL)
        self._study.enqueue_trial(dict(chosen))
        trial = self._study.ask()
        suggested(trial, self._space)
        self._held[trial.number] = trial
        return Part(trial.number, chosen)

    def report(self, number: int, epoch: int, loss: float) -> Answer:
        """Report an epoch, and ask the pruner."""
        self._last[number] = loss
        self._held[number].report(loss, epoch)
        return Answer.STOP if self._held[number].should_prune() else Answer.GO_ON

    def end(self, number: int, ending: Ending) -> None:
        """Tell the result."""
        trial, states = self._held.pop(number), optuna.trial.TrialState
        if ending is Ending.WHOLE:
            self._study.tell(trial, self._last[number])
        else:
            self._study.tell(trial, state=states.FAIL if ending is Ending.FAILED else states.PRUNED)


def suggested(trial: Any, space: SearchSpace) -> dict[str, Value]:
    """Return what Optuna's trial suggests of the parameters that are active."""
    configuration: dict[str, Value] = {}
    for parameter in space.parameters:
        if not parameter.is_active(configuration):
            continue
        name, domain = parameter.name, parameter.domain
        if isinstance(domain, CategoricalDomain | DiscreteDomain):
            configuration[name] = trial.suggest_categorical(name, domain.values)
        elif isinstance(domain, IntDomain):
            configuration[name] = trial.suggest_int(name, domain.low, domain.high, log=domain.scale is Scale.LOG)
        else:
            configuration[name] = trial.suggest_float(name, domain.low, domain.high, log=domain.scale is Scale.LOG)
    return configuration
