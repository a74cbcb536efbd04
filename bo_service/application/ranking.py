"""The best trials of a study, or its Pareto set: found among outlines, so that only those are read as a whole."""

import numpy as np

from bo_service.application.known import Known
from bo_service.application.results import is_cut_short
from bo_service.application.services import Services
from bo_service.core.numerics.pareto import front
from bo_service.core.trial import Trial, TrialState


def best_trials(services: Services, study_id: str, count: int) -> list[Trial]:
    """Of those with final measurements that fulfill every constraint metric. With one objective the best first, the
    earlier of equals, and those last that a rule cut short, `count` at most; with several the whole Pareto set, the
    best in the first objective first.

    Raises:
        NotFound: no such study.
    """
    with services.memory.reading(services.store, study_id) as (records, known):
        return [records.trials.get(study_id, number) for number in _best(known, count)]


def _best(known: Known, count: int) -> list[int]:
    """Their numbers."""
    spec = known.study.spec
    ended = (t for t in known.outlines.values() if t.state in (TrialState.SUCCEEDED, TrialState.STOPPED))
    candidates = [(t, t.final_measurement.metrics) for t in ended if t.final_measurement]
    kept = [(t, m) for t, m in candidates if all(c.inward(m[c.name]) >= 0.0 for c in spec.limits)]
    values = np.array([[o.inward(m[o.name]) for o in spec.objectives] for _, m in kept])
    order = sorted(range(len(kept)), key=lambda i: (is_cut_short(kept[i][0]), -values[i, 0], kept[i][0].number))
    numbers = [kept[i][0].number for i in order]
    if len(spec.objectives) == 1 or not kept:
        return numbers[:count]
    return [number for number, is_best in zip(numbers, front(values[order]), strict=True) if is_best]
