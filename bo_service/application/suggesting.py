"""Handing out trials: those in the queue first, then new suggestions."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from bo_service.application.gathering import evidence_of
from bo_service.application.ports import Records, RequestKey
from bo_service.application.repeating import repeated
from bo_service.application.services import Ledger, Services, change_once
from bo_service.application.trials import check_size
from bo_service.application.views import Handout, Shortfall
from bo_service.core.evidence import Evidence, Expected, Suggestion
from bo_service.core.limits import MAX_TRIALS
from bo_service.core.study import Algorithm, Metric, Study, StudyState
from bo_service.core.trial import Explanation, Prediction, Trial, TrialState

OPEN = (TrialState.QUEUED, TrialState.RUNNING)
TIMES = 3
"""That a suggestion is computed at most, where trials are made by others meanwhile."""
RETRY_DELAY = timedelta(seconds=2)
TOO_LATE = "The surrogate was not ready within the time that the caller gave. "


@dataclass(frozen=True)
class Ask:
    """What a worker asks for."""

    study_id: str
    count: int
    worker_id: str
    patience: float
    """How many seconds the surrogate may take."""


@dataclass(frozen=True)
class Prepared:
    """What was found out before the transaction."""

    last_number: int
    """Of the trials that the evidence knows."""
    evidence: Evidence | None
    """None where it wasn't needed."""
    suggestions: list[Suggestion]
    """The surrogate's, or quick ones."""
    by_surrogate: bool


@repeated
def suggest_trials(services: Services, ask: Ask, key: RequestKey | None) -> Handout:
    """Trials, RUNNING under leases. What isn't ready in time is filled up from the space-filling sequence.

    Raises:
        NotFound: no such study.
    """
    import bo_service.core.suggest  # noqa: F401 - takes a second the first time, which no transaction should

    deadline = time.monotonic() + ask.patience
    with _alone(services, ask) as alone:
        for times_left in reversed(range(TIMES)):
            prepared = _prepare(services, ask, key, deadline if alone else None)
            handout = _attempt(services, ask, key, prepared, is_last=not times_left)
            if handout is not None:
                break
        assert handout is not None
        return handout


def _alone(services: Services, ask: Ask) -> AbstractContextManager[bool]:
    """Yields whether this call may ask the surrogate: one at a time does, and nobody waits who needs none."""
    with services.store.read() as records:
        study = records.studies.find(ask.study_id)
    if study is None or study.spec.suggestion.algorithm is Algorithm.QUASI_RANDOM:
        return nullcontext(False)
    return services.suggesting.hold(ask.study_id, ask.patience)


def _attempt(
    services: Services, ask: Ask, key: RequestKey | None, prepared: Prepared | None, is_last: bool
) -> Handout | None:
    """None where the suggestions should be computed again."""

    def hand_out(ledger: Ledger) -> Handout:
        if prepared is not None and not is_last and _is_blind(ledger, prepared):
            raise _Blind
        return _hand_out(services, ledger, ask, prepared)

    try:
        return change_once(services, ask.study_id, key, Handout, hand_out)
    except _Blind:
        return None


class _Blind(Exception):
    """The suggestions were made without knowing of trials that there are."""


def _is_blind(ledger: Ledger, prepared: Prepared) -> bool:
    """Whether the surrogate didn't know of trials that another server has made meanwhile: its own would be the same."""
    modelled = prepared.by_surrogate and prepared.suggestions
    return bool(modelled) and ledger.records.trials.last_number(ledger.study.study_id) > prepared.last_number


def _prepare(services: Services, ask: Ask, key: RequestKey | None, deadline: float | None) -> Prepared | None:
    """What is suggested beyond the queue; None where that is nothing. The surrogate has until the deadline, if any."""
    with services.store.read() as records:
        if key is not None and records.answers.find(key, Handout) is not None:
            return None
        study = records.studies.get(ask.study_id)
        queued = len(records.trials.select(ask.study_id, (TrialState.QUEUED,), limit=ask.count))
        wanted = min(ask.count - queued, _room(records, study))
        if wanted <= 0 or study.state is not StudyState.ACTIVE:
            return None
        if deadline is None:
            make = partial(_quick, services)
            last_number, found = services.reserve.take(study, wanted, partial(_gathered, records, study), make)
            return Prepared(last_number, None, found, by_surrogate=False)
        last_number, evidence = _gathered(records, study)
    if evidence.needs_surrogate(wanted):
        best = services.optimizer.suggest(evidence, wanted, deadline - time.monotonic())
        if best is not None:
            return Prepared(last_number, evidence, best, by_surrogate=True)
    return Prepared(last_number, evidence, _quick(services, evidence, wanted), by_surrogate=False)


