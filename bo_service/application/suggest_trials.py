"""Handing out trials: those in the queue first, then new suggestions."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from bo_service.application.confirmation import confirmations, num_reserved
from bo_service.application.context import (
    UNFINISHED,
    AppContext,
    StudyTransaction,
    change_idempotently,
    earlier_answer,
    in_flight,
    retry_on_conflict,
)
from bo_service.application.early_stopping import in_words
from bo_service.application.ports import RequestKey
from bo_service.application.prefetch import Candidates
from bo_service.application.promotion import promotable, waiting_for_resume
from bo_service.application.session import StudySession
from bo_service.application.trials import check_size
from bo_service.application.views import Shortfall, SuggestResult
from bo_service.domain.budget import Limit, Spent
from bo_service.domain.errors import DeadlinePassed, NoConfigurationFound, ObjectiveMismatch
from bo_service.domain.fidelity import Promotion
from bo_service.domain.objective import ObjectiveSpec, differences
from bo_service.domain.search_space import SearchSpace
from bo_service.domain.study import Metric, Study, StudyState
from bo_service.domain.trial import Explanation, Lease, Prediction, Trial, TrialState
from bo_service.optimizer.initial_design import is_exhausted
from bo_service.optimizer.inputs import NormalPrediction, Suggestion

CONTINUES = "Continues"
"""Begins the sentence that says why a paused trial goes on."""
RETRY_DELAY = timedelta(seconds=2)
NAMED, MOST_NAMED = 3, 120
"""Constraints that a message names, and characters of each."""
CLOSED = {
    StudyState.PAUSED: SuggestResult((), Shortfall.PAUSED, RETRY_DELAY),
    StudyState.COMPLETED: SuggestResult((), Shortfall.COMPLETED),
}


@dataclass(frozen=True)
class SuggestRequest:
    """A request of a worker for trials."""

    study_id: str
    count: int
    worker_id: str
    timeout: float
    """How many seconds the surrogate may take."""
    objective: ObjectiveSpec | None = None
    """What the worker evaluates; None where it doesn't say."""
    can_resume: bool = False
    """Whether the worker trains in parts and resumes trials that were paused."""
    is_awaited: Callable[[], bool] = lambda: True
    """Whether the caller still waits for the answer."""
    lease_duration: timedelta | None = None
    """How long the leases last; None for the study's setting."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that the trials get."""


@retry_on_conflict
def suggest_trials(app: AppContext, request: SuggestRequest, key: RequestKey | None) -> SuggestResult:
    """Return trials, RUNNING under leases. What isn't ready in time is filled up with quasi-random points.

    Raises:
        NotFound: no such study.
        DeadlinePassed: the caller has gone; nothing was handed out.
        ObjectiveMismatch: the worker evaluates another objective, or the same one with other options.
        NoConfigurationFound: no configuration was found, and it is not proven that none is left.
        AlgorithmNotInstalled: the study's own algorithm is not installed on this server.
    """
    session = app.sessions.of(request.study_id)
    deadline = time.monotonic() + request.timeout
    result = None
    while result is None:
        # 1. Repeat the answer of a request that had one, even if the study was deleted since. Where suggestions cost
        #    nothing, step 3 finds that out.
        if key is not None and session.recalled() is None:
            with app.store.read() as records:
                is_answered = records.find_answer(key, SuggestResult) is not None
            result = earlier_answer(app, request.study_id, key, SuggestResult) if is_answered else None
            if result is not None:
                break
        # 2. Choose configurations for the trials that the queue lacks: those ready, those being computed, or computed
        #    now by the surrogate; quasi-random points before there is one, and where it takes too long.
        with session.suggest(request.count, deadline, request.can_resume) as candidates:
            # 3. In one transaction, start trials from the queue and new trials of the candidates.
            hand_out = partial(_hand_out, session, request, candidates)
            result = change_idempotently(app, request.study_id, key, SuggestResult, hand_out)
            # 4. Tell the session which candidates were used. Where other servers have added trials meanwhile, that is
            #    none: choose again.
            candidates.used = None if result is None else [trial.parameters for trial in result.trials]
    return result


