"""Our optimizer with one choice switched off, by patching the core; in the peer's own process, so that it stays there.

The names are suffixes of the peer's: `ours~no-warp`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtr

from bo_service.domain.study import Acquisition, SuggestionSettings
from bo_service.optimizer.acquisition import analytic, fitted_models, maximize
from bo_service.optimizer.gp import likelihood, output_transform, priors, refit_schedule

NOTHING = SuggestionSettings()
_over = priors.Prior.over
_candidates = maximize._candidates


def no_warp() -> SuggestionSettings:
    """Values are standardized, not warped."""
    _patch(output_transform, "_likeliest_power", lambda t: 1.0)  # noqa: ARG005
    return NOTHING


def no_main_effects() -> SuggestionSettings:
    """Use a Matérn 5/2 kernel of all parameters together."""
    _patch(priors, "MAIN_BOUNDS", (1e-9, 1e-8))
    return NOTHING


def one_start() -> SuggestionSettings:
    """Climb the likelihood from the prior's mean alone, not from six places."""
    _patch(likelihood, "STARTS", 1)
    _patch(likelihood, "FINISHERS", 1)
    return NOTHING


def wide_lengths() -> SuggestionSettings:
    """Length scales with the prior of Hvarfner et al. 2024 as published."""

    def over(d: int) -> priors.Prior:
        prior = _over(d)
        mean, std = prior.mean.copy(), prior.std.copy()
        mean[:d], std[:d] = np.sqrt(2.0) + 0.5 * np.log(max(d, 1)), np.sqrt(3.0)
        return replace(prior, mean=mean, std=std)

    _patch(priors.Prior, "over", staticmethod(over))
    return NOTHING


def no_noise() -> SuggestionSettings:
    """Values count as exact."""
    _patch(priors, "NOISE_BOUNDS", (1e-8, 1e-6))
    return NOTHING


def plain_ei() -> SuggestionSettings:
    """Expected improvement itself is climbed, not its logarithm."""

    def ei(mean: Any, std: Any, best: float, xi: float = 0.0) -> analytic.ValueAndGradient:
        z = (mean - best - xi) / np.maximum(std, 1e-12)
        density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
        return analytic.ValueAndGradient((mean - best - xi) * ndtr(z) + std * density, ndtr(z), density)

    _patch(analytic, "log_ei", ei)
    return NOTHING


def no_noisy_ei() -> SuggestionSettings:
    """Log-EI over the best posterior mean, also where there is noise."""
    return SuggestionSettings(acquisition=Acquisition.LOG_EI)


def no_feasibility() -> SuggestionSettings:
    """Failures count as the worst values, and that is all."""
    _patch(fitted_models, "feasibility", lambda bench, X: None)  # noqa: ARG005
    return NOTHING


def ucb() -> SuggestionSettings:
    """Use the upper confidence bound in place of log-EI."""
    return SuggestionSettings(acquisition=Acquisition.UCB)


def portfolio() -> SuggestionSettings:
    """Acquisition functions in turn."""
    return SuggestionSettings(acquisition=Acquisition.PORTFOLIO)


def no_exchange() -> SuggestionSettings:
    """Stepped parameters stay as the candidates have them."""
    _patch(maximize, "_coordinate_search", lambda search, z: z)  # noqa: ARG005
    return NOTHING


def no_gradient() -> SuggestionSettings:
    """Smooth parameters stay as the candidates have them."""
    _patch(maximize, "_ascend", lambda search, z: z)  # noqa: ARG005
    return NOTHING


def no_neighbors() -> SuggestionSettings:
    """No candidates around the best trials."""
    _patch(maximize, "_candidates", lambda search, best: _candidates(search, best[:0]))
    return NOTHING


def refits_always() -> SuggestionSettings:
    """Hyperparameters are learned anew after each observation."""
    _patch(refit_schedule, "EVERY_ONE", 10**9)
    return NOTHING


def refits_rarely() -> SuggestionSettings:
    """They are learned anew eight times as rarely."""
    _patch(refit_schedule, "EVERY_ONE", refit_schedule.EVERY_ONE // 8)
    _patch(refit_schedule, "MOST_APART", refit_schedule.MOST_APART * 8)
    return NOTHING


def twice_initial() -> SuggestionSettings:
    """Twenty trials before the surrogate."""
    return SuggestionSettings(initial_trials=20)


ABLATIONS: dict[str, Callable[[], SuggestionSettings]] = {
    "no-warp": no_warp,
    "no-main-effects": no_main_effects,
    "one-start": one_start,
    "wide-lengths": wide_lengths,
    "no-noise": no_noise,
    "plain-ei": plain_ei,
    "no-noisy-ei": no_noisy_ei,
    "no-feasibility": no_feasibility,
    "ucb": ucb,
    "portfolio": portfolio,
    "no-exchange": no_exchange,
    "no-gradient": no_gradient,
    "no-neighbors": no_neighbors,
    "initial-20": twice_initial,
    "refits-always": refits_always,
    "refits-rarely": refits_rarely,
}


def _patch(feature_group: Any, name: str, value: Any) -> None:
    """Replaces what must be there: a choice that was renamed is not silently left on."""
    assert hasattr(feature_group, name), f"{feature_group.__name__} has no {name} any more"
    setattr(feature_group, name, value)
