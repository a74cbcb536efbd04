"""Suggestions made before they are asked for: the same as without, dropped when they are stale, computed once."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bo_service.application import running, studies, suggesting, trials
from bo_service.application.desks import Finding
from bo_service.application.memory import Memory
from bo_service.application.ports import Errand
from bo_service.application.preparers import Preparers, prepare
from bo_service.application.preparing import Preparations
from bo_service.application.services import Services
from bo_service.application.watching import notice_changes
from bo_service.core.study import StudyState
from bo_service.core.trial import Failure, FailureReason, Measurement, Origin

PATIENCE = 60.0


@pytest.fixture
def found() -> list[Finding]:
    return []


@pytest.fixture
def services(services: Services, found: list[Finding]) -> Services:
    return replace(services, preparations=Preparations(found.append))


@pytest.fixture
def study(services: Services, make_study: Callable[..., str], found, optimizer) -> str:
    """Its next suggestion is the surrogate's first, and it has been asked."""
    make_study()
    for i in range(4):
        finish(services, *ask(services), value=float(i))
    found.clear()
    optimizer.asked.clear()
    return "s"


def ask(services, count=1, patience=PATIENCE):
    return suggesting.suggest_trials(services, suggesting.Ask("s", count, "worker", patience), None).trials


def finish(services, *asked, value=1.0):
    for trial in asked:
        running.complete_trial(services, "s", trial.number, trial.lease.token, Measurement({"loss": value}), None)


def others(services: Services) -> Services:
    """Another server over the same database."""
    return replace(services, memory=Memory(), preparations=Preparations())


def test_it_is_found_ready(services, study, found, optimizer) -> None:
    prepare(services, study)
    assert len(optimizer.asked) == 1
    (trial,) = ask(services)
    assert trial.origin is Origin.SURROGATE
    assert (found, len(optimizer.asked)) == ([Finding.READY], 1)


def test_the_suggestion_is_the_same_as_without_preparation(services, make_study, clock) -> None:
    """Each study is told the same, and suggests the same, prepared or not."""
    seen = []
    for is_prepared in (False, True):
        make_study()
        told = []
        for i in range(7):
            if is_prepared:
                prepare(services, "s")
            (trial,) = ask(services)
            told.append((trial.parameters, trial.explanation.predictions))
            finish(services, trial, value=abs(trial.parameters["lr"] - 0.1) + i % 2)
        seen.append(told)
        clock.turn(1)
        studies.delete_study(services, "s", None)
    assert seen[0] == seen[1]


def test_several_that_ask_together_have_different_ones_of_one_batch(services, study, found, optimizer) -> None:
    finish(services, *ask(services, count=3))
    prepare(services, study)
    found.clear()
    optimizer.asked.clear()
    handed = [trial for _ in range(3) for trial in ask(services)]
    assert found == [Finding.READY] * 3
    assert not optimizer.asked
    assert len({str(trial.parameters) for trial in handed}) == 3


@pytest.mark.parametrize("change", ["result", "unfit", "machine's failure", "queued", "settings", "deleted"])
def test_what_the_optimizer_hears_of_makes_it_stale(services, study, found, change) -> None:
    going_on, *_ = ask(services, count=2)
    prepare(services, study)
    ready = ask_ready(services)
    assert ready
    if change == "result":
        finish(services, going_on)
    elif change in ("unfit", "machine's failure"):
        reason = FailureReason.DIVERGED if change == "unfit" else FailureReason.CRASHED
        for attempt in range(1 if change == "unfit" else 3):
            going_on = going_on if attempt == 0 else ask(services)[0]
            running.complete_trial(services, study, going_on.number, going_on.lease.token, Failure(reason), None)
    elif change == "queued":
        trials.create_trial(services, study, trials.NewTrial({"lr": 0.3, "norm": "batch"}, {}), None)
    elif change == "settings":
        revised = studies.StudyUpdate(revise=lambda s: replace(s, suggestion=replace(s.suggestion, seed=5)))
        studies.update_study(services, study, revised, None)
    else:
        trials.delete_trial(services, study, 1, None)
    assert not ask_ready(services)
    prepare(services, study)
    assert found[-1] is Finding.STALE


def ask_ready(services):
    """What is ready, without taking it."""
    with services.memory.reading(services.store, "s") as (_, known):
        desk = services.preparations._desks["s"]
        return desk.batch is not None and desk.batch.left(known)


@pytest.mark.parametrize("change", ["labels", "report", "another attempt"])
def test_what_it_does_not_hear_of_leaves_it_ready(services, study, change) -> None:
    going_on, *_ = ask(services, count=2)
    prepare(services, study)
    if change == "labels":
        studies.update_study(services, study, studies.StudyUpdate(labels={"a": "b"}), None)
    elif change == "report":
        told = [Measurement({"loss": 0.1}, step=3)]
        running.report_measurements(services, study, going_on.number, going_on.lease.token, told)
    else:
        crashed = Failure(FailureReason.CRASHED)
        running.complete_trial(services, study, going_on.number, going_on.lease.token, crashed, None)
    assert ask_ready(services)


