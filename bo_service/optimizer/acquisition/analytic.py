"""Acquisition functions of one objective in closed form, with derivatives by the posterior's mean and std.

m points; mean (m,), std (m,) of the posterior; best the incumbent's value; z = (mean - best - xi) / std;
φ and Φ the standard normal density and distribution; all in warped units. Every function survives std = 0.

    EI = std h(z),   h(z) = φ(z) + z Φ(z)                          (Jones et al. 1998)
    log EI = log h(z) + log std, stable for all z                  (Ament et al. 2023, arXiv 2310.20708, section 4.1)
    log PI = log Φ(z)                                              (Kushner 1964)
    UCB = mean + beta std                                          (Srinivas et al. 2010, arXiv 0912.3995)
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from bo_service.domain.trial import Intent
from bo_service.optimizer.acquisition.base import NamedAcquisition
from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.gp.base import Surrogate
from bo_service.optimizer.numerics.array import Array

BETA = 2.0
XI = 0.0
_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)
_HALF_LOG_HALF_PI = 0.5 * np.log(0.5 * np.pi)
_FAR = -1e6


@dataclass(frozen=True)
class ValueAndGradient:
    """Values (m,) and their derivatives (m,) by mean and by std; (m, k) of k objectives."""

    value: Array
    d_mean: Array
    d_std: Array


@dataclass(frozen=True)
class AnalyticAcquisition(NamedAcquisition):
    """An acquisition function of one objective whose value follows from the mean and the std of its posterior."""

    surrogate: Surrogate
    best: float
    """The incumbent's posterior mean."""
    beta: float = BETA
    xi: float = XI

    @classmethod
    def build(cls, models: FittedModels) -> Self:
        """Return the function over the best posterior mean so far, with the study's `beta` and `xi`."""
        settings = models.encoded.inputs.settings
        beta, xi = (BETA if settings.beta is None else settings.beta), (XI if settings.xi is None else settings.xi)
        return cls(models.objectives[0].surrogate, models.best, beta, xi)

    @abstractmethod
    def of_posterior(self, mean: Array, std: Array) -> ValueAndGradient:
        """Return the values and their derivatives, given the posterior's mean (m,) and std (m,)."""

    def value(self, X: Array) -> Array:
        posterior = self.surrogate.posterior(X)
        return self.of_posterior(posterior.mean, posterior.std).value

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        at = self.surrogate.posterior_with_gradient(x)
        made = self.of_posterior(np.array([at.mean]), np.array([at.std]))
        return float(made.value[0]), made.d_mean * at.d_mean + made.d_std * at.d_std

    def prospect(self, X: Array) -> tuple[Intent, str]:
        """Return whether X (1, f) exploits: whether one std of luck, or less, makes it better than the best so far."""
        posterior = self.surrogate.posterior(X)
        z = float((posterior.mean[0] - self.best) / posterior.std[0])
        intent = Intent.EXPLOIT if z >= -1.0 else Intent.EXPLORE
        return intent, f"a chance of {float(ndtr(z)):.0%} to beat the best so far"


class LogEI(AnalyticAcquisition, name="log_ei"):
    """The logarithm of the expected improvement over best + xi."""

    def of_posterior(self, mean: Array, std: Array) -> ValueAndGradient:
        """Return `log_ei` of the posterior's mean (m,) and std (m,)."""
        return log_ei(mean, std, self.best, self.xi)


class UCB(AnalyticAcquisition, name="ucb"):
    """The upper confidence bound."""

    def of_posterior(self, mean: Array, std: Array) -> ValueAndGradient:
        """Return mean + beta std, given the posterior's mean (m,) and std (m,)."""
        return ValueAndGradient(mean + self.beta * std, np.ones_like(mean), np.full_like(std, self.beta))


class LogPI(AnalyticAcquisition, name="log_pi"):
    """The logarithm of the probability of more than best + xi."""

    def of_posterior(self, mean: Array, std: Array) -> ValueAndGradient:
        """Return the logarithm, given the posterior's mean (m,) and std (m,); 0 or -inf where std is 0."""
        gain = mean - self.best - self.xi
        sure = std <= 0.0
        safe = np.where(sure, 1.0, std)
        z = gain / safe
        log_value = log_ndtr(z)
        by_z = np.exp(-0.5 * z * z - _HALF_LOG_2PI - log_value)
        return ValueAndGradient(
            value=np.where(sure, np.where(gain > 0.0, 0.0, -np.inf), log_value),
            d_mean=np.where(sure, 0.0, by_z / safe),
            d_std=np.where(sure, 0.0, -z * by_z / safe),
        )


class Portfolio(NamedAcquisition, name="portfolio"):
    """Several acquisition functions in turn, for one trial each."""

    MEMBERS = (LogEI, UCB, LogPI)

    @classmethod
    def build(cls, models: FittedModels) -> NamedAcquisition:
        """Return the member whose turn it is, by the number of trials."""
        return cls.MEMBERS[len(models.evaluated_rows) % len(cls.MEMBERS)].build(models)


def log_ei(mean: Array, std: Array, best: float | Array, xi: float = XI) -> ValueAndGradient:
    """Return the logarithm of the expected improvement over best + xi; -inf where none is expected.

    Args:
        mean: posterior means, of any shape.
        std: posterior standard deviations, of a shape that broadcasts with the means.
        best: value of the incumbent, or one for each draw of it; it broadcasts as well.
        xi: improvement asked for.
    """
    gain = mean - best - xi
    sure = std <= 0.0
    safe = np.where(sure, 1.0, std)
    z = gain / safe
    log_value = log_h(z)
    d_mean = np.exp(log_ndtr(z) - log_value) / safe
    d_std = np.exp(-0.5 * z * z - _HALF_LOG_2PI - log_value) / safe
    with np.errstate(divide="ignore"):
        certain = np.log(np.maximum(gain, 0.0))
    return ValueAndGradient(
        value=np.where(sure, certain, log_value + np.log(safe)),
        d_mean=np.where(sure, np.divide(1.0, gain, out=np.zeros_like(gain), where=sure & (gain > 0.0)), d_mean),
        d_std=np.where(sure, 0.0, d_std),
    )


def log_h(z: Array) -> Array:
    """Return log(φ(z) + z Φ(z)) without cancellation, as far as z = -1e150."""
    near = np.maximum(z, -1.0)
    value = np.log(np.exp(-0.5 * near * near - _HALF_LOG_2PI) + near * np.exp(log_ndtr(near)))
    middle = np.clip(z, _FAR, -1.0)
    # φ(z) + z Φ(z) = φ(z) (1 - |z| √(π/2) erfcx(|z|/√2)), and the second factor falls towards 0 as 1/z².
    exponent = np.log(-middle * erfcx(-middle / np.sqrt(2.0))) + _HALF_LOG_HALF_PI
    with np.errstate(divide="ignore"):
        tail = np.log(-np.expm1(np.minimum(exponent, 0.0)))
    far = np.minimum(z, -1.0)
    # From -1e3 on the difference from the limit -2 log|z| is below what the cancellation costs.
    tail = np.where(far < -1e3, -2.0 * np.log(-far), tail)
    return np.asarray(np.where(z > -1.0, value, -0.5 * far * far - _HALF_LOG_2PI + tail))
