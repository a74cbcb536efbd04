"""SMAC's multi-fidelity facade: Hyperband over a random forest's suggestions, at its defaults."""

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from ConfigSpace import Categorical, Configuration, ConfigurationSpace, Float, InCondition, Integer
from smac import MultiFidelityFacade, Scenario
from smac.main.config_selector import ConfigSelector
from smac.runhistory import StatusType, TrialInfo, TrialValue

from benchmarks.curves.table import Table
from benchmarks.fidelity.replay import Answer, Ending, Part, Snap
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, IntDomain, Scale
from bo_service.domain.search_space import Parameter

CRASH_COST = 1e9
"""Cost of a diverged trial, as in `benchmarks.peers.smac`; the forest refuses an infinite one."""


class Smac:
    """A facade that is asked and told. A trial of a larger budget goes on with the one of the smaller budget."""

    def __init__(self, table: Table, seed: int) -> None:
        self._output = tempfile.TemporaryDirectory()
        configs = space_of(table.space.parameters, seed)
        scenario = Scenario(
            configs, deterministic=True, min_budget=1, max_budget=table.epochs, seed=seed,
            output_directory=self._output.name,
        )  # fmt: skip
        selector = Recorded(scenario, table)
        self._smac = MultiFidelityFacade(scenario, unused, config_selector=selector, overwrite=True, logging_level=40)
        self._numbers: dict[Any, int] = {}
        self._asked: dict[int, TrialInfo] = {}
        self._last: dict[int, float] = {}

    def begin(self, snap: Snap) -> Part | None:
        """Ask for a trial, which is a configuration and a budget."""
        try:
            info = self._smac.ask()
        except StopIteration:
            return None
        chosen = dict(info.config)
        if info.config not in self._numbers:
            chosen = dict(snap(chosen))
            self._numbers[info.config] = len(self._numbers)
        number = self._numbers[info.config]
        self._asked[number] = info
        return Part(number, chosen)

    def report(self, number: int, epoch: int, loss: float) -> Answer:
        """Pause where the budget is spent."""
        self._last[number] = loss
        return Answer.PAUSE if epoch >= round(self._asked[number].budget) else Answer.GO_ON

    def end(self, number: int, ending: Ending) -> None:
        """Tell the last loss, or that the trial crashed."""
        crashed = TrialValue(CRASH_COST, status=StatusType.CRASHED)
        value = crashed if ending is Ending.FAILED else TrialValue(self._last[number])
        self._smac.tell(self._asked.pop(number), value, save=False)


class Recorded(ConfigSelector):  # type: ignore[misc]
    """SMAC's own selector, whose choices become recorded configurations before the brackets receive them.

    Hyperband draws all configurations of a bracket at once, so each row is taken here, before it runs.
    """

    def __init__(self, scenario: Scenario, table: Table) -> None:
        super().__init__(scenario)
        self._table, self._is_free = table, np.ones(len(table.configurations), np.bool_)

    def __iter__(self) -> Iterator[Configuration]:
        """Yield configurations until all that are recorded are taken."""
        for chosen in super().__iter__():
            if not self._is_free.any():
                return
            row = self._table.nearest(dict(chosen), self._is_free)
            self._is_free[row] = False
            recorded = Configuration(chosen.config_space, values=self._table.configurations[row])
            recorded.origin = chosen.origin
            self._processed_configs.append(recorded)
            yield recorded


def space_of(parameters: tuple[Parameter, ...], seed: int) -> ConfigurationSpace:
    """Return the space in ConfigSpace's words; steps are categories that are equally likely."""
    configs = ConfigurationSpace(seed=seed)
    for parameter in parameters:
        name, domain = parameter.name, parameter.domain
        if isinstance(domain, CategoricalDomain | DiscreteDomain):
            own: Any = Categorical(name, list(domain.values), ordered=isinstance(domain, DiscreteDomain))
        else:
            kind = Integer if isinstance(domain, IntDomain) else Float
            own = kind(name, (domain.low, domain.high), log=domain.scale is Scale.LOG)
        configs.add(own)
        if (rule := parameter.activation) is not None:
            configs.add(InCondition(own, configs[rule.parameter], list(rule.values)))
    return configs


def unused(config: Any, seed: int = 0, budget: float = 0.0) -> float:
    """Stand for the function that SMAC wants where it is asked and told."""
    raise AssertionError(config, seed, budget)
