"""The learning curves that decide which paused trials go on, as the optimizer is given them."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from bo_service.application.ports import TrialSummary, UnitOfWork
from bo_service.domain.fidelity import FidelitySettings, Promotion
from bo_service.domain.study import Metric, Study
from bo_service.domain.trial import Measurement, TrialState
from bo_service.optimizer.inputs import LearningCurve

TEACHING = (TrialState.QUEUED, TrialState.RUNNING, TrialState.PAUSED, TrialState.STOPPED, TrialState.SUCCEEDED)
HELD = (TrialState.QUEUED, TrialState.RUNNING)
AT_ONCE = 500
"""Trials whose measurements are in memory together."""
SPACING = math.sqrt(3)
"""Between two steps of a curve that the optimizer is given."""


def read_curves(records: UnitOfWork, study: Study, trials: Sequence[TrialSummary]) -> Mapping[int, LearningCurve]:
    """Return the curves of some trials by number; none where a study doesn't choose by forecast.

    The curve of a running trial ends at its last stop, so that it changes but a few times in the trial's life, and
    suggestions that were computed before are valid until then. That of a whole trial ends with its final value.
    """
    fidelity = study.spec.fidelity
    if fidelity is None or fidelity.promotion is not Promotion.FORECAST:
        return {}
    there = {trial.number: trial for trial in trials if trial.state in TEACHING}
    numbers, curves = sorted(there), {}
    for i in range(0, len(numbers), AT_ONCE):
        measured = records.get_measurements(study.study_id, numbers[i : i + AT_ONCE])
        for n in numbers[i : i + AT_ONCE]:
            curve = _curve(there[n], measured.get(n, ()), fidelity, study.spec.objective)
            if curve is not None:
                curves[n] = curve
    return curves


def _curve(
    trial: TrialSummary, measured: Sequence[Measurement], fidelity: FidelitySettings, metric: Metric
) -> LearningCurve | None:
    points = {m.step: metric.to_maximized(m.metrics[metric.name]) for m in measured if metric.name in m.metrics}
    last = max(points, default=0)
    if trial.state in HELD:
        last = fidelity.last_stop(last) or 0
    is_whole = trial.state is TrialState.SUCCEEDED and not trial.is_cut_short
    points = {step: v for step, v in points.items() if step <= min(last, fidelity.max_step - 1) and math.isfinite(v)}
    if is_whole and trial.final_measurement is not None:
        points[fidelity.max_step] = metric.to_maximized(trial.final_measurement.metrics[metric.name])
    if not points:
        return None
    steps = _looked_at(sorted(points), fidelity)
    return LearningCurve(
        trial.number,
        trial.parameters,
        steps,
        tuple(points[step] for step in steps),
        is_paused=trial.state is TrialState.PAUSED,
        is_running=trial.state in HELD,
        is_ranked=trial.state is not TrialState.STOPPED,
    )


def _looked_at(steps: Sequence[int], fidelity: FidelitySettings) -> tuple[int, ...]:
    """Return those of rising steps that are the last before a rung, or spaced by their logarithms; and both ends."""
    count = math.ceil(math.log(fidelity.max_step, SPACING))
    looks = [*fidelity.rungs, steps[0], steps[-1], *(fidelity.max_step / SPACING**k for k in range(count))]
    return tuple(sorted({steps[bisect_right(steps, look) - 1] for look in looks if look >= steps[0]}))
