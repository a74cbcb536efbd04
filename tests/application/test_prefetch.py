"""Suggestions made before they are asked for: the same as without, dropped when they are stale, computed once."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bo_service.application import studies, suggest_trials, trial_lifecycle, trials
from bo_service.application.context import AppContext
from bo_service.application.ports import ComputationHandle
from bo_service.application.prefetch import CacheOutcome
from bo_service.application.sessions import PrefetchThreads, Sessions
from bo_service.domain.study import StudyState
from bo_service.domain.trial import Failure, FailureReason, Measurement, Origin

PATIENCE = 60.0


@pytest.fixture
def found() -> list[CacheOutcome]:
    return []


@pytest.fixture
def app(app: AppContext, found: list[CacheOutcome]) -> AppContext:
    return replace(app, sessions=Sessions(app.store, app.optimizer, found.append))


@pytest.fixture
def study(app: AppContext, make_study: Callable[..., str], found, optimizer) -> str:
    """Its next suggestion is the surrogate's first, and it has been asked."""
    make_study()
    for i in range(4):
        finish(app, *ask(app), value=float(i))
    found.clear()
    optimizer.asked.clear()
    return "s"


def ask(app, count=1, timeout=PATIENCE):
    return suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", count, "worker", timeout), None).trials


def finish(app, *asked, value=1.0):
    for trial in asked:
        trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, Measurement({"loss": value}), None)


def others(app: AppContext) -> AppContext:
    """Another server over the same database."""
    return replace(app, sessions=Sessions(app.store, app.optimizer))


def test_it_is_found_ready(app, study, found, optimizer) -> None:
    app.sessions.of(study).prefetch()
    assert len(optimizer.asked) == 1
    (trial,) = ask(app)
    assert trial.origin is Origin.SURROGATE
    assert (found, len(optimizer.asked)) == ([CacheOutcome.HIT], 1)


def test_the_suggestion_is_the_same_as_without_preparation(app, make_study, clock) -> None:
    """Each study is told the same, and suggests the same, prepared or not."""
    seen = []
    for is_prepared in (False, True):
        make_study()
        told = []
        for i in range(7):
            if is_prepared:
                app.sessions.of("s").prefetch()
            (trial,) = ask(app)
            told.append((trial.parameters, trial.explanation.predictions))
            finish(app, trial, value=abs(trial.parameters["lr"] - 0.1) + i % 2)
        seen.append(told)
        clock.turn(1)
        studies.delete_study(app, "s", None)
    assert seen[0] == seen[1]


def test_several_that_ask_together_have_different_ones_of_one_batch(app, study, found, optimizer) -> None:
    finish(app, *ask(app, count=3))
    app.sessions.of(study).prefetch()
    found.clear()
    optimizer.asked.clear()
    handed = [trial for _ in range(3) for trial in ask(app)]
    assert found == [CacheOutcome.HIT] * 3
    assert not optimizer.asked
    assert len({str(trial.parameters) for trial in handed}) == 3


@pytest.mark.parametrize("change", ["result", "unfit", "machine's failure", "queued", "settings", "deleted"])
def test_what_the_optimizer_hears_of_makes_it_stale(app, study, optimizer, found, change) -> None:
    going_on, *_ = ask(app, count=2)
    app.sessions.of(study).prefetch()
    assert is_ready(app, optimizer)
    if change == "result":
        finish(app, going_on)
    elif change in ("unfit", "machine's failure"):
        reason = FailureReason.DIVERGED if change == "unfit" else FailureReason.CRASHED
        for attempt in range(1 if change == "unfit" else 3):
            going_on = going_on if attempt == 0 else ask(app)[0]
            trial_lifecycle.complete_trial(app, study, going_on.number, going_on.lease.token, Failure(reason), None)
    elif change == "queued":
        trials.create_trial(app, study, trials.NewTrial({"lr": 0.3, "norm": "batch"}, {}), None)
    elif change == "settings":
        revised = studies.StudyUpdate(revise=lambda s: replace(s, suggestion=replace(s.suggestion, seed=5)))
        studies.update_study(app, study, revised, None)
    else:
        trials.delete_trial(app, study, 1, None)
    assert not is_ready(app, optimizer)
    assert found[-1] is CacheOutcome.EVICTED


def is_ready(app, optimizer) -> bool:
    """Whether there is nothing to prefetch; else it is ready afterwards."""
    optimizer.asked.clear()
    app.sessions.of("s").prefetch()
    return not optimizer.asked


@pytest.mark.parametrize("change", ["labels", "report", "another attempt"])
def test_what_it_does_not_hear_of_leaves_it_ready(app, study, optimizer, change) -> None:
    going_on, *_ = ask(app, count=2)
    app.sessions.of(study).prefetch()
    if change == "labels":
        studies.update_study(app, study, studies.StudyUpdate(labels={"a": "b"}), None)
    elif change == "report":
        told = [Measurement({"loss": 0.1}, step=3)]
        trial_lifecycle.report_measurements(app, study, going_on.number, going_on.lease.token, told)
    else:
        crashed = Failure(FailureReason.CRASHED)
        trial_lifecycle.complete_trial(app, study, going_on.number, going_on.lease.token, crashed, None)
    assert is_ready(app, optimizer)


