"""The best trials of a study, or its Pareto set: found among outlines, so that only those are read as a whole."""

import numpy as np

from bo_service.application.context import AppContext
from bo_service.application.snapshot import StudySnapshot
from bo_service.domain.trial import Trial, TrialState
from bo_service.optimizer.numerics.pareto import pareto_mask


def best_trials(app: AppContext, study_id: str, count: int) -> list[Trial]:
    """Return the trials with final measurements that fulfill every constraint metric, best first.

    With one objective at most `count`, the earlier of equals first and trials that a rule cut short last; with several
    the whole Pareto set, ordered by the first objective.

    Raises:
        NotFound: no such study.
    """
    with app.sessions.of(study_id).reading() as (records, snapshot):
        return [records.get_trial(study_id, number) for number in _best(snapshot, count)]


def _best(snapshot: StudySnapshot, count: int) -> list[int]:
    """Return their numbers."""
    spec = snapshot.study.spec
    ended = (t for t in snapshot.summaries.values() if t.state in (TrialState.SUCCEEDED, TrialState.STOPPED))
    candidates = [(t, t.final_measurement.metrics) for t in ended if t.final_measurement]
    kept = [(t, m) for t, m in candidates if all(c.to_maximized(m[c.name]) >= 0.0 for c in spec.constraint_metrics)]
    values = np.array([[o.to_maximized(m[o.name]) for o in spec.objectives] for _, m in kept])
    order = sorted(range(len(kept)), key=lambda i: (kept[i][0].is_cut_short, -values[i, 0], kept[i][0].number))
    numbers = [kept[i][0].number for i in order]
    if len(spec.objectives) == 1 or not kept:
        return numbers[:count]
    return [number for number, is_best in zip(numbers, pareto_mask(values[order]), strict=True) if is_best]
