"""Syne Tune's multi-fidelity schedulers: ASHA with promotion, MOBSTER and DyHPO, at their defaults."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, lograndint, loguniform, ordinal, randint, uniform
from syne_tune.optimizer.legacy_baselines import ASHA, MOBSTER, DyHPO

from benchmarks.curves.table import Table
from benchmarks.fidelity.replay import Answer, Ending, Part, Snap
from bo_service.domain.constraints import Configuration
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, Domain, IntDomain, Scale

SCHEDULERS = {"asha": ASHA, "mobster": MOBSTER, "dyhpo": DyHPO}
LONG_AGO = datetime(2000, 1, 1)
"""When each trial began. Syne Tune wants it and decides nothing by it."""


class SyneTune:
    """A scheduler, called as Syne Tune's own Tuner calls it.

    What its searcher chooses becomes a recorded configuration before the scheduler registers it. Syne Tune has no
    conditions, so an inactive parameter keeps the value that the searcher chose for it.

    Args:
        table: The recorded curves.
        seed: Seed of the scheduler.
        scheduler: asha, mobster or dyhpo.
        type: How the scheduler ends rungs: stopping or promotion; empty for its default.
    """

    def __init__(self, table: Table, seed: int, scheduler: str, type: str = "") -> None:
        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        self._space, self._begun = table.space, 0
        self._snap: Snap = dict
        self._chosen: dict[int, Configuration] = {}
        self._trials: dict[int, Any] = {}
        options = {"type": type} if type else {}
        space = {p.name: domain_of(p.domain) for p in table.space.parameters}
        self._scheduler = SCHEDULERS[scheduler](
            space, metric="loss", mode="min", resource_attr="epoch", max_t=table.epochs, random_seed=seed,
            search_options={"debug_log": False}, **options,
        )  # fmt: skip
        self._get_config = self._scheduler.searcher.get_config
        self._scheduler.searcher.get_config = self._recorded

    def begin(self, snap: Snap) -> Part | None:
        """Ask for a new trial or a paused one."""
        self._snap = snap
        suggestion = self._scheduler.suggest(self._begun)
        if suggestion is None:
            return None
        if not suggestion.spawn_new_trial_id:
            return Part(suggestion.checkpoint_trial_id, self._chosen[suggestion.checkpoint_trial_id])
        number, self._begun = self._begun, self._begun + 1
        self._chosen[number] = self._space.restrict(suggestion.config)
        self._trials[number] = Trial(trial_id=number, config=suggestion.config, creation_time=LONG_AGO)
        self._scheduler.on_trial_add(self._trials[number])
        return Part(number, self._chosen[number])

    def report(self, number: int, epoch: int, loss: float) -> Answer:
        """Report an epoch, and ask the scheduler."""
        decision = self._scheduler.on_trial_result(self._trials[number], {"epoch": epoch, "loss": loss})
        return {"CONTINUE": Answer.GO_ON, "PAUSE": Answer.PAUSE, "STOP": Answer.STOP}[decision]

    def end(self, number: int, ending: Ending) -> None:
        """Remove the trial, or tell that it failed."""
        if ending is Ending.FAILED:
            self._scheduler.on_trial_error(self._trials[number])
        else:
            self._scheduler.on_trial_remove(self._trials[number])

    def _recorded(self, **options: Any) -> dict[str, Any] | None:
        chosen: Mapping[str, Any] | None = self._get_config(**options)
        return None if chosen is None else {**chosen, **self._snap(self._space.restrict(chosen))}


def domain_of(domain: Domain) -> Any:
    """Return a domain in Syne Tune's words; steps are equally likely, as in the recorded tables."""
    if isinstance(domain, CategoricalDomain):
        return choice(list(domain.values))
    if isinstance(domain, DiscreteDomain):
        return ordinal(list(domain.values), kind="equal")
    is_log = domain.scale is Scale.LOG
    if isinstance(domain, IntDomain):
        return (lograndint if is_log else randint)(domain.low, domain.high)
    return (loguniform if is_log else uniform)(domain.low, domain.high)