def test_other_servers_changes_make_it_stale_and_are_noticed(services, study, optimizer) -> None:
    (going_on,) = ask(services)
    prepare(services, study)
    finish(others(services), going_on)
    assert not ask_ready(services)
    optimizer.asked.clear()
    notice_changes(services)
    assert services.preparations.next_study() == study
    prepare(services, study)
    assert len(optimizer.asked) == 1
    assert ask_ready(services)


@pytest.mark.parametrize("why", ["paused", "full", "blind"])
def test_nothing_is_prepared_where_nothing_would_be_handed_out(services, make_study, optimizer, why) -> None:
    make_study(max_trials=4 if why == "full" else None)
    for i in range(1 if why == "blind" else 4):
        finish(services, *ask(services), value=float(i))
    if why == "paused":
        studies.update_study(services, "s", studies.StudyUpdate(state=StudyState.PAUSED), None)
    optimizer.asked.clear()
    prepare(services, "s")
    assert not optimizer.asked


def test_what_fails_is_not_tried_again_for_the_same(services, study, optimizer) -> None:
    optimizer.too_slow = True
    prepare(services, study)
    prepare(services, study)
    assert len(optimizer.asked) == 1
    (trial,) = ask(services)
    assert trial.origin is Origin.QUASI_RANDOM


class Gate:
    """Holds back what the optimizer computes until it is opened, or stopped."""

    def __init__(self, optimizer) -> None:
        self.opened, self.entered = threading.Event(), threading.Semaphore(0)
        self.errands: list[Errand] = []
        self._suggest = optimizer.suggest
        optimizer.suggest = self.suggest

    def suggest(self, evidence, count, patience, errand):
        self.errands.append(errand)
        turn = threading.Event()
        errand.listen(lambda: errand.is_stopped and turn.set())
        self.entered.release()
        while not self.opened.is_set() and not turn.wait(0.01):
            pass
        return None if errand.is_stopped else self._suggest(evidence, count, patience, errand)

    def wait(self) -> None:
        """For a computation to begin."""
        assert self.entered.acquire(timeout=PATIENCE)


@pytest.fixture
def gate(services: Services, study: str, optimizer) -> Iterator[Gate]:
    """In front of a study's preparation, which has begun on a thread of its own."""
    made = Gate(optimizer)
    started = Preparers(services, 2)
    made.wait()
    yield made
    made.opened.set()
    started.stop()


def test_who_asks_while_it_is_computed_waits_for_it(services, found, optimizer, gate) -> None:
    handed: list = []
    asker = threading.Thread(target=lambda: handed.extend(ask(services)))
    asker.start()
    while not gate.errands[0].is_urgent:
        time.sleep(0.01)
    gate.opened.set()
    asker.join()
    assert handed[0].origin is Origin.SURROGATE
    assert (found, len(optimizer.asked)) == ([Finding.JOINED], 1)


def test_who_cannot_wait_has_an_answer_and_the_computation_goes_on(services, found, gate) -> None:
    (trial,) = ask(services, patience=0.05)
    assert (trial.origin, found) == (Origin.QUASI_RANDOM, [Finding.TOO_LATE])
    assert not gate.errands[0].is_stopped


def test_a_computation_that_has_become_stale_is_stopped_for_the_newer(services, study, gate) -> None:
    new = trials.NewTrial({"lr": 0.3, "norm": "batch"}, {}, final_measurement=Measurement({"loss": 0.5}))
    trials.create_trial(services, study, new, None)
    gate.wait()
    assert [errand.is_stopped for errand in gate.errands] == [True, False]
    gate.opened.set()
    while not ask_ready(services):
        time.sleep(0.01)


def test_those_who_ask_at_once_share_one_computation(services, study, optimizer) -> None:
    gate = Gate(optimizer)
    handed: list = []
    askers = [threading.Thread(target=lambda: handed.extend(ask(services))) for _ in range(4)]
    with services.suggesting.hold(study, PATIENCE):
        for asker in askers:
            asker.start()
        while services.suggesting.wanted(study) < 5:
            time.sleep(0.01)
    gate.opened.set()
    for asker in askers:
        asker.join()
    assert len(optimizer.asked) == 1
    assert len({str(trial.parameters) for trial in handed}) == 4


def test_studies_have_their_turns(services, make_study) -> None:
    wanted = services.preparations
    for study_id in ("a", "b", "a", "c", "a"):
        wanted.want(study_id)
    assert [wanted.next_study() for _ in range(3)] == ["a", "b", "c"]
    wanted.want("b")
    wanted.want("a")
    assert [wanted.next_study() for _ in range(2)] == ["b", "a"]