def _gathered(records: Records, study: Study) -> tuple[int, Evidence]:
    """The last trial's number, and the evidence."""
    return records.trials.last_number(study.study_id), evidence_of(records, study)


def _quick(services: Services, evidence: Evidence, count: int) -> list[Suggestion]:
    """From the space-filling sequence. They tell where the surrogate should have made them."""
    found = services.optimizer.suggest_blind(evidence, count)
    late = [evidence.needs_surrogate(i + 1) for i in range(len(found))]
    return [replace(s, summary=TOO_LATE + s.summary) if is_late else s for s, is_late in zip(found, late, strict=True)]


def _hand_out(services: Services, ledger: Ledger, ask: Ask, prepared: Prepared | None) -> Handout:
    closed = {StudyState.PAUSED: Shortfall.PAUSED, StudyState.COMPLETED: Shortfall.COMPLETED}.get(ledger.study.state)
    if closed is not None:
        return Handout((), closed, RETRY_DELAY if closed is Shortfall.PAUSED else None)
    study_id = ledger.study.study_id
    queued = ledger.records.trials.select(study_id, (TrialState.QUEUED,), limit=ask.count)
    room = _room(ledger.records, ledger.study)
    fresh = _fresh(services, ledger, min(ask.count - len(queued), room), prepared)
    made = [_queue(ledger, suggestion) for suggestion in fresh]
    started = tuple(ledger.start(trial, ask.worker_id) for trial in [*queued, *made])
    if len(started) == ask.count:
        return Handout(started)
    return _shortfall(ledger, started)


def _fresh(services: Services, ledger: Ledger, count: int, prepared: Prepared | None) -> list[Suggestion]:
    """So many suggestions that no trial has: those that were prepared, then quick ones."""
    if count <= 0:
        return []
    if prepared is None:  # there were enough in the queue, and others have taken them
        return _quick(services, evidence_of(ledger.records, ledger.study), count)
    added = [t.parameters for t in ledger.records.trials.select(ledger.study.study_id, after=prepared.last_number)]
    kept = [s for s in prepared.suggestions if s.configuration not in added][:count]
    if len(kept) == count:
        return kept
    evidence, missing = prepared.evidence, count - len(kept)
    if evidence is None:  # another server has made the same
        evidence, added = evidence_of(ledger.records, ledger.study), []
    evidence = replace(evidence, pending=(*evidence.pending, *added, *(s.configuration for s in kept)))
    if prepared.by_surrogate:  # it was in time; there were fewer, or others have them
        return kept + services.optimizer.suggest_blind(evidence, missing)
    return kept + _quick(services, evidence, missing)


def _queue(ledger: Ledger, suggestion: Suggestion) -> Trial:
    study = ledger.study
    number = ledger.records.trials.next_number(study.study_id)
    why = explanation_of(suggestion, study.spec.steering)
    return Trial(study.study_id, number, suggestion.configuration, ledger.at, suggestion.origin, explanation=why)


def _shortfall(ledger: Ledger, started: tuple[Trial, ...]) -> Handout:
    counts = ledger.records.trials.counts(ledger.study.study_id)
    if any(counts.get(state) for state in OPEN):  # one of these may come back to the queue
        return Handout(started, Shortfall.ALL_IN_PROGRESS, RETRY_DELAY)
    is_full = _room(ledger.records, ledger.study) <= 0
    if is_full and not started and ledger.study.spec.execution.max_trials is None:
        check_size(ledger.study, sum(counts.values()))
    return Handout(started, Shortfall.COMPLETED if is_full else Shortfall.SPACE_EXHAUSTED)


def _room(records: Records, study: Study) -> int:
    """How many trials more it may have."""
    limit = study.spec.execution.max_trials
    made = sum(records.trials.counts(study.study_id).values())
    return (MAX_TRIALS if limit is None else limit) - made


def explanation_of(suggestion: Suggestion, metrics: Sequence[Metric]) -> Explanation:
    """Why it was suggested, in the metrics' own directions; `metrics` are those that steer."""
    return Explanation(
        summary=suggestion.summary,
        predictions=predictions_of(suggestion.expected, metrics) if suggestion.expected else (),
        acquisition=suggestion.acquisition,
        acquisition_value=suggestion.acquisition_value,
        intent=suggestion.intent,
        nearest_trial=suggestion.nearest_trial,
        nearest_distance=suggestion.nearest_distance,
    )


def predictions_of(expected: Sequence[Expected], metrics: Sequence[Metric]) -> tuple[Prediction, ...]:
    """What is expected of each metric that steers, in its own direction."""
    return tuple(Prediction(m.name, m.outward(e.mean), e.std) for m, e in zip(metrics, expected, strict=True))
