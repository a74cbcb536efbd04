"""Handing out trials: those in the queue first, then new suggestions."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from bo_service.application.desks import MOST_AHEAD
from bo_service.application.known import Known
from bo_service.application.ports import RequestKey
from bo_service.application.repeating import repeated
from bo_service.application.services import OPEN, Ledger, Services, change_once
from bo_service.application.trials import check_size
from bo_service.application.views import Handout, Shortfall
from bo_service.core.blind import is_exhausted
from bo_service.core.constraints import Configuration
from bo_service.core.errors import (
    BoError,
    DeadlinePassed,
    NoConfigurationFound,
    NotFound,
    ObjectiveMismatch,
    StorageUnavailable,
)
from bo_service.core.evidence import Evidence, Expected, Suggestion
from bo_service.core.objective import ObjectiveSpec, differences
from bo_service.core.space import SearchSpace
from bo_service.core.study import Algorithm, Metric, Study, StudyState
from bo_service.core.trial import Explanation, Prediction, Trial

RETRY_DELAY = timedelta(seconds=2)
NAMED, MOST_NAMED = 3, 120
"""Constraints that a message names, and characters of each."""
TOO_LATE = "The surrogate was not ready within the time that the caller gave. "


@dataclass(frozen=True)
class Ask:
    """What a worker asks for."""

    study_id: str
    count: int
    worker_id: str
    patience: float
    """How many seconds the surrogate may take."""
    objective: ObjectiveSpec | None = None
    """What the worker evaluates; None where it doesn't say."""
    is_awaited: Callable[[], bool] = lambda: True
    """Whether the caller still waits for the answer."""


@dataclass(frozen=True)
class Prepared:
    """What was found out before the transaction."""

    known: Known
    """The study, as it was then."""
    suggestions: list[Suggestion]
    """The surrogate's, or quick ones."""
    by_surrogate: bool

    def fits(self, study: Study) -> bool:
        """Whether it was found out for a study as this is."""
        known = self.known.study
        return known.create_time == study.create_time and known.spec == study.spec


@repeated
def suggest_trials(services: Services, ask: Ask, key: RequestKey | None) -> Handout:
    """Trials, RUNNING under leases. What isn't ready in time is filled up from the space-filling sequence.

    Raises:
        NotFound: no such study.
        DeadlinePassed: the caller has gone; nothing was handed out.
        ObjectiveMismatch: the worker evaluates another objective, or the same one with other options.
    """
    deadline = time.monotonic() + ask.patience
    known = _recall(services, ask.study_id)
    if known is not None:
        handout = _attempt(services, ask, key, _prepare(services, ask, known, None), is_last=False)
        if handout is not None:
            return handout
    known = _look(services, ask, key)
    with _alone(services, ask, known) as alone:
        handout = None
        while handout is None:  # again while other servers make trials meanwhile, and there is time
            known = _look(services, ask, key)
            is_last = time.monotonic() >= deadline
            prepared = None if known is None else _prepare(services, ask, known, deadline if alone else None)
            handout = _attempt(services, ask, key, prepared, is_last)
        return handout


def _recall(services: Services, study_id: str) -> Known | None:
    """A study as it is remembered, where that will do: none of its suggestions depend on the results of others."""
    known = services.memory.recall(study_id)
    if known is None or known.study.spec.suggestion.warm_start_studies:
        return None
    return known if known.study.spec.suggestion.algorithm is Algorithm.QUASI_RANDOM else None


def _look(services: Services, ask: Ask, key: RequestKey | None) -> Known | None:
    """The study; None where nothing is to be suggested, as there is none, or this request has its answer."""
    try:
        with services.memory.reading(services.store, ask.study_id) as (records, known):
            is_answered = key is not None and records.answers.find(key, Handout) is not None
            return None if is_answered else known
    except NotFound:
        return None


