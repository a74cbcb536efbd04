"""The rules, each a function from a case to the reason for stopping, or None.

Larger values are better; sentences are in the user's units, as `StoppingContext.say` puts them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bo_service.domain.early_stopping import StoppingSettings
from bo_service.optimizer.early_stopping.curves import Curve, OtherTrial

if TYPE_CHECKING:
    from bo_service.optimizer.early_stopping.forecast import Forecast


@dataclass(frozen=True)
class StoppingContext:
    """A running trial that is judged at a step."""

    settings: StoppingSettings
    metric: str
    """The objective's name."""
    step: int
    """At which trials are compared."""
    curve: Curve
    """Of the trial, as far as it is known: at least one point."""
    peers: tuple[OtherTrial, ...]
    """The other trials that have a value at or before the step."""
    finals: tuple[float, ...]
    """What the trials that SUCCEEDED have achieved."""
    last_step: int | None
    """Of a whole trial; None where it isn't known."""
    say: Callable[[float], str]
    """A value in words: of the user's metric, in its own direction and unit."""

    @property
    def reached(self) -> list[float]:
        """Values of the peers that have come as far as this step."""
        return [peer.value for peer in self.peers if peer.has_come_so_far]

    @property
    def best(self) -> float:
        """The trial's best value so far."""
        return max(self.curve.values)

    def forecast(self) -> "Forecast | None":
        """Predict the trial's final value; None where the length of a whole trial isn't known."""
        if self.last_step is None:
            return None
        from bo_service.optimizer.early_stopping.extrapolation import (
            extrapolate,  # numpy is loaded by those who extrapolate
        )

        pairs = [(peer.value, peer.final) for peer in self.peers if peer.final is not None]
        return extrapolate(self.curve, self.last_step, pairs)


def by_median(case: StoppingContext) -> str | None:
    """Apply the median rule of Golovin et al., "Google Vizier: a service for black-box optimization" (KDD 2017)."""
    others = case.reached
    if not others or len(case.finals) < case.settings.min_trials:
        return None
    middle = median(others)
    if case.best >= middle:
        return None
    return (
        f"Median rule: up to step {case.step} the best {case.metric} was {case.say(case.best)}, worse than "
        f"{case.say(middle)}, the median of {len(others)} other trials at that step."
    )


def by_halving(case: StoppingContext) -> str | None:
    """Apply asynchronous successive halving, as it stops trials.

    See Li et al., "A system for massively parallel hyperparameter tuning" (MLSys 2020), and its variant in Ray Tune
    that never pauses a trial.
    """
    others = case.reached
    if len(others) < case.settings.min_trials:
        return None
    value, factor = case.curve.at(case.step), case.settings.reduction_factor
    better = sum(other > value for other in others)
    places = math.ceil((len(others) + 1) / factor)
    if better < places:
        return None
    return (
        f"Successive halving: at step {case.step} {case.metric} was {case.say(value)}, in place {better + 1} of "
        f"{len(others) + 1} trials that have come so far; the best {places} go on."
    )


def by_curve(case: StoppingContext) -> str | None:
    """Apply the rule of Domhan et al. (IJCAI 2015): stop what will hardly become the best."""
    forecast = case.forecast()
    if forecast is None or len(case.finals) < case.settings.min_trials:
        return None
    best = max(case.finals)
    chance = forecast.probability_above(best)
    if chance >= 1 - case.settings.confidence:
        return None
    return (
        f"Extrapolated curve: at step {case.step} {case.metric} is expected to end at {case.say(forecast.mean)} "
        f"(standard deviation {forecast.std:.3g}); its chance to beat {case.say(best)}, the best so far: {chance:.1%}."
    )
