"""Whether a running trial should stop, and why: when to look, which trials are spared, and which rule decides."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.optimizer.early_stopping.rules import StoppingContext, by_curve, by_halving, by_median

if TYPE_CHECKING:
    from bo_service.optimizer.early_stopping.forecast import Forecast

RULES: dict[StoppingRule, Callable[[StoppingContext], str | None]] = {
    StoppingRule.MEDIAN: by_median,
    StoppingRule.SUCCESSIVE_HALVING: by_halving,
    StoppingRule.CURVE: by_curve,
}


@dataclass(frozen=True)
class StopDecision:
    """A trial should stop."""

    reason: str
    """One sentence for people."""
    expected: "Forecast | None"
    """Of what it would have achieved at its full length, where that length is known."""


def step_to_judge(settings: StoppingSettings, before: int, now: int, last_step: int | None) -> int | None:
    """Return the step at which a trial is compared with others; None where it isn't judged at this report.

    Args:
        settings: of the study.
        before: the trial's largest step before the report; -1 without one.
        now: the step of the report's last value.
        last_step: of a whole trial, if known.
    """
    first = settings.first_step(last_step)
    if settings.rule is StoppingRule.NONE or first is None or now < first:
        return None
    if last_step is not None and now >= last_step:
        return None
    if settings.rule is not StoppingRule.SUCCESSIVE_HALVING:
        return now
    rung = _rung(max(first, 1), settings.reduction_factor, now)
    return rung if rung > before else None


def _rung(first: int, factor: float, now: int) -> int:
    """Return the largest of ⌈first·factor^k⌉ that isn't beyond `now`, which is at least `first`."""
    k = math.floor(math.log(now / first, factor) + 1e-9)
    return min(math.ceil(first * factor**k), now)


def should_stop(case: StoppingContext) -> StopDecision | None:
    """Return the decision where the study's rule says stop; None also for a trial that is already the best."""
    if case.finals and case.best >= max(case.finals):
        return None
    reason = RULES[case.settings.rule](case)
    return None if reason is None else StopDecision(reason, case.forecast())