def test_other_servers_changes_make_it_stale_and_are_noticed(app, study, optimizer) -> None:
    (going_on,) = ask(app)
    app.sessions.of(study).prefetch()
    finish(others(app), going_on)
    optimizer.asked.clear()
    app.sessions.notice_changes()
    session = app.sessions.next_scheduled()
    assert session is app.sessions.of(study)
    session.prefetch()
    assert optimizer.asked
    app.sessions.of(study).prefetch()
    assert len(optimizer.asked) == 1
    assert is_ready(app, optimizer)


@pytest.mark.parametrize("why", ["paused", "full", "blind"])
def test_nothing_is_prepared_where_nothing_would_be_handed_out(app, make_study, optimizer, why) -> None:
    make_study(max_trials=4 if why == "full" else None)
    for i in range(1 if why == "blind" else 4):
        finish(app, *ask(app), value=float(i))
    if why == "paused":
        studies.update_study(app, "s", studies.StudyUpdate(state=StudyState.PAUSED), None)
    optimizer.asked.clear()
    app.sessions.of("s").prefetch()
    assert not optimizer.asked


def test_what_fails_is_not_tried_again_for_the_same(app, study, optimizer) -> None:
    optimizer.too_slow = True
    app.sessions.of(study).prefetch()
    app.sessions.of(study).prefetch()
    assert len(optimizer.asked) == 1
    (trial,) = ask(app)
    assert trial.origin is Origin.QUASI_RANDOM


class Gate:
    """Holds back what the optimizer computes until it is opened, or stopped."""

    def __init__(self, optimizer) -> None:
        self.opened, self.entered = threading.Event(), threading.Semaphore(0)
        self.errands: list[ComputationHandle] = []
        self._suggest = optimizer.suggest
        optimizer.suggest = self.suggest

    def suggest(self, inputs, count, timeout, handle):
        self.errands.append(handle)
        turn = threading.Event()
        handle.on_change = lambda: handle.is_cancelled and turn.set()
        self.entered.release()
        while not self.opened.is_set() and not turn.wait(0.01):
            pass
        return None if handle.is_cancelled else self._suggest(inputs, count, timeout, handle)

    def wait(self) -> None:
        """For a computation to begin."""
        assert self.entered.acquire(timeout=PATIENCE)


@pytest.fixture
def gate(app: AppContext, study: str, optimizer) -> Iterator[Gate]:
    """In front of a study's preparation, which has begun on a thread of its own."""
    made = Gate(optimizer)
    started = PrefetchThreads(app.sessions, 2)
    made.wait()
    yield made
    made.opened.set()
    started.stop()


def test_who_asks_while_it_is_computed_waits_for_it(app, found, optimizer, gate) -> None:
    handed: list = []
    asker = threading.Thread(target=lambda: handed.extend(ask(app)))
    asker.start()
    while not gate.errands[0].is_urgent:
        time.sleep(0.01)
    gate.opened.set()
    asker.join()
    assert handed[0].origin is Origin.SURROGATE
    assert (found, len(optimizer.asked)) == ([CacheOutcome.JOINED], 1)


def test_who_cannot_wait_has_an_answer_and_the_computation_goes_on(app, found, gate) -> None:
    (trial,) = ask(app, timeout=0.05)
    assert (trial.origin, found) == (Origin.QUASI_RANDOM, [CacheOutcome.TIMEOUT])
    assert not gate.errands[0].is_cancelled


def test_a_computation_that_has_become_stale_is_stopped_for_the_newer(app, study, found, gate) -> None:
    new = trials.NewTrial({"lr": 0.3, "norm": "batch"}, {}, final_measurement=Measurement({"loss": 0.5}))
    trials.create_trial(app, study, new, None)
    gate.wait()
    assert [handle.is_cancelled for handle in gate.errands] == [True, False]
    gate.opened.set()
    ask(app)
    assert found[-1] in (CacheOutcome.HIT, CacheOutcome.JOINED)


def test_those_who_wait_for_their_turn_share_the_next_computation(app, study, optimizer) -> None:
    gate = Gate(optimizer)
    handed: list = []
    askers = [threading.Thread(target=lambda: handed.extend(ask(app))) for _ in range(4)]
    askers[0].start()
    gate.wait()
    for asker in askers[1:]:
        asker.start()
    while app.sessions.of(study).num_waiting < 4:
        time.sleep(0.01)
    gate.opened.set()
    for asker in askers:
        asker.join()
    assert len(optimizer.asked) == 2
    assert len({str(trial.parameters) for trial in handed}) == 4


def test_studies_have_their_turns(app, make_study) -> None:
    sessions = app.sessions
    a, b, c = (sessions.of(study_id) for study_id in ("a", "b", "c"))
    for session in (a, b, a, c, a):
        sessions.schedule_prefetch(session)
    assert [sessions.next_scheduled() for _ in range(3)] == [a, b, c]
    sessions.schedule_prefetch(b)
    sessions.schedule_prefetch(a)
    assert [sessions.next_scheduled() for _ in range(2)] == [b, a]
