"""Acquisition functions: how much a point is worth trying, with derivatives by the posterior's mean and std.

m points; mean (m,), std (m,) of the posterior; best the incumbent's value; z = (mean - best - xi) / std;
φ and Φ the standard normal density and distribution. Every function survives std = 0.

    EI = std h(z),   h(z) = φ(z) + z Φ(z)                          (Jones et al. 1998)
    log EI = log h(z) + log std, stable for all z                  (Ament et al. 2023, arXiv 2310.20708, section 4.1)
    log NEI = log of EI averaged over draws of the best, as EI by draw  (Letham et al. 2019; see `imagined.py`)
    log PI = log Φ(z)                                              (Kushner 1964)
    UCB = mean + beta std                                          (Srinivas et al. 2010, arXiv 0912.3995)
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import erfcx, log_ndtr

from bo_service.core.numerics.array import Array
from bo_service.core.study import Acquisition, SuggestionSettings

BETA = 2.0
XI = 0.0
PORTFOLIO = (Acquisition.LOG_EI, Acquisition.UCB, Acquisition.LOG_PI)
_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)
_HALF_LOG_HALF_PI = 0.5 * np.log(0.5 * np.pi)
_FAR = -1e6


@dataclass(frozen=True)
class Worth:
    """Values (m,) and their derivatives (m,) by mean and by std."""

    value: Array
    by_mean: Array
    by_std: Array


def log_ei(mean: Array, std: Array, best: float | Array, xi: float = XI) -> Worth:
    """The logarithm of the expected improvement over best + xi; -inf where there is none to expect. They broadcast."""
    gain = mean - best - xi
    sure = std <= 0.0
    safe = np.where(sure, 1.0, std)
    z = gain / safe
    log_value = log_h(z)
    by_mean = np.exp(log_ndtr(z) - log_value) / safe
    by_std = np.exp(-0.5 * z * z - _HALF_LOG_2PI - log_value) / safe
    with np.errstate(divide="ignore"):
        certain = np.log(np.maximum(gain, 0.0))
    return Worth(
        value=np.where(sure, certain, log_value + np.log(safe)),
        by_mean=np.where(sure, np.divide(1.0, gain, out=np.zeros_like(gain), where=sure & (gain > 0.0)), by_mean),
        by_std=np.where(sure, 0.0, by_std),
    )


def log_h(z: Array) -> Array:
    """log(φ(z) + z Φ(z)) without cancellation, as far as z = -1e150."""
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


def ucb(mean: Array, std: Array, beta: float = BETA) -> Worth:
    """The upper confidence bound."""
    return Worth(mean + beta * std, np.ones_like(mean), np.full_like(std, beta))


def log_pi(mean: Array, std: Array, best: float, xi: float = XI) -> Worth:
    """The logarithm of the probability of more than best + xi; 0 or -inf where it is sure."""
    gain = mean - best - xi
    sure = std <= 0.0
    safe = np.where(sure, 1.0, std)
    z = gain / safe
    log_value = log_ndtr(z)
    by_z = np.exp(-0.5 * z * z - _HALF_LOG_2PI - log_value)
    return Worth(
        value=np.where(sure, np.where(gain > 0.0, 0.0, -np.inf), log_value),
        by_mean=np.where(sure, 0.0, by_z / safe),
        by_std=np.where(sure, 0.0, -z * by_z / safe),
    )


@dataclass(frozen=True)
class Criterion:
    """The acquisition function of a study, with its settings and the incumbent filled in. Works in warped units."""

    kind: Acquisition
    best: float
    beta: float = BETA
    xi: float = XI

    @classmethod
    def of(cls, settings: SuggestionSettings, best: float, turn: int = 0, is_noisy: bool = False) -> "Criterion":
        """What the settings ask for; by default log-EI, or noisy log-EI. A portfolio's members take turns."""
        kind = settings.acquisition or (Acquisition.LOG_NEI if is_noisy else Acquisition.LOG_EI)
        if kind is Acquisition.PORTFOLIO:
            kind = PORTFOLIO[turn % len(PORTFOLIO)]
        return cls(
            kind,
            best,
            BETA if settings.beta is None else settings.beta,
            XI if settings.xi is None else settings.xi,
        )

    def __call__(self, mean: Array, std: Array) -> Worth:
        if self.kind is Acquisition.UCB:
            return ucb(mean, std, self.beta)
        if self.kind is Acquisition.LOG_PI:
            return log_pi(mean, std, self.best, self.xi)
        return log_ei(mean, std, self.best, self.xi)
