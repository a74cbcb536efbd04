"""What an acquisition function is, and how the one that a study names is joined with feasibility and cost.

m points X (m, f) in the features of `encoding.py`; one point x (f,). The terms are logarithms, so that their sum is the
logarithm of a product: the improvement expected, times the probabilities that the point runs and fulfills the
constraints on outcomes (Gardner et al. 2014, "Bayesian optimization with inequality constraints"), over its expected
cost (Snoek et al. 2012, arXiv 1206.2944, section 3.2).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from bo_service.domain.trial import Intent
from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.numerics.array import Array


class AcquisitionFunction(Protocol):
    """A function that is maximized over the space."""

    @abstractmethod
    def value(self, X: Array) -> Array:
        """Return the values (m,) at points X (m, f)."""

    @abstractmethod
    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Return the value at one point x (f,), and its gradient (f,)."""


class NamedAcquisition(AcquisitionFunction, ABC):
    """An acquisition function that a study can name: a subclass is found by the `name` that it is declared with.

    `class UCB(AnalyticAcquisition, name="ucb")` in any module of this package is enough; see `registry.py`.
    """

    name: ClassVar[str] = ""
    by_name: ClassVar[dict[str, "type[NamedAcquisition]"]] = {}

    def __init_subclass__(cls, name: str = "", **further: Any) -> None:
        super().__init_subclass__(**further)
        if name:
            cls.name = name
            NamedAcquisition.by_name[name] = cls

    @classmethod
    @abstractmethod
    def build(cls, models: FittedModels) -> "NamedAcquisition":
        """Return the function over the fitted models, of which it takes what it needs: see `FittedModels`."""

    @abstractmethod
    def prospect(self, X: Array) -> tuple[Intent, str]:
        """Return whether a point X (1, f) exploits or explores, and what it promises, as part of a sentence."""


@dataclass(frozen=True)
class TotalAcquisition:
    """The acquisition function of a study: the named one, and the terms that are added to it."""

    named: NamedAcquisition
    terms: tuple[AcquisitionFunction, ...] = ()

    def value(self, X: Array) -> Array:
        return np.asarray(sum((term.value(X) for term in self.terms), self.named.value(X)))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        value, gradient = self.named.value_and_gradient(x)
        for term in self.terms:
            more, along = term.value_and_gradient(x)
            value, gradient = value + more, gradient + along
        return value, gradient
