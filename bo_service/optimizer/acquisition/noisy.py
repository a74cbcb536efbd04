"""Noisy expected improvement: where noise leaves open what the best so far is, improvement over draws of it.

S draws of the true values at b incumbents; best (S,) the best of each draw.

    log NEI = log (1/S Σ_s EI over best_s)        (Letham et al. 2019, arXiv 1706.07094; see `fantasies.py`)
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from bo_service.domain.trial import Intent
from bo_service.optimizer.acquisition.analytic import AnalyticAcquisition, LogEI, ValueAndGradient, log_ei
from bo_service.optimizer.acquisition.base import NamedAcquisition
from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.gp.base import FantasyPosterior
from bo_service.optimizer.numerics.array import Array

DRAWS = 16
MAX_INCUMBENTS = 40
"""The best so far is drawn among so many trials, those of the highest means."""


@dataclass(frozen=True)
class LogNEI(NamedAcquisition, name="log_nei"):
    """Of one objective: log of EI averaged over draws of the best so far."""

    plain: AnalyticAcquisition
    """Log-EI over the best on average, whose `xi` and prospects are those of this one."""
    fantasies: FantasyPosterior
    best: Array
    """(S,): the best of each draw."""

    @classmethod
    def build(cls, models: FittedModels) -> NamedAcquisition:
        """Return the function over the best of draws; log-EI where no row is expected to fulfill the constraints."""
        plain = LogEI.build(models)
        if not models.fulfills.any():
            return plain
        candidates = np.flatnonzero(models.fulfills)
        means = models.candidate_means[candidates, 0]
        top = candidates[np.argsort(-means, kind="stable")[:MAX_INCUMBENTS]]
        fantasies = plain.surrogate.fantasize(models.candidate_features[top], DRAWS, models.encoded.rng(9))
        return cls(plain, fantasies, fantasies.values.max(axis=0))

    def value(self, X: Array) -> Array:
        draws = self.fantasies.posterior(X)
        return np.asarray(logsumexp(self._each(draws.means, draws.std[:, None]).value, axis=1) - np.log(len(self.best)))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        at = self.fantasies.posterior_with_gradient(x)
        each = self._each(at.means, np.array([at.std]))
        total = float(logsumexp(each.value))
        share = np.exp(each.value - total)
        gradient = (share * each.d_mean) @ at.d_means + float(share @ each.d_std) * at.d_std
        return total - float(np.log(len(self.best))), gradient

    def prospect(self, X: Array) -> tuple[Intent, str]:
        return self.plain.prospect(X)

    def _each(self, means: Array, std: Array) -> ValueAndGradient:
        return log_ei(means, np.broadcast_to(std, means.shape), self.best, self.plain.xi)