def _alone(services: Services, ask: Ask, known: Known | None) -> AbstractContextManager[bool]:
    """Yields whether this call may ask the surrogate: one at a time does, and nobody waits who needs none."""
    if known is None or known.study.spec.suggestion.algorithm is Algorithm.QUASI_RANDOM:
        return nullcontext(False)
    return services.suggesting.hold(ask.study_id, ask.patience)


def _attempt(
    services: Services, ask: Ask, key: RequestKey | None, prepared: Prepared | None, is_last: bool
) -> Handout | None:
    """None where the suggestions should be computed again."""

    def hand_out(ledger: Ledger) -> Handout:
        fitting = prepared if prepared is not None and prepared.fits(ledger.study) else None
        if prepared is not None and not is_last and (fitting is None or _is_blind(ledger, fitting)):
            raise _Blind
        handed = _hand_out(services, ledger, ask, fitting)
        if handed.trials and not ask.is_awaited():
            raise DeadlinePassed("the caller has gone or its deadline has passed; no trial was handed out: ask again")
        return handed

    handout: Handout | None = None
    try:
        handout = change_once(services, ask.study_id, key, Handout, hand_out)
    except _Blind:
        pass
    except StorageUnavailable:
        if prepared is not None:
            services.reserve.forget(prepared.known)  # they may have been handed out all the same
        raise
    except BoError:
        if prepared is not None:
            _settle(services, prepared, None)
        raise
    if prepared is not None:
        _settle(services, prepared, handout)
    return handout


def _settle(services: Services, prepared: Prepared, handout: Handout | None) -> None:
    """Tells those who have made the suggestions what has become of them."""
    if not prepared.by_surrogate:
        used = [trial.parameters for trial in handout.trials] if handout is not None else []
        services.reserve.settle(prepared.known, prepared.suggestions, used)
    elif handout is not None:
        services.preparations.handed_out(prepared.known)


class _Blind(Exception):
    """The suggestions were made without knowing of trials that there are, or of another study."""


def _is_blind(ledger: Ledger, prepared: Prepared) -> bool:
    """Whether the surrogate didn't know of trials that another server has made meanwhile: its own would be the same."""
    modelled = prepared.by_surrogate and prepared.suggestions
    return bool(modelled) and ledger.study.last_number > prepared.known.study.last_number


def _prepare(services: Services, ask: Ask, known: Known, deadline: float | None) -> Prepared:
    """What is suggested beyond the queue. The surrogate has until the deadline, if any."""
    free = min(ask.count - known.queued, known.room)
    if free <= 0 or known.study.state is not StudyState.ACTIVE:
        return Prepared(known, [], by_surrogate=False)
    if deadline is None:
        quick = services.reserve.take(known, free, partial(_quick, services))
        return Prepared(known, quick, by_surrogate=False)
    if known.evidence.needs_surrogate(free):
        ahead = min(MOST_AHEAD, free + services.suggesting.wanted(ask.study_id) - 1)
        patience = deadline - time.monotonic()
        found = services.preparations.obtain(services.optimizer, known, free, ahead, patience)
        if found is not None:
            return Prepared(known, found, by_surrogate=True)
    return Prepared(known, _quick(services, known.evidence, free), by_surrogate=False)


def _quick(services: Services, evidence: Evidence, count: int) -> list[Suggestion]:
    """From the space-filling sequence. They tell where the surrogate should have made them."""
    found = services.optimizer.suggest_blind(evidence, count)
    late = [evidence.needs_surrogate(i + 1) for i in range(len(found))]
    return [replace(s, summary=TOO_LATE + s.summary) if is_late else s for s, is_late in zip(found, late, strict=True)]


