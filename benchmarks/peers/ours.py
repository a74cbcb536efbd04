"""This project's optimizer with its default settings, straight on the core."""

from collections.abc import Mapping
from typing import Any

from benchmarks.peers.protocol import Config, Peer, Space
from bo_service.domain.parameter_types import CategoricalDomain, Domain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.inputs import HyperparametersByDigest, Observation, OptimizerInput
from bo_service.optimizer.numerics.computation_cache import CholeskyCache
from bo_service.optimizer.suggest import suggest_with


class Ours:
    """A study whose every trial ends before the next begins. What was learned is remembered, as in the server."""

    def __init__(self, space: Space, seed: int, settings: SuggestionSettings | None = None) -> None:
        self.space = SearchSpace(tuple(Parameter(p["name"], domain(p)) for p in space))
        self.settings = settings or SuggestionSettings()
        self.seed = seed
        self.past: tuple[Observation, ...] = ()
        self._learned: HyperparametersByDigest = {}
        self._factors = CholeskyCache()

    def ask(self) -> Config:
        """Return the optimizer's suggestion."""
        inputs = OptimizerInput(self.space, self.settings, self.seed, self.past, hyperparameters=self._learned)
        batch = suggest_with(inputs, 1, self._factors)
        self._learned = batch.hyperparameters
        return dict(batch.suggestions[0].configuration)

    def tell(self, config: Config, value: float | None) -> None:
        """Add one more past trial; the optimizer maximizes."""
        number = len(self.past) + 1
        self.past = (*self.past, Observation(number, config, None if value is None else -value))


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