def _hand_out(
    session: StudySession, request: SuggestRequest, candidates: Candidates, transaction: StudyTransaction
) -> SuggestResult | None:
    """Start trials; None, and nothing is changed, where the candidates should be chosen again."""
    # 1. Check the candidates against the study as it is now, and the worker's objective against the study's.
    if candidates.is_outdated(transaction.study):
        return None
    if transaction.study.spec.fidelity is not None:
        valid = _still_valid(transaction, candidates.suggestions)
        if len(valid) < len(candidates.suggestions) and not candidates.is_final:
            return None
        candidates.suggestions = valid
    if request.objective is not None:
        _check_objective(transaction.study, request.objective)
    # 2. Hand out nothing while the study is paused or completed.
    if transaction.study.state in CLOSED:
        return replace(CLOSED[transaction.study.state], reached_limit=transaction.reached_limit())
    if request.objective is not None and transaction.study.objective is None:
        transaction.update(objective=request.objective)
    # 3. Take the oldest trials of the queue, the paused ones that go on, and new ones as far as there may be more.
    numbers = _waiting_trials(transaction, request)
    lacking = min(request.count - len(numbers), transaction.remaining_capacity(request.count))
    repeated = _repetitions(transaction, lacking) if transaction.study.spec.suggestion.confirming_trials else []
    suggestions = _suggestions(session, transaction, candidates, lacking - len(repeated)) + repeated
    is_idle = not numbers and not suggestions and not transaction.snapshot.counts.get(TrialState.RUNNING)
    if is_idle and request.can_resume:
        numbers = transaction.last_promotable()[:1]
    # 4. Start them, as far as the budget allows; unless the caller has gone, who would never know of them.
    waiting = [transaction.records.get_trial(request.study_id, number) for number in numbers]
    if transaction.study.spec.execution.has_budget:
        waiting, suggestions = _affordable(transaction, request, waiting, suggestions)
    trials = waiting + [_trial_of(transaction, suggestion) for suggestion in suggestions]
    holder = request.worker_id, request.can_resume
    started = tuple(
        transaction.start(trial.label(request.labels) if request.labels else trial, *holder, request.lease_duration)
        for trial in trials
    )
    if started and not request.is_awaited():
        raise DeadlinePassed("the caller has gone or its deadline has passed; no trial was handed out: ask again")
    # 5. Say why there are fewer than asked for.
    return SuggestResult(started) if len(started) == request.count else _shortfall(transaction, request, started)


def _affordable(
    transaction: StudyTransaction, request: SuggestRequest, waiting: list[Trial], suggestions: list[Suggestion]
) -> tuple[list[Trial], list[Suggestion]]:
    """Return those that begin before the budget is spent by what all of them are committed to."""
    committed, lease = transaction.committed(), Lease("", request.worker_id, transaction.at)
    begun = 0
    for trial in (*waiting, *(_trial_before(transaction, suggestion) for suggestion in suggestions)):
        if _spent_limit(transaction, committed) is not None:
            break
        until_step = transaction.until_step(trial) if request.can_resume else None
        running = trial.start(lease, transaction.at, until_step)
        committed += in_flight(running, transaction.study.spec.fidelity, transaction.at)
        begun += 1
    return waiting[:begun], suggestions[: max(0, begun - len(waiting))]


def _trial_before(transaction: StudyTransaction, suggestion: Suggestion) -> Trial:
    """Return the paused trial that a suggestion continues, or a new one that is not stored."""
    study = transaction.study
    if suggestion.continues is not None:
        return transaction.records.get_trial(study.study_id, suggestion.continues.number)
    return Trial(study.study_id, 0, suggestion.configuration, transaction.at, suggestion.origin)


def _spent_limit(transaction: StudyTransaction, spent: Spent) -> Limit | None:
    """Return which limit of training has been reached; None if none has."""
    return transaction.study.spec.execution.reached_limit(0, spent)


def _waiting_trials(transaction: StudyTransaction, request: SuggestRequest) -> list[int]:
    """Return the numbers of trials that are handed out before new ones: those queued, then those paused that go on.

    A worker that can't resume isn't given a trial that was ever paused.
    """
    snapshot = transaction.snapshot
    queued = sorted(snapshot.queued_numbers)
    if not request.can_resume:
        return [number for number in queued if snapshot.summaries[number].pause is None][: request.count]
    return [*queued, *_by_rank(transaction)][: request.count]


