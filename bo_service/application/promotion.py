"""Promotion of paused trials: which of them go on.

The values recorded at a rung are those of the trials that have come so far, except those that failed or were stopped.
"""

from collections.abc import Mapping

from bo_service.application.ports import TrialSummary, UnitOfWork
from bo_service.domain.fidelity import best_third
from bo_service.domain.study import Study
from bo_service.domain.trial import TrialState

UNRANKED = (TrialState.FAILED, TrialState.INFEASIBLE, TrialState.STOPPED)
MAX_RANKED = 1000
"""A trial is ranked among so many that were made last: more would tell little, and take long."""


def promotable(
    records: UnitOfWork, study: Study, summaries: Mapping[int, TrialSummary], at_least: int = 0
) -> list[int]:
    """Return the numbers of the paused trials that go on, those furthest along first, and the best of a rung first.

    Args:
        records: a transaction.
        study: the study.
        summaries: its trials by number, as the transaction sees them.
        at_least: how many of a rung go on in any case; see `best_third`.
    """
    paused = {number for number, trial in summaries.items() if trial.state is TrialState.PAUSED}
    numbers: list[int] = []
    if study.spec.fidelity is None or not paused:
        return numbers
    for rung in reversed(study.spec.fidelity.rungs):
        values = values_at_rung(records, study, summaries, rung)
        numbers += [number for number in best_third(values, at_least) if number in paused]
        paused.difference_update(values)  # a trial counts at the last rung that it has reached
        if not paused:
            break
    return numbers


def waiting_for_resume(records: UnitOfWork, study: Study, summaries: Mapping[int, TrialSummary]) -> list[int]:
    """Return the trials that only a worker that can resume runs, where no other is running and no new one can be made.

    These are queued trials that were paused before, and paused trials that go on; see `promotable`.
    """
    queued = [n for n, trial in summaries.items() if trial.state is TrialState.QUEUED and trial.pause is not None]
    return queued + promotable(records, study, summaries, at_least=1)


def values_at_rung(
    records: UnitOfWork, study: Study, summaries: Mapping[int, TrialSummary], rung: int
) -> dict[int, float]:
    """Return the value at a rung of each trial that counts there, by number; larger is better."""
    metric = study.spec.objective
    assert metric.goal is not None
    sign = metric.goal.sign
    return {
        reached.number: sign * reached.value
        for reached in records.values_at(study.study_id, metric.name, rung, study.last_number - MAX_RANKED)
        if reached.last_step >= rung and reached.number in summaries and summaries[reached.number].state not in UNRANKED
    }
