"""This project's optimizer with its default settings, straight on the core."""

from collections.abc import Mapping
from typing import Any

from benchmarks.peers.protocol import Config, Peer, Space
from bo_service.core.domains import CategoricalDomain, Domain, FloatDomain, IntDomain, Scale
from bo_service.core.evidence import Evidence, Learned, PastTrial
from bo_service.core.numerics.lookups import Factors
from bo_service.core.space import Parameter, SearchSpace
from bo_service.core.study import SuggestionSettings
from bo_service.core.suggest import suggest_with


class Ours:
    """A study whose every trial ends before the next begins. What was learned is remembered, as in the server."""

    def __init__(self, space: Space, seed: int, settings: SuggestionSettings | None = None) -> None:
        self.space = SearchSpace(tuple(Parameter(p["name"], domain(p)) for p in space))
        self.settings = settings or SuggestionSettings()
        self.seed = seed
        self.past: tuple[PastTrial, ...] = ()
        self._learned: Learned = {}
        self._factors = Factors()

    def ask(self) -> Config:
        """The core's suggestion."""
        evidence = Evidence(self.space, self.settings, self.seed, self.past, learned=self._learned)
        found = suggest_with(evidence, 1, self._factors)
        self._learned = found.learned
        return dict(found.suggestions[0].configuration)

    def tell(self, config: Config, value: float | None) -> None:
        """One more past trial; larger is better to the core."""
        number = len(self.past) + 1
        self.past = (*self.past, PastTrial(number, config, None if value is None else -value))


def domain(parameter: Mapping[str, Any]) -> Domain:
    """The domain of a parameter as JSON has it."""
    if parameter["kind"] == "category":
        return CategoricalDomain(tuple(parameter["values"]))
    scale = Scale.LOG if parameter["log"] else Scale.LINEAR
    kind = IntDomain if parameter["kind"] == "integer" else FloatDomain
    return kind(parameter["low"], parameter["high"], scale)


def make(space: Space, seed: int, budget: int, variant: str = "") -> Peer:  # noqa: ARG001
    """Ours, or with a choice switched off."""
    if not variant:
        return Ours(space, seed)
    from benchmarks.ablations import ABLATIONS

    return Ours(space, seed, ABLATIONS[variant]())