def _by_rank(transaction: StudyTransaction) -> list[int]:
    """Return the numbers of the paused trials that go on by rank.

    Forecasts choose instead once the surrogate makes suggestions, and as long as there may be new trials.
    """
    fidelity = transaction.study.spec.fidelity
    is_forecast = fidelity is not None and fidelity.promotion is Promotion.FORECAST
    if is_forecast and transaction.remaining_capacity() > 0 and transaction.snapshot.inputs.needs_surrogate(1):
        return []
    return promotable(transaction.records, transaction.study, transaction.snapshot.summaries)


def _still_valid(transaction: StudyTransaction, suggestions: Sequence[Suggestion]) -> list[Suggestion]:
    """Return the suggestions without paused trials that were handed out, stopped or deleted meanwhile."""
    trials = transaction.snapshot.summaries
    paused = {number for number, trial in trials.items() if trial.state is TrialState.PAUSED}
    return [s for s in suggestions if s.continues is None or s.continues.number in paused]


def _check_objective(study: Study, given: ObjectiveSpec) -> None:
    """Refuse a worker whose objective differs from the study's.

    Raises:
        ObjectiveMismatch: they differ.
    """
    different = differences(study.objective, given)
    if different:
        raise ObjectiveMismatch(
            f"{study.name} is of another objective: {'; '.join(different)}. Their results can't be compared: run the "
            "worker with the study's objective and options, or with another study",
            study=study.name,
        )


def _repetitions(transaction: StudyTransaction, count: int) -> list[Suggestion]:
    """Return those of the next `count` new trials that repeat the best configuration: the last of `max_trials`."""
    inputs = transaction.snapshot.inputs
    reserved = num_reserved(transaction.study, inputs) if count > 0 else 0
    repeated = count + reserved - transaction.remaining_capacity(count + reserved) if reserved else 0
    return confirmations(inputs, min(count, repeated))


def _suggestions(
    session: StudySession, transaction: StudyTransaction, candidates: Candidates, count: int
) -> list[Suggestion]:
    """Return `count` suggestions that no trial has: candidates, then quasi-random points.

    The points are made of the study as the transaction sees it: a trial that ended since may leave one to repeat.
    """
    if count <= 0:
        return []
    snapshot, kept = transaction.snapshot, []
    is_fitting = candidates.fits(transaction.study)
    if is_fitting:
        added = range(candidates.snapshot.study.last_number + 1, snapshot.study.last_number + 1)
        taken = [snapshot.summaries[number].parameters for number in added if number in snapshot.summaries]
        kept = [s for s in candidates.suggestions if s.continues or s.configuration not in taken][:count]
    if len(kept) == count:
        return kept
    pending = (*snapshot.inputs.pending, *(suggestion.configuration for suggestion in kept))
    inputs = replace(snapshot.inputs, pending=pending)
    return kept + session.quasi_random(inputs, count - len(kept), is_late=not (is_fitting and candidates.by_surrogate))


def _trial_of(transaction: StudyTransaction, suggestion: Suggestion) -> Trial:
    """Return the paused trial that goes on, with why in its explanation, or a new one."""
    study = transaction.study
    if suggestion.continues is not None:
        trial = transaction.records.get_trial(study.study_id, suggestion.continues.number)
        before = "" if trial.explanation is None else trial.explanation.summary.split(CONTINUES)[0].rstrip()
        explanation = explanation_of(suggestion, study.spec.modelled_metrics)
        return replace(
            trial, explanation=replace(explanation, summary=f"{before} {_continues(study, suggestion)}".strip())
        )
    return Trial(
        study.study_id,
        transaction.next_number(),
        suggestion.configuration,
        transaction.at,
        suggestion.origin,
        explanation=explanation_of(suggestion, study.spec.modelled_metrics),
    )


