"""What trials have achieved, and what a trial counts for that was stopped early."""

import math
from collections.abc import Sequence

from bo_service.application.ports import TrialOutline
from bo_service.core.study import Metric
from bo_service.core.trial import TrialState, is_short


def full_values(
    trials: Sequence[TrialOutline], metric: Metric, most: float | None = None
) -> dict[int, tuple[float, float]]:
    """What trials with a final measurement achieved, by number; larger is better. With its standard deviation where
    it is only expected, else 0.

    A trial that a rule cut short counts for what it was expected to achieve, else for what it had; in both cases for no
    more than `most`, or the best of the others.
    """
    assert metric.goal is not None
    sign = metric.goal.sign
    ended = {t.number: t for t in trials if t.state.is_ended and t.state is not TrialState.INFEASIBLE}
    given = {n: sign * t.final_measurement.metrics[metric.name] for n, t in ended.items() if t.final_measurement}
    short = {n for n in given if is_cut_short(ended[n])}
    if most is None:
        most = max((v for n, v in given.items() if n not in short), default=math.inf)
    return {n: _expected(ended[n], sign, v, most) if n in short else (v, 0.0) for n, v in given.items()}


def is_cut_short(trial: TrialOutline) -> bool:
    """Whether it ended with a result of less than its full length, because a rule stopped it."""
    has_result = trial.state.is_ended and trial.state is not TrialState.INFEASIBLE
    return has_result and is_short(trial.final_measurement, trial.stop_request)


def _expected(trial: TrialOutline, sign: float, given: float, most: float) -> tuple[float, float]:
    request = trial.stop_request
    if request is None or request.expected is None:
        return min(given, most), 0.0
    return min(sign * request.expected.mean, most), request.expected.std