def _hand_out(services: Services, ledger: Ledger, ask: Ask, prepared: Prepared | None) -> Handout:
    _check_objective(ledger.study, ask.objective)
    closed = {StudyState.PAUSED: Shortfall.PAUSED, StudyState.COMPLETED: Shortfall.COMPLETED}.get(ledger.study.state)
    if closed is not None:
        return Handout((), closed, RETRY_DELAY if closed is Shortfall.PAUSED else None)
    if ask.objective is not None and ledger.study.objective is None:
        ledger.update(objective=ask.objective)
    study, now = ledger.study, services.memory.glance(ledger.records, ledger.study)
    queued = [ledger.records.trials.get(study.study_id, number) for number in sorted(now.waiting)[: ask.count]]
    added = _added(now, prepared.known) if prepared is not None else []
    fresh = _fresh(services, ledger, min(ask.count - len(queued), ledger.room(ask.count)), prepared, now, added)
    made = [_queue(ledger, suggestion) for suggestion in fresh]
    started = tuple(ledger.start(trial, ask.worker_id) for trial in [*queued, *made])
    if len(started) == ask.count:
        return Handout(started)
    return _shortfall(services, ledger, started)


def _check_objective(study: Study, given: ObjectiveSpec | None) -> None:
    """Raises ObjectiveMismatch."""
    different = differences(study.objective, given)
    if different:
        raise ObjectiveMismatch(
            f"{study.name} is of another objective: {'; '.join(different)}. Their results can't be compared: run the "
            "worker with the study's objective and options, or with another study",
            study=study.name,
        )


def _fresh(
    services: Services,
    ledger: Ledger,
    count: int,
    prepared: Prepared | None,
    now: Known,
    added: Sequence[Configuration],
) -> list[Suggestion]:
    """So many suggestions that no trial has, not those `added` either: those that were prepared, then quick ones.

    The quick ones are made of the study as it is `now`: a trial that ended since may leave something to repeat.
    """
    if count <= 0:
        return []
    if prepared is None:
        return _quick(services, services.memory.look(ledger.records, ledger.study).evidence, count)
    kept = [s for s in prepared.suggestions if s.configuration not in added][:count]
    if len(kept) == count:
        return kept
    evidence, missing = now.evidence, count - len(kept)
    evidence = replace(evidence, pending=(*evidence.pending, *(s.configuration for s in kept)))
    if prepared.by_surrogate:  # it was in time; there were fewer, or others have them
        return kept + services.optimizer.suggest_blind(evidence, missing)
    return kept + _quick(services, evidence, missing)


def _added(now: Known, before: Known) -> list[Configuration]:
    """Of the trials that were made since."""
    numbers = range(before.study.last_number + 1, now.study.last_number + 1)
    return [now.outlines[number].parameters for number in numbers if number in now.outlines]


def _queue(ledger: Ledger, suggestion: Suggestion) -> Trial:
    study = ledger.study
    why = explanation_of(suggestion, study.spec.steering)
    return Trial(
        study.study_id, ledger.next_number(), suggestion.configuration, ledger.at, suggestion.origin, explanation=why
    )


def _shortfall(services: Services, ledger: Ledger, started: tuple[Trial, ...]) -> Handout:
    """Why there are fewer trials than asked for.

    Raises:
        NoConfigurationFound: no configuration was found, and it is not proven that none is left.
    """
    counts = ledger.records.trials.counts(ledger.study.study_id)
    if any(counts.get(state) for state in OPEN):  # one of these may come back to the queue
        return Handout(started, Shortfall.ALL_IN_PROGRESS, RETRY_DELAY)
    is_full = ledger.room() <= 0
    if is_full and not started and ledger.study.spec.execution.max_trials is None:
        check_size(ledger.study, sum(counts.values()))
    if is_full:
        return Handout(started, Shortfall.COMPLETED)
    if not is_exhausted(services.memory.look(ledger.records, ledger.study).evidence):
        raise NoConfigurationFound(_unfound(ledger.study.spec.space), study=ledger.study.name)
    return Handout(started, Shortfall.SPACE_EXHAUSTED)


def _unfound(space: SearchSpace) -> str:
    named = [f"constraints[{i}]: {c.description or c}"[:MOST_NAMED] for i, c in enumerate(space.constraints)]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return (
        "no further configuration was found that fulfills the constraints, and it is not proven that there is none "
        f"({'; '.join(named[:NAMED])}{more}); loosen a constraint, widen the parameters' bounds, "
        "or add configurations with CreateTrial"
    )


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