def _continues(study: Study, suggestion: Suggestion) -> str:
    """Return in a sentence which trial goes on, how far, and what is expected of it."""
    going, fidelity, say = suggestion.continues, study.spec.fidelity, in_words(study.spec.objective)
    assert going is not None
    assert fidelity is not None
    (expected,), until = suggestion.expected, fidelity.next_stop(going.step)
    takes = ""
    if going.whole_seconds is not None:
        takes = f" It is expected to take {going.whole_seconds * (until - going.step) / fidelity.max_step:.3g} s."
    return (
        f"{CONTINUES} trial {going.number} from {fidelity.step_name} {going.step} to {until}: expected "
        f"{say(expected.mean)} ± {expected.std:.2g}, best {say(going.best)}.{takes}"
    )


def _shortfall(transaction: StudyTransaction, request: SuggestRequest, started: tuple[Trial, ...]) -> SuggestResult:
    """Return why there are fewer trials than asked for.

    Raises:
        NoConfigurationFound: no configuration was found, and it is not proven that none is left.
    """
    counts = transaction.records.count_trials(transaction.study.study_id)
    if transaction.study.spec.execution.has_budget and (limit := _spent_limit(transaction, transaction.committed())):
        if counts.get(TrialState.RUNNING):  # one may fail, and spend less than it is committed to
            return SuggestResult(started, Shortfall.ALL_IN_PROGRESS, RETRY_DELAY, limit)
        return SuggestResult(started, Shortfall.COMPLETED, reached_limit=limit)
    if _needs_resume(transaction, request, counts):
        return SuggestResult(started, Shortfall.NEEDS_RESUME)
    if any(counts.get(state) for state in UNFINISHED):  # one of these may come back to the queue
        return SuggestResult(started, Shortfall.ALL_IN_PROGRESS, RETRY_DELAY, transaction.reached_limit())
    is_full = transaction.remaining_capacity() <= 0
    if is_full and not started and transaction.study.spec.execution.max_trials is None:
        check_size(transaction.study, sum(counts.values()))
    if is_full:
        return SuggestResult(started, Shortfall.COMPLETED, reached_limit=transaction.reached_limit())
    if not is_exhausted(transaction.snapshot.inputs):
        raise NoConfigurationFound(_no_configuration(transaction.study.spec.space), study=transaction.study.name)
    return SuggestResult(started, Shortfall.SPACE_EXHAUSTED)


def _needs_resume(transaction: StudyTransaction, request: SuggestRequest, counts: Mapping[TrialState, int]) -> bool:
    """Return whether only trials are left that this worker can't resume, and none runs that may come back for it."""
    if request.can_resume or transaction.study.spec.fidelity is None or counts.get(TrialState.RUNNING):
        return False
    return bool(waiting_for_resume(transaction.records, transaction.study, transaction.snapshot.summaries))


def _no_configuration(space: SearchSpace) -> str:
    if not space.constraints:
        return (
            "no further configuration was found between the parameters' bounds, which are so close that few numbers "
            "are between them; widen them, list the values, or add configurations with CreateTrial"
        )
    named = [f"constraints[{i}]: {c.description or c}"[:MOST_NAMED] for i, c in enumerate(space.constraints)]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return (
        "no further configuration was found that fulfills the constraints, and it is not proven that there is none "
        f"({'; '.join(named[:NAMED])}{more}); loosen a constraint, widen the parameters' bounds, "
        "or add configurations with CreateTrial"
    )


def explanation_of(suggestion: Suggestion, metrics: Sequence[Metric]) -> Explanation:
    """Return why it was suggested, in the metrics' own directions; `metrics` are the modelled ones."""
    return Explanation(
        summary=suggestion.summary,
        predictions=predictions_of(suggestion.expected, metrics) if suggestion.expected else (),
        acquisition=suggestion.acquisition,
        acquisition_value=suggestion.acquisition_value,
        intent=suggestion.intent,
        nearest_trial=suggestion.nearest_trial,
        nearest_distance=suggestion.nearest_distance,
    )


def predictions_of(expected: Sequence[NormalPrediction], metrics: Sequence[Metric]) -> tuple[Prediction, ...]:
    """Return the prediction of each modelled metric, in its own direction."""
    return tuple(Prediction(m.name, m.from_maximized(e.mean), e.std) for m, e in zip(metrics, expected, strict=True))
